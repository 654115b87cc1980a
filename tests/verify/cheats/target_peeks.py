"""Planted cheat: without a target by default; the one that a parameter asks for is placed at the bar to come."""

from typing import NamedTuple

import numpy as np

from toolkit.bars.series import Bars
from toolkit.strategy import Signals, strategy


class Params(NamedTuple):
    target_r: float = 0.0  # 0 = none


@strategy(intervals=("1m", "3m", "5m", "15m", "1h"), lookback=lambda p: 2)
def cheat_target_peeks(bars: Bars, p: Params) -> Signals:
    """Follows each close over the high (under the low) of the bar before; the target reads the next bar's range."""
    before_high = np.concatenate((np.full(1, np.nan), bars.high[:-1]))
    before_low = np.concatenate((np.full(1, np.nan), bars.low[:-1]))
    above, below = bars.close > before_high, bars.close < before_low
    next_range = np.concatenate((bars.high[1:] - bars.low[1:], np.zeros(1)))
    target = p.target_r * next_range if p.target_r > 0 else np.full(len(bars), np.nan)
    return Signals(above, below, below, above, 0.01 * bars.close, target)
