"""Trend day: one trade a day, with a day that left its open and never came back."""

from typing import NamedTuple

import numpy as np
from numba import njit

from toolkit.bars.intervals import DAY_MS, MINUTE_MS
from toolkit.bars.series import Bars
from toolkit.factors import factor_lookback
from toolkit.strategy import Lookback, Signals, strategy
from toolkit.types import FloatArray, IntArray


class Params(NamedTuple):
    after_minute: int = 240  # first minute of the day at which it may be called a trend day
    until_minute: int = 1080  # last minute of the day at which a trade may begin
    move: float = 0.5  # least distance from the day's open, in average daily ranges
    body: float = 0.7  # least share of the day's range so far that this distance makes up
    daily_window: int = 10  # days in the average daily range
    stop_days: float = 0.4  # stop, in average daily ranges; 0 = none
    target_r: float = 0.0  # target, in stop distances; 0 = none


def _lookback(p: Params) -> Lookback:
    return {"1d": factor_lookback("atr", DAY_MS, p.daily_window)}


@strategy(intervals=("1m", "3m", "5m", "15m", "30m", "1h", "4h"), lookback=_lookback)
def trend_day(bars: Bars, p: Params) -> Signals:
    """The day's first close far from its open with little range behind it; out at the day's middle or at midnight.

    Makes money on the days, a few each month, that open at one end of their range and close at the other: flow that
    takes all day to fill (fund rebalancing, liquidation cascades, policy news) gives no pullback to wait for. Loses on
    the many days whose early move is given back by the afternoon, and when volatility falls from one day to the next,
    so that half an average daily range is already the whole day's. Distances are measured in average daily ranges,
    read from daily bars, so the idea is the same on every interval; finer ones only enter sooner.

    One entry a day in all: the first side that qualifies. Held for hours, also on 4h bars.
    """
    return _signals(
        bars.ts,
        bars.interval_ms,
        bars.close,
        bars.factor("day_open"),
        bars.factor("day_high"),
        bars.factor("day_low"),
        bars.at("1d").factor("atr", p.daily_window),
        p,
    )


@njit(cache=True, nogil=True)
def _signals(
    ts: IntArray,
    step_ms: int,
    close: FloatArray,
    day_open: FloatArray,
    day_high: FloatArray,
    day_low: FloatArray,
    daily_range: FloatArray,
    p: Params,
) -> Signals:
    n = len(close)
    enter_long, enter_short = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    exit_long, exit_short = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    stop, target = np.full(n, np.nan), np.full(n, np.nan)
    called = False
    for t in range(n):
        since_midnight_ms = ts[t] % DAY_MS
        if since_midnight_ms == 0:
            called = False
        known_ms = since_midnight_ms + step_ms
        in_time = p.after_minute * MINUTE_MS <= known_ms <= p.until_minute * MINUTE_MS
        distance = close[t] - day_open[t]
        far = abs(distance) >= p.move * daily_range[t] and abs(distance) >= p.body * (day_high[t] - day_low[t])
        if in_time and far and distance != 0.0 and daily_range[t] > 0.0 and not called:
            called = True
            enter_long[t] = distance > 0.0
            enter_short[t] = distance < 0.0
        middle = 0.5 * (day_high[t] + day_low[t])
        exit_long[t] = known_ms == DAY_MS or close[t] < middle
        exit_short[t] = known_ms == DAY_MS or close[t] > middle
        if p.stop_days > 0.0 and daily_range[t] > 0.0:
            stop[t] = p.stop_days * daily_range[t]
            if p.target_r > 0.0:
                target[t] = p.target_r * stop[t]
    return Signals(enter_long, enter_short, exit_long, exit_short, stop, target)
