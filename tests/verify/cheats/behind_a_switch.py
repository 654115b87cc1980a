"""Planted cheat: honest by default, and with a switch turned on the entries read the bar to come."""

from typing import NamedTuple

import numpy as np

from toolkit.bars.series import Bars
from toolkit.strategy import Signals, strategy


class Params(NamedTuple):
    peek: bool = False
    stop_fraction: float = 0.01


@strategy(intervals=("1m", "3m", "5m", "15m", "1h"), lookback=lambda p: 2)
def cheat_behind_a_switch(bars: Bars, p: Params) -> Signals:
    """Follows the last close, or, switched, the next one."""
    rises = bars.close[1:] > bars.close[:-1]
    up = np.concatenate((rises, [False])) if p.peek else np.concatenate(([False], rises))
    falls = bars.close[1:] < bars.close[:-1]
    down = np.concatenate(([False], falls))
    return Signals(up, down & ~up, down, up, p.stop_fraction * bars.close, np.full(len(bars), np.nan))
