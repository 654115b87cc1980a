"""The engine, one bar at a time, does what the compiled account does over whole histories, to the bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from executor.engine.export import session
from executor.ledger import Ledger
from tests.executor.engine.account_replay import events_of, make_engine, open_ledger, playable, replay
from tests.portfolio.account_cases import AccountCase, compiled_run
from tests.portfolio.oracle import Entrant
from toolkit.portfolio.simulate import PortfolioRun

CHUNKS, PER_CHUNK = 2, 40


def rows(records: Any, names: list[str], skip: tuple[str, ...] = ()) -> list[tuple[object, ...]]:
    """Records as plain tuples with a name each, NaN as None, in an order of their own."""
    out = []
    for name, record in zip(names, records, strict=True):
        values = (record[field].item() for field in record.dtype.names if field not in skip)
        out.append((name, *(None if value != value else value for value in values)))
    return sorted(out, key=str)


def assert_same(run: PortfolioRun, ledger: Ledger, case: AccountCase, *, whole: bool = True) -> dict[str, int]:
    """Every record of both, to the bit; returns how many of each kind there were.

    whole : also the marks of days on which nobody that the ledger knows has bars any more.
    """
    mine = session(ledger)
    ids = [one.instance.id for one in run.members]
    said = [one.instance.id for one in mine.members]
    closed, mine_closed = run.trades["exit_reason"] != 0, mine.trades["exit_reason"] != 0
    counts = {}
    for what, theirs, ours, skip in (
        ("closed trades", (run.trades[closed], run.trade_member[closed]),
         (mine.trades[mine_closed], mine.trade_member[mine_closed]), ()),
        ("open trades", (run.trades[~closed], run.trade_member[~closed]),
         (mine.trades[~mine_closed], mine.trade_member[~mine_closed]), ()),
        ("signals", (run.signals, run.signal_member), (mine.signals, mine.signal_member), ()),
    ):  # fmt: skip
        a = rows(theirs[0], [ids[k] for k in theirs[1]], skip)
        b = rows(ours[0], [said[k] for k in ours[1]], skip)
        assert a == b, f"{case}: {what}"
        counts[what] = len(a)
    assert rows(run.audit, [ids[r["member"]] for r in run.audit], ("member",)) == rows(
        mine.audit, [said[r["member"]] for r in mine.audit], ("member",)
    ), f"{case}: audit"
    midnight = run.days["ts"] % 86_400_000 == 0
    n = len(mine.days[mine.days["ts"] % 86_400_000 == 0])
    assert n == midnight.sum() or not whole
    assert run.days[midnight][:n].tobytes() == mine.days[:n].tobytes(), f"{case}: days"
    assert run.halts.tobytes() == mine.halts.tobytes(), f"{case}: halts"
    return counts | {"audit": len(run.audit), "days": n, "halts": len(run.halts)}


@pytest.mark.xdist_group("engine")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_bar_by_bar_equals_the_backtest(chunk: int, tmp_path: Path) -> None:
    seen: dict[str, int] = {}
    for number in range(PER_CHUNK):
        case = playable(7_000_000 * (chunk + 1) + number)
        with replay(case, tmp_path / f"{number}.sqlite") as ledger:
            for what, count in assert_same(compiled_run(case), ledger, case).items():
                seen[what] = seen.get(what, 0) + count
    assert all(seen.values()), seen


@pytest.mark.xdist_group("engine")
def test_an_engine_made_anew_at_any_event_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for number in range(12):
        case = playable(9_000_000 + number)
        events = events_of(case)
        ledger = open_ledger(case, tmp_path / f"{number}.sqlite")
        engine = make_engine(case, ledger)
        for event in events:
            if rng.random() < 0.05:
                engine = make_engine(case, ledger)
            engine.on_event(event)
        assert_same(compiled_run(case), ledger, case)
        ledger.close()


@pytest.mark.xdist_group("engine")
def test_exit_conditions_between_signal_bars_outlive_a_restart(tmp_path: Path) -> None:
    """A condition is read at the last signal bar's close; an engine made anew in between must know it too."""
    seen = 0
    for seed in range(9_500_000, 9_500_020):
        case = playable(seed)
        if not any(gated_between(e) for e in case.entrants):
            continue
        ledger = open_ledger(case, tmp_path / f"{seed}.sqlite")
        engine = make_engine(case, ledger)
        for number, event in enumerate(events_of(case)):
            engine.on_event(event)
            trading = engine.account.state["active"] != 0
            if number % 3 == 0 and trading.any():
                engine, before = make_engine(case, ledger), engine
                kept, found = before.account._gates[trading], engine.account._gates[trading]
                assert np.array_equal(kept, found), (seed, number)
                seen += int(before.account._gates[trading].any())
        assert_same(compiled_run(case), ledger, case)
        ledger.close()
    assert seen >= 20


