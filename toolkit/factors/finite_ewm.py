"""The exponentially weighted mean in its finite form."""

import numpy as np

from toolkit.compiled import kernel
from toolkit.types import FloatArray

# A span of `window` bars is cut after this many spans: what is left out weighs at most exp(-8), 0.03 %, of the whole.
SPANS = 4
# Bars worked on together: small enough to stay in the processor's nearest cache.
_TILE = 1024


def ewm_bars(window: int) -> int:
    """How many bars the finite form of a span of `window` bars reads."""
    return SPANS * window


@kernel
def finite_ewm(x: FloatArray, window: int, length: int) -> FloatArray:
    """float64[n]: mean of the last `length` values with weights `(1 - a)**age`, `a = 2 / (window + 1)`, normalised.

    Summed oldest to newest as distances from the newest value, so a constant window gives that constant. Each bar's
    sum has its own order whatever the tile; the tile only lets the processor add several bars at once.
    Bars `0 .. length - 2` are NaN. Twin: `rolling(length).apply(weighted mean)`; `ewm(span=window)` up to the cut.
    """
    n = len(x)
    out = np.full(n, np.nan)
    decay = 1.0 - 2.0 / (window + 1.0)
    weights = np.empty(length)
    total = 0.0
    for age in range(length - 1, -1, -1):
        weights[age] = decay**age
        total += weights[age]
    for age in range(length):
        weights[age] /= total
    acc = np.empty(_TILE)
    for start in range(length - 1, n, _TILE):
        size = min(_TILE, n - start)
        acc[:size] = 0.0
        newest = x[start : start + size]
        for age in range(length - 1, 0, -1):
            weight = weights[age]
            older = x[start - age : start - age + size]
            for k in range(size):
                acc[k] += weight * (older[k] - newest[k])
        for k in range(size):
            out[start + k] = newest[k] + acc[k]
    return out
