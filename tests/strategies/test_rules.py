"""The rules of each strategy, told a second time in pandas from prices alone."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from research.strategies import (
    open_range_breakout,
    reversal_breakout,
    support_resistance_breakout,
    trend_day,
    volatility_breakout,
)
from tests.strategies.cases import FIVE, STRATEGIES, bars_of, entries, signals_of
from toolkit.bars.intervals import DAY_MS, MINUTE_MS
from toolkit.bars.series import Bars, from_arrays

INTERVAL = "15m"


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Bars with `day` and the average range of the ten days that had closed by each bar's close (`daily_range`)."""
    bars = bars_of(INTERVAL)
    columns = {name: getattr(bars, name) for name in ("ts", "open", "high", "low", "close", "volume")}
    frame = pd.DataFrame(columns)
    frame["day"] = frame.ts // DAY_MS
    frame["known"] = frame.ts % DAY_MS // MINUTE_MS + 15
    days = frame.groupby("day").agg(high=("high", "max"), low=("low", "min"), close=("close", "last"), n=("ts", "size"))
    days = days[days.n == 96]
    days["atr"] = true_range(days).rolling(10).mean()
    # The day's last bar closes with the day, so it already sees it.
    seen = np.where(frame.known == 1440, frame.day, frame.day - 1)
    frame["daily_range"] = days.atr.reindex(seen).to_numpy()
    frame["whole_day"] = frame.day.isin(days.index) | (frame.day == frame.day.iloc[-1])
    return frame


def true_range(frame: pd.DataFrame) -> pd.Series:
    before = frame.close.shift()
    spans = pd.concat([frame.high - frame.low, (frame.high - before).abs(), (frame.low - before).abs()], axis=1)
    return spans.max(axis=1).where(before.notna())


def first_of_day(frame: pd.DataFrame, event: pd.Series) -> pd.Series:
    return event & (event.groupby(frame.day).cumsum() == 1)


def assert_says(name: str, enter_long: pd.Series, enter_short: pd.Series, stop: pd.Series) -> None:
    signals = signals_of(name, INTERVAL)
    assert enter_long.any()
    assert enter_short.any()
    np.testing.assert_array_equal(signals.enter_long, enter_long)
    np.testing.assert_array_equal(signals.enter_short, enter_short)
    at = entries(signals)
    np.testing.assert_allclose(signals.stop_distance[at], stop[at], rtol=1e-9)


def test_open_range_breakout(frame: pd.DataFrame) -> None:
    p = open_range_breakout.Params()
    opening = frame[frame.known <= p.range_minutes].groupby("day").agg(top=("high", "max"), bottom=("low", "min"))
    levels = opening.reindex(frame.day).set_index(frame.index)
    after = (frame.known > p.range_minutes) & frame.whole_day
    width = levels.top - levels.bottom
    # A halt at midnight leaves an opening range without width: that is no range to break.
    tradable = (frame.known <= p.until_minute) & (width > 0) & (width <= p.max_width * frame.daily_range)
    up = first_of_day(frame, after & (frame.close > levels.top)) & tradable
    down = first_of_day(frame, after & (frame.close < levels.bottom)) & tradable
    assert_says("open_range_breakout", up, down, p.stop_width * width)


def test_trend_day(frame: pd.DataFrame) -> None:
    p = trend_day.Params()
    days = frame.groupby("day")
    so_far = days.high.cummax() - days.low.cummin()
    distance = frame.close - days.open.transform("first")
    far = (distance.abs() >= p.move * frame.daily_range) & (distance.abs() >= p.body * so_far)
    called = first_of_day(frame, far & frame.whole_day & frame.known.between(p.after_minute, p.until_minute))
    assert_says("trend_day", called & (distance > 0), called & (distance < 0), p.stop_days * frame.daily_range)


def test_volatility_breakout(frame: pd.DataFrame) -> None:
    p = volatility_breakout.Params()
    atr = true_range(frame).rolling(p.atr_window).mean()
    wide = frame.high - frame.low >= p.expansion * atr
    over = frame.close > frame.high.shift().rolling(p.window).max()
    under = frame.close < frame.low.shift().rolling(p.window).min()
    enough = frame.index > p.window
    fresh_over = over & ~over.shift(fill_value=False) & enough
    fresh_under = under & ~under.shift(fill_value=False) & enough
    assert_says("volatility_breakout", fresh_over & wide, fresh_under & wide, p.stop_atr * atr)
    signals = signals_of("volatility_breakout", INTERVAL)
    np.testing.assert_array_equal(signals.exit_long, frame.close < frame.low.shift().rolling(p.exit_window).min())
    np.testing.assert_array_equal(signals.exit_short, frame.close > frame.high.shift().rolling(p.exit_window).max())


