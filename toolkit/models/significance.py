"""Is a difference more than luck? Bootstrap interval, permutation test, deflated Sharpe ratio.

All of it is of daily profits before and after, on the same days.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from toolkit.errors import InputError, UnknownNameError
from toolkit.models.fitness import DAILY, sharpe, sortino
from toolkit.types import FloatArray, IntArray

PATHS = 2_000
MEAN_BLOCK_DAYS = 10
LEVEL = 0.95
# Fewer days than this do not say how days follow each other.
LEAST_DAYS = 20
# So many undefined figures among the resampled ones leave no honest quantile.
_MOST_UNDEFINED = 0.05
_EULER = 0.5772156649015329
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Comparison:
    """A way of trading before and after a model, on the same days.

    Attributes
    ----------
    figure : "sortino" or "sharpe", which `difference` (after less before), its interval and the test are of.
    before, after : the figure; `sharpe_*`, `sortino_*`, `profit_*` (sum of the days) beside it whatever the figure is.
    low, high : `level` interval of the difference by the stationary bootstrap; NaN for fewer than 20 days.
    p_value : how often models on permuted labels made as large a difference, (1 + k) / (1 + permutations); NaN without.
    permuted_mean, permuted_high : the mean and the 95 % quantile of what those made; NaN without.
    deflated_sharpe : probability that the Sharpe ratio after is more than the best of `trials` shows by luck.
    days : days compared.
    """

    figure: str
    before: float
    after: float
    difference: float
    low: float
    high: float
    level: float
    p_value: float
    permutations: int
    permuted_mean: float
    permuted_high: float
    deflated_sharpe: float
    trials: int
    days: int
    sharpe_before: float
    sharpe_after: float
    sortino_before: float
    sortino_after: float
    profit_before: float
    profit_after: float


def compare(
    before: FloatArray,
    after: FloatArray,
    *,
    permuted: FloatArray | None = None,
    trials: int = 1,
    figure: str = "sortino",
    seed: int = 0,
) -> Comparison:
    """Judge a pair of daily profits.

    Parameters
    ----------
    before, after : float64[n_days], profits of the same days; only their ratio to each other matters.
    permuted : float64[N, n_days], after, by models that were learned from permuted labels.
    trials : how many ways of learning and applying were tried before this one was chosen.
    seed : of the bootstrap; equal seeds give equal intervals.

    Raises
    ------
    UnknownNameError : a figure that is not of days. InputError : days that differ, `trials` below 1.
    """
    if figure not in DAILY:
        raise UnknownNameError("figure of days", figure, DAILY)
    if before.shape != after.shape or before.ndim != 1:
        raise InputError(f"before and after must be the same days, were {before.shape} and {after.shape}")
    of = DAILY[figure]
    gain = float(of(after)) - float(of(before))
    gains = np.empty(0) if permuted is None else of(permuted) - float(of(before))
    low, high = difference_interval(before, after, figure=figure, seed=seed)
    known = gains[np.isfinite(gains)]
    return Comparison(
        figure, float(of(before)), float(of(after)), gain, low, high, LEVEL,
        permutation_p(gain, gains), len(gains),
        float(known.mean()) if len(known) else math.nan,
        float(np.quantile(known, LEVEL)) if len(known) else math.nan,
        deflated_sharpe(after, trials), trials, len(before),
        float(sharpe(before)), float(sharpe(after)), float(sortino(before)), float(sortino(after)),
        float(before.sum()), float(after.sum()),
    )  # fmt: skip


def difference_interval(
    before: FloatArray, after: FloatArray, *, figure: str = "sortino", seed: int = 0, level: float = LEVEL
) -> tuple[float, float]:
    """Quantiles of the difference of a figure (after less before) by the stationary bootstrap of whole days.

    A day's two profits stay together, and runs of consecutive days (10 on average) do, so that what both share and what
    a day says of the next one is kept. NaN for fewer than 20 days, or where the figure is often undefined.

    Source: Politis and Romano, "The Stationary Bootstrap", 1994.
    """
    n = len(before)
    if n < LEAST_DAYS:
        return math.nan, math.nan
    days = resampled_days(n, seed)
    of = DAILY[figure]
    differences = of(after[days]) - of(before[days])
    known = differences[np.isfinite(differences)]
    if len(known) < (1.0 - _MOST_UNDEFINED) * len(differences):
        return math.nan, math.nan
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(known, [tail, 1.0 - tail])
    return float(low), float(high)


@lru_cache(maxsize=4)
def resampled_days(n: int, seed: int) -> IntArray:
    """int64[PATHS, n]: days of `PATHS` histories made of runs of consecutive days, the first following the last."""
    rng = np.random.default_rng(seed)
    fresh = rng.random((PATHS, n)) < 1.0 / MEAN_BLOCK_DAYS
    fresh[:, 0] = True
    begins = rng.integers(n, size=(PATHS, n))
    # Each day is so many days after the place where its run began.
    place = np.arange(n)
    began = np.maximum.accumulate(np.where(fresh, place, 0), axis=1)
    days: IntArray = (np.take_along_axis(begins, began, axis=1) + place - began) % n
    days.setflags(write=False)
    return days


def permutation_p(gain: float, permuted: FloatArray) -> float:
    """Share of models on permuted labels that gained as much, the model itself counted in; NaN without any of them.

    A permuted gain that is undefined counts as one that is as large. Source: Phipson and Smyth, "Permutation p-values
    should never be zero", 2010.
    """
    if not len(permuted) or math.isnan(gain):
        return math.nan
    return float(1 + np.count_nonzero(~(permuted < gain))) / (1 + len(permuted))


def deflated_sharpe(daily: FloatArray, trials: int, trial_variance: float | None = None) -> float:
    """Probability that the true Sharpe ratio is above what the best of `trials` without any skill would have shown.

    Parameters
    ----------
    daily : float64[n_days], returns. trials : independent ways tried, at least 1.
    trial_variance : variance of the trials' daily Sharpe ratios; what luck alone gives them, 1 / (n - 1), unless known.

    NaN for fewer than 20 days, or days that do not vary. Skewness and fat tails count.

    Source: Bailey and Lopez de Prado, "The Deflated Sharpe Ratio", 2014.
    """
    if isinstance(trials, bool) or trials < 1:
        raise InputError(f"`trials` must be at least 1, was {trials!r}")
    n = len(daily)
    deviation = float(daily.std()) if n else 0.0
    if n < LEAST_DAYS or deviation == 0.0:
        return math.nan
    standard = (daily - daily.mean()) / deviation
    ratio = float(daily.mean() / daily.std(ddof=1))
    skew, kurtosis = float((standard**3).mean()), float((standard**4).mean())
    luck = expected_best(trials) * math.sqrt(1.0 / (n - 1) if trial_variance is None else trial_variance)
    spread = 1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    return _NORMAL.cdf((ratio - luck) * math.sqrt(n - 1) / math.sqrt(spread)) if spread > 0.0 else math.nan


def expected_best(trials: int) -> float:
    """Expected largest of so many standard normal numbers (0 for one), by the false strategy theorem."""
    if trials == 1:
        return 0.0
    first, second = (_NORMAL.inv_cdf(1.0 - 1.0 / x) for x in (trials, trials * math.e))
    return (1.0 - _EULER) * first + _EULER * second


def as_table(comparison: Comparison) -> Mapping[str, float | int | str | None]:
    """The comparison as JSON can hold it: what is not defined is null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in vars(comparison).items()
    }
