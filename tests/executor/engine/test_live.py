"""The engine at a venue: one that fills like the backtest gives the backtest's account; others are followed as well."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from executor.broker.base import Intent, Kind, Order, Report, Status, Verb
from executor.engine.live import LiveEngine
from executor.ledger import Ledger
from tests.executor.engine.account_replay import CaseModel, events_of, make_engine, open_ledger, plan_of, playable
from tests.portfolio.account_cases import AccountCase
from toolkit.engine.types import ExitReason

_FILLS = """
SELECT f.*, o.symbol FROM fills f JOIN orders o USING (order_id) WHERE f.seq = ? ORDER BY f.rowid
"""
_ENDED = "SELECT order_id, reason FROM orders WHERE seq = ? AND kind = 'entry' AND status = 'CANCELLED'"
_WORDS = {"expired": "expired: it waited too long", "unpaid": "funds: not enough"}
_TRADES = "SELECT * FROM trades ORDER BY trade_id"
_SIGNALS = "SELECT * FROM signals ORDER BY signal_id"
_ORDERS = "SELECT order_id, kind, side, qty, replace(status, 'OPEN', 'NEW'), created_ms FROM orders ORDER BY order_id"
_AUDIT = "SELECT * FROM audit ORDER BY ts_ms, instance, side, reason"


@dataclass
class Mouth:
    """A broker that reports what the test puts into `said`; it remembers what was asked."""

    name: str = "mouth"
    said: list[Report] = field(default_factory=list)
    asked: list[Intent] = field(default_factory=list)
    working: dict[str, Order] = field(default_factory=dict)

    def send(self, intent: Intent) -> Sequence[Report]:
        self.asked.append(intent)
        if intent.verb is Verb.SUBMIT:
            self.working[intent.order.order_id] = intent.order
        return ()

    def flush(self, now_ms: int) -> None: ...

    def resume(self, orders: Sequence[Order]) -> Sequence[Report]:
        self.working = {one.order_id: one for one in orders}
        return ()

    def reports(self) -> Sequence[Report]:
        found, self.said = self.said, []
        for one in found:
            if one.status in (Status.CLOSED, Status.CANCELLED, Status.REJECTED):
                self.working.pop(one.order_id, None)
        return found

    def ended(self, order_id: str) -> None: ...

    def open_orders(self) -> Sequence[Order]:
        return tuple(self.working.values())

    def verbs(self) -> list[tuple[str, str]]:
        return [(one.verb.value, one.order.kind.value) for one in self.asked]


def without_funding(case: AccountCase) -> AccountCase:
    """A venue says itself what it charges; nobody reports it here."""
    entrants = tuple(replace(e, costs=replace(e.costs, funding_rate=0.0)) for e in case.entrants)
    return replace(case, entrants=entrants)


def live_engine(case: AccountCase, ledger: Ledger, mouth: Mouth) -> LiveEngine:
    plan = plan_of(case)
    return LiveEngine(ledger, mouth, load=lambda _, __: plan, model=CaseModel(case), clock=lambda: 0)


def as_reports(paper: Ledger, seq: int) -> list[Report]:
    """What the matching did at one event, in a venue's words."""
    found = [
        Report(
            row["order_id"], Status.CLOSED, row["ts_ms"], row["qty"], row["price"], row["fee"],
            row["symbol"].partition("/")[2], fill_id=f"{row['order_id']}.1",
        )
        for row in paper.rows(_FILLS, (seq,))
    ]  # fmt: skip
    for row in paper.rows(_ENDED, (seq,)):
        if row["reason"] in _WORDS:
            found.append(Report(row["order_id"], Status.CANCELLED, _moment(paper), reason=_WORDS[row["reason"]]))
    return found


def _moment(paper: Ledger) -> int:
    return int(paper.value("SELECT moment_ms FROM account")) - 1


def tables(ledger: Ledger, sql: str, skip: Sequence[str]) -> list[dict[str, Any]]:
    return [{k: v for k, v in dict(row).items() if k not in skip} for row in ledger.rows(sql)]


