"""Trades made elsewhere as a page: what they tell, and in one sentence each what they do not."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from toolkit.analysis.metrics import METRICS
from toolkit.analysis.portfolio_report.page import render, write_page
from toolkit.analysis.portfolio_report.source import Source, whole
from toolkit.analysis.reference import REFERENCE
from toolkit.bars.intervals import DAY_MS
from toolkit.errors import InputError
from toolkit.portfolio.figures import account_figures, day_figures, day_returns, trade_figures
from toolkit.portfolio.summary import strict

SCHEMA = "lockstep.trades/1"
NOTE = "Equity is the capital and what closed trades made, on the days of their exits: between, nothing is marked."
_GROUP = ("trades", "pnl", "win_rate", "profit_factor", "sharpe", "max_drawdown", "fees")
# What a table of trades does not tell; a figure that is not known is none, never 0.
_NEEDS = {"turnover": "qty", "fees": "fees", "funding": "funding", "expectancy_r": "r_multiple"}


def trades_report(
    trades: pl.DataFrame, title: str, out: Path, *, capital: float = 100_000.0, config: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write the page of any trades; returns its figures as strict JSON can hold them.

    Parameters
    ----------
    trades : as `trades_file.read_trades` gives them. title : the page's heading. out : the HTML file.
    capital : money that returns are measured on. config : what is said of where they came from.

    Raises
    ------
    InputError : no trade is closed, or the capital is not positive. RunError : the file cannot be written.
    """
    source = trades_source(trades, title, capital, config or {})
    write_page(out, render(source))
    return dict(source.results)


def trades_source(trades: pl.DataFrame, title: str, capital: float, config: Mapping[str, Any]) -> Source:
    """The page's source: figures by exit days, by strategy and by instance."""
    if not 0.0 < capital < float("inf"):
        raise InputError(f"`capital` must be a positive amount of money, was {capital!r}")
    table = whole(trades)
    closed = table.filter(pl.col("exit_ts").is_not_null())
    if not closed.height:
        raise InputError(f"a report needs closed trades, and none of the {table.height} trades has an exit; add trades")
    day = pl.col("exit_ts").dt.epoch("ms") // DAY_MS
    day0, last = closed.select(day.min().alias("a"), day.max().alias("b")).row(0)
    day0 = min(day0, int(table["entry_ts"].dt.epoch("ms").min()) // DAY_MS)  # type: ignore[arg-type]
    profit = _daily(closed.with_columns(day=day - day0), last - day0 + 1)
    value = capital + np.cumsum(profit.sum_horizontal().to_numpy())
    equity = _equity(value, day0, capital)
    # An open trade's profit is not made yet.
    known = table.with_columns(pnl=pl.when(pl.col("exit_ts").is_not_null()).then("pnl").otherwise(0.0))
    figures = account_figures(equity, known, capital=capital)
    figures |= {name: float("nan") for name, column in _NEEDS.items() if closed[column].null_count() == closed.height}
    figures |= dict.fromkeys(REFERENCE, float("nan"))
    groups = {by: _groups(known, by, profit, day0, value, capital) for by in ("strategy", "instance")}
    first, end = equity["ts"][0] - timedelta(days=1), equity["ts"][-1]
    results = {
        "schema": SCHEMA,
        "title": title,
        "synthetic": False,
        "period": {"start": str(first)[:10], "end": str(end)[:10]},
        "capital": capital,
        "figures": {name: figures[name] for name in (*METRICS, *REFERENCE)},
        "strategies": groups["strategy"],
        "instances": groups["instance"],
        "combinations_tried": None,
        "in_sample": None,
        "notes": [NOTE],
        "config": dict(config),
    }
    return Source(title, strict(results), table, {"equity": equity, "instance_returns": _returns(profit, day0, value)})


def _daily(closed: pl.DataFrame, n_days: int) -> pl.DataFrame:
    """A row a day, a column an instance: profit of the trades that closed on it."""
    names = closed["instance"].unique().sort().to_list()
    days = pl.DataFrame({"day": np.arange(n_days)})
    made = closed.pivot(on="instance", index="day", values="pnl", aggregate_function="sum", on_columns=names)
    return days.join(made, on="day", how="left", maintain_order="left").select(pl.col(names).fill_null(0.0))


def _equity(value: Any, day0: int, capital: float) -> pl.DataFrame:
    before = np.concatenate([[capital], value[:-1]])
    peak = np.maximum.accumulate(np.concatenate([[capital], value]))[1:]
    ends = pl.Series((day0 + 1 + np.arange(len(value))) * DAY_MS).cast(pl.Datetime("ms", "UTC"))
    return pl.DataFrame(
        {
            "ts": ends, "equity": value, "pnl": value - before, "return": day_returns(value - before, before),
            "drawdown": value / peak - 1.0,
        }
    )  # fmt: skip


def _returns(profit: pl.DataFrame, day0: int, value: Any) -> pl.DataFrame:
    """date, instance, pnl, return: as a portfolio's run has them."""
    began = value - profit.sum_horizontal().to_numpy()
    dates = pl.Series("date", day0 + np.arange(len(value)), dtype=pl.Int32).cast(pl.Date)
    parts = [
        pl.DataFrame({"date": dates, "instance": [name] * len(value), "pnl": made.to_numpy(),
                      "return": day_returns(made.to_numpy(), began)})
        for name, made in zip(profit.columns, profit, strict=True)
    ]  # fmt: skip
    return pl.concat(parts)


def _groups(
    trades: pl.DataFrame, by: str, profit: pl.DataFrame, day0: int, value: Any, capital: float
) -> list[dict[str, Any]]:
    """A row a strategy, or an instance, with its figures; the most profitable first."""
    began = value - profit.sum_horizontal().to_numpy()
    span = {"begin_ms": day0 * DAY_MS, "span_ms": len(value) * DAY_MS}
    rows = []
    about = ("strategy", "symbol", "interval", "side")
    for row in trade_figures(trades, capital=capital, by=[by], **span).iter_rows(named=True):
        mine = trades.filter(pl.col(by) == row[by])
        names = mine["instance"].unique().to_list()
        made = profit.select(c for c in profit.columns if c in names).sum_horizontal().to_numpy()
        days = day_figures(capital + np.cumsum(made), day_returns(made, began), day0, capital)
        told: dict[str, Any] = {"instances": len(names)}
        if by == "instance":
            # What its trades do not agree on is not said.
            told = {c: mine[c][0] if mine[c].n_unique() == 1 else None for c in about} | {"weight": None}
        rows.append({by: row[by], **told, **{name: {**row, **days}[name] for name in _GROUP}})
    if trades["fees"].null_count() == trades.height:
        rows = [{**row, "fees": None} for row in rows]
    return sorted(rows, key=lambda row: (-row["pnl"], row[by]))
