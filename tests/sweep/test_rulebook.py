"""Rule tables made field by field are those that compiling every rule by itself gives."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.sweep.series import five_minutes, table
from toolkit.engine.identity import canonical_json
from toolkit.engine.rule_table import rule_table
from toolkit.engine.rules import compile_rules
from toolkit.sweep.experiment import Experiment, resolve
from toolkit.sweep.rulebook import RuleBook

EXITS = [
    [],
    [{"on": "signal"}],
    [{"on": "time", "after": "4h", "max_profit": "0.5R"}, {"on": "signal", "when": "rsi(14) < 40"}],
    [{"on": "time", "when": "adx(14) > 25"}],
]
SPACES: list[dict[str, Any]] = [
    {},
    {"stop": ["signal", 0.01, "2%", "1.5atr(14)"], "target": ["2R", "3atr(20)", "none"]},
    {"stop": ["none", 0.01], "target": ["2R", "3atr(20)"], "trail": [0.02]},
    {"trail": ["none", "2atr(14)", 0.02], "trail_on": ["close", "extreme"], "exits": EXITS},
    {"one_entry_scope": ["leg", "instance"], "one_entry_per": ["none", "1d", "1w"], "policy": ["ohlc", "adaptive"]},
    {"max_hold": ["4h", 20, "none"], "signal_timeout": [5, "none"], "entry_ttl": ["15m", "none"], "exits": EXITS[2]},
    {"target_fill": ["touch", "through", "market"], "stop": {"from": 0.01, "to": 0.05, "num": 4}},
]


def book_of(rules: dict[str, Any], **changes: Any) -> RuleBook:
    one = Experiment.from_table(table(rules=rules, strategies=["trend_day"], **changes))
    return RuleBook(resolve(one)[0].rules, five_minutes()["BTC/USDT"].to("15m"))


@pytest.mark.parametrize("rules", SPACES, ids=str)
def test_table_equals_each_rule_compiled_alone(rules: dict[str, Any]) -> None:
    book = book_of(rules)
    numbers = np.arange(len(book.space))[::-1].copy()
    compiled = [compile_rules(book.rules(int(n), "both"), book.bars, book.columns) for n in numbers]
    expected, expected_exits = rule_table(compiled)
    got, exits = book.table(numbers)
    np.testing.assert_array_equal(got, expected)
    depth = expected_exits.shape[1]
    np.testing.assert_array_equal(exits[:, :depth], expected_exits)
    assert (exits[:, depth:, 1] == np.inf).all()


def test_table_of_a_continuous_sample() -> None:
    rules = {"stop": {"from": 0.01, "to": 0.1, "log": True}, "max_hold": {"from": 1, "to": 48, "form": "{}h"}}
    book = book_of(rules, rules_sample={"method": "lhs", "n": 30, "seed": 1})
    compiled = [compile_rules(book.rules(n, "both"), book.bars, book.columns) for n in range(30)]
    np.testing.assert_array_equal(book.table(np.arange(30))[0], rule_table(compiled)[0])


@pytest.mark.parametrize("rules", SPACES, ids=str)
@pytest.mark.parametrize("side", ["long", "both"])
def test_canonical_text_is_that_of_the_rules(rules: dict[str, Any], side: str) -> None:
    book = book_of(rules)
    numbers = np.arange(len(book.space))
    expected = [canonical_json(dataclasses.asdict(book.rules(int(n), side))) for n in numbers]
    assert book.canonical(numbers, side) == expected
