"""Folds: who teaches whom, by exit times."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.errors import InputError
from toolkit.models.dataset import ROW
from toolkit.models.splits import backtest_paths, combinatorial, even_edges, row_edges, walk_forward
from toolkit.types import Records


def rows_of(spans: list[tuple[int, int]]) -> Records:
    """Rows decided and known at these moments."""
    rows = np.zeros(len(spans), ROW)
    ordered = sorted(spans)
    rows["ts"] = [ts for ts, _ in ordered]
    rows["known"] = [ts + held for ts, held in ordered]
    return rows


SPANS = st.lists(st.tuples(st.integers(0, 1_000), st.integers(1, 300)), max_size=60)


@given(SPANS, st.integers(1, 6), st.integers(0, 80), st.none() | st.integers(50, 500))
@settings(max_examples=60, deadline=None)
def test_walking_forward_nothing_teaches_that_was_not_known(
    spans: list[tuple[int, int]], n: int, embargo: int, window: int | None
) -> None:
    rows, edges = rows_of(spans), even_edges(100, 1_001, n)
    folds = walk_forward(rows, edges, embargo_ms=embargo, window_ms=window)
    assert [fold.blocks for fold in folds] == [(k,) for k in range(n)]
    for k, fold in enumerate(folds):
        first, last = edges[k], edges[k + 1]
        taught = [
            i
            for i, row in enumerate(rows)
            if row["known"] + embargo <= first and (window is None or row["ts"] >= first - window)
        ]
        assert fold.train.tolist() == taught
        assert fold.test.tolist() == [i for i, row in enumerate(rows) if first <= row["ts"] < last]
    judged = np.concatenate([fold.test for fold in folds])
    assert len(np.unique(judged)) == len(judged)


@given(SPANS, st.integers(2, 5), st.data(), st.integers(0, 80))
@settings(max_examples=60, deadline=None)
def test_no_teaching_row_overlaps_a_judged_one(
    spans: list[tuple[int, int]], n: int, data: st.DataObject, embargo: int
) -> None:
    rows, edges = rows_of(spans), even_edges(0, 1_001, n)
    judged = data.draw(st.integers(1, n - 1))
    folds = combinatorial(rows, edges, judged, embargo_ms=embargo)
    assert [fold.blocks for fold in folds] == list(combinations(range(n), judged))
    for fold in folds:
        assert not set(fold.train.tolist()) & set(fold.test.tolist())
        for row in rows[fold.train]:
            for other in rows[fold.test]:
                apart = max(other["ts"] - row["known"], row["ts"] - other["known"])
                assert apart >= embargo


def test_without_overlap_and_embargo_all_other_rows_teach() -> None:
    rows = rows_of([(10 * k, 1) for k in range(100)])
    for fold in combinatorial(rows, even_edges(0, 1_000, 5), 2):
        assert len(fold.train) + len(fold.test) == 100


def test_an_exit_far_behind_its_block_purges_what_begins_before_it() -> None:
    rows = rows_of([(10, 1), (40, 200), (60, 1), (120, 1), (300, 1)])
    first = combinatorial(rows, np.array([0, 50, 400]))[0]
    assert first.test.tolist() == [0, 1]
    # Rows at 60 and 120 are decided while the judged trade of 40 is still open.
    assert first.train.tolist() == [4]


@pytest.mark.parametrize(("n", "judged"), [(4, 1), (5, 2), (6, 3)])
def test_paths_use_every_judgement_once(n: int, judged: int) -> None:
    rows = rows_of([(k, 1) for k in range(60)])
    folds = combinatorial(rows, even_edges(0, 60, n), judged)
    paths = backtest_paths(folds, n)
    assert paths.shape == (comb(n - 1, judged - 1), n)
    used = [(int(paths[p, b]), b) for p in range(len(paths)) for b in range(n)]
    assert sorted(used) == sorted((k, b) for k, fold in enumerate(folds) for b in fold.blocks)


def test_blocks_of_rows_hold_equally_many() -> None:
    ts = np.sort(np.random.default_rng(3).integers(0, 10_000, 100))
    edges = row_edges(ts, 0, 10_000, 5)
    counts = np.histogram(ts, edges)[0]
    assert len(edges) == 6
    assert counts.min() >= 18
    assert counts.sum() == 100


@given(st.lists(st.integers(0, 20), max_size=40), st.integers(1, 6))
def test_every_row_is_in_one_block_whatever_ties_there_are(moments: list[int], n: int) -> None:
    ts = np.sort(np.array(moments, np.int64))
    edges = row_edges(ts, 0, 20, n)
    assert (np.diff(edges) > 0).all()
    assert np.histogram(ts, edges)[0].sum() == len(ts)
    assert len(edges) <= n + 1


def test_bad_folds_are_refused() -> None:
    rows = rows_of([(1, 1)])
    with pytest.raises(InputError, match=r"`folds` must be at least 1, was 0"):
        even_edges(0, 10, 0)
    with pytest.raises(InputError, match="cannot be cut into 20 blocks"):
        even_edges(0, 10, 20)
    with pytest.raises(InputError, match="ascending moments"):
        walk_forward(rows, np.array([5]))
    with pytest.raises(InputError, match=r"`judged` must be from 1 to 1 of 2 blocks, was 2"):
        combinatorial(rows, np.array([0, 5, 9]), 2)
    with pytest.raises(InputError, match="`embargo` must be from 0 up"):
        combinatorial(rows, np.array([0, 5, 9]), embargo_ms=-1)
    with pytest.raises(InputError, match="judged equally often"):
        backtest_paths(walk_forward(rows, np.array([0, 5, 9]))[:1], 2)
