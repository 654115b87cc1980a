"""Planted cheat: the average is centred on the bar, so half of it has not happened yet."""

from typing import NamedTuple

import numpy as np
from numba import njit

from toolkit.bars.series import Bars
from toolkit.strategy import Signals, strategy
from toolkit.types import FloatArray


class Params(NamedTuple):
    window: int = 21
    stop_fraction: float = 0.01


@strategy(intervals=("1m", "3m", "5m", "15m", "1h"), lookback=lambda p: p.window + 1)
def cheat_centred_window(bars: Bars, p: Params) -> Signals:
    """Crosses of the close over an average that reaches `window // 2` bars into the future."""
    average = _centred_mean(bars.close, p.window // 2)
    above = bars.close > average
    was_above = np.concatenate((above[:1], above[:-1]))
    stop = p.stop_fraction * bars.close
    return Signals(above & ~was_above, ~above & was_above, ~above, above, stop, np.full(len(bars), np.nan))


@njit(cache=True, nogil=True)
def _centred_mean(values: FloatArray, half: int) -> FloatArray:
    out = np.empty(len(values))
    for t in range(len(values)):
        out[t] = values[max(0, t - half) : t + half + 1].mean()
    return out
