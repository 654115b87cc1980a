"""Cleaning, fitted on the training part alone: clipped, imputed, scaled, each value by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Cleaning:
    """What is done with raw features before a model sees them.

    Attributes
    ----------
    low, high : float64[k], values beyond are brought to them. fill : float64[k], stands for a missing value; NaN where
        the model takes missing values as they are. centre, scale : float64[k], the result is `(x - centre) / scale`.
    marked : int64[m], features that get a column more, behind the others: 1 where the value was missing, else 0.
    """

    low: FloatArray
    high: FloatArray
    fill: FloatArray
    centre: FloatArray
    scale: FloatArray
    marked: IntArray

    def clean(self, x: FloatArray) -> FloatArray:
        """float64[n, k + m] of float64[n, k] raw features (NaN, and what is not finite, is missing)."""
        missing: BoolArray = ~np.isfinite(x)
        kept = np.where(missing, self.fill, np.minimum(np.maximum(x, self.low), self.high))
        out: FloatArray = (kept - self.centre) / self.scale
        if not len(self.marked):
            return out
        return np.concatenate([out, missing[:, self.marked].astype(np.float64)], axis=1)

    def names(self, features: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the cleaned columns."""
        return (*features, *(f"missing {features[k]}" for k in self.marked.tolist()))

    def table(self) -> dict[str, Any]:
        """As JSON can hold it, to the bit; a fill that is NaN is null."""
        out: dict[str, Any] = {name: getattr(self, name).tolist() for name in ("low", "high", "centre", "scale")}
        fill = [None if np.isnan(value) else value for value in self.fill.tolist()]
        return {**out, "fill": fill, "marked": self.marked.tolist()}


def cleaning_from(table: Mapping[str, Any]) -> Cleaning:
    """What `Cleaning.table` said."""
    floats = {name: np.array(table[name], np.float64) for name in ("low", "high", "centre", "scale")}
    fill = np.array([np.nan if value is None else value for value in table["fill"]], np.float64)
    return Cleaning(fill=fill, marked=np.array(table["marked"], np.int64), **floats)


def fit_cleaning(x: FloatArray, *, clip: float, impute: bool = True, scale: bool = True, indicators: bool) -> Cleaning:
    """Cleaning fitted on float64[n, k]; every column has a value.

    Parameters
    ----------
    clip : quantile (0 to below 0.5) beyond which values are brought to it, at either end.
    impute : missing values become the median; else they stay NaN. scale : to mean 0 and deviation 1.
    indicators : mark the columns in which values are missing here.
    """
    seen = np.where(np.isfinite(x), x, np.nan)
    low, high = np.nanquantile(seen, [clip, 1.0 - clip], axis=0)
    fill = np.nanmedian(seen, axis=0) if impute else np.full(x.shape[1], np.nan)
    centre, size = np.zeros(x.shape[1]), np.ones(x.shape[1])
    if scale:
        filled = np.where(np.isnan(seen), np.nanmedian(seen, axis=0), np.minimum(np.maximum(seen, low), high))
        centre, size = filled.mean(axis=0), filled.std(axis=0)
        size = np.where(size > 0.0, size, 1.0)
    marked = np.flatnonzero(np.isnan(seen).any(axis=0)) if indicators else np.empty(0, np.int64)
    return Cleaning(low, high, fill, centre, size, marked.astype(np.int64))
