"""Which rows teach and which are judged: purged and embargoed folds over time.

A row's label is made of bars from its decision to its exit. So a row may teach only where those bars do not overlap the
bars of any judged row: by exit times, not by entry times (purging), and with a distance besides (embargo).

Source: Lopez de Prado, "Advances in Financial Machine Learning", 2018, chapters 7 (purging, embargo) and 12
(combinatorial purged cross-validation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from toolkit.errors import InputError
from toolkit.types import BoolArray, IntArray, Records


@dataclass(frozen=True, eq=False)
class Fold:
    """One model's rows.

    Attributes
    ----------
    train, test : int64, ascending positions of the rows that it learns from, and of those it is judged by.
    blocks : numbers of the judged blocks of time.
    """

    train: IntArray
    test: IntArray
    blocks: tuple[int, ...]


def even_edges(start_ms: int, end_ms: int, n: int) -> IntArray:
    """int64[n + 1]: edges of `n` blocks of equal length; `InputError` for a span that does not hold so many."""
    if isinstance(n, bool) or n < 1:
        raise InputError(f"`folds` must be at least 1, was {n}")
    if end_ms - start_ms < n:
        raise InputError(f"a period of {end_ms - start_ms} ms cannot be cut into {n} blocks; choose a longer one")
    return start_ms + np.arange(n + 1, dtype=np.int64) * (end_ms - start_ms) // n


def row_edges(ts: IntArray, start_ms: int, end_ms: int, n: int) -> IntArray:
    """int64, up to `n + 1` edges of blocks that hold equally many rows; fewer where rows share a moment.

    ts : int64, ascending moments of decision in `[start_ms, end_ms]`.
    """
    if isinstance(n, bool) or n < 1:
        raise InputError(f"`folds` must be at least 1, was {n}")
    inner = ts[np.arange(1, n) * len(ts) // n] if len(ts) else np.empty(0, np.int64)
    inside = inner[(inner > start_ms) & (inner <= end_ms)]
    return np.unique(np.concatenate([[start_ms], inside, [end_ms + 1]])).astype(np.int64)


def walk_forward(
    rows: Records, edges: IntArray, *, embargo_ms: int = 0, window_ms: int | None = None
) -> list[Fold]:  # fmt: skip
    """A fold a block: learned from what was known when the block began, judged by the block.

    Parameters
    ----------
    rows : `dataset.ROW`, ascending by `ts`. edges : int64[n + 1], ascending, blocks are `[edges[k], edges[k + 1])`.
    embargo_ms : outcomes that became known in so long a time before the block do not teach.
    window_ms : rows decided longer before the block do not teach; None = all do.
    """
    _check(edges, embargo_ms)
    ts, known = rows["ts"], rows["known"]
    folds = []
    for k, (first, last) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        teaches = known <= first - embargo_ms
        if window_ms is not None:
            teaches &= ts >= first - window_ms
        folds.append(Fold(_where(teaches), _where((ts >= first) & (ts < last)), (k,)))
    return folds


def combinatorial(rows: Records, edges: IntArray, judged: int = 1, *, embargo_ms: int = 0) -> list[Fold]:
    """A fold for every choice of `judged` of the blocks; all other rows teach, before and after, but for the purged.

    With one judged block it is purged k-fold cross-validation. Later rows teach about earlier ones: for choices inside
    a training part, never for a figure of what would have been earned.

    Parameters
    ----------
    rows, edges : see `walk_forward`. judged : blocks that are judged together, fewer than there are.
    embargo_ms : rows whose bars are nearer to those of a judged row do not teach.
    """
    _check(edges, embargo_ms)
    n = len(edges) - 1
    if isinstance(judged, bool) or not 1 <= judged < n:
        raise InputError(f"`judged` must be from 1 to {n - 1} of {n} blocks, was {judged}")
    ts, known = rows["ts"], rows["known"]
    inside, free = [], []
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        mine = (ts >= first) & (ts < last)
        # The block's bars end with the last exit of its rows, which may be far behind its edge.
        ends = max(last, int(known[mine].max())) if mine.any() else last
        inside.append(mine)
        free.append((known <= first - embargo_ms) | (ts >= ends + embargo_ms))
    folds = []
    for blocks in combinations(range(n), judged):
        test, teaches = np.zeros(len(rows), np.bool_), np.ones(len(rows), np.bool_)
        for block in blocks:
            test |= inside[block]
            teaches &= free[block] & ~inside[block]
        folds.append(Fold(_where(teaches), _where(test), blocks))
    return folds


def backtest_paths(folds: Sequence[Fold], n_blocks: int) -> IntArray:
    """int64[paths, n_blocks]: which fold judges each block, so that every path goes over the whole time once and every
    fold's judgement is used once. C(n - 1, judged - 1) paths of combinatorial folds.
    """
    judges: list[list[int]] = [[] for _ in range(n_blocks)]
    for number, fold in enumerate(folds):
        for block in fold.blocks:
            judges[block].append(number)
    if len({len(one) for one in judges}) > 1:
        raise InputError("paths need every block to be judged equally often; give the folds of `combinatorial`")
    return np.array(judges, np.int64).T


def _check(edges: IntArray, embargo_ms: int) -> None:
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise InputError("`edges` of blocks must be at least two ascending moments")
    if embargo_ms < 0:
        raise InputError(f"`embargo` must be from 0 up, was {embargo_ms} ms")


def _where(chosen: BoolArray) -> IntArray:
    return np.flatnonzero(chosen).astype(np.int64)
