"""Figures of an account whose equity compounds: the names of `METRICS`, from its daily equity and its trades.

A day's return is its profit over the equity that it began with. Exposure is the share of the time in which anything is
open: trades that overlap count once. All else is defined as for one instance.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from toolkit.analysis.metrics import (
    DAYS_PER_YEAR,
    METRICS,
    Account,
    Scratch,
    daily_figures,
    share_positive,
)
from toolkit.analysis.reference import buy_and_hold
from toolkit.bars.intervals import DAY_MS, WEEK_MS, floor_ts
from toolkit.compiled import kernel
from toolkit.engine.types import CostRates
from toolkit.types import FloatArray, IntArray

DAY_FIGURES = (
    "total_return", "annual_return", "sharpe", "sortino", "calmar", "max_drawdown", "max_drawdown_days",
    "weeks_profitable", "months_profitable",
)  # fmt: skip
_NO_RATES = CostRates(0.0, 0.0, 0.0, 0.0, 0, 0.0)


def account_figures(
    equity: pl.DataFrame,
    trades: pl.DataFrame,
    *,
    capital: float,
    start_ms: int | None = None,
    known: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Every figure of `METRICS` for one account.

    Parameters
    ----------
    equity : a row a day in order: `ts` (the mark at the day's end, UTC) and `equity`.
    trades : of all instances: `entry_ts`, `exit_ts` (null = open), `entry_price`, `exit_price`, `qty`, `pnl`, `fees`,
        `funding`, `r_multiple`.
    capital : money at the start. start_ms : the start, the first day's 00:00 UTC unless given.
    known : figures that these tables do not tell (`return_at_twice_costs`, `max_drawdown_intraday`, `ambiguous_trades`,
        `ambiguous_pnl`); NaN where they are not given.

    NaN where a figure is not defined: no trades, no losses, no days; `annual_return` and `calmar` of an account that
    lost everything.
    """
    ends = equity["ts"].cast(pl.Int64).to_numpy()
    day0 = (int(ends[0]) - 1) // DAY_MS if len(ends) else 0
    begin_ms = day0 * DAY_MS if start_ms is None else start_ms
    span_ms = (int(ends[-1]) if len(ends) else begin_ms) - begin_ms
    value = equity["equity"].to_numpy()
    profit = np.diff(value, prepend=capital)
    found = day_figures(value, day_returns(profit, value - profit), day0, capital)
    found |= trade_figures(trades, capital=capital, begin_ms=begin_ms, span_ms=span_ms).row(0, named=True)
    found["exposure"] = time_in_trades(trades, begin_ms, span_ms)
    found |= known or {}
    return {name: _number(found.get(name)) for name in METRICS}


def time_in_trades(trades: pl.DataFrame, begin_ms: int, span_ms: int) -> float:
    """Share of the time in which at least one trade is open, NaN where there is no time; overlaps count once."""
    if span_ms <= 0:
        return math.nan
    spans = trades.select(
        pl.col("entry_ts").cast(pl.Int64), pl.col("exit_ts").cast(pl.Int64).fill_null(begin_ms + span_ms)
    ).sort("entry_ts")
    first, last = spans["entry_ts"].to_numpy(), spans["exit_ts"].to_numpy()
    if not len(first):
        return 0.0
    covered = np.maximum.accumulate(np.concatenate([[begin_ms], last]))[:-1]
    return float(np.maximum(0, last - np.maximum(first, covered)).sum()) / span_ms


def day_returns(profit: FloatArray, began: FloatArray) -> FloatArray:
    """float64, as `profit`: each day's profit over the equity it began with; 0 where nothing was left to earn on."""
    safe = np.where(began > 0.0, began, 1.0)
    returns: FloatArray = np.where(began > 0.0, profit / safe, 0.0)
    return returns


def day_figures(equity: FloatArray, returns: FloatArray, day0: int, capital: float) -> dict[str, float]:
    """`DAY_FIGURES` of a path of daily equity that begins at `capital`.

    Parameters
    ----------
    equity, returns : float64[n_days]. day0 : absolute number of the first UTC day.
    """
    starts = (day0 + np.arange(len(equity))) * DAY_MS
    months = starts.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    week = (starts - floor_ts(int(day0 * DAY_MS), WEEK_MS)) // WEEK_MS
    month = months - months[0] if len(months) else months
    values = _day_figures(np.ascontiguousarray(equity), np.ascontiguousarray(returns), week, month, float(capital))
    return dict(zip(DAY_FIGURES, values.tolist(), strict=True))


