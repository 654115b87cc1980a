"""Base bars prepared once for any number of simulations: what can trade, masked and block extremes, finer bars."""

import numpy as np

from toolkit.bars.intervals import WEEK_MS, require_multiple
from toolkit.bars.series import Bars
from toolkit.compiled import kernel
from toolkit.engine.types import Market
from toolkit.errors import InputError
from toolkit.types import FloatArray

BLOCK = 64
SUPERBLOCK = 4096


def prepare_market(bars: Bars, finer: Bars | None = None) -> Market:
    """The engine's view of a base series; memoised on the bars (the finer rows on the finer series).

    Parameters
    ----------
    bars : the base series (the clock that orders fill on).
    finer : a finer stored series of the same symbol, for `policy="finer"`.
    """
    if bars.interval_ms == WEEK_MS:
        raise InputError(
            f"orders cannot fill on weekly bars ({bars.exchange} {bars.symbol}); store bars of 1d or finer and trade "
            f"them on the interval 1w"
        )
    market = bars.memo("market", lambda: _build(bars))
    if finer is None:
        return market
    fine, ratio = _finer_rows(bars, finer)
    return market._replace(fine=fine, fine_ratio=ratio)


def first_t(bars: Bars) -> int:
    """Absolute number of the first bar: its open time divided by the interval."""
    return int(bars.ts[0]) // bars.interval_ms if len(bars) else 0


def _build(bars: Bars) -> Market:
    can_trade = bars.volume != 0.0
    low, high = bars.low, bars.high
    if not can_trade.all():
        low, high = np.where(can_trade, low, np.inf), np.where(can_trade, high, -np.inf)
        # As the bars' own arrays are, so that kernels see one type and are compiled once.
        low.setflags(write=False)
        high.setflags(write=False)
    low64, high64 = block_extremes(low, high, BLOCK)
    low4096, high4096 = block_extremes(low64, high64, SUPERBLOCK // BLOCK)
    return Market(
        first_t(bars), bars.open, high, low, bars.close, can_trade, low64, high64, low4096, high4096,
        np.empty((0, 4)), 1,
    )  # fmt: skip


def _finer_rows(bars: Bars, finer: Bars) -> tuple[FloatArray, int]:
    if finer.symbol != bars.symbol:
        raise InputError(f"finer bars must be of {bars.symbol}, were of {finer.symbol}")
    ratio = require_multiple(bars.interval, finer.interval)
    if not len(bars):
        return np.empty((0, 4)), ratio
    start, n = int(bars.ts[0]), len(bars) * ratio
    return finer.memo(("rows of finer bars", start, n), lambda: _rows(finer, start, n)), ratio


def _rows(finer: Bars, start_ms: int, n: int) -> FloatArray:
    """float64[n, 4]: finer bars from `start_ms` on, NaN where there is none that can trade."""
    rows = np.full((n, 4), np.nan)
    slot = (finer.ts - start_ms) // finer.interval_ms
    ok = (slot >= 0) & (slot < n) & (finer.volume != 0.0)
    for column, values in enumerate((finer.open, finer.high, finer.low, finer.close)):
        rows[slot[ok], column] = values[ok]
    return rows


@kernel
def block_extremes(low: FloatArray, high: FloatArray, block: int) -> tuple[FloatArray, FloatArray]:
    """Lowest low and highest high of each aligned block of `block` bars, the last one partial."""
    n = (len(low) + block - 1) // block
    lows, highs = np.empty(n), np.empty(n)
    for b in range(n):
        lowest, highest = np.inf, -np.inf
        for i in range(b * block, min(len(low), (b + 1) * block)):
            # Not min and max: this form becomes vector instructions, four times as fast.
            lowest = low[i] if low[i] < lowest else lowest
            highest = high[i] if high[i] > highest else highest
        lows[b], highs[b] = lowest, highest
    return lows, highs
