"""What a strategy declares is checked where it is used: its lookback and the types of its parameters."""

import math
from typing import Any, NamedTuple, Optional

import pytest

from tests.strategies.cases import PACKAGE
from toolkit.bars.intervals import DAY_MS, MINUTE_MS
from toolkit.engine.lookback import history_start
from toolkit.engine.rules import TradeRules
from toolkit.errors import InputError, StrategyError, UnknownNameError
from toolkit.strategy import Strategy, broken_strategies, lookback_start, type_name


class Params(NamedTuple):
    window: int = 20
    width: float = 1.0
    maybe: int | None = None
    either: float | str = "off"
    old: Optional[float] = None  # noqa: UP045


def declared(lookback: Any) -> Strategy:
    return Strategy("mine", declared, Params, ("1m",), lookback)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lookback", "message"),
    [
        (
            lambda p: 100 // p.window,
            r"lookback of strategy mine raised ZeroDivisionError: .* \(test_contract.py:\d+; P",
        ),
        (lambda p: None, "strategy mine: lookback of 'signal' must be a whole number of bars from 0, was None"),
        (lambda p: 2.5, "must be a whole number of bars from 0, was 2.5"),
        (lambda p: math.nan, "must be a whole number of bars from 0, was nan"),
        (lambda p: math.inf, "must be a whole number of bars from 0, was inf"),
        (lambda p: -1, "must be a whole number of bars from 0, was -1"),
        (lambda p: True, "must be a whole number of bars from 0, was True"),
        (lambda p: {"1d": "3"}, "lookback of '1d' must be a whole number of bars from 0, was '3'"),
        (lambda p: {"1day": 3}, "unknown interval of a lookback '1day': did you mean '1d'"),
        (lambda p: {5: 3}, "unknown interval of a lookback 5"),
    ],
)
def test_a_lookback_that_is_none_is_one_sentence_wherever_it_is_read(lookback: Any, message: str) -> None:
    strategy = declared(lookback)
    params = strategy.params({"window": 0})
    with pytest.raises(StrategyError, match=message):
        strategy.lookback(params)
    with pytest.raises(StrategyError, match=message):
        history_start(strategy, params, TradeRules(), "1m", 20_000 * DAY_MS)


def test_a_lookback_is_whole_bars_by_interval() -> None:
    p = Params()
    assert declared(lambda p: p.window).lookback(p) == declared(lambda p: 20.0).lookback(p) == {"signal": 20}
    assert declared(lambda p: {"signal": 1, "1d": 0}).lookback(p) == {"signal": 1, "1d": 0}
    with pytest.raises(InputError, match=r"was 2\.5"):
        lookback_start(2.5, "1m", MINUTE_MS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("maybe", 3, 3), ("maybe", 3.0, 3), ("maybe", None, None), ("maybe", "none", None),
        ("either", 2, 2.0), ("either", "none", "none"), ("old", 2, 2.0),
    ],
)  # fmt: skip
def test_a_parameter_of_several_types_takes_any_of_them(name: str, given: Any, value: Any) -> None:
    found = getattr(declared(lambda p: 1).params({name: given}), name)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("maybe", "abc", r"parameter 'maybe' of mine must be int \| None, was 'abc' \(str\)"),
        ("maybe", True, r"must be int \| None, was True"),
        ("maybe", 2.5, r"must be int \| None, was 2\.5"),
        ("either", None, r"must be float \| str, was None"),
        ("width", math.nan, "parameter 'width' of mine must be a finite number, was nan"),
        ("width", -math.inf, "must be a finite number, was -inf"),
        ("either", math.nan, "must be a finite number, was nan"),
        ("window", math.inf, "must be a finite number, was inf"),
    ],
)
def test_a_parameter_of_the_wrong_type_or_not_finite_is_refused(name: str, given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        declared(lambda p: 1).params({name: given})


@pytest.mark.parametrize("given", [10**13 + 1, -(10**13) - 1, 10**20, 1e20, 2**63, 10**200])
@pytest.mark.parametrize("name", ["window", "maybe"])
def test_a_number_that_compiled_code_cannot_count_to_is_refused(name: str, given: float) -> None:
    with pytest.raises(InputError, match=rf"parameter '{name}' of mine must be from -1e\+13 to 1e\+13, was \S+"):
        declared(lambda p: 1).params({name: given})


def test_the_largest_numbers_are_taken() -> None:
    mine = declared(lambda p: 1)
    assert mine.params({"window": 10**13}).window == mine.params({"window": 1e13}).window == 10**13
    assert mine.params({"width": 10**20}).width == 1e20
    assert mine.params({"width": 1e300}).width == 1e300
    with pytest.raises(InputError, match=r"parameter .width. of mine must be from .* was far beyond"):
        mine.params({"width": 10**400})


def test_no_strategy_of_the_project_is_broken() -> None:
    assert broken_strategies([PACKAGE]) == {}


def test_type_names_are_as_written() -> None:
    assert [type_name(t) for t in (int, int | None, Optional[str], float | str)] == [  # noqa: UP045
        "int", "int | None", "str | None", "float | str",
    ]  # fmt: skip


def test_a_name_that_is_no_text_is_said() -> None:
    assert str(UnknownNameError("interval", 5, ("1m",))) == "unknown interval 5: known: 1m"
