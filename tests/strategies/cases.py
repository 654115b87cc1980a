"""The strategies under test, their intervals, and one series for each interval."""

from functools import cache

import numpy as np

from toolkit.bars.intervals import DAY_MS, HOUR_MS, interval_ms
from toolkit.bars.series import Bars
from toolkit.bars.synthetic import synthetic_bars
from toolkit.strategy import Signals, Strategy, load_strategies
from toolkit.types import IntArray

PACKAGE = "research.strategies"
FIVE = (
    "open_range_breakout",
    "reversal_breakout",
    "support_resistance_breakout",
    "trend_day",
    "volatility_breakout",
)


def _testable(found: Strategy) -> bool:
    """Of the package (other tests register theirs), and on one series: peers and native bars are not made here."""
    return found.function.__module__.startswith(PACKAGE + ".") and not (found.peers or found.native)


STRATEGIES = {name: found for name, found in load_strategies([PACKAGE]).items() if _testable(found)}
CASES = [(name, interval) for name in sorted(STRATEGIES) for interval in STRATEGIES[name].intervals]
CASES_OF_FIVE = [(name, interval) for name, interval in CASES if name in FIVE]


@cache
def bars_of(interval: str) -> Bars:
    """Synthetic minutes, with halts and empty minutes, resampled: 45 days, above 1h 900; from noon of the first day."""
    return _minutes(45 if interval_ms(interval) <= HOUR_MS else 900).to(interval)


@cache
def _minutes(days: int) -> Bars:
    whole = synthetic_bars(["SOL/USDT"], days=days, seed=3)["SOL/USDT"]
    return whole.window(int(whole.ts[0]) + DAY_MS // 2, int(whole.close_ts[-1]))


@cache
def signals_of(name: str, interval: str) -> Signals:
    """Signals of the default parameters on the whole history of `bars_of(interval)`."""
    return STRATEGIES[name].signals(bars_of(interval), STRATEGIES[name].params())


def entries(signals: Signals) -> IntArray:
    """Indices of the bars that enter on either side."""
    return np.flatnonzero(signals.enter_long | signals.enter_short)