def test_reversal_breakout(frame: pd.DataFrame) -> None:
    p = reversal_breakout.Params()
    highest, lowest = frame.high.rolling(p.window).max(), frame.low.rolling(p.window).min()
    # Of equal extremes the latest counts.
    since_high = frame.high.rolling(p.window).apply(lambda x: np.argmax(x[::-1]), raw=True)
    since_low = frame.low.rolling(p.window).apply(lambda x: np.argmin(x[::-1]), raw=True)
    stretched = highest - lowest >= p.stretch * true_range(frame).rolling(p.window).mean()
    over = frame.close > frame.high.shift().rolling(p.trigger).max()
    under = frame.close < frame.low.shift().rolling(p.trigger).min()
    fell = stretched & (since_low < since_high) & (since_low <= p.fresh)
    rose = stretched & (since_high < since_low) & (since_high <= p.fresh)
    up = fell & over & ~over.shift(fill_value=False)
    down = rose & under & ~under.shift(fill_value=False)
    stop = (frame.close - lowest).where(up, highest - frame.close)
    assert_says("reversal_breakout", up, down, stop)


def test_support_resistance_breakout(frame: pd.DataFrame) -> None:
    p = support_resistance_breakout.Params()
    high, low, close = (frame[c].to_numpy() for c in ("high", "low", "close"))
    n, side = len(frame), p.pivot
    up, down = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    tops = [i for i in range(side, n - side) if is_pivot(high, i, side)]
    bottoms = [i for i in range(side, n - side) if is_pivot(-low, i, side)]
    for before, t in pairwise(range(2 * side + p.window - 1, n)):
        known = range(before - p.window + 1, before + 1)
        above = [high[i] for i in tops if i + side in known and high[i] > close[before]]
        below = [low[i] for i in bottoms if i + side in known and low[i] < close[before]]
        up[t] = close[t] > min(above, default=np.inf)
        down[t] = close[t] < max(below, default=0.0)
    busy = frame.volume >= p.volume * frame.volume.rolling(p.average_window).mean()
    atr = true_range(frame).rolling(p.average_window).mean()
    assert_says("support_resistance_breakout", busy & up, busy & down, p.stop_atr * atr)
    signals = signals_of("support_resistance_breakout", INTERVAL)
    np.testing.assert_array_equal(signals.exit_long, down)
    np.testing.assert_array_equal(signals.exit_short, up)


def is_pivot(values: np.ndarray, i: int, side: int) -> bool:
    return bool((values[i] > values[i - side : i]).all() and (values[i] >= values[i + 1 : i + side + 1]).all())


@pytest.mark.parametrize("name", ["open_range_breakout", "trend_day"])
def test_day_trades_are_told_to_leave_at_midnight_and_enter_at_most_once_a_side(name: str) -> None:
    bars, signals = bars_of(INTERVAL), signals_of(name, INTERVAL)
    midnight = bars.close_ts % DAY_MS == 0
    assert signals.exit_long[midnight].all()
    assert signals.exit_short[midnight].all()
    for side in (signals.enter_long, signals.enter_short):
        days = bars.ts[side] // DAY_MS
        assert len(np.unique(days)) == len(days)


def test_trend_day_enters_once_a_day_in_all() -> None:
    bars, signals = bars_of("4h"), signals_of("trend_day", "4h")
    days = bars.ts[entries(signals)] // DAY_MS
    assert len(np.unique(days)) == len(days)


def flat(volume: float) -> Bars:
    n = 20 * 24
    price, ts = np.full(n, 7.0), 19_000 * DAY_MS + 60 * MINUTE_MS * np.arange(n, dtype=np.int64)
    return from_arrays(ts, price, price, price, price, np.full(n, volume), interval="1h")


@pytest.mark.parametrize("name", FIVE)
@pytest.mark.parametrize("volume", [0.0, 1.0, np.nan])
def test_a_price_that_stands_still_enters_nothing(name: str, volume: float) -> None:
    signals = STRATEGIES[name].signals(flat(volume), STRATEGIES[name].params())
    assert len(entries(signals)) == 0
    assert not (signals.stop_distance <= 0).any()


def test_unknown_volume_enters_only_where_volume_is_not_looked_at() -> None:
    found, known = STRATEGIES["support_resistance_breakout"], bars_of("1h")
    columns = (known.ts, known.open, known.high, known.low, known.close)
    unknown = from_arrays(*columns, interval="1h")
    assert not found.signals(unknown, found.params()).enter_long.any()
    assert found.signals(unknown, found.params({"volume": 0})).enter_long.any()


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("open_range_breakout", "stop_width"),
        ("trend_day", "stop_days"),
        ("volatility_breakout", "stop_atr"),
        ("support_resistance_breakout", "stop_atr"),
    ],
)
def test_stop_of_zero_is_no_stop(name: str, parameter: str) -> None:
    found, bars = STRATEGIES[name], bars_of("5m")
    signals = found.signals(bars, found.params({parameter: 0, "target_r": 2}))
    assert np.isnan(signals.stop_distance).all()
    assert np.isnan(signals.target_distance).all()
    np.testing.assert_array_equal(signals.enter_long, signals_of(name, "5m").enter_long)