@pytest.mark.xdist_group("engine")
def test_a_venue_that_fills_like_the_backtest_gives_its_account(tmp_path: Path) -> None:
    """Two engines, one matches itself, the other is told: equal rows to the bit, through restarts too."""
    rng, seen = np.random.default_rng(3), {"trades": 0, "signals": 0, "orders": 0}
    for number in range(25):
        case = without_funding(playable(7_300_000 + number))
        paper = open_ledger(case, tmp_path / f"{number}-paper.sqlite")
        ledger = open_ledger(case, tmp_path / f"{number}-live.sqlite")
        matching, mouth = make_engine(case, paper), Mouth()
        engine = live_engine(case, ledger, mouth)
        for event in events_of(case):
            if rng.random() < 0.03:
                engine = live_engine(case, ledger, mouth)
            matching.on_event(event)
            mouth.said = as_reports(paper, matching.seq)
            engine.on_reports()
            engine.on_event(event)
        for name, sql, skip in (
            ("trades", _TRADES, ("seq", "best", "worst", "other_price", "pnl", "exit_price", "exit_fee")),
            ("signals", _SIGNALS, ("seq",)),
            ("orders", _ORDERS, ()),
            ("audit", _AUDIT, ("id", "seq")),
        ):
            mine, theirs = tables(ledger, sql, skip), tables(paper, sql, skip)
            assert mine == theirs, f"{case}: {name}"
            if name in seen:
                seen[name] += len(mine)
        money = [book.value("SELECT money FROM account") for book in (ledger, paper)]
        assert np.frombuffer(money[0])[0] == np.frombuffer(money[1])[0]
        for a, b in zip(tables(ledger, _TRADES, ()), tables(paper, _TRADES, ()), strict=True):
            both = ([row[name] or 0.0 for name in ("pnl", "exit_price", "exit_fee")] for row in (a, b))
            assert next(both) == pytest.approx(next(both), rel=1e-9, abs=1e-6)
        for book in (paper, ledger):
            book.close()
    assert min(seen.values()) > 100, seen


@dataclass
class Scene:
    """One leg up to the bar on which its first entry is wanted; it has a stop and a target."""

    ledger: Ledger
    engine: LiveEngine
    mouth: Mouth
    case: AccountCase
    events: list[Any]

    def bar(self) -> None:
        self.engine.on_event(self.events.pop(0))

    def say(self, *reports: Report) -> None:
        self.mouth.said = list(reports)
        self.mouth.asked.clear()
        self.engine.on_reports()

    def restart(self) -> None:
        self.engine = live_engine(self.case, self.ledger, self.mouth)

    @property
    def entry(self) -> Order:
        (order,) = [one for one in self.mouth.working.values() if one.kind is Kind.ENTRY]
        return order

    def row(self, table: str, where: str = "1") -> dict[str, Any]:
        (found,) = self.ledger.rows(f"SELECT * FROM {table} WHERE {where}")
        return dict(found)

    @property
    def cash(self) -> float:
        return float(self.engine.account.ledger.money[0])


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    for seed in range(7_400_000, 7_400_400):
        case = without_funding(playable(seed))
        if len(case.entrants) != 1 or case.entrants[0].rules.side != "long" or case.entrants[0].rules.trail:
            continue
        ledger = open_ledger(case, tmp_path / f"{seed}.sqlite")
        mouth = Mouth()
        found = Scene(ledger, live_engine(case, ledger, mouth), mouth, case, events_of(case))
        while found.events and not mouth.working:
            found.bar()
        if mouth.working:
            at = found.engine.account.state[0]
            if at["stop_distance"] > 0 and at["target_distance"] > 0:
                return found
    raise AssertionError("no such case")


def fill(
    order: Order, n: int, qty: float, price: float, *, fee: float = 0.0, currency: str = "USDT", last: bool = True
) -> Report:  # fmt: skip
    status = Status.CLOSED if last else Status.OPEN
    name = f"{order.order_id}.{n}"
    return Report(order.order_id, status, order.created_ms + n, qty, price, fee, currency, fill_id=name)


def test_stop_and_target_follow_the_first_fill_at_once_and_grow_with_the_others(scene: Scene) -> None:
    entry, before = scene.entry, scene.cash
    part = entry.qty / 4
    at = scene.engine.account.state[0]
    stop_distance, target_distance = float(at["stop_distance"]), float(at["target_distance"])
    scene.say(fill(entry, 1, part, 100.0, fee=0.5, last=False))
    assert scene.mouth.verbs() == [("submit", "stop"), ("submit", "target")]
    levels = {one.order.kind: (one.order.qty, one.order.price) for one in scene.mouth.asked}
    assert levels[Kind.STOP] == (part, pytest.approx(100.0 - stop_distance, rel=1e-3))
    assert levels[Kind.TARGET] == (part, pytest.approx(100.0 + target_distance, rel=1e-3))
    scene.say(fill(entry, 2, 3 * part, 102.0, fee=1.5))
    assert [(one.verb, one.order.kind, one.order.qty) for one in scene.mouth.asked] == [
        (Verb.AMEND, Kind.STOP, 4 * part),
        (Verb.AMEND, Kind.TARGET, 4 * part),
    ]
    trade = scene.row("trades")
    assert (trade["qty"], trade["entry_fee"]) == (4 * part, 2.0)
    assert trade["entry_price"] == pytest.approx(101.5)
    assert scene.cash == pytest.approx(before - part * 100 - 3 * part * 102 - 2.0)
    assert scene.row("orders", "kind = 'entry'")["price"] == pytest.approx(101.5)
    assert [row["qty"] for row in scene.ledger.rows("SELECT qty FROM fills")] == [part, 3 * part]


