"""Figures of stand-alone records, all instances at once: those of `metrics.METRICS` that a track record tells.

Money is in units of the notional (1.0): an `expectancy` of 0.002 is 0.2 % of what a trade is entered with.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from toolkit.analysis.metrics import DAYS_PER_YEAR
from toolkit.bars.intervals import DAY_MS, WEEK_MS, origin_ms
from toolkit.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from toolkit.portfolio.track import TrackRecord

DAY_FIGURES = (
    "total_return", "annual_return", "sharpe", "sortino", "calmar", "max_drawdown", "max_drawdown_days",
    "weeks_profitable", "months_profitable",
)  # fmt: skip
MONEY_FIGURES = ("expectancy", "avg_win", "avg_loss", "worst_trade")
TRADE_FIGURES = ("trades", "win_rate", "expectancy_r", "profit_factor", *MONEY_FIGURES)
FIGURES = (*DAY_FIGURES, *TRADE_FIGURES)
"""Names that a rule can read; their definitions are those of `analysis.metrics.METRICS`."""


def record_figures(track: "TrackRecord") -> pl.DataFrame:
    """A row an instance in the order of the track's columns: `instance`, `days` (of record), then `FIGURES` (Float64).

    NaN where a figure is not defined. A day that is null (before an instance's bars begin, after they end) is no day.
    """
    returns = track.returns.drop("date")
    days = track.returns["date"].cast(pl.Int32).cast(pl.Int64).to_numpy()
    table = day_figures(returns.to_numpy(), days) if returns.width else {}
    instances = pl.DataFrame({"instance": pl.Series(returns.columns, dtype=pl.String), **table})
    joined = instances.join(trade_figures(track.trades), on="instance", how="left", maintain_order="left")
    filled = joined.with_columns(pl.col("trades").fill_null(0.0)).with_columns(pl.col(pl.Float64).fill_null(np.nan))
    return filled.select("instance", "days", *FIGURES) if returns.width else _no_figures()


def _no_figures() -> pl.DataFrame:
    numbers = dict.fromkeys(FIGURES, pl.Float64)
    return pl.DataFrame(schema={"instance": pl.String, "days": pl.Int64, **numbers})


def day_figures(returns: FloatArray, days: IntArray) -> dict[str, FloatArray | IntArray]:
    """`days` (int64[n], how many each column has) and `DAY_FIGURES`, float64[n], of daily returns on a fixed notional.

    Parameters
    ----------
    returns : float64[n_days, n], NaN where there is no day. days : int64[n_days], ascending absolute day numbers.
    """
    known = ~np.isnan(returns)
    filled = np.where(known, returns, 0.0)
    count = known.sum(axis=0)
    total = filled.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / count
        deviation = np.sqrt((np.where(known, filled - mean, 0.0) ** 2).sum(axis=0) / (count - 1))
        downside = np.sqrt((np.minimum(filled, 0.0) ** 2).sum(axis=0) / count)
        annual = total / count * DAYS_PER_YEAR
        worst, longest = _drawdowns(filled, known)
        found: dict[str, FloatArray | IntArray] = {
            "days": count.astype(np.int64),
            "total_return": total,
            "annual_return": annual,
            "sharpe": np.where(deviation > 0.0, mean / deviation * np.sqrt(DAYS_PER_YEAR), np.nan),
            "sortino": np.where(downside > 0.0, mean / downside * np.sqrt(DAYS_PER_YEAR), np.nan),
            "calmar": np.where(worst > 0.0, annual / worst, np.nan),
            "max_drawdown": worst,
            "max_drawdown_days": longest,
            "weeks_profitable": _share_positive(filled, known, (days * DAY_MS - origin_ms(WEEK_MS)) // WEEK_MS),
            "months_profitable": _share_positive(filled, known, _months(days)),
        }
    return found


def _drawdowns(returns: FloatArray, known: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Largest fall from a peak (fraction of it) and longest time to its recovery (days) of each column's equity."""
    equity = 1.0 + np.cumsum(returns, axis=0)
    peaks = np.maximum.accumulate(np.vstack([np.ones((1, returns.shape[1])), equity]), axis=0)
    worst = ((peaks[1:] - equity) / peaks[1:]).max(axis=0, initial=0.0)
    day = np.arange(len(returns))[:, None]
    recovered = equity >= peaks[:-1]
    last = np.maximum.accumulate(np.where(recovered, day, -1), axis=0)
    # The peak before each day; before the first day it is the start.
    since = day - np.vstack([np.full((1, returns.shape[1]), -1), last[:-1]])
    # A day that follows a peak and is one too was no drawdown.
    under = known & ~(recovered & (since == 1))
    return worst, np.where(under, since, 0).max(axis=0, initial=0).astype(np.float64)


def _months(days: IntArray) -> IntArray:
    months: IntArray = (days * DAY_MS).astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    return months


def _share_positive(returns: FloatArray, known: BoolArray, group: IntArray) -> FloatArray:
    """Share of the groups of consecutive days that a column has days in whose sum is above zero; NaN without days."""
    if not len(group):
        return np.full(returns.shape[1], np.nan)
    starts = np.flatnonzero(np.diff(group, prepend=group[0] - 1))
    sums = np.add.reduceat(returns, starts, axis=0)
    counted = np.add.reduceat(known, starts, axis=0, dtype=np.int64) > 0
    share: FloatArray = ((sums > 0.0) & counted).sum(axis=0) / counted.sum(axis=0)
    return share


def trade_figures(trades: pl.DataFrame) -> pl.DataFrame:
    """`instance` and `TRADE_FIGURES` of closed trades (`exit_ts` not null), a row an instance that has one."""
    pnl = pl.col("pnl")
    win, loss = pnl.filter(pnl > 0.0), pnl.filter(pnl <= 0.0)
    return (
        trades.filter(pl.col("exit_ts").is_not_null())
        .group_by("instance", maintain_order=True)
        .agg(
            pl.len().cast(pl.Float64).alias("trades"),
            (pnl > 0.0).mean().alias("win_rate"),
            pl.col("r_multiple").cast(pl.Float64).drop_nans().mean().alias("expectancy_r"),
            pl.when(loss.sum() < 0.0).then(win.sum() / -loss.sum()).alias("profit_factor"),
            pnl.mean().alias("expectancy"),
            win.mean().alias("avg_win"),
            loss.mean().alias("avg_loss"),
            pnl.min().alias("worst_trade"),
        )
    )


def expected_figures(track: "TrackRecord", weights: Mapping[str, float]) -> dict[str, float]:
    """`FIGURES` of records weighed and added up, on a fixed notional of 1.0 and before any limit of an account.

    A day on which an instance has no record counts as 0 of it; a trade's profit is its own times the weight.
    """
    on = [name for name in track.instances if weights.get(name, 0.0) > 0.0]
    share = np.array([weights[name] for name in on])
    daily = np.nan_to_num(track.returns.select(on).to_numpy()) @ share if on else np.zeros(track.returns.height)
    days = track.returns["date"].cast(pl.Int32).cast(pl.Int64).to_numpy()
    of_days = {name: float(values[0]) for name, values in day_figures(daily[:, None], days).items() if name != "days"}
    factors = pl.DataFrame({"instance": pl.Series(on, dtype=pl.String), "share": share})
    weighed = (
        track.trades.join(factors, on="instance", how="inner")
        .with_columns(pl.col("pnl") * pl.col("share"))
        .with_columns(pl.lit("all").alias("instance"))
    )
    rows = trade_figures(weighed).to_dicts() or [{"trades": 0.0}]
    found = of_days | {name: rows[0].get(name) for name in TRADE_FIGURES}
    return {name: math.nan if found[name] is None else float(found[name]) for name in FIGURES}  # type: ignore[arg-type]
