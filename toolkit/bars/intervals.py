"""Interval names, resampling from a base series, and as-of alignment between intervals."""

import numpy as np

from toolkit.compiled import kernel
from toolkit.errors import InputError, UnknownNameError
from toolkit.types import BoolArray, FloatArray, IntArray

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS

INTERVAL_MS: dict[str, int] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "4h": 4 * HOUR_MS,
    "1d": DAY_MS,
    "1w": WEEK_MS,
}

# 1970-01-01 was a Thursday; weeks start on the Monday after it.
_WEEK_ORIGIN_MS = 4 * DAY_MS


def interval_ms(interval: str) -> int:
    """Length of a named interval in milliseconds; `UnknownNameError` for a name that is not in `INTERVAL_MS`."""
    try:
        return INTERVAL_MS[interval]
    except KeyError:
        raise UnknownNameError("interval", interval, INTERVAL_MS) from None


def origin_ms(step_ms: int) -> int:
    """Epoch millisecond on which bars of this length are anchored: the epoch, and for weeks the first Monday."""
    return _WEEK_ORIGIN_MS if step_ms == WEEK_MS else 0


def floor_ts(ts_ms: int, step_ms: int) -> int:
    """Open time of the bar of length `step_ms` that contains `ts_ms`."""
    origin = origin_ms(step_ms)
    return (ts_ms - origin) // step_ms * step_ms + origin


def require_multiple(interval: str, base: str) -> int:
    """How many base bars make one bar of `interval`; `InputError` where it is below the base or not a multiple."""
    step, base_step = interval_ms(interval), interval_ms(base)
    if step < base_step:
        raise InputError(
            f"interval {interval!r} is below the base interval {base!r} of the stored series; "
            f"import or pull finer bars, or choose {base!r} or above"
        )
    if step % base_step:
        raise InputError(f"interval {interval!r} is not a multiple of the base interval {base!r}")
    return step // base_step


@kernel
def resample_groups(
    first_group_ts: int,
    group_ms: int,
    n_groups: int,
    ratio: int,
    start: int,
    open_: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    volume: FloatArray,
    filled: BoolArray,
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, BoolArray]:
    """Aggregate `n_groups` complete groups of `ratio` base bars, the first beginning at base index `start`.

    Only unfilled bars are aggregated; a group without one is flat at its base bars' close, volume 0, filled.
    Volume is summed oldest to newest inside the group, so a group's floats depend on its own bars alone.
    """
    ts = np.empty(n_groups, np.int64)
    o = np.empty(n_groups)
    h = np.empty(n_groups)
    lo = np.empty(n_groups)
    c = np.empty(n_groups)
    v = np.empty(n_groups)
    f = np.empty(n_groups, np.bool_)
    for g in range(n_groups):
        a = start + g * ratio
        seen = False
        ts[g] = first_group_ts + g * group_ms
        o[g] = h[g] = lo[g] = c[g] = close[a]
        v[g] = 0.0
        for i in range(a, a + ratio):
            if filled[i]:
                continue
            if not seen:
                o[g], h[g], lo[g] = open_[i], high[i], low[i]
                seen = True
            else:
                h[g] = max(h[g], high[i])
                lo[g] = min(lo[g], low[i])
            c[g] = close[i]
            v[g] += volume[i]
        f[g] = not seen
    return ts, o, h, lo, c, v, f


def asof_index(known_ts: IntArray, at_ts: IntArray) -> IntArray:
    """For each moment of `at_ts`, the index of the last bar known by then, or -1.

    Parameters
    ----------
    known_ts : int64[m], ascending: when each bar of the looked-up series is known (its open plus its interval).
    at_ts : int64[n]: decision moments (the main clock's close times).
    """
    return np.searchsorted(known_ts, at_ts, side="right").astype(np.int64) - 1