@kernel
def _day_figures(
    equity: FloatArray, returns: FloatArray, week: IntArray, month: IntArray, capital: float
) -> FloatArray:
    n = len(equity)
    # `daily_figures` reads profits on a fixed notional: the returns in units of the capital.
    scratch = Scratch(returns * capital, np.zeros(0), equity, np.empty(n + 1), np.zeros(0))
    values, out = np.empty(7), np.empty(9)
    daily_figures(Account(capital, True, _NO_RATES, 0), scratch, values)
    out[:7] = values
    profit = np.empty(n)
    for d in range(n):
        profit[d] = equity[d] - (equity[d - 1] if d > 0 else capital)
    out[7] = share_positive(profit, week)
    out[8] = share_positive(profit, month)
    return out


def trade_figures(
    trades: pl.DataFrame, *, capital: float, begin_ms: int, span_ms: int, by: Sequence[str] = ()
) -> pl.DataFrame:
    """Figures over trades, one row or a row a group `by`; null where one is not defined.

    Columns: `by`, `pnl` (open trades at their mark), trades, win_rate, expectancy, expectancy_r, avg_win, avg_loss,
    profit_factor, exposure, fees, funding, worst_trade, turnover, open_trades.
    """
    sums = _sums(begin_ms + span_ms)
    table = trades.group_by(by, maintain_order=True).agg(sums) if by else trades.select(sums)
    years = span_ms / DAY_MS / DAYS_PER_YEAR
    closed, wins, won, lost = pl.col("trades"), pl.col("wins"), pl.col("won"), pl.col("lost")
    return table.select(
        *by,
        pl.col("pnl"),
        closed,
        _over(wins, closed, closed > 0).alias("win_rate"),
        _over(won + lost, closed, closed > 0).alias("expectancy"),
        pl.col("expectancy_r"),
        _over(won, wins, wins > 0).alias("avg_win"),
        _over(lost, closed - wins, closed > wins).alias("avg_loss"),
        _over(won, -lost, lost < 0).alias("profit_factor"),
        _over(pl.col("held_ms"), pl.lit(span_ms), pl.lit(span_ms > 0)).alias("exposure"),
        pl.col("fees"),
        pl.col("funding"),
        pl.col("worst_trade"),
        _over(pl.col("traded") / capital, pl.lit(years), pl.lit(years > 0)).alias("turnover"),
        pl.col("open_trades"),
    )


def _sums(end_ms: int) -> list[pl.Expr]:
    closed = pl.col("exit_ts").is_not_null()
    pnl = pl.col("pnl").filter(closed)
    out_ms = pl.col("exit_ts").cast(pl.Int64).fill_null(end_ms)
    entered, left = pl.col("qty") * pl.col("entry_price"), pl.col("qty") * pl.col("exit_price")
    return [
        pl.col("pnl").sum(),
        closed.sum().alias("trades"),
        (pnl > 0.0).sum().alias("wins"),
        pnl.filter(pnl > 0.0).sum().alias("won"),
        pnl.filter(pnl <= 0.0).sum().alias("lost"),
        pl.col("r_multiple").filter(closed).mean().alias("expectancy_r"),
        pl.col("fees").sum(),
        pl.col("funding").sum(),
        pnl.min().alias("worst_trade"),
        (entered.sum() + left.filter(closed).sum()).alias("traded"),
        (out_ms - pl.col("entry_ts").cast(pl.Int64)).sum().alias("held_ms"),
        (~closed).sum().alias("open_trades"),
    ]


def _over(amount: pl.Expr, count: pl.Expr, defined: pl.Expr) -> pl.Expr:
    return pl.when(defined).then(amount / count)


def hold_equally(series: Sequence[tuple[float, int, FloatArray]], day0: int, n_days: int) -> dict[str, float]:
    """Buy and hold of equal money in each symbol, without costs: the figures of `reference.buy_and_hold`.

    Money for a symbol that is not listed yet waits; what a symbol whose bars end was worth at the end stays.

    Parameters
    ----------
    series : a symbol each: the open of its first bar, the absolute number of that bar's day, and float64, the last
        close of each day from there on. day0, n_days : the account's days.
    """
    if not series or n_days <= 0:
        return buy_and_hold(1.0, np.empty(0))
    worth = np.ones((len(series), n_days))
    for row, (first_open, first_day, close) in zip(worth, series, strict=True):
        at = first_day - day0
        grown = close[: n_days - at] / first_open
        row[at : at + len(grown)] = grown
        row[at + len(grown) :] = grown[-1] if len(grown) else 1.0
    return buy_and_hold(1.0, worth.mean(axis=0))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
