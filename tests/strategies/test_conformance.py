"""What every strategy must hold on every interval it is meant for; new files in the package are found by themselves."""

from bisect import bisect_left
from typing import get_type_hints

import numpy as np
import pytest
from numpy.random import default_rng

from tests.strategies.cases import CASES, STRATEGIES, bars_of, entries, signals_of
from toolkit.bars.series import Bars
from toolkit.strategy import Signals

every_case = pytest.mark.parametrize(("name", "interval"), CASES)
every_strategy = pytest.mark.parametrize("name", sorted(STRATEGIES))


def first_covered(name: str, interval: str) -> int:
    """Index of the first bar whose whole declared lookback is in the loaded history."""
    found, bars = STRATEGIES[name], bars_of(interval)
    p = found.params()
    return bisect_left(range(len(bars)), int(bars.base.ts[0]), key=lambda t: found.lookback_start(bars, t, p))


def probed_bars(signals: Signals, first: int, count: int) -> list[int]:
    """Entry and exit bars, their neighbours and random others, from the first covered bar on."""
    rng = default_rng(5)
    n = len(signals.stop_distance)
    at_signals = np.concatenate([rng.permutation(np.flatnonzero(a))[:count] for a in signals[:4]])
    others = rng.integers(first, n, count)
    chosen = np.unique(np.concatenate([at_signals, at_signals - 1, at_signals + 1, others, [first, n - 1]]))
    return [int(t) for t in chosen if first <= t < n]


def assert_same(whole: Signals, t: slice | int, other: Signals, at: slice | int) -> None:
    for field, a, b in zip(Signals._fields, whole, other, strict=True):
        assert np.array_equal(a[t], b[at], equal_nan=True), f"{field} at bar {t}: {a[t]} on all bars, {b[at]} on these"


def with_noise_after(bars: Bars, end_ms: int, seed: int) -> Bars:
    """The same base bars up to `end_ms`, and noise in place of all later ones."""
    base = bars.base
    later = base.ts >= end_ms
    rng = default_rng(seed)
    close = np.where(later, rng.uniform(20, 500, len(base)), base.close)
    open_ = np.where(later, rng.uniform(20, 500, len(base)), base.open)
    high = np.where(later, np.maximum(open_, close) * 1.1, base.high)
    low = np.where(later, np.minimum(open_, close) * 0.9, base.low)
    volume = np.where(later, rng.uniform(0, 99, len(base)), base.volume)
    filled = np.where(later, False, base.filled)
    noisy = Bars(base.symbol, base.exchange, base.interval, base.ts.copy(), open_, high, low, close, volume, filled)
    return noisy.to(bars.interval)


@every_case
def test_no_entry_where_history_is_short(name: str, interval: str) -> None:
    assert (entries(signals_of(name, interval)) >= first_covered(name, interval)).all()


@every_case
def test_the_declared_lookback_gives_the_same_values(name: str, interval: str) -> None:
    found, bars, whole = STRATEGIES[name], bars_of(interval), signals_of(name, interval)
    p = found.params()
    first = first_covered(name, interval)
    for t in probed_bars(whole, first, 8):
        window = bars.window(found.lookback_start(bars, t, p), int(bars.close_ts[t]))
        assert_same(whole, t, found.signals(window, p), -1)


@every_strategy
@pytest.mark.parametrize("seed", range(8))
def test_the_lookback_follows_the_parameters(name: str, seed: int) -> None:
    """Defaults scaled at random, so that another part of the lookback is the longest."""
    found, bars, rng = STRATEGIES[name], bars_of("15m"), default_rng(seed)
    scaled = {k: v * rng.uniform(0.2, 1.8) for k, v in found.params()._asdict().items()}
    hints = get_type_hints(found.params_type)
    p = found.params({k: max(1, round(v)) if hints[k] is int else v for k, v in scaled.items()})
    whole = found.signals(bars, p)
    for t in probed_bars(whole, len(bars) // 2, 5):
        window = bars.window(found.lookback_start(bars, t, p), int(bars.close_ts[t]))
        assert_same(whole, t, found.signals(window, p), -1)


@every_case
def test_later_bars_change_nothing(name: str, interval: str) -> None:
    found, bars, whole = STRATEGIES[name], bars_of(interval), signals_of(name, interval)
    first = first_covered(name, interval)
    for t in probed_bars(whole, first, 1)[:4]:
        noisy = found.signals(with_noise_after(bars, int(bars.close_ts[t]), seed=t), found.params())
        assert_same(whole, slice(t + 1), noisy, slice(t + 1))


@every_strategy
def test_empty_and_very_short_series_say_nothing(name: str) -> None:
    found, bars = STRATEGIES[name], bars_of("1h")
    for n in (0, 1, 2):
        start = int(bars.base.ts[0])
        signals = found.signals(bars.base.window(start, start + n * bars.base.interval_ms), found.params())
        assert len(signals.stop_distance) == n
        assert len(entries(signals)) == 0
