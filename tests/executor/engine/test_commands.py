"""What people ask of a running engine holds from its next event on, and a backtest with the same acts agrees."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from executor.engine.engine import Engine
from executor.engine.export import session
from executor.feed.base import BarEvent
from executor.ledger import Ledger
from tests.executor.engine.account_replay import events_of, make_engine, open_ledger, playable
from tests.executor.engine.test_replay import assert_same
from tests.portfolio.account_cases import AccountCase, compiled_run
from toolkit.engine.account import ACT, CASH_ACT, CLOSE_ACT, HALT_ACT
from toolkit.engine.sizing import BY_HAND_HALT, NO_HALT, STALE_HALT, Reason
from toolkit.engine.types import ExitReason

BUSY = (7_000_003, 7_000_008, 7_000_011, 7_000_015, 7_000_020, 7_000_031)


def ask(ledger: Ledger, verb: str, target: str = "", value: float | None = None) -> int:
    return ledger.insert("commands", {
        "ts_ms": 0, "verb": verb, "target": target, "value": value, "by": "test", "status": "waiting",
    })  # fmt: skip


def started(seed: int, path: Path, **options: Any) -> tuple[AccountCase, Ledger, Engine, list[BarEvent]]:
    case = playable(seed)
    ledger = open_ledger(case, path)
    return case, ledger, make_engine(case, ledger, **options), events_of(case)


def run(engine: Engine, events: list[BarEvent]) -> None:
    for event in events:
        engine.on_event(event)


@pytest.mark.parametrize("seed", BUSY)
def test_a_halt_by_hand_refuses_entries_until_it_is_lifted(seed: int, tmp_path: Path) -> None:
    case, ledger, engine, events = started(seed, tmp_path / "l.sqlite")
    a, b = len(events) // 3, 2 * len(events) // 3
    run(engine, events[:a])
    ask(ledger, "halt")
    run(engine, events[a:b])
    ask(ledger, "resume")
    run(engine, events[b:])
    acts = np.array(
        [(events[a].moment_ms, HALT_ACT, BY_HAND_HALT, 0.0), (events[b].moment_ms, HALT_ACT, NO_HALT, 0.0)], ACT
    )
    assert_same(compiled_run(case, acts=acts), ledger, case)
    between = ledger.rows(
        "SELECT reason, given FROM audit WHERE ts_ms >= ? AND ts_ms < ?", (events[a].moment_ms, events[b].moment_ms)
    )
    assert all(row["given"] == 0.0 for row in between)
    assert {row["status"] for row in ledger.rows("SELECT status FROM commands")} == {"done"}


def test_money_paid_in_and_out_is_neither_profit_nor_loss(tmp_path: Path) -> None:
    for k, seed in enumerate(BUSY):
        case, ledger, engine, events = started(seed, tmp_path / f"{k}.sqlite")
        a, b = len(events) // 4, len(events) // 2
        run(engine, events[:a])
        ask(ledger, "deposit", "from savings", 0.5 * case.capital)
        run(engine, events[a:b])
        ask(ledger, "withdraw", "rent", 0.1 * case.capital)
        run(engine, events[b:])
        acts = np.array([
            (events[a].moment_ms, CASH_ACT, 0, 0.5 * case.capital),
            (events[b].moment_ms, CASH_ACT, 0, -0.1 * case.capital),
        ], ACT)  # fmt: skip
        assert_same(compiled_run(case, acts=acts), ledger, case)
        flows = [tuple(r) for r in ledger.rows("SELECT kind, amount FROM cash_flows ORDER BY id")]
        assert flows == [
            ("allocated", case.capital), ("deposit", 0.5 * case.capital), ("withdrawal", 0.1 * case.capital)
        ]  # fmt: skip


def test_close_leaves_every_trade_at_the_open_after_its_next_bar(tmp_path: Path) -> None:
    closed = 0
    for k, seed in enumerate(BUSY):
        case, ledger, engine, events = started(seed, tmp_path / f"{k}.sqlite")
        half = next((j for j, event in enumerate(events) if engine.on_event(event) is not None and _open(ledger)), None)
        if half is None:
            continue
        symbol = _open(ledger)[0]["symbol"]
        legs = sorted({row["leg"] for row in _open(ledger) if row["symbol"] == symbol})
        ask(ledger, "close", symbol)
        run(engine, events[half + 1 :])
        names = [
            f"{one.instance_id}-{'L' if side > 0 else 'S'}" for one in engine.account.members for side in one.sides
        ]
        acts = np.array([(events[half + 1].moment_ms, CLOSE_ACT, names.index(leg), 0.0) for leg in legs], ACT)
        assert_same(compiled_run(case, acts=acts), ledger, case)
        reasons = [int(r["exit_reason"]) for r in session(ledger).trades]
        closed += reasons.count(int(ExitReason.MANUAL))
    assert closed > 0


def _open(ledger: Ledger) -> list[Any]:
    return ledger.rows("SELECT leg, symbol FROM trades WHERE status = 'ACTIVE' ORDER BY leg")


def test_what_is_disabled_takes_no_entry_and_its_trade_goes_on(tmp_path: Path) -> None:
    seen = 0
    for k, seed in enumerate(BUSY):
        case, ledger, engine, events = started(seed, tmp_path / f"{k}.sqlite")
        a, b = len(events) // 3, 2 * len(events) // 3
        run(engine, events[:a])
        strategy = case.entrants[0].strategy
        ask(ledger, "disable", strategy)
        run(engine, events[a:b])
        off = {e.id for e in case.entrants if e.strategy == strategy}
        rows = ledger.rows(
            "SELECT instance FROM signals WHERE ts_ms >= ? AND ts_ms <= ?",
            (events[a].moment_ms, events[b - 1].moment_ms),
        )
        assert not {row["instance"] for row in rows} & off
        ask(ledger, "enable", strategy)
        run(engine, events[b:])
        later = ledger.rows("SELECT instance FROM signals WHERE ts_ms >= ?", (events[b].moment_ms,))
        seen += len({row["instance"] for row in later} & off)
        assert ledger.value("SELECT count(*) FROM instances WHERE enabled = 0") == 0
    assert seen > 0


def test_a_command_for_what_is_not_there_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    case, ledger, engine, events = started(BUSY[0], tmp_path / "l.sqlite")
    run(engine, events[:10])
    numbers = [ask(ledger, "disable", "nobody"), ask(ledger, "close", "nothing"), ask(ledger, "dance", "now")]
    run(engine, events[10:])
    rows = {row["id"]: row["status"] for row in ledger.rows("SELECT id, status FROM commands")}
    assert [rows[n] for n in numbers] == ["refused"] * 3
    assert_same(compiled_run(case), ledger, case)


def test_a_strategy_that_raises_is_switched_off_and_the_others_go_on(tmp_path: Path) -> None:
    _case, ledger, engine, events = started(BUSY[0], tmp_path / "l.sqlite")
    broken = engine.account.members[0]
    at = events[len(events) // 2].moment_ms

    def say(bars: Any, params: Any, original: Any = broken.strategy.function) -> Any:
        if int(bars.close_ts[-1]) >= at:
            raise ZeroDivisionError("no bars to divide by")
        return original(bars, params)

    object.__setattr__(broken.strategy, "function", say)
    run(engine, events)
    row = ledger.rows("SELECT enabled, note FROM instances WHERE id = ?", (broken.instance_id,))[0]
    assert row["enabled"] == 0 and "ZeroDivisionError" in row["note"]
    assert ledger.value("SELECT count(*) FROM notices WHERE kind = 'disabled'") == 1
    late = ledger.rows("SELECT instance FROM signals WHERE ts_ms > ?", (at,))
    assert broken.instance_id not in {r["instance"] for r in late}
    assert ledger.value("SELECT count(*) FROM events") == len(events)


def test_entries_of_moments_long_past_are_refused_as_stale(tmp_path: Path) -> None:
    seen = 0
    for k, seed in enumerate(BUSY):
        case, ledger = playable(seed), None
        path = tmp_path / f"{k}.sqlite"
        events = events_of(case)
        a, b = len(events) // 3, 2 * len(events) // 3
        late = {event.moment_ms for event in events[a:b]}
        wall = {"now": 0}
        ledger = open_ledger(case, path)
        engine = make_engine(case, ledger, max_entry_age_ms=60_000)
        engine._clock = lambda wall=wall: wall["now"]
        for event in events:
            wall["now"] = event.moment_ms + (3_600_000 if event.moment_ms in late else 1_000)
            engine.on_event(event)
        acts = np.array([
            (events[a].moment_ms, HALT_ACT, STALE_HALT, 0.0), (events[b].moment_ms, HALT_ACT, NO_HALT, 0.0)
        ], ACT)  # fmt: skip
        assert_same(compiled_run(case, acts=acts), ledger, case)
        seen += ledger.value("SELECT count(*) FROM audit WHERE reason = ?", (int(Reason.STALE),))
    assert seen > 0
