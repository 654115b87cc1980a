"""Factors of the UTC day and of the clock.

A bar belongs to the day in which it opens. The clock factors read the moment at which the bar is known, its close: that
is when a decision is made, so the bar that closes at midnight says minute 0 of the new day.
"""

from math import ceil

import numpy as np

from toolkit.bars.intervals import DAY_MS, MINUTE_MS
from toolkit.bars.series import Bars
from toolkit.factors.day import bars_per_day, day_extremes, day_gaps, day_opens, first_slot
from toolkit.factors.elementwise import ratio
from toolkit.factors.registry import Param, factor
from toolkit.types import FloatArray

MINUTES = Param("minutes", 60, maximum=1440)


def _day(interval_ms: int, *_: int) -> int:
    return bars_per_day(interval_ms)


@factor("day_open", lookback=_day, day_state=True)
def day_open(bars: Bars) -> FloatArray:
    """Open of the UTC day's first bar, price units."""
    return day_opens(bars.open, first_slot(bars), bars_per_day(bars.interval_ms))


@factor("day_high", lookback=_day, day_state=True)
def day_high(bars: Bars) -> FloatArray:
    """Highest high of the UTC day so far, this bar included, price units."""
    return _so_far(bars)[0]


@factor("day_low", lookback=_day, day_state=True)
def day_low(bars: Bars) -> FloatArray:
    """Lowest low of the UTC day so far, this bar included, price units."""
    return _so_far(bars)[1]


@factor("day_range", lookback=_day, day_state=True)
def day_range(bars: Bars) -> FloatArray:
    """Highest high minus lowest low of the UTC day so far, price units."""
    return bars.factor("day_high") - bars.factor("day_low")


@factor("day_position", lookback=_day, day_state=True)
def day_position(bars: Bars) -> FloatArray:
    """Place of the close in the range of the UTC day so far, 0 (low) to 1 (high); NaN while the day has no range."""
    return ratio(bars.close - bars.factor("day_low"), bars.factor("day_range"))


@factor("opening_range_high", params=[MINUTES], lookback=_day, day_state=True)
def opening_range_high(bars: Bars, minutes: int) -> FloatArray:
    """Highest high of the bars that open in the UTC day's first `minutes` minutes, NaN until the last of them closed.

    On bars longer than that it is the day's first bar.
    """
    return _opening_range(bars, minutes)[0]


@factor("opening_range_low", params=[MINUTES], lookback=_day, day_state=True)
def opening_range_low(bars: Bars, minutes: int) -> FloatArray:
    """Lowest low of the bars that open in the UTC day's first `minutes` minutes, NaN until the last of them closed.

    On bars longer than that it is the day's first bar.
    """
    return _opening_range(bars, minutes)[1]


@factor("gap", lookback=lambda interval_ms: bars_per_day(interval_ms) + 1, day_state=True)
def gap(bars: Bars) -> FloatArray:
    """Open of the UTC day over the close of the day before, minus 1, the same on every bar of the day.

    On daily bars: open over the close of the bar before, minus 1. In a strategy's lookback: `{"1d": 1}`.
    """
    return day_gaps(bars.open, bars.close, first_slot(bars), bars_per_day(bars.interval_ms))


@factor("minutes_since_midnight", lookback=lambda interval_ms: 1)
def minutes_since_midnight(bars: Bars) -> FloatArray:
    """Minutes from UTC midnight to the bar's close, 0 to 1439; the bar that closes at midnight says 0."""
    return (bars.close_ts % DAY_MS // MINUTE_MS).astype(np.float64)


@factor("weekday", lookback=lambda interval_ms: 1)
def weekday(bars: Bars) -> FloatArray:
    """UTC day of the week at the bar's close, Monday 0 to Sunday 6; a bar that closes at midnight says the new day."""
    # 1970-01-01 was a Thursday.
    return ((bars.close_ts // DAY_MS + 3) % 7).astype(np.float64)


def _so_far(bars: Bars) -> tuple[FloatArray, FloatArray]:
    per_day = bars_per_day(bars.interval_ms)
    return bars.memo("day_extremes", lambda: day_extremes(bars.high, bars.low, first_slot(bars), per_day, per_day))


def _opening_range(bars: Bars, minutes: int) -> tuple[FloatArray, FloatArray]:
    per_day = bars_per_day(bars.interval_ms)
    opening = ceil(minutes * MINUTE_MS / bars.interval_ms)
    return bars.memo(
        ("opening_range", opening),
        lambda: day_extremes(bars.high, bars.low, first_slot(bars), per_day, opening),
    )
