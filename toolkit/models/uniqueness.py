"""How much of its own a row has to tell: rows whose trades are open at the same time tell much the same."""

import numpy as np

from toolkit.types import FloatArray, IntArray


def uniqueness(start: IntArray, end: IntArray, group: IntArray) -> FloatArray:
    """float64[n]: average uniqueness, over a row's span the mean of one over how many rows of its group are in theirs.

    Lopez de Prado, "Advances in Financial Machine Learning" (2018), chapter 4.3, in continuous time.

    Parameters
    ----------
    start, end : int64[n], spans `[start, end)`, epoch ms; a span of nothing counts as one of 1 ms.
    group : int64[n]; rows of different groups (symbols) do not overlap.
    """
    out = np.ones(len(start))
    last = np.maximum(end, start + 1)
    for number in np.unique(group):
        mine = group == number
        a, b = start[mine], last[mine]
        edges = np.unique(np.concatenate([a, b]))
        at, until = np.searchsorted(edges, a), np.searchsorted(edges, b)
        # A sum of whole numbers is exact, so equal spans get equal weights whatever their order.
        steps = np.bincount(at, minlength=len(edges)) - np.bincount(until, minlength=len(edges))
        open_ = np.cumsum(steps)[:-1]
        length = np.diff(edges).astype(np.float64)
        share = np.concatenate([[0.0], np.cumsum(np.where(open_ > 0, length / np.maximum(open_, 1), 0.0))])
        out[mine] = (share[until] - share[at]) / (b - a)
    return out


def weights(start: IntArray, end: IntArray, group: IntArray) -> FloatArray:
    """float64[n]: `uniqueness` with a mean of 1."""
    found = uniqueness(start, end, group)
    return found / found.mean() if len(found) else found
