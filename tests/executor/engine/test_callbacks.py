"""Listeners in a strategy's file hear what became durable, in order; one that raises changes nothing."""

import logging
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from executor.broker.paper import PaperBroker
from executor.engine.engine import Engine
from executor.engine.state import Plan
from tests.executor.engine.account_replay import CaseModel, events_of, open_ledger, plan_of, playable
from tests.executor.engine.test_replay import assert_same
from tests.portfolio.account_cases import compiled_run

SEED = 7_000_008


def listening(plan: Plan, heard: list[tuple[str, dict[str, Any]]], broken: str = "") -> Plan:
    """The plan with strategies whose file listens to everything."""

    def listener(name: str) -> Any:
        def hear(row: Any) -> None:
            heard.append((name, dict(row)))
            if name == broken:
                raise RuntimeError("deaf")

        return hear

    names = ("on_start", "on_signal", "on_order", "on_trade", "on_stop")
    members = []
    for one in plan.members:
        inside = {name: listener(name) for name in names}
        plain: Any = one.strategy.function
        function = FunctionType(
            plain.__code__, {**plain.__globals__, **inside}, plain.__name__, None, plain.__closure__
        )
        members.append(replace(one, strategy=replace(one.strategy, function=function)))
    return Plan(members, plan.limits, plan.instruments)


@pytest.mark.parametrize("broken", ["", "on_order", "on_start"])
def test_listeners_hear_every_row_and_cannot_disturb(
    broken: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    case = playable(SEED)
    heard: list[tuple[str, dict[str, Any]]] = []
    plan = listening(plan_of(case), heard, broken)
    ledger = open_ledger(case, tmp_path / "l.sqlite")
    with caplog.at_level(logging.CRITICAL):
        engine = Engine(ledger, PaperBroker(), load=lambda _, __: plan, model=CaseModel(case), clock=lambda: 0)
        for event in events_of(case):
            engine.on_event(event)
    assert_same(compiled_run(case), ledger, case)
    told = {name: [row for said, row in heard if said == name] for name in {said for said, _ in heard}}
    assert len(told["on_start"]) == len(case.entrants)
    assert len(told["on_signal"]) == ledger.value("SELECT count(*) FROM signals")
    opened = [row for row in told["on_trade"] if row["status"] == "ACTIVE"]
    closed = [row for row in told["on_trade"] if row["status"] == "CLOSED"]
    assert len(closed) == ledger.value("SELECT count(*) FROM trades WHERE status = 'CLOSED'")
    assert {row["trade_id"] for row in opened} <= {r[0] for r in ledger.rows("SELECT trade_id FROM trades")}
    stops = [row for row in closed if row["exit_reason"] in (1, 6)]
    assert [row["trade_id"] for row in told.get("on_stop", [])] == [row["trade_id"] for row in stops]
    assert {row["order_id"] for row in told["on_order"]} == {r[0] for r in ledger.rows("SELECT order_id FROM orders")}