def test_two_partial_fills_in_one_breath_are_as_two(scene: Scene) -> None:
    entry = scene.entry
    half = entry.qty / 2
    scene.say(fill(entry, 1, half, 100.0, last=False), fill(entry, 2, half, 102.0))
    assert scene.row("trades")["qty"] == entry.qty
    assert scene.row("orders", "kind = 'stop'")["qty"] == entry.qty


def test_a_fee_in_the_base_currency_is_less_held_for_the_same_money(scene: Scene) -> None:
    entry, before = scene.entry, scene.cash
    base = entry.symbol.partition("/")[0]
    fee = entry.qty * 0.002
    scene.say(fill(entry, 1, entry.qty, 100.0, fee=fee, currency=base))
    trade = scene.row("trades")
    assert trade["qty"] == entry.qty - fee and trade["entry_fee"] == pytest.approx(fee * 100)
    assert scene.cash == pytest.approx(before - entry.qty * 100)
    assert {one.order.qty for one in scene.mouth.asked} == {entry.qty - fee}
    fills = scene.row("fills")
    assert (fills["fee"], fills["fee_currency"], fills["fee_money"]) == (fee, base, pytest.approx(fee * 100))


def test_a_fee_that_is_said_later_is_booked_then(scene: Scene) -> None:
    entry, before = scene.entry, scene.cash
    base = entry.symbol.partition("/")[0]
    scene.say(fill(entry, 1, entry.qty, 100.0, last=False))
    scene.say(fill(entry, 2, 0.0, math.nan, fee=entry.qty * 0.002, currency=base))
    assert scene.row("trades")["qty"] == pytest.approx(entry.qty * 0.998)
    assert scene.cash == pytest.approx(before - entry.qty * 100)
    assert scene.row("trades")["entry_price"] == 100.0


def test_a_stop_that_fills_in_parts_closes_with_the_last(scene: Scene) -> None:
    entry, before = scene.entry, scene.cash
    scene.say(fill(entry, 1, entry.qty, 100.0))
    (stop,) = [one for one in scene.mouth.working.values() if one.kind is Kind.STOP]
    scene.say(fill(stop, 1, entry.qty / 2, 90.0, fee=1.0, last=False))
    assert scene.row("trades")["status"] == "ACTIVE"
    scene.say(fill(stop, 2, entry.qty / 2, 89.0, fee=1.0))
    trade = scene.row("trades")
    assert (trade["status"], trade["exit_reason"]) == ("CLOSED", ExitReason.STOP)
    assert trade["exit_price"] == pytest.approx(89.5)
    assert trade["pnl"] == pytest.approx(entry.qty * (89.5 - 100.0) - 2.0)
    assert scene.cash == pytest.approx(before + trade["pnl"])
    assert scene.mouth.verbs() == [("cancel", "target")]
    assert scene.row("signals")["end"] == 1
    assert scene.row("orders", "kind = 'target'")["status"] == "CANCELLED"
    assert not scene.engine.account.state["active"].any()


def test_dust_that_nobody_takes_closes_the_trade(scene: Scene) -> None:
    entry = scene.entry
    seats: Any = scene.engine.account.book.seats
    seats["min_qty"] = entry.qty * 0.01
    scene.say(fill(entry, 1, entry.qty, 100.0))
    (target,) = [one for one in scene.mouth.working.values() if one.kind is Kind.TARGET]
    scene.say(fill(target, 1, entry.qty * 0.995, 130.0))
    trade = scene.row("trades")
    assert (trade["status"], trade["exit_reason"], trade["qty"]) == ("CLOSED", ExitReason.TARGET, entry.qty)
    assert trade["pnl"] == pytest.approx(entry.qty * (0.995 * 130.0 - 100.0))


@pytest.mark.parametrize(
    ("word", "reason", "decision"),
    [("funds", 25, "rejected"), ("refused", 29, "rejected"), ("stale", 27, "rejected"), ("expired", None, "accepted")],
)
def test_an_entry_that_the_venue_does_not_take_ends_its_signal(
    scene: Scene, word: str, reason: int | None, decision: str
) -> None:
    entry, before = scene.entry, scene.cash
    was = scene.row("signals")["reason"]
    status = Status.CANCELLED if word == "expired" else Status.REJECTED
    scene.say(Report(entry.order_id, status, entry.created_ms + 1, reason=f"{word}: so"))
    signal = scene.row("signals")
    assert signal["end"] != 0 and signal["decision"] == decision
    assert signal["reason"] == (was if reason is None else reason)
    assert scene.row("orders")["status"] == status.value
    assert scene.cash == before and not scene.engine.account.waiting()
    assert scene.ledger.value("SELECT count(*) FROM audit WHERE given = 0") == (0 if word == "expired" else 1)
    assert not scene.ledger.rows("SELECT 1 FROM trades")


