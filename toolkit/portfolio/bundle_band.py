"""How far an account may stray from its backtest: a band around the growth of its money, day by day."""

from typing import Any

import numpy as np

from toolkit.types import FloatArray

BAND_DAYS = 365
LINES = {"p05": 0.05, "p50": 0.50, "p95": 0.95}
# Fewer days than this do not say how days follow each other.
LEAST_DAYS = 5
_PATHS = 2_000
_MEAN_BLOCK_DAYS = 10


def growth_band(daily_returns: FloatArray, *, days: int = BAND_DAYS, seed: int = 0) -> dict[str, Any] | None:
    """Quantiles of growth by day, by the stationary bootstrap of a backtest's days.

    Paths are made of runs of consecutive days, of random length (10 on average) and from random places, the first day
    following the last: what a day says of the next one stays within a run. It is in the band what the backtest was;
    an edge that was luck is not taken out of it.

    Parameters
    ----------
    daily_returns : float64[n], a fraction of the equity that the day began with; NaN = no day.

    Returns
    -------
    `ts`: days since the start, 0 to `days`; `p05`, `p50`, `p95`: growth at each, 1.0 at 0; and how it was made. None
    for a record of fewer than 5 days.

    Source: Politis and Romano, "The Stationary Bootstrap", 1994.
    """
    known = np.asarray(daily_returns, np.float64)
    known = known[np.isfinite(known)]
    n = len(known)
    if n < LEAST_DAYS:
        return None
    rng = np.random.default_rng(seed)
    at = rng.integers(n, size=_PATHS)
    growth = np.ones((days + 1, _PATHS))
    for day in range(1, days + 1):
        growth[day] = growth[day - 1] * np.maximum(0.0, 1.0 + known[at])
        fresh = rng.random(_PATHS) < 1.0 / _MEAN_BLOCK_DAYS
        at = np.where(fresh, rng.integers(n, size=_PATHS), (at + 1) % n)
    quantiles = np.quantile(growth, list(LINES.values()), axis=1)
    return {
        "ts": list(range(days + 1)),
        **{name: line.tolist() for name, line in zip(LINES, quantiles, strict=True)},
        "method": "stationary bootstrap",
        "mean_block_days": _MEAN_BLOCK_DAYS,
        "paths": _PATHS,
        "seed": seed,
        "days": n,
    }
