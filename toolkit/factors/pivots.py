"""Pivot highs and lows, and the nearest of them to the price."""

import numpy as np

from toolkit.compiled import kernel
from toolkit.types import BoolArray, FloatArray


@kernel
def pivot_highs(high: FloatArray, left: int, right: int) -> BoolArray:
    """bool[n]: bars higher than the `left` bars before them and not lower than the `right` bars after them.

    Of equal highs within reach the first is the pivot. A pivot at `p` is known at the close of `p + right`; bars
    without `left` bars before or `right` bars after them are False.
    """
    n = len(high)
    out = np.zeros(n, np.bool_)
    for p in range(left, n - right):
        level = high[p]
        is_pivot = True
        for i in range(p + 1, p + right + 1):
            if high[i] > level:
                is_pivot = False
                break
        if is_pivot:
            for i in range(p - 1, p - left - 1, -1):
                if high[i] >= level:
                    is_pivot = False
                    break
        out[p] = is_pivot
    return out


@kernel
def nearest_above(levels: FloatArray, is_pivot: BoolArray, close: FloatArray, right: int, window: int) -> FloatArray:
    """float64[n]: lowest pivot level above the close, among pivots confirmed within the last `window` bars, else NaN.

    A pivot at `p` is confirmed by the bar `p + right`; it counts at `t` while `t - window < p + right <= t`. The live
    levels are kept sorted, so a bar costs one binary search and a pivot one insertion.
    """
    n = len(close)
    out = np.full(n, np.nan)
    live = np.empty(window)
    count = 0
    for t in range(right, n):
        gone = t - window - right
        if gone >= 0 and is_pivot[gone]:
            at = np.searchsorted(live[:count], levels[gone])
            for k in range(at, count - 1):
                live[k] = live[k + 1]
            count -= 1
        new = t - right
        if is_pivot[new]:
            at = np.searchsorted(live[:count], levels[new])
            for k in range(count, at, -1):
                live[k] = live[k - 1]
            live[at] = levels[new]
            count += 1
        at = np.searchsorted(live[:count], close[t], side="right")
        if at < count:
            out[t] = live[at]
    return out
