"""Factors of direction: how far, how straight and how one-sided the price has moved."""

import numpy as np

from toolkit.bars.series import Bars
from toolkit.factors.elementwise import directional_index, directional_moves, gains_and_losses, ratio
from toolkit.factors.registry import Param, factor
from toolkit.factors.rolling import absolute_bar, window_fit, window_sum
from toolkit.types import FloatArray

WINDOW = Param("window", 20)
LINE_WINDOW = Param("window", 20, minimum=2)


@factor("efficiency_ratio", params=[WINDOW], lookback=lambda interval_ms, window: window + 1)
def efficiency_ratio(bars: Bars, window: int) -> FloatArray:
    """Net move of the close over `window` bars by the path it took, 0 (no way) to 1 (straight); NaN if it never moved.

    Kaufman, Trading Systems and Methods.
    """
    gain, loss = gains_and_losses(bars.close)
    path = window_sum(gain + loss, window, absolute_bar(bars))
    return np.minimum(ratio(np.abs(_change(bars.close, window)), path), 1.0)


@factor("adx", params=[Param("window", 14)], lookback=lambda interval_ms, window: 2 * window)
def adx(bars: Bars, window: int) -> FloatArray:
    """Average directional index, 0 to 100: mean over `window` bars of the directional index over `window` bars.

    Wilder, New Concepts in Technical Trading Systems (1978), with simple means in place of his endless smoothing; the
    true range then cancels out of the index. A window in which nothing moves has directional index 0.
    """
    up, down = directional_moves(bars.high, bars.low)
    first = absolute_bar(bars)
    index = directional_index(window_sum(up, window, first), window_sum(down, window, first))
    return window_sum(index, window, first) / window


@factor("slope", params=[LINE_WINDOW], lookback=lambda interval_ms, window: window)
def slope(bars: Bars, window: int) -> FloatArray:
    """Slope of the least-squares line through the last `window` closes, price units a bar."""
    return window_fit(bars.close, window, absolute_bar(bars))[0]


@factor("slope_pct", params=[LINE_WINDOW], lookback=lambda interval_ms, window: window)
def slope_pct(bars: Bars, window: int) -> FloatArray:
    """Slope of the least-squares line through the last `window` closes, as a fraction of the close a bar."""
    return bars.factor("slope", window) / bars.close


@factor("r_squared", params=[LINE_WINDOW], lookback=lambda interval_ms, window: window)
def r_squared(bars: Bars, window: int) -> FloatArray:
    """R² of the least-squares line through the last `window` closes, 0 to 1; NaN if all are equal."""
    return window_fit(bars.close, window, absolute_bar(bars))[1]


@factor("rsi", params=[Param("window", 14)], lookback=lambda interval_ms, window: window + 1)
def rsi(bars: Bars, window: int) -> FloatArray:
    """Relative strength index, 0 to 100: gains as a share of all moves of the last `window` closes; NaN if none moved.

    Simple means (Cutler's form) in place of Wilder's endless smoothing.
    """
    gain, loss = gains_and_losses(bars.close)
    first = absolute_bar(bars)
    gains = window_sum(gain, window, first)
    return 100.0 * ratio(gains, gains + window_sum(loss, window, first))


@factor("roc", params=[WINDOW], lookback=lambda interval_ms, window: window + 1)
def roc(bars: Bars, window: int) -> FloatArray:
    """Rate of change: close over the close `window` bars ago, minus 1."""
    out = np.full(len(bars), np.nan)
    out[window:] = (bars.close[window:] - bars.close[:-window]) / bars.close[:-window]
    return out


def _change(close: FloatArray, window: int) -> FloatArray:
    out = np.full(len(close), np.nan)
    out[window:] = close[window:] - close[:-window]
    return out
