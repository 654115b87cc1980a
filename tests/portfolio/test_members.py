"""Members from a sweep's rows and from tables, and what is refused."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.sweep.series import five_minutes, table
from toolkit.analysis.backtest import backtest
from toolkit.engine.identity import code_hash
from toolkit.engine.rules import Costs, ExitRule, TradeRules
from toolkit.errors import InputError, UnknownNameError
from toolkit.portfolio.members import Member, members_from_sweep, members_from_table, weights_from_table
from toolkit.strategy import get_strategy
from toolkit.sweep.experiment import Experiment
from toolkit.sweep.result import SweepResult
from toolkit.sweep.run import sweep
from toolkit.sweep.tables import Output

BARS = five_minutes()
ROW: dict[str, Any] = {"strategy": "volatility_breakout", "symbol": "BTC/USDT", "interval": "5m"}
TOML = """
[[instance]]
strategy = "volatility_breakout"
symbol = "btcusdt"
interval = "5m"
params = { window = 40 }
rules = { side = "long", max_hold = "4h", target = "none", exits = [{ on = "time", after = "2h" }] }
costs = { taker_rate = 0.0004 }
weight = 0.25

[[instance]]
strategy = "reversal_breakout"
symbol = "SOL/USDT"
interval = "15m"
exchange = "binance"
base = "5m"
family = "reversal"
weight = 1
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    experiment = Experiment.from_table(table(top=5, min_trades=3, costs={"taker_rate": 0.0005}))
    return sweep(experiment, bars=BARS, output=Output(csv="none", factors=False), root=tmp_path_factory.mktemp("runs"))


def test_a_member_is_its_backtests_instance() -> None:
    rules = TradeRules(side="long", max_hold="4h")
    one = Member("volatility_breakout", "btcusdt", "5m", {"window": 40}, rules)
    same = backtest("volatility_breakout", BARS["BTC/USDT"], params={"window": 40}, rules=rules)
    assert one.instance == same.instance
    assert (one.symbol, one.family) == ("BTC/USDT", "volatility_breakout")
    assert one.instance.code == code_hash(get_strategy("volatility_breakout"))


def test_combinations_are_the_rows_of_the_sweep(swept: SweepResult) -> None:
    numbers = [1700, 3, 0, 911]
    members = members_from_sweep(swept, numbers)
    rows = swept.metrics.select("combination", "instance", "side", "interval").rows_by_key("combination")
    for number, member in zip(numbers, members, strict=True):
        assert rows[number] == [(member.instance.id, member.rules.side, member.interval)]
        assert member.costs == Costs(taker_rate=0.0005)
        assert dict(member.params) == dict(member.instance.params)


def test_the_best_are_those_of_the_sweep(swept: SweepResult) -> None:
    best = members_from_sweep(swept)
    assert [m.instance.id for m in best] == swept.top()["instance"].to_list()
    chosen = members_from_sweep(swept.run.run_id, top=7, by="expectancy", min_trades=10, root=swept.folder.parent)
    assert [m.instance.id for m in chosen] == swept.top(7, "expectancy", 10)["instance"].to_list()
    assert len(chosen) == 7


def test_all_combinations_at_once(swept: SweepResult) -> None:
    members = members_from_sweep(swept, range(swept.combinations_tried))
    assert [m.instance.id for m in members] == swept.metrics["instance"].to_list()


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"numbers": [1728]}, r"^combination must be from 0 to 1727, was 1728$"),
        ({"numbers": [-1]}, r"^combination must be from 0 to 1727, was -1$"),
        ({"numbers": [2.5]}, r"^a combination's number must be a whole number, was 2.5$"),
        ({"numbers": [True]}, r"must be a whole number, was True$"),
        ({"numbers": [4, 3, 4]}, r"^instance \S+ is there twice \(numbers 1 and 3\); leave one out$"),
        ({"numbers": []}, r"^`numbers` must name at least one combination of sweep \S+, named none$"),
        ({"top": 0}, r"^`top` \(--top\) must be a whole number of at least 1, was 0$"),
        ({"top": True}, r"^`top` \(--top\) must be a whole number of at least 1, was True$"),
        ({"min_trades": -1}, r"^`min_trades` \(--min-trades\) must be a whole number of at least 0, was -1$"),
        (
            {"min_trades": 10**6},
            r"^none of 1,728 combinations of sweep \S+ has at least 1000000 closed trades and a defined \w+ \(the most "
            r"trades are [1-9]\d*\); lower `min_trades` \(--min-trades\), or rank by another metric \(--by\)$",
        ),
        ({"numbers": [1], "top": 3}, r"chosen by `numbers` or by `top`, `by` and `min_trades`, not by both"),
        ({"by": "sharp"}, r"^unknown metric 'sharp': did you mean 'sharpe'\?"),
    ],
)
def test_choices_that_a_sweep_does_not_have(given: dict[str, Any], match: str, swept: SweepResult) -> None:
    with pytest.raises(InputError, match=match):
        members_from_sweep(swept, **given)


