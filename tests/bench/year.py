"""The year of 1m bars that is timed: BTC 2022 where `LOCKSTEP_REAL_DATA` names real bars, else synthetic."""

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from toolkit.bars.intervals import MINUTE_MS
from toolkit.bars.series import Bars, from_arrays
from toolkit.bars.synthetic import synthetic_bars

START_MS = 1_640_995_200_000
YEAR_MS = 365 * 1440 * MINUTE_MS
REAL_FILE = "binance_BTCUSDT_1m.parquet"


def real_file() -> Path | None:
    """The stored real minutes, None where there are none."""
    folder = os.environ.get("LOCKSTEP_REAL_DATA")
    path = Path(folder) / REAL_FILE if folder else None
    return path if path is not None and path.is_file() else None


def described() -> str:
    return (
        "real BTC/USDT 1m of 2022" if real_file() else "synthetic BTC/USDT 1m, a year (LOCKSTEP_REAL_DATA is not set)"
    )


@cache
def year() -> Bars:
    """One year of 1m bars, volumes unknown: vectorbt knows no bar on which nothing can fill."""
    path = real_file()
    if path is None:
        bars = synthetic_bars(("BTC/USDT",), "2022-01-01", 365)["BTC/USDT"]
        columns = [bars.ts, bars.open, bars.high, bars.low, bars.close]
    else:
        ts = pc.field("ts")
        table = pq.read_table(path, filters=(ts >= START_MS) & (ts < START_MS + YEAR_MS))
        columns = [table[name].to_numpy() for name in ("ts", "open", "high", "low", "close")]
    return from_arrays(*columns, interval="1m", symbol="BTC/USDT")


def fresh(bars: Bars) -> Bars:
    """The same bars with nothing memoised on them."""
    return replace(bars, _memo={})
