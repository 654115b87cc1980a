"""What the five strategies of this project promise beyond the contract: two sides, events, stops, tight lookbacks."""

from collections.abc import Mapping

import numpy as np
import pytest

from tests.strategies.cases import CASES_OF_FIVE, FIVE, STRATEGIES, bars_of, entries, signals_of
from toolkit.strategy import Signals, lookback_start

every_case = pytest.mark.parametrize(("name", "interval"), CASES_OF_FIVE)
every_strategy = pytest.mark.parametrize("name", FIVE)


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