def test_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown run 'nowhere'"):
        members_from_sweep("nowhere", root=tmp_path)


def test_rows_of_toml_and_json() -> None:
    given = tomllib.loads(TOML)
    members = members_from_table(given)
    rules = TradeRules(side="long", max_hold="4h", target=None, exits=(ExitRule("time", after="2h"),))
    first, second = members
    assert (first.symbol, first.rules, first.costs) == ("BTC/USDT", rules, Costs(taker_rate=0.0004))
    default = get_strategy("volatility_breakout").params({"window": 40})._asdict()
    assert first.params == default
    assert len(default) > 1
    assert (second.exchange, second.base, second.family) == ("binance", "5m", "reversal")
    assert members_from_table(json.loads(json.dumps(given["instance"]))) == members
    assert weights_from_table(given, members) == {first.instance.id: 0.25, second.instance.id: 1.0}
    assert weights_from_table([ROW], members_from_table([ROW])) is None


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([], r"^a portfolio needs at least one instance, was given none; add an \[\[instance\]\] table$"),
        (
            "volatility_breakout",
            r"^instances must be a list of tables \(\[\[instance\]\]\), was 'volatility_breakout'$",
        ),
        ([3], r"^instances must be a list of tables"),
        (7, r"^instances must be a list of tables .*, was 7$"),
        ({"instances": [ROW]}, r"^unknown key of a table of instances 'instances': did you mean 'instance'\?"),
        ([ROW, {**ROW, "simbol": "X"}], r"^instance 2: unknown key of an instance 'simbol': did you mean 'symbol'\?"),
        ([{**ROW, "strategy": "volatility"}], r"^instance 1: unknown strategy 'volatility': did you mean"),
        ([{**ROW, "params": {"windw": 3}}], r"^instance 1: unknown parameter .* 'windw': did you mean 'window'"),
        ([{**ROW, "params": {"window": "x"}}], r"^instance 1: parameter 'window' of volatility_breakout must be int"),
        ([{**ROW, "params": 3}], r"^instance 1: `params` must be a table of names and values, was 3$"),
        ([{**ROW, "rules": {"stp": 3}}], r"^instance 1: unknown trade rule 'stp': did you mean 'stop'\?"),
        ([{**ROW, "rules": []}], r"^instance 1: `rules` must be a table of names and values, was \[\]$"),
        ([{**ROW, "costs": {"fee": 3}}], r"^instance 1: unknown cost 'fee'"),
        ([{"strategy": "trend_day", "interval": "5m"}], r"^instance 1: `symbol` is missing; an instance needs"),
        ([{**ROW, "symbol": 5}], r"^instance 1: `symbol` must be a text, was 5$"),
        ([{**ROW, "symbol": "?"}], r"^instance 1: symbol '\?' must be written BASE/QUOTE"),
        ([{**ROW, "interval": "7m"}], r"^instance 1: unknown interval '7m'"),
        ([{**ROW, "interval": "1w"}], r"^instance 1: strategy volatility_breakout is not meant for interval '1w'"),
        ([{**ROW, "base": "7m"}], r"^instance 1: unknown interval '7m'"),
        ([ROW, {**ROW, "symbol": "btcusdt"}], r"^instance volatility_breakout-BTCUSDT-5m-\w+ is there twice"),
    ],
)
def test_tables_that_are_refused(rows: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        members_from_table(rows)


def test_weights_are_of_all_or_of_none() -> None:
    rows = [ROW, {**ROW, "interval": "15m", "weight": 0.5}]
    with pytest.raises(InputError, match="every instance or none must have a `weight`, instance 1 has none"):
        weights_from_table(rows, members_from_table(rows))
    for wrong in ("0.5", True, None):
        with pytest.raises(InputError, match=f"`weight` of instance 1 must be a number, was {wrong!r}"):
            weights_from_table([{**ROW, "weight": wrong}], members_from_table([ROW]))
