"""`TradeRules` and `Costs` are checked once and become numbers."""

import math
from typing import Any

import numpy as np
import pytest

from toolkit.bars.intervals import DAY_MS, MINUTE_MS
from toolkit.bars.series import Bars, from_arrays
from toolkit.engine.rules import (
    Columns,
    Costs,
    ExitRule,
    TradeRules,
    compile_rules,
    costs_from,
    parse_distance,
    parse_profit,
    parse_when,
    rules_from,
)
from toolkit.engine.types import DistanceMode, Policy, Rules, TargetFill
from toolkit.errors import InputError, UnknownNameError


@pytest.fixture(scope="module")
def bars() -> Bars:
    ts = 19_000 * DAY_MS + MINUTE_MS * np.arange(60, dtype=np.int64)
    one = np.ones(60)
    return from_arrays(ts, one, one, one, one, one, interval="1m").to("5m")


def compiled(bars: Bars, rules: TradeRules) -> tuple[Rules, Columns]:
    columns = Columns()
    return compile_rules(rules, bars, columns), columns


@pytest.mark.parametrize(
    ("text", "mode", "k", "column"),
    [
        (None, DistanceMode.NONE, 0.0, ""),
        (0.02, DistanceMode.FRACTION, 0.02, ""),
        ("2%", DistanceMode.FRACTION, 0.02, ""),
        (".5 %", DistanceMode.FRACTION, 0.005, ""),
        ("signal", DistanceMode.SIGNAL, 1.0, ""),
        ("1.5signal", DistanceMode.SIGNAL, 1.5, ""),
        ("2atr(14)", DistanceMode.COLUMN, 2.0, "atr(14)"),
        ("2 * atr(14)", DistanceMode.COLUMN, 2.0, "atr(14)"),
        ("atr", DistanceMode.COLUMN, 1.0, "atr"),
    ],
)
def test_a_distance(text: Any, mode: DistanceMode, k: float, column: str) -> None:
    for name in ("stop", "target", "trail"):
        assert parse_distance(name, text) == (mode, pytest.approx(k), column)


def test_r_is_for_targets_alone() -> None:
    assert parse_distance("target", "2R") == (DistanceMode.STOP, 2.0, "")
    for name in ("stop", "trail"):
        with pytest.raises(InputError, match=f"`{name}` must be a fraction"):
            TradeRules(**{name: "2R"})


@pytest.mark.parametrize("value", [0, -0.01, "0%", math.inf, math.nan, True, "two", "2 atr 14", "", [1]])
def test_what_is_no_distance_is_said(value: Any) -> None:
    if value == "two":
        # A word is a factor's name; that it is unknown comes out when the rules meet bars.
        assert parse_distance("stop", value).column == "two"
        return
    with pytest.raises(InputError, match="`stop` must be a fraction") as error:
        parse_distance("stop", value)
    assert repr(value) in str(error.value)


@pytest.mark.parametrize(
    ("value", "amount", "in_r"), [(0.01, 0.01, False), ("1%", 0.01, False), ("-1R", -1.0, True), ("2", 2.0, False)]
)
def test_a_profit_bound(value: Any, amount: float, in_r: bool) -> None:
    assert parse_profit("exits.min_profit", value) == (pytest.approx(amount), in_r)


def test_a_condition_is_factor_comparison_number() -> None:
    assert parse_when("adx(14) < 20") == ("adx(14)", "<", 20.0)
    assert parse_when("1d:roc(3)>=-0.5") == ("1d:roc(3)", ">=", -0.5)
    with pytest.raises(InputError, match="must compare a factor with a number"):
        parse_when("adx(14)")


def test_durations_and_names_become_numbers(bars: Bars) -> None:
    rules, _ = compiled(
        bars,
        TradeRules(
            stop="2%", target="2R", max_hold="1h", signal_timeout="3bars", one_entry_per="1w",
            one_entry_scope="instance", policy="adaptive", target_fill="through", trail_on="extreme",
        ),
    )  # fmt: skip
    assert (rules.max_hold, rules.signal_timeout, rules.entry_ttl) == (60, 15, 5)
    assert (rules.period_ms, rules.period_origin_ms, rules.period_shared) == (7 * DAY_MS, 4 * DAY_MS, True)
    assert (rules.policy, rules.target_fill, rules.trail_on_extreme) == (Policy.ADAPTIVE, TargetFill.THROUGH, True)
    assert (rules.stop_mode, rules.target_mode, rules.trail_mode) == (
        DistanceMode.FRACTION,
        DistanceMode.STOP,
        DistanceMode.NONE,
    )


def test_equal_factors_share_a_column(bars: Bars) -> None:
    rules, columns = compiled(bars, TradeRules(stop="2atr(14)", target="3atr(14)", trail="1.5atr(20)"))
    assert columns.distances == {"atr(14)": 2, "atr(20)": 3}
    assert (rules.stop_col, rules.target_col, rules.trail_col) == (2, 2, 3)


def test_exit_rules_become_rows(bars: Bars) -> None:
    exits = (
        ExitRule(max_profit="1R"),
        ExitRule(on="time", after="10m", max_profit=0.0),
        ExitRule(when="rsi(14) > 70"),
    )
    rules, columns = compiled(bars, TradeRules(exits=exits))
    nan = math.nan
    expected = [[1, 0, nan, 1.0, 1, -1], [0, 10, nan, 0.0, 0, -1], [1, 0, nan, nan, 0, 0]]
    np.testing.assert_array_equal(rules.exit_rules, expected)
    assert columns.gates == {"rsi(14) > 70": 0}
    # A timed rule is looked at from its tenth bar on; without one nothing is watched.
    assert rules.watch_from == 10
    assert compiled(bars, TradeRules(exits=()))[0].watch_from == 0
    assert compiled(bars, TradeRules(exits=()))[0].exit_rules.shape == (0, 6)


