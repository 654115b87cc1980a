"""Planted cheat: the channel reads `window` bars, the declared lookback is half of them."""

from typing import NamedTuple

import numpy as np
from numba import njit

from toolkit.bars.series import Bars
from toolkit.strategy import Signals, strategy
from toolkit.types import BoolArray, FloatArray


class Params(NamedTuple):
    window: int = 40
    stop_fraction: float = 0.01


@strategy(intervals=("1m", "3m", "5m", "15m", "1h"), lookback=lambda p: p.window // 2)
def cheat_understated_lookback(bars: Bars, p: Params) -> Signals:
    """Closes beyond the `window` closes before; on the declared bars alone the channel is another one."""
    above = _beyond(bars.close, p.window)
    below = _beyond(-bars.close, p.window)
    return Signals(above, below, below, above, p.stop_fraction * bars.close, np.full(len(bars), np.nan))


@njit(cache=True, nogil=True)
def _beyond(values: FloatArray, window: int) -> BoolArray:
    """Value above all of the `window` values before it, or of as many as there are."""
    out = np.zeros(len(values), np.bool_)
    for t in range(1, len(values)):
        out[t] = values[t] > values[max(0, t - window) : t].max()
    return out
