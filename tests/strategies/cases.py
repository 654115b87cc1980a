"""The strategies under test, their intervals, and one series for each interval."""

from functools import cache

import numpy as np
from numpy.random import default_rng

from toolkit.bars.intervals import DAY_MS, interval_ms
from toolkit.bars.series import Bars, from_arrays
from toolkit.strategy import Signals, load_strategies

PACKAGE = "research.strategies"
STRATEGIES = {
    name: found
    for name, found in load_strategies([PACKAGE]).items()
    if found.function.__module__.startswith(PACKAGE + ".")
}
CASES = [(name, interval) for name in sorted(STRATEGIES) for interval in STRATEGIES[name].intervals]

# Days of history: enough for the longest default lookback and for trades on both sides after it.
_STORED = {"1m": 30, "1h": 1200}


def walk(stored: str, days: int, seed: int) -> Bars:
    """A random walk with regimes of drift and volatility, ties, empty minutes and a halt, the first day cut short."""
    rng = default_rng(seed)
    step_ms = interval_ms(stored)
    per_day = DAY_MS // step_ms
    n = days * per_day
    drift = np.repeat(rng.normal(0, 1, n // (per_day // 4) + 1), per_day // 4)[:n]
    volatility = np.repeat(rng.lognormal(0, 0.5, n // (per_day // 3) + 1), per_day // 3)[:n]
    sigma = 0.03 / np.sqrt(per_day)
    moves = sigma * volatility * (rng.standard_t(4, n) + drift / np.sqrt(per_day / 16))
    close = np.round(100 * np.exp(np.cumsum(moves)), 2)
    open_ = np.concatenate(([100.0], close[:-1]))
    wick = 1 + np.abs(rng.normal(0, sigma, (2, n)))
    high, low = np.maximum(open_, close) * wick[0], np.minimum(open_, close) / wick[1]
    volume = rng.lognormal(0, 1, n) * (1 + 50 * np.abs(moves) / sigma)
    volume[rng.random(n) < 0.01] = 0.0
    ts = 19_000 * DAY_MS + step_ms * np.arange(n, dtype=np.int64)
    kept = np.ones(n, np.bool_)
    kept[: per_day // 5] = False
    kept[n // 2 : n // 2 + per_day // 16] = False
    o, h, lo, c, v = (a[kept] for a in (open_, high, low, close, volume))
    return from_arrays(ts[kept], o, h, lo, c, v, interval=stored, symbol="WALK/USDT")


@cache
def bars_of(interval: str) -> Bars:
    """The series of that interval: resampled from minutes, above 1h from hours."""
    stored = "1h" if interval_ms(interval) > interval_ms("1h") else "1m"
    return walk(stored, _STORED[stored], seed=11).to(interval)


@cache
def signals_of(name: str, interval: str) -> Signals:
    """Signals of the default parameters on the whole history of `bars_of(interval)`."""
    return STRATEGIES[name].signals(bars_of(interval), STRATEGIES[name].params())
