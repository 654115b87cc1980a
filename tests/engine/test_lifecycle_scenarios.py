"""Each rule of the lifecycle by hand: a few bars, the prices that must come out.

Bars are one minute, written as (open, high, low, close) or (open, high, low, close, volume). No fees unless named.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from toolkit.bars.intervals import DAY_MS, MINUTE_MS
from toolkit.bars.series import from_arrays
from toolkit.engine.rules import Costs, ExitRule, TradeRules
from toolkit.engine.run import EngineRun, prepare, run
from toolkit.engine.types import LONG, SHORT, ExitReason, SignalEnd
from toolkit.strategy import Signals

pytestmark = pytest.mark.xdist_group("engine")

FREE = Costs(taker_rate=0.0, maker_rate=0.0, slippage_bps=0.0)
START_MS = 19_000 * DAY_MS
T0 = START_MS // MINUTE_MS
FLAT = (100.0, 100.0, 100.0, 100.0)


def play(
    rows: Sequence[tuple[float, ...]],
    rules: TradeRules,
    *,
    enter: Sequence[int] = (),
    leave: Sequence[int] = (),
    side: int = LONG,
    stop: float = math.nan,
    target: float = math.nan,
    costs: Costs = FREE,
    verdicts: Mapping[int, int] | None = None,
    start_ms: int = START_MS,
    finer: Any = None,
    extra: Mapping[str, Sequence[int]] | None = None,
) -> EngineRun:
    """Run one side, every bar stepped and hopped; both must agree."""
    n = len(rows)
    o, h, lo, c = (np.array([r[k] for r in rows]) for k in range(4))
    volume = np.array([r[4] if len(r) > 4 else 1.0 for r in rows])
    bars = from_arrays(start_ms + MINUTE_MS * np.arange(n, dtype=np.int64), o, h, lo, c, volume, interval="1m")
    arrays = {name: np.zeros(n, np.bool_) for name in ("enter_long", "enter_short", "exit_long", "exit_short")}
    word = "long" if side == LONG else "short"
    for name, at in ((f"enter_{word}", enter), (f"exit_{word}", leave), *(extra or {}).items()):
        arrays[name][list(at)] = True
    said = np.full(n, 1, np.uint8)
    for at, verdict in (verdicts or {}).items():
        said[at] = verdict
    signals = Signals(*arrays.values(), np.full(n, stop), np.full(n, target))
    prepared = prepare(bars, signals, rules, costs, verdicts={LONG: said, SHORT: said}, finer=finer)
    stepped, hopped = run(prepared, 1000.0, every_bar=True), run(prepared, 1000.0)
    assert stepped.trades.tobytes() == hopped.trades.tobytes()
    assert stepped.signals.tobytes() == hopped.signals.tobytes()
    return hopped


def trades(result: EngineRun) -> list[tuple[int, int, float, float, str]]:
    """(entry bar, exit bar, entry price, exit price, reason) with bars counted from the first."""
    return [
        (int(t["entry_t"]) - T0, int(t["exit_t"]) - T0, float(t["entry_price"]), float(t["exit_price"]),
         ExitReason(int(t["exit_reason"])).name)
        for t in result.trades
    ]  # fmt: skip


def ends(result: EngineRun) -> list[tuple[int, int, str]]:
    """(bar of the signal, bar of its end, why)."""
    return [(int(s["t"]) - T0, int(s["closed_t"]) - T0, SignalEnd(int(s["end"])).name) for s in result.signals]


# 1. Fill.


def test_an_entry_fills_at_the_next_open_and_an_exit_signal_at_the_open_after_it() -> None:
    rows = [FLAT, (101.0, 102.0, 100.5, 101.5), FLAT, (99.0, 99.0, 98.0, 98.5)]
    assert trades(play(rows, TradeRules(), enter=[0], leave=[2])) == [(1, 3, 101.0, 99.0, "SIGNAL")]


def test_slippage_and_fees_go_against_the_trader() -> None:
    costs = Costs(taker_rate=0.001, maker_rate=0.0002, slippage_bps=10.0)
    rows = [FLAT, FLAT, FLAT, FLAT]
    for side in (LONG, SHORT):
        (trade,) = play(rows, TradeRules(), enter=[0], leave=[1], side=side, costs=costs).trades
        assert trade["entry_price"] == pytest.approx(100.0 * (1 + side * 0.001))
        assert trade["exit_price"] == pytest.approx(100.0 * (1 - side * 0.001))
        assert trade["qty"] == 10.0
        assert trade["entry_fee"] == pytest.approx(10.0 * trade["entry_price"] * 0.001)
        assert trade["exit_fee"] == pytest.approx(10.0 * trade["exit_price"] * 0.001)


def test_a_pending_exit_fills_before_the_stop_is_looked_at() -> None:
    rows = [FLAT, FLAT, (99.0, 99.0, 90.0, 91.0)]
    assert trades(play(rows, TradeRules(), enter=[0], leave=[1], stop=5.0)) == [(1, 2, 100.0, 99.0, "SIGNAL")]


def test_stop_and_target_keep_their_distance_from_the_fill() -> None:
    rows = [FLAT, (103.0, 103.0, 103.0, 103.0), FLAT]
    (trade,) = play(rows, TradeRules(), enter=[0], stop=5.0, target=7.0).trades
    assert (trade["stop_price"], trade["target_price"]) == (98.0, 110.0)


@pytest.mark.parametrize(("side", "stop", "target"), [(LONG, 99.5, 101.5), (SHORT, 100.5, 98.5)])
def test_a_stop_is_tick_rounded_towards_the_entry(side: int, stop: float, target: float) -> None:
    costs = Costs(taker_rate=0.0, maker_rate=0.0, slippage_bps=0.0, tick=0.5)
    (trade,) = play([FLAT, FLAT], TradeRules(), enter=[0], side=side, stop=0.7, target=1.2, costs=costs).trades
    assert (trade["stop_price"], trade["target_price"]) == (stop, target)


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_without_stop_and_target_a_tick_makes_none(side: int) -> None:
    costs = Costs(taker_rate=0.0, maker_rate=0.0, slippage_bps=0.0, tick=0.5)
    result = play([FLAT] * 4, TradeRules(), enter=[0], side=side, costs=costs)
    assert trades(result) == [(1, 3, 100.0, 100.0, "OPEN")]
    assert np.isnan(result.trades["stop_price"]).all()
    assert np.isnan(result.trades["target_price"]).all()


# 2. Stop and target.


@pytest.mark.parametrize(
    ("side", "row", "price"),
    [
        (LONG, (99.0, 99.0, 95.0, 96.0), 95.0),
        (LONG, (94.0, 96.0, 93.0, 95.0), 94.0),
        (SHORT, (101.0, 105.0, 101.0, 104.0), 105.0),
        (SHORT, (106.0, 107.0, 105.5, 106.0), 106.0),
    ],
)
def test_a_stop_fills_at_its_level_and_a_gap_through_it_at_the_open(side: int, row: Any, price: float) -> None:
    result = play([FLAT, FLAT, row, FLAT], TradeRules(), enter=[0], side=side, stop=5.0)
    assert trades(result) == [(1, 2, 100.0, price, "STOP")]


@pytest.mark.parametrize(
    ("side", "row", "price"),
    [
        (LONG, (101.0, 105.0, 101.0, 104.0), 105.0),
        (LONG, (107.0, 108.0, 106.0, 107.0), 107.0),
        (SHORT, (99.0, 99.0, 95.0, 96.0), 95.0),
        (SHORT, (93.0, 94.0, 92.0, 93.0), 93.0),
    ],
)
def test_a_target_fills_at_its_price_or_a_better_open(side: int, row: Any, price: float) -> None:
    result = play([FLAT, FLAT, row, FLAT], TradeRules(), enter=[0], side=side, target=5.0)
    assert trades(result) == [(1, 2, 100.0, price, "TARGET")]


def test_a_stop_is_armed_on_the_bar_of_the_fill() -> None:
    rows = [FLAT, (100.0, 100.0, 94.0, 99.0), FLAT]
    assert trades(play(rows, TradeRules(), enter=[0], stop=5.0)) == [(1, 1, 100.0, 95.0, "STOP")]


def test_through_wants_more_than_a_touch() -> None:
    rows = [FLAT, FLAT, (100.0, 105.0, 100.0, 100.0), (100.0, 105.1, 100.0, 100.0), FLAT]
    assert trades(play(rows, TradeRules(), enter=[0], target=5.0))[0][1] == 2
    assert trades(play(rows, TradeRules(target_fill="through"), enter=[0], target=5.0))[0][1:4:2] == (3, 105.0)


def test_a_target_as_a_market_order_pays_slippage_and_taker_fee() -> None:
    costs = Costs(taker_rate=0.001, maker_rate=0.0, slippage_bps=100.0)
    rows = [FLAT, FLAT, (100.0, 110.0, 100.0, 100.0)]
    (market,) = play(rows, TradeRules(target_fill="market"), enter=[0], target=5.0, costs=costs).trades
    (limit,) = play(rows, TradeRules(), enter=[0], target=5.0, costs=costs).trades
    assert limit["exit_price"] == 106.0
    assert limit["exit_fee"] == 0.0
    assert market["exit_price"] == pytest.approx(106.0 * 0.99)
    assert market["exit_fee"] == pytest.approx(10 * 106.0 * 0.99 * 0.001)


# open 100, stop 95 and target 105 for a long; for a short they change places.
BOTH = (100.0, 106.0, 92.0, 100.0)


@pytest.mark.parametrize(
    ("policy", "row", "long", "short"),
    [
        ("pessimistic", BOTH, "STOP", "STOP"),
        ("optimistic", BOTH, "TARGET", "TARGET"),
        ("ohlc", BOTH, "TARGET", "STOP"),
        ("adaptive", BOTH, "TARGET", "STOP"),
        ("adaptive", (100.0, 108.0, 94.0, 100.0), "STOP", "TARGET"),
        ("adaptive", (100.0, 107.0, 93.0, 100.0), "STOP", "STOP"),
        ("optimistic", (94.0, 106.0, 93.0, 100.0), "STOP", "TARGET"),
        ("ohlc", (94.0, 106.0, 93.0, 100.0), "STOP", "TARGET"),
        ("ohlc", (106.0, 107.0, 92.0, 100.0), "TARGET", "STOP"),
        ("pessimistic", (106.0, 107.0, 92.0, 100.0), "STOP", "STOP"),
    ],
)
def test_both_in_one_bar(policy: str, row: Any, long: str, short: str) -> None:
    rules = TradeRules(policy=policy)
    for side, reason in ((LONG, long), (SHORT, short)):
        result = play([FLAT, FLAT, row, FLAT], rules, enter=[0], side=side, stop=5.0, target=5.0)
        assert [t[4] for t in trades(result)] == [reason], side


def test_the_other_price_of_an_ambiguous_bar_is_kept() -> None:
    (trade,) = play([FLAT, FLAT, BOTH], TradeRules(), enter=[0], stop=5.0, target=5.0).trades
    assert (trade["exit_price"], trade["other_price"]) == (95.0, 105.0)
    (trade,) = play([FLAT, FLAT, (94.0, 106.0, 93.0, 100.0)], TradeRules(), enter=[0], stop=5.0, target=5.0).trades
    assert math.isnan(trade["other_price"])


# 3. Trail.


def test_a_trail_is_effective_from_the_next_bar() -> None:
    rules = TradeRules(stop=None, target=None, trail="5%")
    rows = [FLAT, FLAT, (100.0, 110.0, 100.0, 110.0), (109.0, 109.0, 105.5, 107.0), (107.0, 107.0, 104.0, 104.0)]
    # Stop 95; 105 after the close of bar 2, on which a low of 100 did not matter; hit on bar 4.
    assert trades(play(rows, rules, enter=[0])) == [(1, 4, 100.0, 105.0, "TRAIL")]


def test_a_trail_on_the_extreme_follows_the_high_and_is_never_loosened() -> None:
    rules = TradeRules(stop=None, target=None, trail="5%", trail_on="extreme")
    rows = [FLAT, FLAT, (100.0, 120.0, 100.0, 116.0), (116.0, 117.0, 115.5, 116.0), (116.0, 116.0, 114.0, 115.0)]
    assert trades(play(rows, rules, enter=[0])) == [(1, 4, 100.0, 115.0, "TRAIL")]


def test_an_unmoved_trail_is_a_stop() -> None:
    rules = TradeRules(stop=None, target=None, trail="5%")
    rows = [FLAT, FLAT, (99.0, 99.0, 94.0, 94.0)]
    assert trades(play(rows, rules, enter=[0])) == [(1, 2, 100.0, 95.0, "STOP")]


# 4. Exit.


@pytest.mark.parametrize("max_hold", [1, 2, 3])
def test_max_hold_counts_from_the_fill_bar(max_hold: int) -> None:
    result = play([FLAT] * 8, TradeRules(max_hold=max_hold), enter=[0])
    # Fill at f = 1, decided at the close of f + max_hold - 1, filled at the open after it.
    assert [(t[0], t[1], t[4]) for t in trades(result)] == [(1, 1 + max_hold, "MAX_HOLD")]
    assert int(result.trades["exit_order_t"][0]) - T0 == max_hold


def test_max_hold_counts_filled_bars_too() -> None:
    rows = [FLAT, FLAT, (*FLAT, 0.0), (*FLAT, 0.0), FLAT, FLAT]
    assert [t[1] for t in trades(play(rows, TradeRules(max_hold=2), enter=[0]))] == [4]


def test_an_exit_signal_while_the_entry_pends_cancels_it() -> None:
    rows = [FLAT, (*FLAT, 0.0), FLAT, FLAT]
    result = play(rows, TradeRules(entry_ttl=3), enter=[0], leave=[1])
    assert trades(result) == []
    assert ends(result) == [(0, 1, "EXIT_SIGNAL")]


def test_a_gate_holds_the_exit_signal_back() -> None:
    rules = TradeRules(exits=(ExitRule(max_profit="1R"),))
    rows = [FLAT, FLAT, (100.0, 110.0, 100.0, 110.0), (110.0, 110.0, 103.0, 104.0), FLAT, FLAT]
    assert [t[1] for t in trades(play(rows, rules, enter=[0], leave=[2, 3], stop=5.0))] == [4]


def test_after_a_time_out_of_the_money() -> None:
    rules = TradeRules(exits=(ExitRule(on="time", after="3m", max_profit=0.0),))
    rows = [FLAT, FLAT, FLAT, (100.0, 101.0, 100.0, 101.0), (101.0, 101.0, 99.0, 99.0), FLAT]
    assert [(t[1], t[4]) for t in trades(play(rows, rules, enter=[0]))] == [(5, "RULE")]


# 5. Enter.


def test_enter_and_exit_at_once_is_no_entry() -> None:
    result = play([FLAT] * 4, TradeRules(), enter=[0, 1], leave=[0, 1])
    assert len(result.signals) == 0


def test_entries_are_level_triggered_and_ignored_ones_are_counted() -> None:
    result = play([FLAT] * 6, TradeRules(), enter=[0, 1, 2, 4], leave=[3])
    assert [t[:2] for t in trades(result)] == [(1, 4), (5, 5)]
    assert list(result.signals["ignored"]) == [2, 0]


def test_a_closed_trade_may_be_followed_from_the_close_of_that_very_bar() -> None:
    rows = [FLAT, FLAT, (99.0, 99.0, 94.0, 96.0), (97.0, 97.0, 97.0, 97.0)]
    result = play(rows, TradeRules(), enter=[0, 2], stop=5.0)
    assert [t[:3] for t in trades(result)] == [(1, 2, 100.0), (3, 3, 97.0)]


@pytest.mark.parametrize("verdict", [2, 3])
def test_a_refused_signal_blocks_until_its_timeout(verdict: int) -> None:
    rules = TradeRules(signal_timeout=3)
    result = play([FLAT] * 7, rules, enter=range(7), verdicts={0: verdict})
    # Blocks [0, 3): bar 3 may signal again.
    assert ends(result)[0] == (0, 3, "TIMED_OUT")
    assert int(result.signals["t"][1]) - T0 == 3
    assert int(result.signals["ignored"][0]) == 2
    assert int(result.signals["expires_t"][0]) - T0 == 3


def test_without_a_timeout_a_refused_signal_closes_at_once() -> None:
    result = play([FLAT] * 4, TradeRules(), enter=[0, 1], verdicts={0: 2})
    assert ends(result)[0] == (0, 0, "REFUSED")
    assert [t[0] for t in trades(result)] == [2]


def test_a_trade_may_outlive_its_timeout_and_blocks_while_open() -> None:
    result = play([FLAT] * 7, TradeRules(signal_timeout=2), enter=range(7))
    assert len(result.signals) == 1
    assert ends(result)[0][2] == "LIVE"


def test_one_entry_per_day_counts_by_the_utc_day_of_the_decision() -> None:
    # Bars open 23:57, 23:58, 23:59, 00:00: the one that closes at 00:00 is decided in the new day.
    rows = [FLAT] * 6
    rules = TradeRules(one_entry_per="1d", max_hold=1)
    result = play(rows, rules, enter=range(6), start_ms=START_MS - 3 * MINUTE_MS)
    assert [int(s) - (T0 - 3) for s in result.signals["t"]] == [0, 2]


def test_one_entry_per_counts_refused_signals() -> None:
    result = play([FLAT] * 5, TradeRules(one_entry_per="1d"), enter=range(5), verdicts={0: 3})
    assert ends(result) == [(0, 0, "REFUSED")]


@pytest.mark.parametrize(("scope", "signals"), [("leg", 2), ("instance", 1)])
def test_one_entry_per_leg_or_instance(scope: str, signals: int) -> None:
    rules = TradeRules(one_entry_per="1d", one_entry_scope=scope)
    result = play([FLAT] * 5, rules, enter=[0], extra={"enter_short": [1]})
    assert len(result.signals) == signals


def test_an_entry_that_cannot_fill_expires() -> None:
    rows = [FLAT, *[(*FLAT, 0.0)] * 3, FLAT, FLAT]
    assert ends(play(rows, TradeRules(), enter=[0])) == [(0, 1, "EXPIRED")]
    assert ends(play(rows, TradeRules(entry_ttl=3), enter=[0])) == [(0, 3, "EXPIRED")]
    assert trades(play(rows, TradeRules(entry_ttl=4), enter=[0]))[0][0] == 4
    # Not beyond the signal's own life [0, 3).
    assert ends(play(rows, TradeRules(entry_ttl=4, signal_timeout=3), enter=[0])) == [(0, 2, "EXPIRED")]


# Bars that cannot trade, and the end.


def test_nothing_fills_on_a_bar_without_volume() -> None:
    dead = (94.0, 110.0, 90.0, 100.0, 0.0)
    rows = [FLAT, FLAT, dead, FLAT, FLAT, dead, FLAT]
    result = play(rows, TradeRules(), enter=[0], leave=[4], stop=5.0, target=5.0)
    assert trades(result) == [(1, 6, 100.0, 100.0, "SIGNAL")]


def test_a_bar_of_unknown_volume_can_trade() -> None:
    rows = [FLAT, (*FLAT, math.nan), (99.0, 99.0, 94.0, 95.0, math.nan)]
    assert trades(play(rows, TradeRules(), enter=[0], stop=5.0)) == [(1, 2, 100.0, 95.0, "STOP")]


def test_the_stop_is_armed_while_an_exit_waits_and_the_exit_comes_first() -> None:
    rows = [FLAT, FLAT, (*FLAT, 0.0), (*FLAT, 0.0), (93.0, 94.0, 90.0, 91.0)]
    assert trades(play(rows, TradeRules(), enter=[0], leave=[1], stop=5.0)) == [(1, 4, 100.0, 93.0, "SIGNAL")]


def test_at_the_end_an_order_stays_and_an_open_trade_is_marked() -> None:
    result = play([FLAT, FLAT, (100.0, 103.0, 100.0, 102.0)], TradeRules(), enter=[0])
    assert trades(result) == [(1, 2, 100.0, 102.0, "OPEN")]
    assert ends(result)[0][2] == "LIVE"
    waiting = play([FLAT, FLAT], TradeRules(), enter=[1])
    assert trades(waiting) == []
    assert waiting.states[LONG].order.kind == 1


def test_a_stop_that_was_asked_for_and_is_not_there_is_no_entry() -> None:
    rules = TradeRules(stop="2atr(14)")
    assert len(play([FLAT] * 5, rules, enter=range(5)).signals) == 0
    # The strategy's own NaN says "none", a distance of zero says nothing.
    assert len(play([FLAT] * 5, TradeRules(), enter=range(5), stop=0.0).signals) == 0
    assert len(play([FLAT] * 5, TradeRules(), enter=range(5), stop=math.nan).signals) == 1


def test_funding_is_paid_by_longs_at_stamps() -> None:
    costs = Costs(taker_rate=0.0, maker_rate=0.0, slippage_bps=0.0, funding_rate=0.001, funding_interval="2m")
    for side in (LONG, SHORT):
        # Filled at bar 1; stamps are the bars 2 and 4.
        (trade,) = play([FLAT] * 6, TradeRules(), enter=[0], leave=[4], side=side, costs=costs).trades
        assert trade["funding"] == pytest.approx(-side * 2 * 10.0 * 100.0 * 0.001)
