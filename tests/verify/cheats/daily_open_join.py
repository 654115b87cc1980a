"""Planted cheat: daily bars are joined on their open time, so the morning knows the day's close."""

from typing import NamedTuple

import numpy as np

from toolkit.bars.intervals import asof_index
from toolkit.bars.series import Aligned, Bars
from toolkit.strategy import Signals, strategy


class Params(NamedTuple):
    stop_fraction: float = 0.02


@strategy(intervals=("1m", "3m", "5m", "15m", "1h"), lookback=lambda p: {"signal": 2, "1d": 1})
def cheat_daily_open_join(bars: Bars, p: Params) -> Signals:
    """Buys while the close is under that of the daily bar which opened last, sells short while it is over."""
    days = bars.to("1d")
    day_close = Aligned(days, asof_index(days.ts, bars.ts)).close
    under, over = bars.close < day_close, bars.close > day_close
    return Signals(under, over, over, under, p.stop_fraction * bars.close, np.full(len(bars), np.nan))
