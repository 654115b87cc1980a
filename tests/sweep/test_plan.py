"""Plans: every combination once, in order, in units of bounded size."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.sweep.series import table
from toolkit.errors import InputError
from toolkit.sweep.experiment import Experiment
from toolkit.sweep.plan import Plan, make_plan


def plan_of(**changes: Any) -> Plan:
    return make_plan(Experiment.from_table(table(**changes)))


def test_counts() -> None:
    plan = plan_of()
    # (3 windows x 2 expansions + 2 stretches) x 3 stops x 2 targets x 3 holds x 3 sides, 2 symbols, 2 intervals.
    assert plan.rows == (6 + 2) * 18 * 3 * 4
    assert [(s.symbol, s.interval) for s in plan.studies[::2]] == [
        ("BTC/USDT", "5m"), ("BTC/USDT", "15m"), ("ETH/USDT", "5m"), ("ETH/USDT", "15m")
    ]  # fmt: skip


@settings(max_examples=30, deadline=None)
@example(11, 256, 16, 3)  # 1,366 rules of three sides each are two rows too many
@given(st.integers(1, 3000), st.integers(1, 400), st.integers(1, 40), st.integers(1, 3))
def test_units_cut_the_combinations_without_gap_or_overlap(windows: int, stops: int, holds: int, sides: int) -> None:
    rules = {
        "stop": {"from": 0.001, "to": 0.1, "num": stops},
        "max_hold": list(range(1, holds + 1)),
        "side": ["long", "short", "both"][:sides],
    }
    spec = {"name": "volatility_breakout", "params": {"window": {"from": 2, "to": windows + 1, "step": 1}}}
    plan = plan_of(symbols=["BTC/USDT"], strategies=[spec], rules=rules)
    expected, most = 0, 0
    for number, unit in enumerate(plan.units()):
        assert unit.number == number
        assert unit.first == expected
        assert unit.rows > 0
        expected += unit.rows
        most = max(most, unit.rows)
    assert expected == plan.rows == 2 * windows * stops * holds * sides
    assert most <= 4096


def test_a_million_combinations_are_many_small_units() -> None:
    stops, targets, holds = ({"from": 0.001, "to": 0.1, "num": n} for n in (100, 100, 10))
    rules = {"stop": stops, "target": targets, "trail": holds}
    spec = {"name": "volatility_breakout", "params": {"window": {"from": 10, "to": 100, "step": 10}}}
    plan = plan_of(symbols=["BTC/USDT"], intervals=["1m"], strategies=[spec], rules=rules)
    sizes = [unit.rows for unit in plan.units()]
    assert sum(sizes) == plan.rows == 1_000_000
    assert max(sizes) <= 4096
    assert len(sizes) < 400


def test_locate_finds_every_combination() -> None:
    plan = plan_of(symbols=["BTC/USDT"])
    seen = set()
    for number in range(plan.rows):
        study = plan.study_of(number)
        seen.add((study.first, *study.locate(number)))
    assert len(seen) == plan.rows
    with pytest.raises(InputError, match=str(plan.rows - 1)):
        plan.study_of(plan.rows)


def test_an_interval_that_does_not_fit_is_left_out_and_told() -> None:
    plan = plan_of(intervals=["1h", "1d"], strategies=["trend_day", "volatility_breakout"])
    assert plan.skipped == (("trend_day", "1d"),)
    assert {(s.what.strategy.name, s.interval) for s in plan.studies} == {
        ("trend_day", "1h"), ("volatility_breakout", "1h"), ("volatility_breakout", "1d")
    }  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"intervals": ["1w"], "strategies": ["trend_day"]},
        {"strategies": [{"name": "trend_day", "intervals": ["1h", "1w"]}]},
    ],
)
def test_an_interval_that_was_asked_for_by_name_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"trend_day is not meant for interval '1w'; it declares 1m, 3m"):
        plan_of(**changes)
