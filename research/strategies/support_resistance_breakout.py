"""Support and resistance breakout: a close through the nearest pivot level, with volume."""

from typing import NamedTuple

import numpy as np
from numba import njit

from toolkit.bars.intervals import MINUTE_MS
from toolkit.bars.series import Bars
from toolkit.factors import factor_lookback
from toolkit.strategy import Lookback, Signals, strategy
from toolkit.types import FloatArray


class Params(NamedTuple):
    pivot: int = 8  # bars on each side of a pivot that do not go beyond it
    window: int = 200  # bars in which pivots are looked for
    average_window: int = 50  # bars of the average range and of the average volume
    volume: float = 1.2  # least volume of the breaking bar, in average volumes; 0 = not looked at
    stop_atr: float = 2.0  # stop, in average ranges; 0 = none
    target_r: float = 0.0  # target, in stop distances; 0 = none


def _lookback(p: Params) -> Lookback:
    return max(
        # One bar more: the level is the one that stood before the bar that breaks it.
        factor_lookback("resistance", MINUTE_MS, p.pivot, p.pivot, p.window) + 1,
        factor_lookback("volume_ratio", MINUTE_MS, p.average_window),
        factor_lookback("atr", MINUTE_MS, p.average_window),
    )


@strategy(intervals=("1m", "3m", "5m", "15m", "30m", "1h", "4h", "1d"), lookback=_lookback)
def support_resistance_breakout(bars: Bars, p: Params) -> Signals:
    """A close through the nearest resistance (support) on more than the average volume; out at the next level back.

    Makes money where many watch one level: stops rest behind an old high, and once they are taken nobody is left to
    sell until the next level. Best on 15m to 1d and in liquid symbols, where levels are seen by all. Loses in ranges
    that probe their edges (a false break costs the stop), and where volume is unknown or spiky, since the volume of
    the breaking bar is the only confirmation; a bar of unknown volume never enters unless `volume` is 0.
    """
    return _signals(
        bars.close,
        bars.factor("resistance", p.pivot, p.pivot, p.window),
        bars.factor("support", p.pivot, p.pivot, p.window),
        bars.factor("volume_ratio", p.average_window),
        bars.factor("atr", p.average_window),
        p,
    )


@njit(cache=True, nogil=True)
def _signals(
    close: FloatArray,
    resistance: FloatArray,
    support: FloatArray,
    volume_ratio: FloatArray,
    atr: FloatArray,
    p: Params,
) -> Signals:
    n = len(close)
    enter_long, enter_short = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    exit_long, exit_short = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    stop, target = np.full(n, np.nan), np.full(n, np.nan)
    for t in range(1, n):
        # The nearest levels lie beyond the close of their own bar, so going through them is a crossing.
        above = close[t] > resistance[t - 1]
        below = close[t] < support[t - 1]
        busy = (p.volume <= 0.0 or volume_ratio[t] >= p.volume) and atr[t] > 0.0
        enter_long[t] = above and busy
        enter_short[t] = below and busy
        exit_long[t] = below
        exit_short[t] = above
        if p.stop_atr > 0.0 and atr[t] > 0.0:
            stop[t] = p.stop_atr * atr[t]
            if p.target_r > 0.0:
                target[t] = p.target_r * stop[t]
    return Signals(enter_long, enter_short, exit_long, exit_short, stop, target)
