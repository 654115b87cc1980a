"""What strategies see live, on windows of their lookback, is what they see in years of history."""

from typing import NamedTuple

import numpy as np
import pytest

from executor.engine.signals import Evaluator, Traded
from executor.engine.windows import History, Rolling
from executor.feed.base import ClosedBar, Series
from toolkit.bars.series import Bars, from_arrays
from toolkit.bars.synthetic import synthetic_columns
from toolkit.engine.rules import Costs, ExitRule, TradeRules
from toolkit.engine.signals import distance_columns, gate_bits
from toolkit.errors import InputError
from toolkit.strategy import Signals, Strategy, get_strategy

DAYS = 24
STRATEGIES = (
    "volatility_breakout", "reversal_breakout", "support_resistance_breakout", "trend_day", "open_range_breakout",
)  # fmt: skip
CALM = ExitRule(after="4h", when="efficiency_ratio(20) > 0.3")
RULES = TradeRules(stop="2atr(14)", target="3R", exits=(ExitRule(on="signal"), CALM))


def stored(symbol: str, interval: str = "1m") -> Bars:
    names = ("ts", "open", "high", "low", "close", "volume")
    columns = synthetic_columns((symbol,), "2022-01-01", DAYS)[symbol]
    bars = from_arrays(*(columns[n] for n in names), interval="1m", symbol=symbol, exchange="x").to(interval)
    return Bars(symbol, "x", interval, bars.ts, *(getattr(bars, n) for n in names[1:]), bars.filled)


def rows(bars: Bars) -> list[ClosedBar]:
    columns = (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.filled)
    return [ClosedBar(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def traded(strategy: Strategy, interval: str, base: str = "1m", rules: TradeRules = RULES) -> Traded:
    series = Series("x", "BTC/USDT", base)
    return Traded(
        "one", "dep", strategy, strategy.params(), rules, Costs(), series, interval,
        tuple(series._replace(base=name) for name in strategy.native),
        tuple(series._replace(symbol=name) for name in strategy.peers),
    )  # fmt: skip


def lengths(one: Traded) -> dict[Series, History]:
    base_bars, higher = one.bars_needed()
    found = {s: History(s, base_bars, higher) for s in (one.series, *one.peers)}
    return found | {s: History(s, 40, {}) for s in one.native}


def assert_windows_tell_all(one: Traded, whole: dict[Series, Bars]) -> int:
    """At every close of the last days: windows against all history; returns how many entries there were."""
    bars = whole[one.series]
    native = {s.base: whole[s] for s in one.native}
    peers = {s.symbol: whole[s] for s in one.peers}
    long = Bars(
        bars.symbol, bars.exchange, bars.interval, bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume,
        bars.filled, native=native, peers=peers,
    ).to(one.interval)  # fmt: skip
    signals = one.strategy.signals(long, one.params)
    columns, gates = distance_columns(long, signals, one.columns), gate_bits(long, one.columns)
    histories, position = lengths(one), dict.fromkeys(whole, 0)
    closes = {int(ts): k for k, ts in enumerate(long.close_ts)}
    every, entries = {s: rows(b) for s, b in whole.items()}, 0
    begin = int(bars.ts[-1]) - 4 * 86_400_000
    for moment in range(int(bars.ts[0]) + one.series.base_ms, int(bars.ts[-1]) + 1, one.series.base_ms):
        for series, found in every.items():
            while position[series] < len(found) and found[position[series]].ts + series.base_ms <= moment:
                histories[series].append(found[position[series]])
                position[series] += 1
        k = closes.get(moment)
        if k is None or moment < begin:
            continue
        said = Evaluator(histories).at(one, moment)
        for side, enter, leave in (
            (1, signals.enter_long, signals.exit_long),
            (-1, signals.enter_short, signals.exit_short),
        ):
            assert said.sides[side].enter == (enter[k] and not leave[k])
            assert said.sides[side].exit == leave[k]
            np.testing.assert_array_equal(said.sides[side].distances, [column[k] for column in columns])
            entries += bool(enter[k])
        assert said.gates == (gates[k] if len(gates) else 0)
    return entries


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize(("interval", "base"), [("15m", "1m"), ("1h", "5m"), ("5m", "5m")])
def test_windows_of_the_lookback_tell_what_all_history_tells(name: str, interval: str, base: str) -> None:
    one = traded(get_strategy(name), interval, base)
    assert_windows_tell_all(one, {one.series: stored("BTC/USDT", base)})


class Params(NamedTuple):
    window: int = 20


def looks_around(bars: Bars, p: Params) -> Signals:
    """Reads another symbol, higher intervals resampled and native, and its own factor."""
    day, native, other = bars.at("1d"), bars.at("1d", source="native"), bars.peer("ETH/USDT")
    mean = bars.factor("sma", p.window)
    enter = (bars.close > mean) & (day.close > day.open) & (other.close > other.open)
    leave = native.factor("sma", 3) > bars.close
    distance = np.abs(other.close - mean)
    return Signals(enter, ~enter, leave, ~leave, distance, distance + day.high)


def test_peers_and_native_days_are_seen_as_of_the_close() -> None:
    around = Strategy(
        "looks_around", looks_around, Params, ("15m",), lambda p: {"signal": 2 * p.window, "1d": 2},
        peers=("ETH/USDT",), native=("1d",),
    )  # fmt: skip
    one = traded(around, "15m", "5m", TradeRules())
    whole = {s: stored(s.symbol, s.base) for s in (one.series, *one.peers, *one.native)}
    assert assert_windows_tell_all(one, whole) > 0


def test_a_window_keeps_the_newest_bars_in_one_piece() -> None:
    rolling = Rolling(5)
    for k in range(37):
        rolling.append(ClosedBar(60_000 * k, k + 1.0, k + 2.0, k + 0.5, k + 1.5, float(k)))
        held = min(k + 1, 5)
        assert len(rolling) == held
        ts, opens, *_ = rolling.window(slice(rolling.start, rolling.end))
        assert ts.tolist() == [60_000 * j for j in range(k + 1 - held, k + 1)]
        assert opens.tolist() == [j + 1.0 for j in range(k + 1 - held, k + 1)]


def test_a_hole_in_a_series_is_no_history() -> None:
    history = History(Series("x", "BTC/USDT", "1m"), 10, {})
    history.append(ClosedBar(0, 1, 1, 1, 1, 1))
    with pytest.raises(ValueError, match="must continue with the bar at 60000"):
        history.append(ClosedBar(120_000, 1, 1, 1, 1, 1))


def test_finer_bars_that_it_will_not_get_are_refused() -> None:
    with pytest.raises(InputError, match="policy 'finer'"):
        traded(get_strategy("trend_day"), "15m", rules=TradeRules(policy="finer"))
