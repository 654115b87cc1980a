"""Which instances are on, from when, with what weight."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.errors import InputError, UnknownNameError
from toolkit.types import FloatArray, IntArray

ALWAYS = -(2**62)
_SUM_TOLERANCE = 1e-9


@dataclass(frozen=True)
class WeightSchedule:
    """Weights over time. A weight is a share of equity; an instance of weight 0 is off.

    Attributes
    ----------
    instances : ids, one a column.
    effective_ms : int64[k], ascending: from this moment on decisions see the row; before the first one all are off.
    weights : float64[k, n], finite and not negative.
    """

    instances: tuple[str, ...]
    effective_ms: IntArray
    weights: FloatArray

    def __post_init__(self) -> None:
        k, n = len(self.effective_ms), len(self.instances)
        if self.weights.shape != (k, n):
            raise InputError(f"weights must be float64[{k}, {n}], a row a moment, were {list(self.weights.shape)}")
        if len(set(self.instances)) < n:
            raise InputError("a weight schedule must name each instance once")
        if (np.diff(self.effective_ms) <= 0).any():
            raise InputError("the moments of a weight schedule must ascend")
        if not (np.isfinite(self.weights).all() and (self.weights >= 0.0).all()):
            raise InputError("weights must be finite and not negative")

    @classmethod
    def static(cls, weights: Mapping[str, float], instances: Sequence[str]) -> "WeightSchedule":
        """The same weights all the time; an instance without one is off."""
        row = [float(weights.get(name, 0.0)) for name in instances]
        return cls(tuple(instances), np.array([ALWAYS], np.int64), np.array([row], np.float64).reshape(1, -1))

    def of(self, instances: Sequence[str]) -> "WeightSchedule":
        """The same schedule with its columns in this order; an instance that it does not name is off."""
        position = {name: k for k, name in enumerate(self.instances)}
        unknown = sorted(set(self.instances) - set(instances))
        if unknown:
            raise InputError(
                f"{unknown[0]} has weights and is not among the {len(instances)} instances; leave it out of the weights"
            )
        columns = np.zeros((len(self.effective_ms), len(instances)))
        for k, name in enumerate(instances):
            if name in position:
                columns[:, k] = self.weights[:, position[name]]
        return WeightSchedule(tuple(instances), self.effective_ms, columns)

    def at(self, moment_ms: int) -> dict[str, float]:
        """The weights that a decision at this moment sees."""
        row = int(np.searchsorted(self.effective_ms, moment_ms, side="right")) - 1
        values = self.weights[row] if row >= 0 else np.zeros(len(self.instances))
        return dict(zip(self.instances, values.tolist(), strict=True))

    @property
    def largest_sum(self) -> float:
        """The largest sum of weights at any moment."""
        return float(self.weights.sum(axis=1).max()) if len(self.weights) else math.nan


def check_weights(weights: Mapping[str, float], instances: Collection[str]) -> dict[str, float]:
    """Weights for exactly these instances, those not named at 0.

    Raises
    ------
    UnknownNameError : a weight of an instance that is not among them. InputError : a weight is negative or not finite,
    or they add up to nothing or to more than 1 (1e-9 is allowed for rounding).
    """
    if not isinstance(weights, Mapping):
        raise InputError(f"weights must be a table of instances and shares, or a method's name, were {weights!r}")
    known = list(instances)
    for name, weight in weights.items():
        if name not in known:
            raise UnknownNameError("instance", name, known, "leave it out of the weights, or add it to the portfolio")
        if isinstance(weight, bool) or not isinstance(weight, float | int) or not math.isfinite(weight):
            raise InputError(f"the weight of {name} must be a finite number, was {weight!r}; 0 switches it off")
        if weight < 0.0:
            raise InputError(
                f"the weight of {name} must not be negative, was {weight!r}; a strategy's side is in its rules"
            )
    total = math.fsum(weights.values())
    if total <= 0.0:
        raise InputError(f"the weights of {len(known)} instances sum to nothing; give at least one more than 0")
    if total > 1.0 + _SUM_TOLERANCE:
        raise InputError(f"weights are shares of equity and must sum to at most 1, was {total:.6g}; divide them by it")
    return {name: float(weights.get(name, 0.0)) for name in known}
