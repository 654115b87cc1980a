"""What is formed from a bar and the one before it; the first bar, which has none before it, is NaN.

Written as compiled loops and not as array expressions: a logarithm in a vectorised library may differ in its last bit
with a value's place in the array, and a factor must not depend on that. Relative changes are formed from the
difference, which is exact for near prices: a quotient of near prices has lost the digits that tell them apart.
"""

from math import log1p

import numpy as np

from toolkit.compiled import kernel
from toolkit.types import FloatArray


@kernel
def log_returns(close: FloatArray) -> FloatArray:
    """float64[n]: logarithm of close over the close before."""
    out = np.full(len(close), np.nan)
    for i in range(1, len(close)):
        out[i] = log1p((close[i] - close[i - 1]) / close[i - 1])
    return out


@kernel
def squared_log_ranges(high: FloatArray, low: FloatArray) -> FloatArray:
    """float64[n]: squared logarithm of high over low."""
    out = np.empty(len(high))
    for i in range(len(high)):
        ratio = log1p((high[i] - low[i]) / low[i])
        out[i] = ratio * ratio
    return out


@kernel
def true_range(high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """float64[n]: the bar's range, stretched to the close before it (Wilder 1978), price units."""
    out = np.full(len(close), np.nan)
    for i in range(1, len(close)):
        out[i] = max(high[i], close[i - 1]) - min(low[i], close[i - 1])
    return out


@kernel
def gains_and_losses(close: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rise and fall of the close since the bar before, both at least 0, each float64[n], price units."""
    gain = np.full(len(close), np.nan)
    loss = np.full(len(close), np.nan)
    for i in range(1, len(close)):
        change = close[i] - close[i - 1]
        gain[i] = max(change, 0.0)
        loss[i] = max(-change, 0.0)
    return gain, loss


@kernel
def directional_moves(high: FloatArray, low: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Upward and downward directional movement (Wilder 1978), each float64[n], price units; at most one is above 0."""
    up = np.full(len(high), np.nan)
    down = np.full(len(high), np.nan)
    for i in range(1, len(high)):
        rise = high[i] - high[i - 1]
        fall = low[i - 1] - low[i]
        up[i] = rise if rise > fall and rise > 0.0 else 0.0
        down[i] = fall if fall > rise and fall > 0.0 else 0.0
    return up, down


@kernel
def directional_index(up: FloatArray, down: FloatArray) -> FloatArray:
    """float64[n]: 100 * |up - down| / (up + down) of summed moves, 0 where nothing moved, NaN where either is."""
    out = np.empty(len(up))
    for i in range(len(up)):
        both = up[i] + down[i]
        out[i] = 0.0 if both == 0.0 else 100.0 * abs(up[i] - down[i]) / both
    return out


@kernel
def ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """float64[n]: `above / below`, NaN where `below` is 0."""
    out = np.empty(len(above))
    for i in range(len(above)):
        out[i] = above[i] / below[i] if below[i] != 0.0 else np.nan
    return out
