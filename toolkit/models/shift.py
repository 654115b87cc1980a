"""How far values have moved from one sample to another: PSI and KS against a sketch that a bundle can keep."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from toolkit.types import FloatArray, IntArray

BINS, POINTS = 10, 40
_SIGNIFICANT = 9
CHANCE = 0.05
_HALF = 0.5


@dataclass(frozen=True, eq=False)
class Sketch:
    """What is kept of a sample of one feature.

    Attributes
    ----------
    n, missing : how many values are there, and how many are not finite.
    points : float64[p], ascending: every distinct value where there are at most `POINTS`, quantiles otherwise.
    upto : float64[p], the share of values at or below each point.
    """

    n: int
    missing: int
    points: FloatArray
    upto: FloatArray

    def table(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "n": self.n, "missing": self.missing, "points": self.points.tolist(),
            "upto": np.round(self.upto, _SIGNIFICANT).tolist(),
        }  # fmt: skip

    @property
    def edges(self) -> FloatArray:
        """Upper ends of the PSI's bins, the last one open: deciles, or each of a few distinct values by itself, with a
        bin below and one above for what was never seen."""
        if len(self.points) <= BINS:
            under = np.nextafter(self.points[:1], -np.inf)
            edges: FloatArray = np.concatenate([under, self.points])
            return edges
        levels = np.arange(1, BINS) / BINS
        # A share is a rounded quotient: a level that it means to reach must not be missed by the last digit.
        return np.unique(self.points[np.minimum(np.searchsorted(self.upto, levels - 1e-9), len(self.points) - 1)])


class Shift(NamedTuple):
    """How far a sample lies from a sketch.

    psi : population stability index over the sketch's bins and one of missing values, counts with half a row more each,
        so that an empty bin of a small sample is no infinite distance; below 0.1 is commonly called stable, above 0.25
        a shift. psi_chance : what samples of this size from the same distribution stay below (Yurdakul 2018).
    ks : largest difference of the shares at or below any point of the sketch (Kolmogorov-Smirnov). ks_p : probability
        of one as large by chance, were the rows independent of each other.
    missing_before, missing : shares. NaN: no rows, and for KS no values.
    """

    psi: float
    psi_chance: float
    ks: float
    ks_p: float
    missing_before: float
    missing: float


def sketch(values: FloatArray) -> Sketch:
    """A sketch of float64[n]; NaN and infinities are missing."""
    seen = np.sort(values[np.isfinite(values)])
    distinct = np.unique(seen)
    if len(distinct) > POINTS:
        at = np.ceil(np.arange(1, POINTS) / POINTS * len(seen)).astype(np.int64) - 1
        distinct = np.unique(_rounded(seen[at]))
    upto = np.searchsorted(seen, distinct, side="right") / max(1, len(seen))
    return Sketch(len(seen), len(values) - len(seen), distinct, upto)


def sketch_from(table: Mapping[str, Any]) -> Sketch:
    """What `Sketch.table` said."""
    return Sketch(
        int(table["n"]), int(table["missing"]),
        np.array(table["points"], np.float64), np.array(table["upto"], np.float64),
    )  # fmt: skip


def shift(before: Sketch, values: FloatArray, features: int = 1) -> Shift:
    """How far float64[n] (NaN and infinities are missing) lie from a sketch.

    features : of how many this is one: any of them is beyond its `psi_chance` in 5 % of samples (Bonferroni).
    """
    seen = np.sort(values[np.isfinite(values)])
    psi, chance = _psi(before, seen, len(values) - len(seen), CHANCE / features)
    ks = np.nan
    if before.n and len(seen):
        ks = float(np.abs(np.searchsorted(seen, before.points, side="right") / len(seen) - before.upto).max())
    return Shift(
        psi, chance, ks, ks_chance(ks, before.n, len(seen)),
        before.missing / (before.n + before.missing) if before.n + before.missing else np.nan,
        float(np.mean(~np.isfinite(values))) if len(values) else np.nan,
    )  # fmt: skip


def ks_chance(ks: float, n: int, m: int) -> float:
    """Probability that two samples of one continuous distribution differ by as much (asymptotic)."""
    if np.isnan(ks):
        return np.nan
    from scipy.special import kolmogorov

    return float(kolmogorov(ks * np.sqrt(n * m / (n + m))))


def ks_distance(a: FloatArray, b: FloatArray) -> float:
    """Largest difference of two samples' shares at or below any value; NaN where one has no finite value."""
    a, b = np.sort(a[np.isfinite(a)]), np.sort(b[np.isfinite(b)])
    if not len(a) or not len(b):
        return np.nan
    both = np.concatenate([a, b])
    return float(
        np.abs(np.searchsorted(a, both, side="right") / len(a) - np.searchsorted(b, both, side="right") / len(b)).max()
    )


def _psi(before: Sketch, seen: FloatArray, missing: int, chance: float) -> tuple[float, float]:
    n, m = before.n + before.missing, len(seen) + missing
    if not n or not m:
        return np.nan, np.nan
    from scipy.special import chdtri

    edges = before.edges if before.n else np.empty(0)
    upto = np.concatenate([[0.0], before.upto[np.searchsorted(before.points, edges)], [1.0]])
    if len(edges) and len(before.points) <= BINS:
        upto[1] = 0.0
    expected = np.append(np.diff(upto) * before.n, before.missing)
    found = np.append(_counts(edges, seen), missing)
    there = (expected > 0.5) | (found > 0)
    p = (expected[there] + _HALF) / (n + _HALF * there.sum())
    q = (found[there] + _HALF) / (m + _HALF * there.sum())
    free = int(there.sum()) - 1
    beyond = float(chdtri(free, chance)) * (1.0 / n + 1.0 / m) if free else 0.0
    return float(((q - p) * np.log(q / p)).sum()), beyond


def _counts(edges: FloatArray, seen: FloatArray) -> IntArray:
    """int64[len(edges) + 1] of ascending values: at or below the first edge, ..., above the last."""
    below = np.searchsorted(seen, edges, side="right")
    return np.diff(np.concatenate([[0], below, [len(seen)]]))


def _rounded(values: FloatArray) -> FloatArray:
    """To so many significant digits as a bundle keeps."""
    return np.array([float(f"{value:.{_SIGNIFICANT}g}") for value in values.tolist()])
