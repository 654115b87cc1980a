"""States of the market from ranks alone: how volatile, and which way, against the window's own bars."""

import numpy as np

from toolkit.bars.series import Bars
from toolkit.compiled import kernel
from toolkit.factors.registry import Param, factor
from toolkit.types import FloatArray


@kernel
def tercile(x: FloatArray, window: int) -> FloatArray:
    """float64[n]: third of the last `window` values in which the newest lies, 0 (lowest) to 2; ties count as half.

    So a value between the terciles of its window, and every value of a constant one, is 1. NaN where one is NaN.
    """
    n = len(x)
    out = np.full(n, np.nan)
    for i in range(window - 1, n):
        below = 0
        equal = 0
        known = True
        for j in range(i - window + 1, i + 1):
            if x[j] < x[i]:
                below += 1
            elif x[j] == x[i]:
                equal += 1
            elif not x[j] > x[i]:
                known = False
                break
        if known:
            # Place in the middle of its equals, in halves of a bar; exact, since these are whole numbers.
            place = 2 * below + equal
            out[i] = 0.0 if 3 * place < 2 * window else 1.0 if 3 * place <= 4 * window else 2.0
    return out


@factor(
    "market_state_terciles",
    params=[Param("window", 500, minimum=2), Param("span", 20, minimum=2)],
    lookback=lambda interval_ms, window, span: window + span,
)
def market_state_terciles(bars: Bars, window: int, span: int) -> FloatArray:
    """State 0 to 8: 3 times the tercile of volatility (0 = calm) plus that of the return (0 = falls, 2 = rises), both
    over `span` bars, among the last `window` values of each.
    """
    volatility = tercile(bars.factor("realised_volatility", span), window)
    return 3.0 * volatility + tercile(bars.factor("roc", span), window)
