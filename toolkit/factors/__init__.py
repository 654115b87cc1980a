"""Named factors: window-exact values of a series of bars, asked for by `Bars.factor(name, *params)`.

The rules that all of them keep are in `toolkit.factors.registry`; the kernels under them in `rolling` (sums),
`extremes`, `pivots`, `day`, `finite_ewm` and `elementwise`. Those that a library computes are in `engines`.
"""

from toolkit.factors import engines, library_day, library_range, library_trend, library_volatility
from toolkit.factors.registry import (
    Factor,
    Param,
    compute,
    compute_at,
    factor,
    factor_lookback,
    factor_names,
    get_factor,
)

# Importing these registers their factors.
LIBRARY = (library_range, library_trend, library_volatility, library_day, engines)

__all__ = [
    "LIBRARY",
    "Factor",
    "Param",
    "compute",
    "compute_at",
    "factor",
    "factor_lookback",
    "factor_names",
    "get_factor",
]
