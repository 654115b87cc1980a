"""Weights within caps: groups of instances that may have at most a share of the whole each."""

import math
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from toolkit.errors import InputError
from toolkit.types import BoolArray, FloatArray

_TINY = 1e-12
_SPARE = 1e-9


@dataclass(frozen=True)
class Caps:
    """Largest shares of the whole account's weights, in (0, 1]; 1 is no cap.

    Attributes
    ----------
    strategy, symbol, family : of all instances that share one. instance : of each alone.
    """

    strategy: float = 1.0
    symbol: float = 1.0
    family: float = 1.0
    instance: float = 1.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (isinstance(value, float | int) and math.isfinite(value) and 0.0 < value <= 1.0):
                raise InputError(
                    f"the cap on a {name} must be a share above 0 and at most 1, was {value!r}; 1 is no cap"
                )

    def groups(self, members: pl.DataFrame, instances: list[str]) -> tuple[BoolArray, FloatArray]:
        """The caps as rows: bool[g, n], which instances each one holds for, and float64[g], how much they may have."""
        rows, limits = [], []
        table = pl.DataFrame({"instance": instances}).join(members, on="instance", how="left", maintain_order="left")
        for name, cap in asdict(self).items():
            if cap >= 1.0:
                continue
            values = table[name].to_numpy()
            for value in sorted(set(values)):
                rows.append(values == value)
                limits.append(float(cap))
        return np.array(rows, np.bool_).reshape(len(rows), len(instances)), np.array(limits)


def largest_total(groups: BoolArray, limits: FloatArray) -> float:
    """The most that weights can add up to within the caps, at most 1 (a linear program).

    groups : bool[g, n], which instances each cap holds for. limits : float64[g], how much they may have together.
    """
    from scipy.optimize import linprog

    if not len(groups):
        return 1.0
    n = groups.shape[1]
    found = linprog(
        -np.ones(n), np.vstack([groups, np.ones((1, n))]).astype(np.float64), np.append(limits, 1.0), bounds=(0.0, 1.0)
    )
    return min(1.0, -float(found.fun))


def capped(raw: FloatArray, groups: BoolArray, limits: FloatArray) -> FloatArray:
    """Weights nearest to the shares `raw` within the caps, adding up to 1, or to the most that the caps allow.

    raw : float64[n], not negative, not all 0; an instance of 0 stays at 0.

    What a cap takes away goes to the others in proportion to their own shares (`filled`). Where caps overlap (on
    strategies and on symbols) that can leave money idle that another split would place: then the split of the whole
    that is nearest to `raw` (least squares, each instance relative to its share) is taken.
    """
    shares = raw / raw.sum()
    weights = filled(shares, groups, limits)
    on = shares > 0.0
    if 1.0 - weights.sum() > _SPARE and (groups.sum(axis=0) > 1).any():
        most = largest_total(groups[:, on], limits)
        if most - weights.sum() > _SPARE:
            from toolkit.portfolio.weights_skfolio import nearest

            found = np.zeros(len(shares))
            found[on] = nearest(shares[on], groups[:, on], limits, most)
            return filled(found / found.sum(), groups, limits)
    return weights


def filled(shares: FloatArray, groups: BoolArray, limits: FloatArray) -> FloatArray:
    """Weights that grow from nothing in proportion to `shares`, each group until its cap, all until they add up to 1.

    Exact: no cap is passed by more than rounding, whatever order the instances come in.
    """
    weights = np.zeros(len(shares))
    growing = shares > 0.0
    while growing.any():
        active = np.where(growing, shares, 0.0)
        fixed = np.where(growing, 0.0, weights)
        speed = groups @ active
        # How far each group's cap lets the rest grow; the last row is the whole account.
        room = np.append(limits - groups @ fixed, 1.0 - fixed.sum())
        speeds = np.append(speed, active.sum())
        factor = np.full(len(room), np.inf)
        factor[speeds > 0.0] = np.maximum(room[speeds > 0.0], 0.0) / speeds[speeds > 0.0]
        reached = factor.min()
        weights = fixed + reached * active
        if factor[-1] <= reached * (1.0 + _TINY):
            break
        full = factor[:-1] <= reached * (1.0 + _TINY)
        growing &= ~groups[full].any(axis=0)
    return weights
