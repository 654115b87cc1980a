"""The bars around the trades that a reader will want to see: the largest wins and losses, and the newest."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from toolkit.bars.intervals import INTERVAL_MS
from toolkit.bars.series import Bars
from toolkit.portfolio.frames import times
from toolkit.types import IntArray

if TYPE_CHECKING:
    from toolkit.portfolio.simulate import PortfolioRun

MOST_TRADES, MOST_BARS = 300, 120
_COLUMNS = ("open", "high", "low", "close")


def trade_bars(run: "PortfolioRun", trades: pl.DataFrame) -> pl.DataFrame:
    """trade_id, ts, open, high, low, close: at most 120 bars around each of at most 300 trades.

    A trade's bars are of the shortest interval on which all of it fits with a sixth of the room before and after it.

    Parameters
    ----------
    trades : the run's `trades` table, in the order of its records.
    """
    frames = []
    ids = trades["trade_id"]
    for k in _chosen(trades):
        base = run.members[run.trade_member[k]].bars.base
        record = run.trades[k]
        first_ms, last_ms = int(record["entry_t"]) * base.interval_ms, (int(record["exit_t"]) + 1) * base.interval_ms
        part = _around(base, first_ms, last_ms)
        frames.append(part.select(pl.lit(ids[int(k)]).alias("trade_id"), pl.all()))
    if not frames:
        nothing = dict.fromkeys(_COLUMNS, pl.Float64)
        return pl.DataFrame(schema={"trade_id": pl.String, "ts": times([]).dtype, **nothing})
    return pl.concat(frames)


def _chosen(trades: pl.DataFrame) -> IntArray:
    """Rows of the largest wins, the largest losses and the newest trades, a third of the room each."""
    third = MOST_TRADES // 3
    by_pnl = np.argsort(trades["pnl"].to_numpy(), kind="stable")
    newest = np.argsort(trades["entry_ts"].cast(pl.Int64).to_numpy(), kind="stable")
    return np.unique(np.concatenate([by_pnl[:third], by_pnl[-third:], newest[-third:]])).astype(np.int64)


def _around(base: Bars, first_ms: int, last_ms: int) -> pl.DataFrame:
    for name, step in INTERVAL_MS.items():
        fits = (last_ms - first_ms) // step + 2 <= MOST_BARS * 2 // 3
        if step >= base.interval_ms and step % base.interval_ms == 0 and fits and len(base.to(name)):
            return _window(base.to(name), first_ms, last_ms)
    return _window(base.to("1w"), first_ms, last_ms)


def _window(bars: Bars, first_ms: int, last_ms: int) -> pl.DataFrame:
    a, b = np.searchsorted(bars.close_ts, first_ms, side="right"), np.searchsorted(bars.ts, last_ms)
    room = min(MOST_BARS // 6, max(0, MOST_BARS - int(b - a)) // 2)
    rows = slice(max(0, int(a) - room), min(len(bars), int(b) + room, max(0, int(a) - room) + MOST_BARS))
    return pl.DataFrame({"ts": times(bars.ts[rows]), **{name: getattr(bars, name)[rows] for name in _COLUMNS}})
