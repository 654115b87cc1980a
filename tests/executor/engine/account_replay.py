"""Random accounts through the executor's engine: the cases of `tests.portfolio`, one closed bar at a time."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from executor.broker.paper import PaperBroker
from executor.engine.engine import Engine
from executor.engine.model import AcceptAll, See, Verdict
from executor.engine.signals import Traded
from executor.engine.state import Plan
from executor.feed.base import BarEvent, ClosedBar, Series
from executor.ledger import Ledger
from tests.portfolio.account_cases import AccountCase, random_account
from tests.portfolio.oracle import Entrant
from toolkit.bars.series import Bars
from toolkit.strategy import Signals, Strategy


class Nothing(NamedTuple):
    """No parameters."""


def playable(seed: int) -> AccountCase:
    """A random account as the executor can run it: no finer bars, every instance there from the start."""
    case = random_account(seed)
    entrants = tuple(
        replace(e, start_ms=None, finer=None, rules=replace(e.rules, policy="adaptive"))
        if e.rules.policy == "finer"
        else replace(e, start_ms=None)
        for e in case.entrants
    )
    # An instance is named by its rules.
    from toolkit.engine.identity import Instance

    names = [
        Instance(e.strategy, {"number": k}, e.rules, e.symbol, e.bars.interval, "code").id
        for k, e in enumerate(entrants)
    ]
    renamed = tuple(replace(e, id=name) for e, name in zip(entrants, names, strict=True))
    return replace(
        case, entrants=renamed, schedule=replace(case.schedule, instances=tuple(names)),
        limits=replace(case.limits, halt_closes=False),
    )  # fmt: skip


def scripted(entrant: Entrant) -> Strategy:
    """A strategy that says at each bar what the case's arrays say there."""
    position = {int(ts): k for k, ts in enumerate(entrant.bars.ts)}

    def say(bars: Bars, _: Nothing) -> Signals:
        rows = [position[int(ts)] for ts in bars.ts]
        return Signals(*(np.ascontiguousarray(column[rows]) for column in entrant.signals))

    return Strategy(entrant.strategy, say, Nothing, (entrant.bars.interval,), lambda _: 1)


class CaseModel(AcceptAll):
    """The verdicts, predictions and scales of a case."""

    def __init__(self, case: AccountCase) -> None:
        self._entrants = {e.id: e for e in case.entrants}

    def decide(self, instance: Traded, side: int, moment_ms: int, see: See) -> Verdict:
        entrant = self._entrants[instance.instance_id]
        k = int(np.searchsorted(entrant.bars.close_ts, moment_ms))
        verdict = int(entrant.verdicts[side][k]) if side in entrant.verdicts else 1
        prediction = float(entrant.predictions[side][k]) if side in entrant.predictions else float("nan")
        scale = float(entrant.scales[side][k]) if side in entrant.scales else 1.0
        return Verdict(verdict, prediction, scale)


def series_of(case: AccountCase) -> dict[str, Series]:
    """Every instance's series; two that share a symbol are kept apart by their exchange."""
    numbers: dict[int, int] = {}
    return {
        e.id: Series(
            f"x{numbers.setdefault(id(e.bars.base), len(numbers))}", e.symbol, e.bars.base.interval
        )
        for e in case.entrants
    }  # fmt: skip


def plan_of(case: AccountCase) -> Plan:
    named = series_of(case)
    members = [
        Traded(e.id, "dep", scripted(e), Nothing(), e.rules, e.costs, named[e.id], e.bars.interval)
        for e in case.entrants
    ]
    return Plan(members, case.limits, case.instruments)


def open_ledger(case: AccountCase, path: Path) -> Ledger:
    """A ledger as a load leaves it."""
    ledger = Ledger.open(path, create=True, synchronous="OFF")
    named, start = series_of(case), case.period_ms[0]
    with ledger.transaction("load"):
        for key, value in (("start_ms", str(start)), ("mode", "replay"), ("currency", "USDT"), ("account", "test")):
            ledger.set_meta(key, value)
        schedule = zip(case.schedule.effective_ms.tolist(), case.schedule.weights.tolist(), strict=True)
        for effective, row in schedule:
            ledger.put("weights", [
                {"effective_ms": effective, "instance": name, "weight": weight, "cause": "loaded"}
                for name, weight in zip(case.schedule.instances, row, strict=True)
            ])  # fmt: skip
        ledger.put("deployments", [{
            "id": "dep", "checksum": "", "folder": "", "document": "{}", "loaded_ms": 0, "effective_from_ms": start,
            "state": "active",
        }])  # fmt: skip
        ledger.put("instances", [
            {
                "id": e.id, "deployment": "dep", "strategy": e.strategy, "symbol": e.symbol,
                "exchange": named[e.id].exchange, "base": named[e.id].base, "interval": e.bars.interval,
                "document": "{}", "weight": 0.1,
            }
            for e in case.entrants
        ])  # fmt: skip
        ledger.insert("cash_flows", {"ts_ms": start, "kind": "allocated", "amount": case.capital, "note": ""})
    return ledger


def events_of(case: AccountCase) -> list[BarEvent]:
    """Every bar of the case as it closes."""
    named = series_of(case)
    bars: dict[int, list[tuple[Series, ClosedBar]]] = {}
    seen: Mapping[Series, Bars] = {named[e.id]: e.bars.base for e in case.entrants}
    for series, base in seen.items():
        columns = (base.ts, base.open, base.high, base.low, base.close, base.volume, base.filled)
        for row in zip(*(column.tolist() for column in columns), strict=True):
            bars.setdefault(row[0] + series.base_ms, []).append((series, ClosedBar(*row)))
    return [BarEvent(moment, tuple(found)) for moment, found in sorted(bars.items())]


def make_engine(case: AccountCase, ledger: Ledger, **options: Any) -> Engine:
    plan = plan_of(case)
    return Engine(
        ledger, PaperBroker(), load=lambda _, __: plan, model=CaseModel(case), clock=lambda: 0, **options
    )  # fmt: skip


def replay(case: AccountCase, path: Path) -> Ledger:
    """The whole case through one engine."""
    ledger = open_ledger(case, path)
    engine = make_engine(case, ledger)
    for event in events_of(case):
        engine.on_event(event)
    return ledger
