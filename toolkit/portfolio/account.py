"""Figures of a portfolio's run: of the whole account, and of groups of its instances."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from toolkit.portfolio.books import Books
from toolkit.portfolio.figures import account_figures, day_figures, day_returns, trade_figures
from toolkit.types import FloatArray

if TYPE_CHECKING:
    from toolkit.portfolio.result import PortfolioResult
    from toolkit.portfolio.simulate import PortfolioRun


def run_figures(run: "PortfolioRun", books: Books, equity: pl.DataFrame, trades: pl.DataFrame) -> dict[str, float]:
    """Every figure of `METRICS` of a portfolio's run.

    `max_drawdown_intraday` is a bound: each day all of its trades are taken at their worst prices at the same moment,
    under the highest daily mark so far.
    """
    capital = run.capital
    value = equity["equity"].to_numpy()
    marks = np.concatenate([[capital], value])
    peaks = np.maximum.accumulate(marks)
    lowest = np.minimum(marks[:-1] + books.low[: len(value)], value)
    deepest = float(((peaks[:-1] - lowest) / peaks[:-1]).max(initial=0.0))
    closed = run.trades["exit_reason"] != 0
    other = run.trades["other_price"]
    undecided = closed & ~np.isnan(other)
    at_stake = (run.trades["qty"] * np.abs(other - run.trades["exit_price"]))[undecided]
    known = {
        "max_drawdown_intraday": max(deepest, -float(equity["drawdown"].min() or 0.0)),  # type: ignore[arg-type]
        "return_at_twice_costs": (float(marks[-1]) - float(books.extra.sum())) / capital - 1.0,
        "ambiguous_trades": float(undecided.sum()),
        "ambiguous_pnl": float(at_stake.sum()),
    }
    return account_figures(equity, trades, capital=capital, start_ms=run.start_ms, known=known)


def group_figures(result: "PortfolioResult", by: str, groups: Sequence[str]) -> pl.DataFrame:
    """A row a group of instances: its own trades in the portfolio, its days as if the other groups had stood still.

    Parameters
    ----------
    by : the column of the trades table that names the group. groups : the group of each member.

    Columns: `by`, pnl, then `METRICS` without the figures that are the whole account's.
    """
    run = result.run
    began = (result.equity["equity"] - result.equity["pnl"]).to_numpy()
    names = list(dict.fromkeys(groups))
    position = {name: k for k, name in enumerate(names)}
    profit = np.zeros((len(names), result.books.pnl.shape[1]))
    np.add.at(profit, [position[name] for name in groups], result.books.pnl)
    rows = []
    for k, name in enumerate(names):
        rows.append({by: name, **_group_days(profit[k], began, result.books.day0, run.capital)})
    span = {"begin_ms": run.start_ms, "span_ms": run.end_ms - run.start_ms}
    of_trades = trade_figures(result.trades, capital=run.capital, by=[by], **span)
    days = pl.DataFrame(rows, schema_overrides={by: pl.String})
    joined = days.join(of_trades, on=by, how="left", maintain_order="left")
    zero = [pl.col(c).fill_null(0) for c in ("pnl", "trades", "fees", "funding", "exposure", "turnover", "open_trades")]
    return joined.with_columns(zero).fill_nan(None)


def _group_days(profit: FloatArray, began: FloatArray, day0: int, capital: float) -> dict[str, float]:
    return day_figures(capital + np.cumsum(profit), day_returns(profit, began), day0, capital)
