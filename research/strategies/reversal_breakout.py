"""Reversal breakout: after a long stretch one way, the first break of the last few bars the other way."""

from typing import NamedTuple

import numpy as np
from numba import njit

from toolkit.bars.intervals import MINUTE_MS
from toolkit.bars.series import Bars
from toolkit.factors import factor_lookback
from toolkit.strategy import Lookback, Signals, strategy
from toolkit.types import FloatArray


class Params(NamedTuple):
    window: int = 60  # bars in which the stretch is looked for, and of the average range
    stretch: float = 8.0  # least distance from the window's high to its low, in average ranges
    fresh: int = 10  # most bars since the extreme
    trigger: int = 5  # bars whose high (low) must be broken
    exit_window: int = 20  # bars whose low (high) ends the trade
    target_r: float = 2.0  # target, in stop distances; 0 = none


def _lookback(p: Params) -> Lookback:
    return max(
        factor_lookback("rolling_max", MINUTE_MS, p.window),
        factor_lookback("bars_since_max", MINUTE_MS, p.window),
        factor_lookback("atr", MINUTE_MS, p.window),
        # One bar more: the bar before must not have broken its own trigger.
        factor_lookback("donchian_high", MINUTE_MS, p.trigger) + 1,
        factor_lookback("donchian_high", MINUTE_MS, p.exit_window),
    )


@strategy(intervals=("1m", "3m", "5m", "15m", "30m", "1h", "4h", "1d"), lookback=_lookback)
def reversal_breakout(bars: Bars, p: Params) -> Signals:
    """After a stretched fall (rise) with a fresh low (high), the first close over (under) the last few bars.

    Makes money when forced flow overshoots: a liquidation run or a stop hunt ends at an extreme, and those who chased
    it have to cover while price comes back. Works on every interval up to 1d, where it buys the end of a sell-off.
    Loses in steady trends, where each pause looks like a turn and the extreme is made anew, and in slow markets,
    where the way back is shorter than the stop.

    The stop is at the extreme itself, so its distance is the risk that the chart shows.
    """
    return _signals(
        bars.close,
        bars.factor("rolling_max", p.window),
        bars.factor("rolling_min", p.window),
        bars.factor("bars_since_max", p.window),
        bars.factor("bars_since_min", p.window),
        bars.factor("atr", p.window),
        bars.factor("donchian_high", p.trigger),
        bars.factor("donchian_low", p.trigger),
        bars.factor("donchian_high", p.exit_window),
        bars.factor("donchian_low", p.exit_window),
        p,
    )


@njit(cache=True, nogil=True)
def _signals(
    close: FloatArray,
    highest: FloatArray,
    lowest: FloatArray,
    since_high: FloatArray,
    since_low: FloatArray,
    atr: FloatArray,
    top: FloatArray,
    bottom: FloatArray,
    exit_top: FloatArray,
    exit_bottom: FloatArray,
    p: Params,
) -> Signals:
    n = len(close)
    enter_long, enter_short = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    stop, target = np.full(n, np.nan), np.full(n, np.nan)
    for t in range(1, n):
        stretched = atr[t] > 0.0 and highest[t] - lowest[t] >= p.stretch * atr[t]
        fell = since_low[t] < since_high[t] and since_low[t] <= p.fresh
        rose = since_high[t] < since_low[t] and since_high[t] <= p.fresh
        up = close[t] > top[t] and close[t - 1] <= top[t - 1]
        down = close[t] < bottom[t] and close[t - 1] >= bottom[t - 1]
        enter_long[t] = stretched and fell and up and close[t] > lowest[t]
        enter_short[t] = stretched and rose and down and close[t] < highest[t]
        # After a fall the stop belongs to the long side, else to the short one.
        distance = close[t] - lowest[t] if since_low[t] < since_high[t] else highest[t] - close[t]
        if distance > 0.0:
            stop[t] = distance
            if p.target_r > 0.0:
                target[t] = p.target_r * distance
    return Signals(enter_long, enter_short, close < exit_bottom, close > exit_top, stop, target)
