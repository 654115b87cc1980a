"""Planted cheat: honest entries, and a stop that is placed beneath the low of the bar to come."""

from typing import NamedTuple

import numpy as np

from toolkit.bars.series import Bars
from toolkit.strategy import Signals, strategy


class Params(NamedTuple):
    room: float = 0.001


@strategy(intervals=("1m", "3m", "5m", "15m", "1h"), lookback=lambda p: 2)
def cheat_stop_peeks(bars: Bars, p: Params) -> Signals:
    """Follows each close over the high (under the low) of the bar before; the stop distance reads the next bar."""
    before_high = np.concatenate((np.full(1, np.nan), bars.high[:-1]))
    before_low = np.concatenate((np.full(1, np.nan), bars.low[:-1]))
    above, below = bars.close > before_high, bars.close < before_low
    next_range = np.concatenate((bars.high[1:] - bars.low[1:], np.zeros(1)))
    return Signals(above, below, below, above, next_range + p.room * bars.close, np.full(len(bars), np.nan))
