"""What every strategy must hold on every interval it is meant for; new files in the package are found by themselves."""

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.random import default_rng

from tests.strategies.cases import CASES, STRATEGIES, bars_of, signals_of
from toolkit.bars.series import Bars
from toolkit.strategy import Signals, Strategy, lookback_start

every_case = pytest.mark.parametrize(("name", "interval"), CASES)
every_strategy = pytest.mark.parametrize("name", sorted(STRATEGIES))


def covered(strategy: Strategy, bars: Bars) -> np.ndarray:
    """bool[n]: bars whose whole declared lookback is in the loaded history."""
    p = strategy.params()
    first = int(bars.base.ts[0])
    return np.array([strategy.lookback_start(bars, t, p) >= first for t in range(len(bars))])


def entries(signals: Signals) -> np.ndarray:
    return np.flatnonzero(signals.enter_long | signals.enter_short)


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
def test_both_sides_enter_and_exit(name: str, interval: str) -> None:
    signals = signals_of(name, interval)
    for field, array in zip(Signals._fields[:4], signals[:4], strict=True):
        assert array.any(), f"{field} is never true"
    assert not (signals.enter_long & signals.enter_short).any()


@every_case
def test_every_entry_has_a_stop_and_does_not_exit_at_once(name: str, interval: str) -> None:
    signals = signals_of(name, interval)
    at = entries(signals)
    assert (signals.stop_distance[at] > 0).all()
    assert np.isfinite(signals.stop_distance[at]).all()
    assert not (signals.enter_long & signals.exit_long).any()
    assert not (signals.enter_short & signals.exit_short).any()


@every_case
def test_no_entry_where_history_is_short(name: str, interval: str) -> None:
    bars = bars_of(interval)
    short = ~covered(STRATEGIES[name], bars)
    assert short.any()
    assert not short[entries(signals_of(name, interval))].any()


@every_case
def test_the_declared_lookback_gives_the_same_values(name: str, interval: str) -> None:
    found, bars, whole = STRATEGIES[name], bars_of(interval), signals_of(name, interval)
    p = found.params()
    first = int(np.argmax(covered(found, bars)))
    for t in probed_bars(whole, first, 8):
        window = bars.window(found.lookback_start(bars, t, p), int(bars.close_ts[t]))
        assert_same(whole, t, found.signals(window, p), -1)


@every_case
def test_later_bars_change_nothing(name: str, interval: str) -> None:
    found, bars, whole = STRATEGIES[name], bars_of(interval), signals_of(name, interval)
    first = int(np.argmax(covered(found, bars)))
    for t in probed_bars(whole, first, 1)[:4]:
        noisy = found.signals(with_noise_after(bars, int(bars.close_ts[t]), seed=t), found.params())
        assert_same(whole, slice(t + 1), noisy, slice(t + 1))


@every_strategy
def test_target_is_in_stop_distances_and_zero_is_none(name: str) -> None:
    found, bars = STRATEGIES[name], bars_of("15m")
    none = found.signals(bars, found.params({"target_r": 0.0}))
    assert np.isnan(none.target_distance).all()
    three = found.signals(bars, found.params({"target_r": 3}))
    at = entries(three)
    assert np.array_equal(three.target_distance[at], 3.0 * three.stop_distance[at])
    assert np.array_equal(entries(none), at)


@every_strategy
def test_parameters_are_few_numbers_and_the_text_says_when_it_pays(name: str) -> None:
    found = STRATEGIES[name]
    assert 3 <= len(found.params()) <= 7
    assert all(isinstance(value, int | float) for value in found.params())
    assert "Makes money" in found.doc
    assert "Loses" in found.doc
    assert set(found.intervals) >= {"1m", "3m", "5m", "15m", "1h"}


@every_strategy
def test_empty_and_very_short_series_say_nothing(name: str) -> None:
    found, bars = STRATEGIES[name], bars_of("1h")
    for n in (0, 1, 2):
        start = int(bars.base.ts[0])
        signals = found.signals(bars.base.window(start, start + n * bars.base.interval_ms), found.params())
        assert len(signals.stop_distance) == n
        assert len(entries(signals)) == 0


@every_case
def test_the_declared_lookback_is_the_smallest(name: str, interval: str) -> None:
    """On one bar (of the longest part) less, no entry is seen."""
    found, bars, whole = STRATEGIES[name], bars_of(interval), signals_of(name, interval)
    declared = found.lookback(found.params())
    shorter = {k: n - 1 for k, n in declared.items()} if isinstance(declared, Mapping) else declared - 1
    for t in entries(whole)[:5]:
        start = lookback_start(shorter, interval, int(bars.ts[t]))
        signals = found.signals(bars.window(start, int(bars.close_ts[t])), found.params())
        assert not (signals.enter_long[-1] or signals.enter_short[-1])
