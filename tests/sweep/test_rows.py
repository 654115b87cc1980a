"""Columns of the metrics table: one type each, whatever the axes hold."""

from typing import Any

import polars as pl
import pytest

from tests.sweep.series import table
from toolkit.sweep.experiment import Experiment
from toolkit.sweep.plan import make_plan
from toolkit.sweep.rows import RowMaker


def maker(rules: dict[str, Any], *specs: Any) -> RowMaker:
    strategies = list(specs) or ["volatility_breakout", "trend_day"]
    return RowMaker(make_plan(Experiment.from_table(table(rules=rules, strategies=strategies))))


@pytest.mark.parametrize(
    ("axis", "dtype"),
    [
        ({"max_hold": [10, 20]}, pl.Int64),
        ({"max_hold": [10, "4h"]}, pl.String),
        ({"max_hold": ["4h", "none"]}, pl.String),
        ({"stop": [0.01, 0.02, "none"]}, pl.Float64),
        ({"stop": {"from": 1, "to": 2, "step": 1, "form": "{}%"}}, pl.String),
        ({"target": ["2R", 0.5]}, pl.String),
        ({"exits": [[{"on": "signal"}], []]}, pl.String),
    ],
    ids=str,
)
def test_type_of_a_rule_column(axis: dict[str, Any], dtype: Any) -> None:
    assert list(maker(axis).rules.items()) == [(next(iter(axis)), dtype)]


def test_rules_of_one_strategy_widen_the_column_of_all() -> None:
    own = {"name": "trend_day", "rules": {"stop": 0.01}}
    # The other strategy's stop is the default, "signal": text.
    assert maker({}, own, "volatility_breakout").rules == {"stop": pl.String}


def test_params_of_all_strategies_have_a_column() -> None:
    params = maker({}).params
    assert params["window"] == pl.Int64
    assert params["target_r"] == pl.Float64
    assert {"expansion", "after_minute"} <= set(params)
