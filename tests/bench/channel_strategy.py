"""The strategy that the grid benchmarks sweep: long above the channel of the past bars, out by rule alone."""

from typing import NamedTuple

import numpy as np

from toolkit.bars.series import Bars
from toolkit.strategy import Signals, strategy


class Params(NamedTuple):
    window: int = 100


@strategy(intervals=("1m",), lookback=lambda p: p.window + 1)
def bench_channel(bars: Bars, p: Params) -> Signals:
    """Long at every close above the highest high of the past `window` bars."""
    n = len(bars)
    none, nan = np.zeros(n, np.bool_), np.full(n, np.nan)
    return Signals(bars.close > bars.factor("donchian_high", p.window), none, none, none, nan, nan)
