"""How alike the daily returns of instances are, and which of them helps a portfolio most."""

import math

import numpy as np
import polars as pl

from toolkit.analysis.metrics import DAYS_PER_YEAR
from toolkit.errors import InputError
from toolkit.portfolio.track import TrackRecord
from toolkit.types import BoolArray, FloatArray

MIN_COMMON_DAYS = 3


def correlation_matrix(track: TrackRecord) -> pl.DataFrame:
    """Pearson correlation of each two instances' daily returns: `instance`, then a Float64 column an instance.

    Of each two on the days on which both have bars; null where those are fewer than 3, or one of the two does not vary
    on them.
    """
    names = track.instances
    values = correlations_of(track.returns.select(names).to_numpy().astype(np.float64))
    columns = {name: pl.Series(values[:, k]).fill_nan(None) for k, name in enumerate(names)}
    return pl.DataFrame({"instance": pl.Series(names, dtype=pl.String), **columns})


def correlations_of(returns: FloatArray) -> FloatArray:
    """float64[n, n] of `returns`, float64[n_days, n] with NaN where an instance has no bars; NaN where undefined."""
    known = ~np.isnan(returns)
    # Centred on each column's own mean first: the sums below then lose no digits.
    counts = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, returns, 0.0)
    centred = np.where(known, centred - centred.sum(axis=0) / counts, 0.0)
    weight = known.astype(np.float64)
    n = weight.T @ weight
    with np.errstate(divide="ignore", invalid="ignore"):
        sums, squares = centred.T @ weight, (centred**2).T @ weight
        covariance = centred.T @ centred - sums * sums.T / n
        variance = squares - sums**2 / n
        # What rounding leaves of a column that does not vary on the common days.
        variance[variance <= 1e-14 * np.maximum(squares, 1e-300)] = np.nan
        found = covariance / np.sqrt(variance * variance.T)
    found[n < MIN_COMMON_DAYS] = np.nan
    return np.clip(found, -1.0, 1.0)


def add_what_helps(track: TrackRecord, steps: int = 20) -> pl.DataFrame:
    """The set that grows by the instance that helps most, with what each of the others would have done.

    A set is combined with equal weights: a day's return is the mean over its instances, those without bars counting 0
    (their money is idle). Sharpe ratio (daily, sqrt(365)) and largest drawdown are those of a fixed notional of 1, as a
    sweep's. At each step the candidate that gives the combination the largest Sharpe ratio is taken, of equal ones the
    first by name, even where that is less than before: the table shows where adding stops to help. An instance whose
    returns do not vary cannot be measured and is no candidate.

    Returns
    -------
    A row a step and candidate, best first: step (from 1), instance, chosen (the first of its step), sharpe and
    max_drawdown of the set with it, marginal_sharpe and marginal_drawdown (the change that it makes, at step 1 from
    nothing: its own), and correlation (with the set before it; null at step 1).

    Raises
    ------
    InputError : `steps` is less than 1, or no instance traded.
    """
    if steps < 1:
        raise InputError(f"steps must be at least 1, was {steps}")
    names = sorted(track.instances)
    returns = np.nan_to_num(track.returns.select(names).to_numpy().astype(np.float64)) if names else np.empty((0, 0))
    left = np.array([len(c) > 1 and np.ptp(c) > 0.0 for c in returns.T], np.bool_)
    if not left.any():
        raise InputError(f"none of {len(names)} instances traded on these {len(returns)} days; take a longer range")
    total, before = np.zeros(len(returns)), (0.0, 0.0)
    tables = []
    for step in range(1, min(steps, int(left.sum())) + 1):
        table, best, before = _step(names, returns, left, total, (step, *before))
        tables.append(table)
        total = total + returns[:, best]
        left[best] = False
    return pl.concat(tables)


def _step(
    names: list[str], returns: FloatArray, left: BoolArray, total: FloatArray, at: tuple[int, float, float]
) -> tuple[pl.DataFrame, int, tuple[float, float]]:
    """Every candidate's figures; the best one; the Sharpe ratio and drawdown of the set with it."""
    step, sharpe_before, drawdown_before = at
    candidates = np.flatnonzero(left)
    combined = (total[:, None] + returns[:, candidates]) / step
    sharpe, drawdown = sharpe_of(combined), drawdown_of(combined)
    correlation = np.full(len(candidates), np.nan)
    if step > 1:
        correlation = correlations_of(np.column_stack([total, returns[:, candidates]]))[0, 1:]
    # A combination that does not vary (a perfect hedge) has no Sharpe ratio and comes last.
    order = np.argsort(np.where(np.isnan(sharpe), -np.inf, sharpe) * -1.0, kind="stable")
    table = pl.DataFrame(
        {
            "step": pl.repeat(step, len(order), dtype=pl.Int64, eager=True),
            "instance": [names[k] for k in candidates[order]],
            "chosen": np.arange(len(order)) == 0,
            "sharpe": pl.Series(sharpe[order]).fill_nan(None),
            "max_drawdown": drawdown[order],
            "marginal_sharpe": pl.Series(sharpe[order] - sharpe_before).fill_nan(None),
            "marginal_drawdown": drawdown[order] - drawdown_before,
            "correlation": pl.Series(correlation[order]).fill_nan(None),
        }
    )
    first = int(order[0])
    return table, int(candidates[first]), (float(sharpe[first]), float(drawdown[first]))


def sharpe_of(returns: FloatArray) -> FloatArray:
    """float64[n]: mean over standard deviation (n - 1) of each column's daily returns, times sqrt(365); NaN where they
    do not vary."""
    varies = np.ptp(returns, axis=0) > 0.0
    deviation = np.where(varies, returns.std(axis=0, ddof=1), np.nan)
    found: FloatArray = returns.mean(axis=0) / deviation * math.sqrt(DAYS_PER_YEAR)
    return found


def drawdown_of(returns: FloatArray) -> FloatArray:
    """float64[n] >= 0: the largest fall of 1 + the sum of each column's daily returns from its peak, as a fraction."""
    equity = 1.0 + np.cumsum(returns, axis=0)
    peak = np.maximum(np.maximum.accumulate(equity, axis=0), 1.0)
    found: FloatArray = np.max((peak - equity) / peak, axis=0, initial=0.0)
    return found
