"""Which instances are on, from when, with what weight."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.errors import InputError
from toolkit.types import FloatArray, IntArray

ALWAYS = -(2**62)


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
