"""Uniqueness beside a loop over every millisecond."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.models.uniqueness import uniqueness, weights
from toolkit.types import FloatArray, IntArray

ORIGIN = 1_672_531_200_000
Span = tuple[int, int, int]
spans = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12), st.integers(0, 2)), min_size=1, max_size=25)


def arrays(rows: list[Span], unit: int = 1) -> tuple[IntArray, IntArray, IntArray]:
    start = np.array([ORIGIN + unit * a for a, _, _ in rows], np.int64)
    end = np.array([ORIGIN + unit * (a + length) for a, length, _ in rows], np.int64)
    return start, end, np.array([group for _, _, group in rows], np.int64)


def by_loop(rows: list[Span]) -> FloatArray:
    """Each moment of a row's span shared out among all rows of its group that are in theirs."""
    inside = [set(range(a, a + max(1, length))) for a, length, _ in rows]
    out = []
    for mine, (_, _, group) in zip(inside, rows, strict=True):
        others = [span for span, (_, _, g) in zip(inside, rows, strict=True) if g == group]
        out.append(np.mean([1 / sum(moment in span for span in others) for moment in mine]))
    return np.array(out)


@given(spans)
def test_as_the_loop_says(rows: list[Span]) -> None:
    found = uniqueness(*arrays(rows))
    assert found == pytest.approx(by_loop(rows), rel=1e-9)
    assert ((found > 0) & (found <= 1 + 1e-9)).all()


@given(spans)
def test_weights_have_a_mean_of_one_and_keep_the_proportions(rows: list[Span]) -> None:
    found, of_loop = weights(*arrays(rows)), by_loop(rows)
    assert found.mean() == pytest.approx(1.0)
    assert found / found[0] == pytest.approx(of_loop / of_loop[0])


@given(spans, st.randoms())
def test_the_order_of_rows_is_nothing_to_it(rows: list[Span], random: Random) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)
    start, end, group = arrays(rows, 60_000)
    assert (uniqueness(start, end, group)[order] == uniqueness(start[order], end[order], group[order])).all()


def test_rows_that_never_overlap_are_whole_and_twins_are_halves() -> None:
    start, end = np.array([0, 10, 20], np.int64), np.array([10, 20, 30], np.int64)
    assert uniqueness(start, end, np.zeros(3, np.int64)).tolist() == [1.0, 1.0, 1.0]
    twins = np.array([5, 5], np.int64), np.array([9, 9], np.int64)
    assert uniqueness(*twins, np.zeros(2, np.int64)).tolist() == [0.5, 0.5]
    assert uniqueness(*twins, np.array([0, 1], np.int64)).tolist() == [1.0, 1.0]


def test_without_rows_there_is_nothing() -> None:
    nothing = np.empty(0, np.int64)
    assert len(weights(nothing, nothing, nothing)) == 0


def test_years_of_minutes_lose_no_precision() -> None:
    """A long way into the sums, a span of a minute is still what it is."""
    minute, n = 60_000, 200_000
    start = ORIGIN + minute * np.arange(n, dtype=np.int64)
    found = uniqueness(start, start + 3 * minute, np.zeros(n, np.int64))
    assert found[3:-3] == pytest.approx(np.full(n - 6, 1 / 3), rel=1e-6)