def test_an_exit_rule_that_would_close_every_trade_is_refused(bars: Bars) -> None:
    with pytest.raises(InputError, match="it would close every trade"):
        compiled(bars, TradeRules(exits=(ExitRule(on="time"),)))


def test_profit_bounds_of_one_rule_share_a_unit(bars: Bars) -> None:
    with pytest.raises(InputError, match="must share a unit"):
        compiled(bars, TradeRules(exits=(ExitRule(min_profit="1R", max_profit=0.1),)))


def test_at_most_eight_conditions(bars: Bars) -> None:
    exits = tuple(ExitRule(when=f"rsi(14) > {n}") for n in range(9))
    with pytest.raises(InputError, match="at most 8 different exit conditions"):
        compiled(bars, TradeRules(exits=exits))


@pytest.mark.parametrize(
    ("rule", "value", "near"),
    [
        ("policy", "pessimist", "pessimistic"),
        ("side", "longs", "long"),
        ("target_fill", "trough", "through"),
        ("trail_on", "closes", "close"),
        ("one_entry_scope", "legs", "leg"),
        ("one_entry_per", "1day", "1d"),
    ],
)
def test_a_wrong_word_names_the_nearest(rule: str, value: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean.*'{near}'"):
        TradeRules(**{rule: value})


def test_rules_and_costs_from_tables() -> None:
    table = {"stop": "2%", "target": "none", "exits": [{"on": "time", "after": "4h"}]}
    assert rules_from(table) == TradeRules(stop="2%", target=None, exits=(ExitRule(on="time", after="4h"),))
    assert costs_from({"tick": 0.5}) == Costs(tick=0.5)
    with pytest.raises(UnknownNameError, match="did you mean 'max_hold'"):
        rules_from({"max_holds": "4h"})
    with pytest.raises(UnknownNameError, match="did you mean 'after'"):
        rules_from({"exits": [{"afters": "4h"}]})
    with pytest.raises(UnknownNameError, match="did you mean 'taker_rate'"):
        costs_from({"taker": 0.001})


def test_costs_in_numbers() -> None:
    rates = Costs(slippage_bps=2.5, funding_rate=1e-4, funding_interval="8h", tick=0.1).rates(5 * MINUTE_MS)
    assert rates == (0.001, 0.001, 0.00025, 1e-4, 96, 0.1)
    assert Costs().rates(MINUTE_MS).funding_bars == 0
    # A daily bar holds three stamps of eight hours.
    daily = Costs(funding_rate=1e-4).rates(DAY_MS)
    assert (daily.funding_rate, daily.funding_bars) == (pytest.approx(3e-4), 1)
    with pytest.raises(InputError, match="must fit the base interval"):
        Costs(funding_rate=1e-4, funding_interval="7m").rates(5 * MINUTE_MS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"taker_rate": 10.0},
        {"taker_rate": -0.001},
        {"maker_rate": -0.5},
        {"slippage_bps": -1.0},
        {"slippage_bps": 10_000.0},
        {"tick": -0.1},
        {"taker_rate": math.nan},
        {"funding_rate": math.inf},
        {"tick": "0.1"},
    ],
)
def test_wrong_costs_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Costs(**wrong)


@pytest.mark.parametrize("interval", ["0h", "0.0m", 5, None])
def test_a_funding_interval_that_never_comes_is_refused(interval: Any) -> None:
    with pytest.raises(InputError, match="`funding_interval` must be"):
        Costs(funding_rate=1e-4, funding_interval=interval)


def test_a_target_in_stop_distances_needs_one() -> None:
    with pytest.raises(InputError, match="`target` '2R' is multiples of the stop distance"):
        TradeRules(stop=None, target="2R")
    assert TradeRules(stop=None, target="2R", trail="1%").target == "2R"
    assert TradeRules(stop=None, target="2%").stop is None


@pytest.mark.parametrize("exits", [5, "soon", [5], [[5]], {"on": "time"}, [{"on": "time"}, "none"]])
def test_exits_of_the_wrong_type_are_one_sentence(exits: Any) -> None:
    with pytest.raises(InputError, match="`exits` must be a list of tables"):
        rules_from({"exits": exits})


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"on": 5}, "unknown `exits.on` 5"),
        ({"when": 5}, "`when` must compare a factor with a number"),
        ({"when": ["adx(14) < 20"]}, "`when` must compare a factor with a number"),
        ({"min_profit": [1]}, "`exits.min_profit` must be a fraction"),
    ],
)
def test_values_of_an_exit_rule_are_checked_when_it_is_made(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rules_from({"exits": [rule]})


def test_exits_none_is_no_exit_rule_and_a_list_is_a_tuple() -> None:
    assert rules_from({"exits": "none"}).exits == rules_from({"exits": []}).exits == ()
    rules: Any = [ExitRule(on="time", after="4h")]
    assert TradeRules(exits=rules).exits == tuple(rules)
    with pytest.raises(InputError, match="`exits` must be a tuple of ExitRule, was 5"):
        TradeRules(exits=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["one_entry_per", "side", "policy"])
@pytest.mark.parametrize("value", [5, ["1d"]])
def test_a_name_that_is_no_text_is_said(name: str, value: Any) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown `{name}` .*known: |unknown `{name}` .*did you mean"):
        rules_from({name: value})


@pytest.mark.parametrize("make", [rules_from, costs_from])
def test_what_is_no_table_is_said(make: Any) -> None:
    with pytest.raises(InputError, match="must be a table of names and values, was 5"):
        make(5)
