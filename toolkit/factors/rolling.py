"""Sums over a sliding window of bars that do not depend on where the loaded history starts.

The series is cut into blocks of `window` bars, aligned on the absolute bar number. A window that ends in a block is a
suffix of the block before plus a prefix of this one (van Herk 1992; Gil and Werman 1993), so each window is summed in
one order that absolute time alone decides, at two additions a bar.

Values are centred on the first bar of the block in which the window ends. That bar lies inside the window, therefore:

* the value depends on the window's own bars only (lookback = `window`);
* a constant window is centred to zeros, and its variance is exactly 0;
* the mean is within `sqrt(window)` standard deviations of the centre, which bounds what cancellation can lose at any
  price level: a variance is right to a few units in the last place, and to about `window ** 2` of them at worst, where
  the centre is the window's one outlier;
* a NaN makes NaN those windows that contain it, and no others.

Kernels take `first_bar`, the absolute number of bar 0 (`absolute_bar`), and give NaN for bars `0 .. window - 2`.
"""

import numpy as np

from toolkit.bars.intervals import origin_ms
from toolkit.bars.series import Bars
from toolkit.compiled import kernel
from toolkit.types import FloatArray


def absolute_bar(bars: Bars) -> int:
    """Number of the first bar, counted from the origin of its interval; 0 for an empty series."""
    return (int(bars.ts[0]) - origin_ms(bars.interval_ms)) // bars.interval_ms if len(bars) else 0


@kernel
def window_sum(x: FloatArray, window: int, first_bar: int) -> FloatArray:
    """float64[n]: sum of the last `window` values. Not centred: for values of one sign. Twin: `rolling(w).sum()`."""
    n = len(x)
    out = np.full(n, np.nan)
    suffix = np.empty(window)
    for block in range((-first_bar) % window, n, window):
        total = 0.0
        for i in range(block - 1, max(block - window, -1), -1):
            total += x[i]
            suffix[block - i] = total
        prefix = 0.0
        for i in range(block, min(block + window, n)):
            prefix += x[i]
            older = block - (i - window + 1)
            if older == 0:
                out[i] = prefix
            elif older <= block:
                out[i] = suffix[older] + prefix
    return out


@kernel
def window_moments(x: FloatArray, window: int, first_bar: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, newest value minus mean, and variance (divisor `window`) of the last `window` values, each float64[n].

    Twins: `rolling(w).mean()`, `rolling(w).var(ddof=0)`. The deviation is formed before the centre is added back,
    because at a price of 1e5 the mean alone has lost digits that a small variance needs.
    """
    n = len(x)
    mean = np.full(n, np.nan)
    deviation = np.full(n, np.nan)
    variance = np.full(n, np.nan)
    suffix = np.zeros(window)
    suffix_squares = np.zeros(window)
    for block in range((-first_bar) % window, n, window):
        centre = x[block]
        total = 0.0
        squares = 0.0
        for i in range(block - 1, max(block - window, -1), -1):
            d = x[i] - centre
            total += d
            squares += d * d
            suffix[block - i] = total
            suffix_squares[block - i] = squares
        total = 0.0
        squares = 0.0
        for i in range(block, min(block + window, n)):
            d = x[i] - centre
            total += d
            squares += d * d
            older = block - (i - window + 1)
            if older > block:
                continue
            offset = (suffix[older] + total) / window if older else total / window
            both = suffix_squares[older] + squares if older else squares
            mean[i] = centre + offset
            deviation[i] = d - offset
            spread = both / window - offset * offset
            variance[i] = 0.0 if spread < 0.0 else spread
    return mean, deviation, variance


@kernel
def window_fit(y: FloatArray, window: int, first_bar: int) -> tuple[FloatArray, FloatArray]:
    """Slope (per bar) and R² of the least-squares line through the last `window` values, each float64[n].

    R² is NaN where all values are equal. Twins: `np.polyfit(range(w), y, 1)`, `np.corrcoef(range(w), y)**2`.
    """
    n = len(y)
    slope = np.full(n, np.nan)
    r_squared = np.full(n, np.nan)
    # Sums by distance to the block's first bar: values, squares, and distance times value.
    suffix = np.zeros((window, 3))
    sxx = window * (window * window - 1.0) / 12.0
    half = (window - 1) / 2.0
    for block in range((-first_bar) % window, n, window):
        centre = y[block]
        total = squares = product = 0.0
        for i in range(block - 1, max(block - window, -1), -1):
            d = y[i] - centre
            total += d
            squares += d * d
            product += (i - block) * d
            suffix[block - i, 0] = total
            suffix[block - i, 1] = squares
            suffix[block - i, 2] = product
        total = squares = product = 0.0
        for i in range(block, min(block + window, n)):
            d = y[i] - centre
            total += d
            squares += d * d
            product += (i - block) * d
            older = block - (i - window + 1)
            if older > block:
                continue
            sum_d, sum_dd, sum_jd = total, squares, product
            if older:
                sum_d = suffix[older, 0] + total
                sum_dd = suffix[older, 1] + squares
                sum_jd = suffix[older, 2] + product
            sxy = sum_jd - (i - block - half) * sum_d
            syy = sum_dd - sum_d * sum_d / window
            slope[i] = sxy / sxx
            if syy > 0.0:
                r_squared[i] = min(1.0, sxy / sxx * (sxy / syy))
    return slope, r_squared


@kernel
def window_correlation(x: FloatArray, y: FloatArray, window: int, first_bar: int) -> FloatArray:
    """float64[n]: Pearson correlation of the last `window` pairs, NaN where either side is constant.

    Twin: `rolling(w).corr()`.
    """
    n = len(x)
    out = np.full(n, np.nan)
    suffix = np.zeros((window, 5))
    for block in range((-first_bar) % window, n, window):
        cx, cy = x[block], y[block]
        sx = sy = sxx = syy = sxy = 0.0
        for i in range(block - 1, max(block - window, -1), -1):
            dx, dy = x[i] - cx, y[i] - cy
            sx += dx
            sy += dy
            sxx += dx * dx
            syy += dy * dy
            sxy += dx * dy
            row = suffix[block - i]
            row[0], row[1], row[2], row[3], row[4] = sx, sy, sxx, syy, sxy
        sx = sy = sxx = syy = sxy = 0.0
        for i in range(block, min(block + window, n)):
            dx, dy = x[i] - cx, y[i] - cy
            sx += dx
            sy += dy
            sxx += dx * dx
            syy += dy * dy
            sxy += dx * dy
            older = block - (i - window + 1)
            if older > block:
                continue
            tx, ty, txx, tyy, txy = sx, sy, sxx, syy, sxy
            if older:
                row = suffix[older]
                tx, ty = row[0] + sx, row[1] + sy
                txx, tyy, txy = row[2] + sxx, row[3] + syy, row[4] + sxy
            vx = txx - tx * tx / window
            vy = tyy - ty * ty / window
            if vx > 0.0 and vy > 0.0:
                out[i] = max(-1.0, min(1.0, (txy - tx * ty / window) / (np.sqrt(vx) * np.sqrt(vy))))
    return out
