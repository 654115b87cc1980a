"""The UTC day so far, on bars of a day or shorter.

`first_slot` is the place of bar 0 in its day (0 = the bar that opens at midnight), `per_day` the bars of a whole day.
A day whose first bar is not loaded is NaN throughout, so a value never depends on where the history was cut.
"""

import numpy as np

from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars
from toolkit.compiled import kernel
from toolkit.types import FloatArray


def bars_per_day(interval_ms: int) -> int:
    """How many bars of this length make a day; at least 1."""
    return max(1, DAY_MS // interval_ms)


def first_slot(bars: Bars) -> int:
    """Place of the first bar in its UTC day, 0 = opens at midnight; 0 for an empty series."""
    return int(bars.ts[0]) % DAY_MS // bars.interval_ms if len(bars) else 0


@kernel
def day_extremes(
    high: FloatArray, low: FloatArray, first_slot: int, per_day: int, opening: int
) -> tuple[FloatArray, FloatArray]:
    """Highest high and lowest low of the day's first `opening` bars that have closed, each float64[n].

    With `opening == per_day` it is the day so far; with less, the opening range, NaN until its last bar has closed.
    """
    n = len(high)
    top = np.full(n, np.nan)
    bottom = np.full(n, np.nan)
    whole_day = opening == per_day
    for start in range((-first_slot) % per_day, n, per_day):
        highest, lowest = -np.inf, np.inf
        for i in range(start, min(start + per_day, n)):
            slot = i - start
            if slot < opening:
                highest = max(highest, high[i])
                lowest = min(lowest, low[i])
            if whole_day or slot >= opening - 1:
                top[i] = highest
                bottom[i] = lowest
    return top, bottom


@kernel
def day_opens(open_: FloatArray, first_slot: int, per_day: int) -> FloatArray:
    """float64[n]: open of the day's first bar."""
    n = len(open_)
    out = np.full(n, np.nan)
    for start in range((-first_slot) % per_day, n, per_day):
        out[start : start + per_day] = open_[start]
    return out


@kernel
def day_gaps(open_: FloatArray, close: FloatArray, first_slot: int, per_day: int) -> FloatArray:
    """float64[n]: open of the day's first bar over the close of the bar before it, minus 1."""
    n = len(open_)
    out = np.full(n, np.nan)
    for start in range((-first_slot) % per_day, n, per_day):
        if start > 0:
            out[start : start + per_day] = (open_[start] - close[start - 1]) / close[start - 1]
    return out
