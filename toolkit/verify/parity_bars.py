"""The bars that two runs were made on: those a session recorded, and for a backtest the stored ones."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from toolkit.bars.intervals import interval_ms
from toolkit.bars.load import load_bars
from toolkit.errors import LockstepError
from toolkit.verify.parity_tables import Period, RunTables

BARS_KEY = ("exchange", "symbol", "base", "ts")
BARS_COLUMNS = (*BARS_KEY, "open", "high", "low", "close", "volume", "filled")


def bars_within(run: RunTables, period: Period) -> pl.DataFrame | None:
    """The bars of a run that open and close in the period, None where it has none; where they came from is left out."""
    if run.bars is None:
        return None
    steps = {base: interval_ms(base) for base in run.bars["base"].unique()}
    step = pl.col("base").replace_strict(steps, default=0, return_dtype=pl.Int64)
    inside = (pl.col("ts") >= period.start_ms) & (pl.col("ts") + step <= period.end_ms)
    return run.bars.select(BARS_COLUMNS).filter(inside)


def with_stored_bars(run: RunTables, other: RunTables, db: Path | None = None) -> RunTables:
    """The run with the stored bars of every series that the other run recorded, where it has none of its own.

    Where one of them is not stored (any more) the run stays as it is: bars are not compared.
    """
    if run.bars is not None or other.bars is None or not len(other.bars):
        return run
    parts = []
    spans = other.bars.group_by("exchange", "symbol", "base").agg(
        pl.col("ts").min().alias("first"), pl.col("ts").max().alias("last")
    )
    for exchange, symbol, base, first, last in spans.sort("exchange", "symbol", "base").iter_rows():
        try:
            bars = load_bars(
                symbol, base, first, last + interval_ms(base), exchange=exchange, base=base, db=db
            )  # fmt: skip
        except LockstepError:
            return run
        columns = {name: getattr(bars, name) for name in BARS_COLUMNS[3:]}
        keys = (pl.lit(exchange).alias("exchange"), pl.lit(symbol).alias("symbol"), pl.lit(base).alias("base"))
        parts.append(pl.DataFrame(columns).select(*keys, pl.all()))
    return replace(run, bars=pl.concat(parts))
