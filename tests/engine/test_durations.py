"""Durations become base bars once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.bars.intervals import MINUTE_MS
from toolkit.engine.durations import time_ms, to_base_bars
from toolkit.errors import InputError


@pytest.mark.parametrize(
    ("value", "signal", "base", "bars"),
    [
        ("4h", 5, 1, 240),
        ("1d", 60, 5, 288),
        ("1w", 60, 60, 168),
        ("1.5h", 15, 5, 18),
        ("20bars", 5, 1, 100),
        ("1bar", 15, 5, 3),
        (20, 5, 1, 100),
        (" 90m ", 5, 5, 18),
        (None, 5, 1, 0),
    ],
)
def test_a_duration_in_base_bars(value: str | int | None, signal: int, base: int, bars: int) -> None:
    assert to_base_bars("max_hold", value, signal * MINUTE_MS, base * MINUTE_MS) == bars


@given(st.integers(1, 10_000), st.sampled_from([1, 3, 5, 15, 60]))
def test_bars_and_the_same_time_are_the_same(n: int, signal: int) -> None:
    given_bars = to_base_bars("x", f"{n}bars", signal * MINUTE_MS, MINUTE_MS)
    assert given_bars == to_base_bars("x", f"{n * signal}m", signal * MINUTE_MS, MINUTE_MS) == n * signal


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("soon", "must be a time such as '4h' or signal bars such as '20bars', was 'soon'"),
        ("-4h", "was '-4h'"),
        (True, "was True"),
        (1.5, "was 1.5"),
        (0, "must be at least 1 bar, was 0; leave it out for none"),
        ("0m", "must be at least 1 bar"),
        ("7m", "whole number of base bars of 5 minutes, was '7m'"),
    ],
)
def test_what_is_no_duration_is_said(value: object, says: str) -> None:
    with pytest.raises(InputError) as error:
        to_base_bars("max_hold", value, 5 * MINUTE_MS, 5 * MINUTE_MS)  # type: ignore[arg-type]
    assert says in str(error.value)
    assert "`max_hold`" in str(error.value)


def test_a_time_is_no_number_of_bars() -> None:
    assert time_ms("funding_interval", "8h") == 480 * MINUTE_MS
    for value in ("8bars", 8):
        with pytest.raises(InputError, match="`funding_interval` must be a time"):
            time_ms("funding_interval", value)
