"""A new deployment takes over at its moment; trades of the old one run to their end, and a backtest agrees."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from executor.broker.paper import PaperBroker
from executor.engine.engine import Engine
from executor.engine.state import Plan
from executor.feed.base import BarEvent, ClosedBar, Series
from executor.ledger import Ledger
from tests.executor.engine.account_replay import CaseModel, events_of, open_ledger, plan_of, playable
from tests.executor.engine.test_replay import assert_same
from tests.portfolio.account_cases import AccountCase, compiled_run
from toolkit.portfolio.schedule import WeightSchedule


def two_versions(seed: int) -> tuple[AccountCase, int, list[str]]:
    """A case whose first instances are on until a moment and the others from it on; the moment, and those others."""
    case = playable(seed)
    events = events_of(case)
    names = [e.id for e in case.entrants]
    later = names[len(names) // 2 :]
    at = events[len(events) // 2].moment_ms
    early = [0.0 if name in later else 1.0 / len(names) for name in names]
    late = [1.0 / len(names) if name in later else 0.0 for name in names]
    schedule = WeightSchedule(
        tuple(names), np.array([case.period_ms[0], at], np.int64), np.array([early, late], np.float64)
    )
    return replace(case, schedule=schedule), at, later


def engine_of(case: AccountCase, ledger: Ledger, later: Collection[str]) -> Engine:
    """An engine that knows of the second version only once it was loaded."""
    plan = plan_of(case)

    def load(book: Ledger, busy: Collection[str]) -> Plan:
        second = book.value("SELECT state FROM deployments WHERE id = 'second'")
        first = book.value("SELECT state FROM deployments WHERE id = 'dep'")
        members = [
            one for one in plan.members
            if (second if one.instance_id in later else first) in ("active", "loaded") or one.instance_id in busy
        ]  # fmt: skip
        return Plan(members, plan.limits, plan.instruments)

    return Engine(ledger, PaperBroker(), load=load, model=CaseModel(case), clock=lambda: 0)


def catch_up(engine: Engine, seen: dict[Series, list[ClosedBar]]) -> None:
    """What closed since the engine's last event, of series that it did not know then."""
    missed: dict[int, list[tuple[Series, ClosedBar]]] = {}
    for series in engine.series():
        for bar in seen.get(series, []):
            if bar.ts >= engine.next_ts(series):
                missed.setdefault(bar.ts + series.base_ms, []).append((series, bar))
    for moment, bars in sorted(missed.items()):
        engine.on_event(BarEvent(moment, tuple(bars)))


@pytest.mark.xdist_group("engine")
@pytest.mark.parametrize("ahead", [True, False])
def test_a_new_version_takes_over_while_old_trades_run_off(ahead: bool, tmp_path: Path) -> None:
    carried = 0
    for k, seed in enumerate(range(7_100_000, 7_100_030)):
        case, at, later = two_versions(seed)
        if len(case.entrants) < 2:
            continue
        ledger = open_ledger(case, tmp_path / f"{k}.sqlite")
        with ledger.transaction("without the second"):
            ledger.update("weights", {"effective_ms": at}, {"effective_ms": 2**60})
            for name in later:
                ledger.update("instances", {"id": name}, {"deployment": "second"})
        engine = engine_of(case, ledger, later)
        loaded, seen = False, dict[Series, list[ClosedBar]]()
        for event in events_of(case):
            # Loaded well ahead of its moment, or with the moment of the very next event.
            if not loaded and (event.moment_ms >= at or (ahead and event.moment_ms >= at - 7_200_000)):
                loaded = True
                with ledger.transaction("load"):
                    ledger.put("deployments", [{
                        "id": "second", "checksum": "", "folder": "", "document": "{}", "loaded_ms": 0,
                        "effective_from_ms": at, "state": "loaded",
                    }])  # fmt: skip
                    ledger.update("weights", {"effective_ms": 2**60}, {"effective_ms": at})
                    ledger.insert("commands", {
                        "ts_ms": 0, "verb": "reload", "target": "second", "value": None, "by": "load",
                        "status": "waiting",
                    })  # fmt: skip
                assert engine.apply_commands()
                for series in engine.series():
                    if not engine.held(series) and series in seen:
                        engine.warm(series, seen[series])
                catch_up(engine, seen)
                carried += ledger.value("SELECT count(*) FROM trades WHERE status = 'ACTIVE'")
            engine.on_event(event)
            for series, bar in event.bars:
                seen.setdefault(series, []).append(bar)
        assert_same(compiled_run(case), ledger, case, whole=False)
        states = {row["id"]: row["state"] for row in ledger.rows("SELECT id, state FROM deployments")}
        assert states == {"dep": "retired", "second": "active"}
        ledger.close()
    assert carried > 0
