"""Interval names, the grid, groups and as-of indices."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.bars.intervals import INTERVAL_MS, asof_index, floor_ts, interval_ms, origin_ms, require_multiple
from toolkit.errors import InputError, UnknownNameError


def test_weeks_begin_on_monday() -> None:
    for text in ("2022-01-03", "2022-01-05T13:00", "2022-01-09T23:59"):
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
        monday = floor_ts(int(moment.timestamp() * 1000), interval_ms("1w"))
        assert datetime.fromtimestamp(monday / 1000, UTC) == datetime(2022, 1, 3, tzinfo=UTC)


@given(st.integers(-(10**12), 10**13), st.sampled_from(sorted(INTERVAL_MS)))
def test_floor_is_the_open_of_the_bar_that_contains(ts: int, interval: str) -> None:
    step = interval_ms(interval)
    opened = floor_ts(ts, step)
    assert opened <= ts < opened + step
    assert (opened - origin_ms(step)) % step == 0


def test_unknown_and_impossible_intervals() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown interval '15min': did you mean '15m'"):
        interval_ms("15min")
    with pytest.raises(InputError, match="'1m' is below the base interval '5m'"):
        require_multiple("1m", "5m")
    with pytest.raises(InputError, match="'5m' is not a multiple of the base interval '3m'"):
        require_multiple("5m", "3m")
    assert require_multiple("1w", "1h") == 168


@given(st.lists(st.integers(0, 50), unique=True), st.lists(st.integers(0, 60)))
def test_asof_index_is_the_last_known(known: list[int], at: list[int]) -> None:
    known, at = sorted(known), sorted(at)
    found = asof_index(np.array(known, np.int64), np.array(at, np.int64))
    assert list(found) == [sum(k <= moment for k in known) - 1 for moment in at]
