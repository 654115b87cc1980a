"""Which ranges are asked for, and which bars are reported missing."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toolkit.bars.pull import Gap, gaps, ranges_to_ask
from toolkit.types import IntArray

STEP, SLOTS = 60_000, 60
slots = st.sets(st.integers(0, SLOTS - 1))


def times(found: set[int]) -> IntArray:
    return np.array(sorted(found), np.int64) * STEP


@given(
    stored=slots,
    covered=st.lists(st.tuples(st.integers(-9, 70), st.integers(0, 20)), max_size=3),
    page=st.integers(1, 9),
)
def test_every_unknown_slot_is_asked_for_once(stored: set[int], covered: list[tuple[int, int]], page: int) -> None:
    asked_before = [(a * STEP, (a + length) * STEP) for a, length in covered]
    known = stored | {slot for a, length in covered for slot in range(a, a + length + 1)}
    ranges = ranges_to_ask(times(stored), asked_before, (0, SLOTS * STEP), STEP, page)
    asked = [slot for a, b in ranges for slot in range(a // STEP, b // STEP)]
    assert set(range(SLOTS)) - known <= set(asked)
    for a, b in ranges:
        assert a < b
        first = a // STEP
        # A range begins with what is unknown, or with the stored bar before it; it ends with what is unknown.
        assert first not in known or (first in stored and first + 1 not in known)
        assert b // STEP - 1 not in known
    for (_, b), (a, _) in pairwise(ranges):
        assert (a - b) // STEP >= page


@given(stored=slots)
def test_gaps_are_the_slots_without_a_bar_after_the_first(stored: set[int]) -> None:
    found = gaps(times(stored), SLOTS * STEP, STEP)
    inside = {slot for gap in found for slot in range(gap.first_ts // STEP, gap.last_ts // STEP + 1)}
    assert inside == (set(range(min(stored), SLOTS)) - stored if stored else set())
    assert sum(gap.bars for gap in found) == len(inside)


def test_gap_names_its_first_and_last_bar() -> None:
    assert gaps(times({0, 1, 4}), 6 * STEP, STEP) == (Gap(2 * STEP, 3 * STEP, 2), Gap(5 * STEP, 5 * STEP, 1))


def test_nothing_is_asked_for_where_all_is_stored() -> None:
    assert ranges_to_ask(times(set(range(SLOTS))), [], (0, SLOTS * STEP), STEP, 5) == []