def test_an_entry_that_was_cancelled_and_filled_all_the_same_is_left_at_once(scene: Scene) -> None:
    entry = scene.entry
    from toolkit.engine import reported

    account = scene.engine.account
    reported.give_up(account.book, account.ledger, account.tape, 0, int(account.state[0]["order_t"]), 5, 0)
    scene.ledger.update("orders", {"order_id": entry.order_id}, {"status": "CANCELLED"})
    scene.say(fill(entry, 1, entry.qty, 100.0))
    assert scene.mouth.verbs() == [("submit", "stop"), ("submit", "target"), ("submit", "exit")]
    (leave,) = [one for one in scene.mouth.working.values() if one.kind is Kind.EXIT]
    scene.say(fill(leave, 1, entry.qty, 101.0))
    assert scene.row("trades")["exit_reason"] == ExitReason.SIGNAL


def test_no_second_entry_while_the_first_may_still_fill(scene: Scene) -> None:
    entry = scene.entry
    from toolkit.engine import reported

    account = scene.engine.account
    reported.give_up(account.book, account.ledger, account.tape, 0, int(account.state[0]["order_t"]), 5, 0)
    while scene.events:
        scene.bar()
    assert scene.ledger.value("SELECT count(*) FROM orders WHERE kind = 'entry'") == 1
    assert [one.order_id for one in scene.mouth.working.values()] == [entry.order_id]


def test_a_bar_through_the_stop_closes_nothing_by_itself(scene: Scene) -> None:
    scene.say(fill(scene.entry, 1, scene.entry.qty, 1e6))
    stop = scene.engine.account.state[0]["stop"]
    for _ in range(3):
        scene.bar()
    last = scene.events[0].bars[0][1]
    assert last.high < stop
    assert scene.row("trades")["status"] == "ACTIVE"


def test_a_trade_that_was_closed_by_hand_is_said_to_be(scene: Scene) -> None:
    entry = scene.entry
    scene.say(fill(entry, 1, entry.qty, 100.0))
    name = entry.trade_id
    report = Report(f"{name}-exit", Status.CLOSED, entry.created_ms + 60_000, entry.qty, 103.0, fill_id="hand.1")
    scene.say(replace(report, reason="byhand: the position was gone"))
    trade = scene.row("trades")
    assert (trade["status"], trade["exit_reason"], trade["exit_price"]) == ("CLOSED", ExitReason.MANUAL, 103.0)
    assert sorted(scene.mouth.verbs()) == [("cancel", "stop"), ("cancel", "target")]


def test_flatten_leaves_every_trade_now_and_refuses_new_ones(scene: Scene) -> None:
    entry = scene.entry
    scene.say(fill(entry, 1, entry.qty, 100.0))
    scene.mouth.asked.clear()
    scene.ledger.insert("commands", {"ts_ms": 0, "verb": "flatten", "target": "", "by": "test"})
    scene.engine.apply_commands()
    assert scene.mouth.verbs() == [("submit", "exit")]
    (leave,) = [one for one in scene.mouth.working.values() if one.kind is Kind.EXIT]
    scene.say(fill(leave, 1, entry.qty, 99.0))
    assert scene.row("trades")["exit_reason"] == ExitReason.MANUAL
    while scene.events:
        scene.bar()
    assert scene.ledger.value("SELECT count(*) FROM trades") == 1
    assert scene.row("commands", "verb = 'flatten'")["status"] == "done"


def test_what_was_reported_outlives_a_restart(scene: Scene) -> None:
    entry = scene.entry
    scene.say(fill(entry, 1, entry.qty, 100.0))
    cash, trade = scene.cash, scene.row("trades")
    scene.restart()
    assert scene.cash == cash and scene.row("trades") == trade
    working = {one.kind: one.price for one in scene.mouth.working.values()}
    assert working == {Kind.STOP: trade["stop_now"], Kind.TARGET: trade["target_price"]}


def test_a_fill_that_no_trade_can_take_is_kept_and_said(scene: Scene) -> None:
    entry = scene.entry
    scene.say(fill(entry, 1, entry.qty, 100.0))
    cash = scene.cash
    other = replace(entry, order_id=entry.trade_id.rpartition("-")[0] + "-1-entry")
    strange = replace(entry, order_id="0000000000-L-1-entry")
    scene.say(fill(other, 1, 1.0, 100.0), fill(strange, 1, 1.0, 100.0))
    assert scene.cash == cash
    texts = [row["text"] for row in scene.ledger.rows("SELECT text FROM notices WHERE kind = 'fill'")]
    assert len(texts) == 2 and "another trade of its leg is open" in texts[0] and "executor reconcile" in texts[1]
    assert scene.ledger.value("SELECT count(*) FROM fills") == 3
