"""Which bars are looked at: entries, exits, their neighbours, filled bars, and random others."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from toolkit.bars.series import Bars
from toolkit.types import BoolArray, IntArray
from toolkit.verify.subjects import Arrays


@dataclass(frozen=True)
class Points:
    """Bar numbers in ascending order; how many of them were chosen as entries and as exits."""

    index: IntArray
    entries: int
    exits: int


def choose(bars: Bars, arrays: Arrays, first: int, most: int, rng: Generator) -> Points:
    """Up to `most` entry bars and as many exit bars with the bars beside them, twice as many random others, and some
    beside bars that were missing.

    Parameters
    ----------
    arrays : what the subject says on `bars`; its boolean arrays name the entries and exits.
    first : earliest bar that may be chosen.
    """
    entries = _sample(_any(arrays, "enter", len(bars)), first, most, rng)
    exits = _sample(_any(arrays, "exit", len(bars)), first, most, rng)
    edges = np.concatenate(([False], bars.filled[1:] != bars.filled[:-1])) if len(bars) else bars.filled
    chosen = np.concatenate((entries, exits))
    others = _sample(np.ones(len(bars), np.bool_), first, 2 * most, rng)
    all_points = np.concatenate((chosen - 1, chosen, chosen + 1, others, _sample(edges, first, most // 4 + 1, rng)))
    index = np.unique(all_points[(all_points >= first) & (all_points < len(bars))])
    return Points(index.astype(np.int64), len(entries), len(exits))


def _any(arrays: Arrays, prefix: str, n: int) -> BoolArray:
    said = np.zeros(n, np.bool_)
    for name, array in arrays.items():
        if name.startswith(prefix) and array.dtype == np.bool_:
            said |= array.astype(np.bool_)
    return said


def _sample(where: BoolArray, first: int, most: int, rng: Generator) -> IntArray:
    found = first + np.flatnonzero(where[first:])
    return found if len(found) <= most else rng.choice(found, most, replace=False)
