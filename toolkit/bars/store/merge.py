"""Comparing bars that are given with the bars that are stored."""

from dataclasses import dataclass

import numpy as np

from toolkit.bars.columns import VALUES, Columns
from toolkit.bars.series import utc
from toolkit.types import BoolArray


@dataclass(frozen=True)
class Merge:
    """For each given bar, whether it is not stored yet, or is stored with other values; bool[n] each."""

    new: BoolArray
    differs: BoolArray


def compare(given: Columns, stored: Columns) -> Merge:
    """Match the bars by `ts` (both ascending); values are compared exactly, and NaN equals NaN."""
    ts, have = given["ts"], stored["ts"]
    if not len(have):
        return Merge(np.ones(len(ts), np.bool_), np.zeros(len(ts), np.bool_))
    at = np.minimum(np.searchsorted(have, ts), len(have) - 1)
    known = have[at] == ts
    differs = np.zeros(len(ts), np.bool_)
    for name in VALUES:
        a, b = given[name], stored[name][at]
        differs |= known & ~((a == b) | (np.isnan(a) & np.isnan(b)))
    return Merge(~known, differs)


def first_difference(given: Columns, stored: Columns, differs: BoolArray) -> str:
    """`2023-03-24 12:40 (1679661600000): close is 2.0 here and 1.0 in the store` of the first bar that differs."""
    i = int(np.argmax(differs))
    ts = int(given["ts"][i])
    j = int(np.searchsorted(stored["ts"], ts))
    for name in VALUES:
        a, b = float(given[name][i]), float(stored[name][j])
        if a != b and not (np.isnan(a) and np.isnan(b)):
            return f"{utc(ts)} ({ts}): {name} is {a!r} here and {b!r} in the store"
    raise AssertionError(f"bar {ts} was marked as differing and does not")
