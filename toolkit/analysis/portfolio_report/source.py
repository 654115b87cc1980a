"""What a page is drawn from: the tables and `results.json` of a run's folder, or a trades table alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from toolkit.analysis.frames import TIME, TRADE_COLUMNS
from toolkit.analysis.runs import Run
from toolkit.errors import RunError

_TABLES = ("equity", "variants", "instance_returns", "audit", "weights", "trade_bars", "closes", "model_versions")
_TEXTS = {
    "trade_id", "strategy", "instance", "params", "symbol", "interval", "side", "exit_reason", "model_version",
    "deployment", "run_id",
}  # fmt: skip
_TIMES = {"signal_ts", "entry_ts", "exit_ts"}


@dataclass(frozen=True)
class Source:
    """One account's run.

    Attributes
    ----------
    title : the page's heading. results : as `results.json` has it.
    trades : every column of `frames.TRADE_COLUMNS`, null where the origin does not tell.
    tables : the run's other tables by name, those that there are.
    info : `run.json`, empty for trades made elsewhere.
    """

    title: str
    results: Mapping[str, Any]
    trades: pl.DataFrame = field(repr=False)
    tables: Mapping[str, pl.DataFrame] = field(repr=False)
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def foreign(self) -> bool:
        """Trades made elsewhere, of which nothing else is known."""
        return not self.info

    @property
    def capital(self) -> float:
        return float(self.results["capital"])

    @cached_property
    def days(self) -> pl.DataFrame:
        """The equity table with `date`, the day that each mark ends; no rows where there is none."""
        equity = self.tables.get("equity")
        if equity is None:
            return pl.DataFrame(schema={"ts": TIME, "date": pl.Date, "equity": pl.Float64})
        return equity.with_columns(date=_day_ended(pl.col("ts")))

    @cached_property
    def closed(self) -> pl.DataFrame:
        """Trades that have ended."""
        return self.trades.filter(pl.col("exit_ts").is_not_null())

    @cached_property
    def strategy_of(self) -> dict[str, str]:
        """The strategy of each instance."""
        known = {row["instance"]: row["strategy"] for row in self.results.get("instances", [])}
        pairs = self.trades.select("instance", "strategy").unique(maintain_order=True)
        return known | dict(pairs.drop_nulls().iter_rows())

    def why_not(self, what: str) -> str:
        """The sentence that stands where a table would be needed."""
        origin = "a trades file does not hold it" if self.foreign else "this run's folder does not hold it"
        return f"Not here: {what}, and {origin}."


def read_source(folder: Path) -> Source:
    """The source of a run's folder, finished or still being written; `RunError` where it cannot be read."""
    run = Run(folder)
    info = run.info
    try:
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        found = {name: run.frame(name) for name in _TABLES if name in run.tables}
        trades = whole(run.frame("trades"))
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise RunError(f"run {run.run_id} cannot be read: {error}; run the portfolio's backtest again") from None
    return Source(f"Portfolio {info['run_id']}", results, trades, found, info)


def whole(trades: pl.DataFrame) -> pl.DataFrame:
    """`trades` with every column of `frames.TRADE_COLUMNS`, null where it had none; others are left out."""
    missing = {c: None for c in TRADE_COLUMNS if c not in trades.columns}
    return trades.with_columns(pl.lit(None, dtype=_dtype(name)).alias(name) for name in missing).select(TRADE_COLUMNS)


def _dtype(name: str) -> Any:
    return TIME if name in _TIMES else pl.String if name in _TEXTS else pl.Float64


def _day_ended(ts: pl.Expr) -> pl.Expr:
    """The day whose end a mark is: a mark at 00:00 is of the day before."""
    return (ts - pl.duration(milliseconds=1)).dt.date()
