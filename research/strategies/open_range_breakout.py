"""Open range breakout: the first close of the day beyond the range of its first minutes."""

from typing import NamedTuple

import numpy as np
from numba import njit

from toolkit.bars.intervals import DAY_MS, MINUTE_MS
from toolkit.bars.series import Bars
from toolkit.factors import factor_lookback
from toolkit.strategy import Lookback, Signals, strategy
from toolkit.types import FloatArray, IntArray


class Params(NamedTuple):
    range_minutes: int = 60  # length of the opening range, from 00:00 UTC
    until_minute: int = 720  # no entry after this minute of the day
    max_width: float = 0.75  # widest opening range that is traded, in average daily ranges
    daily_window: int = 10  # days in the average daily range
    stop_width: float = 1.0  # stop, in widths of the opening range; 0 = none
    target_r: float = 0.0  # target, in stop distances; 0 = none


def _lookback(p: Params) -> Lookback:
    return {"1d": factor_lookback("atr", DAY_MS, p.daily_window)}


@strategy(intervals=("1m", "3m", "5m", "15m", "30m", "1h"), lookback=_lookback)
def open_range_breakout(bars: Bars, p: Params) -> Signals:
    """First close of the UTC day outside the range of its first minutes; out at the range's middle or at midnight.

    Makes money when news or a session's flow sets the day's direction early and the day goes on that way, above all
    after a quiet start: the opening range must be narrow against the average daily range of the last days (read from
    daily bars). Loses on days that swing to both sides of the opening range, and in quiet markets where the move left
    after the break does not pay the costs; on 1m and 3m most breaks of a short range are noise.

    At most one entry a side a day. The stop is a multiple of the opening range's width.
    """
    return _signals(
        bars.ts,
        bars.interval_ms,
        bars.close,
        bars.factor("opening_range_high", p.range_minutes),
        bars.factor("opening_range_low", p.range_minutes),
        bars.at("1d").factor("atr", p.daily_window),
        p,
    )


@njit(cache=True, nogil=True)
def _signals(
    ts: IntArray,
    step_ms: int,
    close: FloatArray,
    top: FloatArray,
    bottom: FloatArray,
    daily_range: FloatArray,
    p: Params,
) -> Signals:
    n = len(close)
    enter_long, enter_short = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    exit_long, exit_short = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    stop, target = np.full(n, np.nan), np.full(n, np.nan)
    broke_up = broke_down = False
    for t in range(n):
        since_midnight_ms = ts[t] % DAY_MS
        if since_midnight_ms == 0:
            broke_up = broke_down = False
        width = top[t] - bottom[t]
        up, down = close[t] > top[t], close[t] < bottom[t]
        known_ms = since_midnight_ms + step_ms
        tradable = known_ms <= p.until_minute * MINUTE_MS and 0.0 < width <= p.max_width * daily_range[t]
        enter_long[t] = tradable and up and not broke_up
        enter_short[t] = tradable and down and not broke_down
        broke_up, broke_down = broke_up or up, broke_down or down
        middle = 0.5 * (top[t] + bottom[t])
        exit_long[t] = known_ms == DAY_MS or close[t] < middle
        exit_short[t] = known_ms == DAY_MS or close[t] > middle
        if p.stop_width > 0.0 and width > 0.0:
            stop[t] = p.stop_width * width
            if p.target_r > 0.0:
                target[t] = p.target_r * stop[t]
    return Signals(enter_long, enter_short, exit_long, exit_short, stop, target)
