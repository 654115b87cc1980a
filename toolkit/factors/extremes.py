"""Highest and lowest of a sliding window, and how long ago they were.

A maximum is exact in any order, so blocks need no absolute alignment here; they only make it cheap (van Herk 1992: a
window is a suffix of one block and a prefix of the next, at three comparisons a bar whatever the window).
Inputs are prices: finite, without NaN. Bars `0 .. window - 2` are NaN.
"""

import numpy as np

from toolkit.compiled import kernel
from toolkit.types import FloatArray


@kernel
def window_max(x: FloatArray, window: int) -> FloatArray:
    """float64[n]: highest of the last `window` values. Twin: `rolling(w).max()`."""
    n = len(x)
    out = np.full(n, np.nan)
    suffix = np.empty(window)
    for block in range(0, n, window):
        end = min(block + window, n)
        best = -np.inf
        for i in range(block, end):
            best = max(best, x[i])
            if i == block + window - 1:
                out[i] = best
            elif block > 0:
                out[i] = max(suffix[i - block + 1], best)
        best = -np.inf
        for i in range(end - 1, block - 1, -1):
            best = max(best, x[i])
            suffix[i - block] = best
    return out


@kernel
def window_min(x: FloatArray, window: int) -> FloatArray:
    """float64[n]: lowest of the last `window` values. Twin: `rolling(w).min()`."""
    n = len(x)
    out = np.full(n, np.nan)
    suffix = np.empty(window)
    for block in range(0, n, window):
        end = min(block + window, n)
        best = np.inf
        for i in range(block, end):
            best = min(best, x[i])
            if i == block + window - 1:
                out[i] = best
            elif block > 0:
                out[i] = min(suffix[i - block + 1], best)
        best = np.inf
        for i in range(end - 1, block - 1, -1):
            best = min(best, x[i])
            suffix[i - block] = best
    return out


@kernel
def bars_since_max(x: FloatArray, window: int) -> FloatArray:
    """float64[n]: bars since the highest of the last `window` values, 0 = this bar; of equal ones the latest counts."""
    n = len(x)
    out = np.full(n, np.nan)
    suffix = np.zeros(window, np.int64)
    for block in range(0, n, window):
        end = min(block + window, n)
        at = block
        for i in range(block, end):
            if x[i] >= x[at]:
                at = i
            if i == block + window - 1:
                out[i] = i - at
            elif block > 0:
                older = suffix[i - block + 1]
                out[i] = i - older if x[older] > x[at] else i - at
        at = end - 1
        for i in range(end - 1, block - 1, -1):
            if x[i] > x[at]:
                at = i
            suffix[i - block] = at
    return out
