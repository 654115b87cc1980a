"""Experiments: files and tables say the same, and every mistake is one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sweep.series import table
from toolkit.engine.rules import ExitRule
from toolkit.errors import InputError
from toolkit.sweep.experiment import Experiment, StrategySpec, resolve

FILES = Path(__file__).parents[2] / "research" / "experiments"


def test_a_table_survives_json() -> None:
    sampled = table(rules_sample={"n": 5, "seed": 2}, start="2023-01-02", end="2023-01-09", costs={"tick": 0.1})
    one = Experiment.from_table(sampled)
    again = Experiment.from_table(json.loads(json.dumps(one.table())))
    assert json.dumps(again.table()) == json.dumps(one.table())
    assert [len(r.rules) for r in resolve(again)] == [5, 5]


def test_a_file_is_its_table(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        """
        symbols = ["btcusdt"]
        intervals = "5m"
        start = 2022-01-01
        strategies = ["trend_day"]
        [costs]
        taker_rate = 0.0004
        [rules]
        stop = { from = 1, to = 3, step = 1, form = "{}atr(14)" }
        [[strategy]]
        name = "volatility_breakout"
        intervals = ["1h"]
        params = { window = [20, 40] }
        rules = { stop = 0.02 }
        sample = { method = "random", n = 1 }
        """
    )
    one = Experiment.from_file(tmp_path / "mine.toml", {"end": "2022-02-01"})
    assert (one.name, one.symbols, one.intervals) == ("mine", ("BTC/USDT",), ("5m",))
    assert (one.start, one.end, one.costs.taker_rate) == ("2022-01-01", "2022-02-01", 0.0004)
    trend, breakout = resolve(one)
    assert [len(trend.params), len(trend.rules), len(breakout.params), len(breakout.rules)] == [1, 3, 1, 1]
    assert breakout.rules.point(0) == {"stop": 0.02}


@pytest.mark.parametrize("name", ["month", "year"])
def test_the_experiments_of_the_repository_can_be_read(name: str) -> None:
    one = Experiment.from_file(FILES / f"{name}.toml")
    assert len(resolve(one)) == 5
    assert (len(one.symbols), len(one.intervals)) == (3, 5)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"simbols": ["BTC/USDT"]}, "did you mean 'symbols'"),
        ({"symbols": []}, "`symbols`"),
        ({"symbols": ["BTC/USDT", "BTCUSDT"]}, "twice"),
        ({"intervals": ["7m"]}, "unknown interval '7m'"),
        ({"strategies": []}, "`strategies`"),
        ({"strategies": ["volatility_brakeout"]}, "did you mean 'volatility_breakout'"),
        ({"strategies": [{"name": "trend_day", "parms": {}}]}, "did you mean 'params'"),
        ({"strategies": [{"params": {}}]}, "needs its `name`"),
        ({"strategies": [{"name": "trend_day", "params": {"mve": 1}}]}, "did you mean 'move'"),
        ({"strategies": [{"name": "trend_day", "params": {"move": "far"}}]}, "must be float"),
        ({"strategies": [{"name": "trend_day", "params": {"move": []}}]}, "axis 'move' has no values"),
        ({"strategies": [{"name": "trend_day", "params": {"daily_window": [1, 1.0]}}]}, "twice"),
        ({"rules": {"stp": 0.1}}, "did you mean 'stop'"),
        ({"rules": {"stop": [0.1, "2foo(", -1]}}, "`stop` must be"),
        ({"rules": {"side": ["long", "shrt"]}}, "did you mean 'short'"),
        ({"rules": {"max_hold": []}}, "axis 'max_hold' has no values"),
        ({"rules": [1]}, "`rules` must be a table"),
        ({"costs": {"taker": 0.1}}, "unknown cost 'taker'"),
        ({"by": "sharp"}, "did you mean 'sharpe'"),
        ({"top": -1}, "`top`"),
        ({"notional": 0}, "`notional`"),
        ({"start": "2022-02-01", "end": "2022-01-01"}, "start must be before end"),
        ({"start": "yesterday"}, "ISO"),
        ({"rules_sample": {"method": "lhs"}}, "needs `n`"),
        ({"strategies": 5}, "`strategies` must be a name, a table, or a list of them, was 5"),
        ({"strategy": 5}, "`strategy` must be a name, a table, or a list of them, was 5"),
        ({"strategy": "trend_dya"}, "unknown strategy 'trend_dya': did you mean 'trend_day'"),
        ({"strategies": [5]}, "`strategy` must be a table"),
        ({"strategies": [{"name": "trend_day", "intervals": [5]}]}, "`strategy.intervals` must be a name or a list"),
        ({"strategies": ["trend_day", "trend_day"]}, "strategy trend_day is there twice with the same settings"),
        ({"strategies": [{"name": "trend_day", "params": {"move": m}} for m in (2, [2.0])]}, "is there twice"),
        ({"symbols": [5]}, "`symbols` must be a name or a list of names, was [5]"),
        ({"symbols": 5}, "`symbols` must be a name or a list of names, was 5"),
        ({"intervals": [5]}, "`intervals` must be a name or a list of names, was [5]"),
        ({"exchange": 5}, "`exchange` must be a text, was 5"),
        ({"base": ["1m"]}, "`base` must be a text, was ['1m']"),
        ({"name": 5}, "`name` must be a text, was 5"),
        ({"by": 5}, "unknown metric 5"),
        ({"by": ["sharpe"]}, "unknown metric ['sharpe']"),
        ({"costs": 5}, "`costs` must be a table"),
        ({"compound": "no"}, "`compound` must be true or false, was 'no'"),
        ({"rules": {"exits": 5}}, "`exits` must be a list of tables"),
        ({"rules": {"exits": [5]}}, "`exits` must be a list of tables"),
        ({"rules": {"exits": [[5]]}}, "`exits` must be a list of tables"),
        ({"rules": {"exits": [{"on": "signal", "when": 5}]}}, "`when` must compare a factor with a number"),
        ({"rules": {"one_entry_per": 5}}, "unknown `one_entry_per` 5"),
        ({"rules": {"stop": ["none", 0.01], "target": ["1%", "2R"]}}, "combine stop=none with target=2R"),
        ({"rules": {"stop": "none", "target": "2R", "trail": ["1%", "none"]}}, "and no trail"),
        (
            {
                "rules": {"stop": "none", "target": {"from": 1, "to": 2, "num": 9, "form": "{}R"}},
                "rules_sample": {"n": 2},
            },
            "combine stop=none with target=1",
        ),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], part: str) -> None:
    with pytest.raises(InputError) as error:
        resolve(Experiment.from_table(table(**changes)))
    assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["symbols = [", 'symbols = ["BTC/USDT"]\nfoo = 1'])
def test_a_bad_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"bad\.toml"):
        Experiment.from_file(file)
    with pytest.raises(InputError, match=r"none\.toml cannot be read"):
        Experiment.from_file(tmp_path / "none.toml")


def test_exit_rules_are_one_value_or_an_axis() -> None:
    one = [{"on": "time", "after": "2h", "max_profit": 0.0}]
    for written, count in ((one, 1), ([one, [{"on": "signal"}]], 2)):
        assert [len(r.rules) for r in resolve(Experiment.from_table(table(rules={"exits": written})))] == [count] * 2


def test_a_single_strategy_is_a_name_or_a_table() -> None:
    for given in ("trend_day", {"name": "trend_day"}, ["trend_day"]):
        for key in ("strategy", "strategies"):
            one = Experiment.from_table({**table(strategies=()), key: given})
            assert [spec.name for spec in one.strategies] == ["trend_day"]


def test_costs_of_the_wrong_type_are_said() -> None:
    with pytest.raises(InputError, match="`costs` must be Costs, was 5"):
        Experiment(("BTC/USDT",), ("5m",), (StrategySpec("trend_day"),), costs=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rules",
    [
        {"stop": ["none", 0.01], "target": ["1%", "none"]},
        {"stop": ["none", 0.01], "target": "2R", "trail": "1%"},
        {"stop": [0.01, "signal"], "target": ["2R", "3R"]},
    ],
)
def test_a_grid_without_stops_that_needs_none_is_taken(rules: dict[str, Any]) -> None:
    assert all(len(what.rules) > 1 for what in resolve(Experiment.from_table(table(rules=rules))))


def test_exits_none_is_one_value_of_the_axis() -> None:
    several = ["none", [{"on": "time", "after": "2h"}]]
    for written, values in (("none", [()]), (several, [(), (ExitRule("time", "2h"),)])):
        what = resolve(Experiment.from_table(table(rules={"exits": written})))[0]
        assert [what.rules.point(k)["exits"] for k in range(len(what.rules))] == values
