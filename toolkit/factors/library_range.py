"""Factors of levels and ranges: highest, lowest, averages, support and resistance."""

import numpy as np

from toolkit.bars.series import Bars
from toolkit.factors.extremes import bars_since_max, window_max, window_min
from toolkit.factors.finite_ewm import ewm_bars, finite_ewm
from toolkit.factors.pivots import nearest_above, pivot_highs
from toolkit.factors.registry import Param, factor
from toolkit.factors.rolling import absolute_bar, window_moments
from toolkit.types import FloatArray

WINDOW = Param("window", 20)
PIVOT = (Param("left", 5), Param("right", 5), Param("window", 240))


@factor("rolling_max", params=[WINDOW], lookback=lambda interval_ms, window: window)
def rolling_max(bars: Bars, window: int) -> FloatArray:
    """Highest high of the last `window` bars, this one included, price units."""
    return window_max(bars.high, window)


@factor("rolling_min", params=[WINDOW], lookback=lambda interval_ms, window: window)
def rolling_min(bars: Bars, window: int) -> FloatArray:
    """Lowest low of the last `window` bars, this one included, price units."""
    return window_min(bars.low, window)


@factor("range", params=[WINDOW], lookback=lambda interval_ms, window: window)
def price_range(bars: Bars, window: int) -> FloatArray:
    """Highest high minus lowest low of the last `window` bars, price units."""
    return bars.factor("rolling_max", window) - bars.factor("rolling_min", window)


@factor("range_pct", params=[WINDOW], lookback=lambda interval_ms, window: window)
def range_pct(bars: Bars, window: int) -> FloatArray:
    """Highest high minus lowest low of the last `window` bars, as a fraction of the close."""
    return bars.factor("range", window) / bars.close


@factor("bars_since_max", params=[WINDOW], lookback=lambda interval_ms, window: window)
def since_max(bars: Bars, window: int) -> FloatArray:
    """Bars since the highest high of the last `window` bars, 0 = this bar; of equal highs the latest counts."""
    return bars_since_max(bars.high, window)


@factor("bars_since_min", params=[WINDOW], lookback=lambda interval_ms, window: window)
def since_min(bars: Bars, window: int) -> FloatArray:
    """Bars since the lowest low of the last `window` bars, 0 = this bar; of equal lows the latest counts."""
    return bars_since_max(-bars.low, window)


@factor("donchian_high", params=[WINDOW], lookback=lambda interval_ms, window: window + 1)
def donchian_high(bars: Bars, window: int) -> FloatArray:
    """Highest high of the `window` bars before this one, price units (upper Donchian channel)."""
    return _of_bar_before(bars.factor("rolling_max", window))


@factor("donchian_low", params=[WINDOW], lookback=lambda interval_ms, window: window + 1)
def donchian_low(bars: Bars, window: int) -> FloatArray:
    """Lowest low of the `window` bars before this one, price units (lower Donchian channel)."""
    return _of_bar_before(bars.factor("rolling_min", window))


@factor("resistance", params=PIVOT, lookback=lambda interval_ms, left, right, window: left + right + window)
def resistance(bars: Bars, left: int, right: int, window: int) -> FloatArray:
    """Nearest pivot high above the close, price units, among pivots confirmed within the last `window` bars, else NaN.

    A pivot high is higher than the `left` bars before it and not lower than the `right` bars after it, and is confirmed
    when the last of those has closed.
    """
    return nearest_above(bars.high, pivot_highs(bars.high, left, right), bars.close, right, window)


@factor("support", params=PIVOT, lookback=lambda interval_ms, left, right, window: left + right + window)
def support(bars: Bars, left: int, right: int, window: int) -> FloatArray:
    """Nearest pivot low below the close, price units, among pivots confirmed within the last `window` bars, else NaN.

    A pivot low is lower than the `left` bars before it and not higher than the `right` bars after it, and is confirmed
    when the last of those has closed.
    """
    # The mirror image of resistance: a sign change is exact.
    mirrored = -bars.low
    return -nearest_above(mirrored, pivot_highs(mirrored, left, right), -bars.close, right, window)


@factor("sma", params=[WINDOW], lookback=lambda interval_ms, window: window)
def sma(bars: Bars, window: int) -> FloatArray:
    """Mean close of the last `window` bars, price units."""
    return window_moments(bars.close, window, absolute_bar(bars))[0]


@factor("ewm", params=[WINDOW], lookback=lambda interval_ms, window: ewm_bars(window))
def ewm(bars: Bars, window: int) -> FloatArray:
    """Exponentially weighted mean close with span `window`, over the last `4 * window` bars, weights normalised."""
    return finite_ewm(bars.close, window, ewm_bars(window))


def _of_bar_before(values: FloatArray) -> FloatArray:
    out = np.empty_like(values)
    out[0] = np.nan
    out[1:] = values[:-1]
    return out
