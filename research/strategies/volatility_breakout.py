"""Volatility breakout: a close out of the past bars' channel on an unusually wide bar."""

from typing import NamedTuple

import numpy as np
from numba import njit

from toolkit.bars.intervals import MINUTE_MS
from toolkit.bars.series import Bars
from toolkit.factors import factor_lookback
from toolkit.strategy import Lookback, Signals, strategy
from toolkit.types import FloatArray


class Params(NamedTuple):
    window: int = 100  # bars of the channel that must be left
    exit_window: int = 40  # bars of the opposite channel that ends the trade
    atr_window: int = 50  # bars of the average range
    expansion: float = 1.5  # least range of the breaking bar, in average ranges
    stop_atr: float = 2.0  # stop, in average ranges; 0 = none
    target_r: float = 0.0  # target, in stop distances; 0 = none


def _lookback(p: Params) -> Lookback:
    return max(
        # One bar more: the bar before must have been inside its own channel.
        factor_lookback("donchian_high", MINUTE_MS, p.window) + 1,
        factor_lookback("donchian_high", MINUTE_MS, p.exit_window),
        factor_lookback("atr", MINUTE_MS, p.atr_window),
    )


@strategy(intervals=("1m", "3m", "5m", "15m", "30m", "1h", "4h", "1d"), lookback=_lookback)
def volatility_breakout(bars: Bars, p: Params) -> Signals:
    """First close outside the channel of the last bars, on a bar much wider than the average; out at a tighter channel.

    Makes money when volatility comes in clusters with a direction: after quiet, a wide bar that leaves the range is
    the start of a repricing (liquidations, news) that goes on for hours, or on 4h and 1d for weeks. Loses when wide
    bars are the end of a move: in mean-reverting ranges, on thin books where one order makes the bar, and on 1m, where
    costs eat all but the largest moves.
    """
    return _signals(
        bars.high - bars.low,
        bars.close,
        bars.factor("donchian_high", p.window),
        bars.factor("donchian_low", p.window),
        bars.factor("donchian_high", p.exit_window),
        bars.factor("donchian_low", p.exit_window),
        bars.factor("atr", p.atr_window),
        p,
    )


@njit(cache=True, nogil=True)
def _signals(
    bar_range: FloatArray,
    close: FloatArray,
    top: FloatArray,
    bottom: FloatArray,
    exit_top: FloatArray,
    exit_bottom: FloatArray,
    atr: FloatArray,
    p: Params,
) -> Signals:
    n = len(close)
    enter_long, enter_short = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    stop, target = np.full(n, np.nan), np.full(n, np.nan)
    for t in range(1, n):
        wide = atr[t] > 0.0 and bar_range[t] >= p.expansion * atr[t]
        enter_long[t] = wide and close[t] > top[t] and close[t - 1] <= top[t - 1]
        enter_short[t] = wide and close[t] < bottom[t] and close[t - 1] >= bottom[t - 1]
        if p.stop_atr > 0.0 and atr[t] > 0.0:
            stop[t] = p.stop_atr * atr[t]
            if p.target_r > 0.0:
                target[t] = p.target_r * stop[t]
    return Signals(enter_long, enter_short, close < exit_bottom, close > exit_top, stop, target)