def gated_between(entrant: Entrant) -> bool:
    """Whether it may leave between its signal bars, and only while a factor says so."""
    rules = entrant.rules.exits
    return entrant.bars is not entrant.bars.base and any(rule.on == "time" and rule.when for rule in rules)


def test_an_event_that_comes_again_changes_nothing(tmp_path: Path) -> None:
    case = playable(9_000_100)
    ledger = open_ledger(case, tmp_path / "again.sqlite")
    engine = make_engine(case, ledger)
    for event in events_of(case):
        engine.on_event(event)
        assert engine.on_event(event) == ()
    assert_same(compiled_run(case), ledger, case)


@pytest.mark.parametrize("seed", range(9_000_201, 9_000_209))
def test_orders_follow_their_trades(seed: int, tmp_path: Path) -> None:
    """A stop with every trade that has one, no protective order without a trade, siblings cancelled."""
    with replay(playable(seed), tmp_path / "orders.sqlite") as ledger:
        trades = {r["trade_id"]: r for r in ledger.rows("SELECT * FROM trades")}
        orders = ledger.rows("SELECT * FROM orders")
        stops = {r["trade_id"] for r in orders if r["kind"] == "stop"}
        assert stops == {name for name, r in trades.items() if r["stop_price"] is not None}
        for order in orders:
            working = order["status"] in ("NEW", "OPEN")
            trade = trades.get(order["trade_id"])
            if order["kind"] == "entry":
                assert working or (order["status"] == "CLOSED") == (trade is not None)
            else:
                assert trade is not None
                assert not working or trade["status"] == "ACTIVE", dict(order)
        for name, trade in trades.items():
            filled = [r["kind"] for r in orders if r["trade_id"] == name and r["status"] == "CLOSED"]
            assert len(filled) == (1 if trade["status"] == "ACTIVE" else 2), (name, filled)
        fills = ledger.rows("SELECT order_id FROM fills ORDER BY order_id")
        assert [r[0] for r in fills] == sorted(r["order_id"] for r in orders if r["status"] == "CLOSED")
        assert len(orders) >= len(trades)


@pytest.mark.parametrize("seed", range(9_000_201, 9_000_205))
def test_the_broker_works_on_what_the_ledger_says_it_does(seed: int, tmp_path: Path) -> None:
    case = playable(seed)
    with open_ledger(case, tmp_path / "broker.sqlite") as ledger:
        engine = make_engine(case, ledger)
        for event in events_of(case):
            engine.on_event(event)
            working = ledger.rows("SELECT order_id FROM orders WHERE status IN ('NEW', 'OPEN')")
            assert {one.order_id for one in engine.broker.open_orders()} == {row[0] for row in working}


def test_bars_that_nobody_has_are_said_and_trading_goes_on(tmp_path: Path) -> None:
    for number, seed in enumerate(range(9_000_201, 9_000_209)):
        case = playable(seed)
        ledger = open_ledger(case, tmp_path / f"{number}.sqlite")
        engine = make_engine(case, ledger)
        events = events_of(case)
        third = len(events) // 3
        for event in (*events[:third], *events[third + 40 :]):
            engine.on_event(event)
        assert ledger.value("SELECT count(*) FROM notices WHERE kind = 'feed' AND text LIKE '%are missing before%'") > 0
        last = max(event.moment_ms for event in events)
        assert ledger.value("SELECT moment_ms FROM account") == last
        assert ledger.value("SELECT count(*) FROM events") == len(events) - 40
        ledger.close()
