"""The reconciler in a live session: after what a person, a crash or a fault did, the ledger says what the venue has."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.broker.base import Kind
from executor.broker.live import LiveBroker
from executor.broker.reconcile import Action, Tolerance, What
from executor.broker.reconciling import Reconciler, last_look
from executor.broker.tickets import client_id
from executor.broker.venue import Capabilities, Seen, Ticket, Type, UnreachableVenueError
from tests.executor.broker.by_hand import HandVenue
from tests.executor.broker.fake_venue import SPOT, SWAP, Record
from tests.executor.broker.session import SYMBOL, Session

LOOKS = "SELECT symbol, action, done FROM reconciliations WHERE action != '' ORDER BY id"


class Hands(Session):
    """A session with a person at the venue, and a reconciler."""

    venue: HandVenue
    venue_type = HandVenue

    def start(self) -> None:
        super().start()
        self.reconciler = Reconciler(
            self.ledger, self.broker, tolerance=Tolerance(), symbols=lambda: [SYMBOL], clock=self.venue.now_ms
        )

    def look(self, cause: str = "the clock") -> list[tuple[str, str, int]]:
        """The rows of a look's differences."""
        before = len(self.rows())
        self.loop.run(self.reconciler.look(cause))
        self.pass_secs(1.0)
        return self.rows()[before:]

    def rows(self) -> list[tuple[str, str, int]]:
        return [tuple(row) for row in self.ledger.rows(LOOKS)]


@pytest.fixture(params=[SPOT, SWAP], ids=["spot", "swap"])
def market(request: pytest.FixtureRequest) -> Capabilities:
    found: Capabilities = request.param
    return found


@pytest.fixture
def session(tmp_path: Path, market: Capabilities) -> Iterator[Hands]:
    found = Hands(tmp_path / "live.sqlite", {SYMBOL: market}, base_fee=False)
    found.ledger.set_meta("currency", "USDT")
    found.ledger.insert("cash_flows", {"ts_ms": 0, "kind": "allocated", "amount": found.venue.money, "note": ""})
    try:
        yield found
    finally:
        found.close()


def opened(s: Hands, trade_id: str = "aa-L-1", qty: float = 1.0) -> str:
    """An open trade with its stop and target at the venue."""
    s.enter(trade_id, qty=qty)
    s.pass_secs(20.0)
    assert s.engine.row(trade_id)["status"] == "ACTIVE"  # type: ignore[index]
    return trade_id


def test_a_look_that_finds_nothing_is_one_row_that_moves(session: Hands) -> None:
    opened(session)
    assert session.look("start") == []
    for _ in range(3):
        session.pass_secs(300.0)
        assert session.look() == []
    rows = session.ledger.rows("SELECT cause, action, text, ts_ms FROM reconciliations ORDER BY id")
    assert [(row["cause"], row["action"], row["text"]) for row in rows] == [
        ("start", "", "nothing differs"), ("the clock", "", "nothing differs"),
    ]  # fmt: skip
    assert last_look(session.ledger)[0]["ts_ms"] == rows[-1]["ts_ms"] > rows[0]["ts_ms"] + 800_000
    assert session.value("SELECT count(*) FROM notices WHERE kind = 'reconcile'") == 0


def test_a_trade_that_was_closed_by_hand_ends_in_the_ledger(session: Hands) -> None:
    trade_id = opened(session)
    session.price(102.0)
    session.venue.trade(SYMBOL, "sell", 1.0)
    session.pass_secs(10.0)
    assert session.look() == [(SYMBOL, "short", 1)]
    session.pass_secs(5.0)
    assert session.engine.row(trade_id)["status"] == "CLOSED"  # type: ignore[index]
    (fill,) = session.ledger.rows("SELECT * FROM fills WHERE order_id = ?", (f"{trade_id}-exit",))
    assert (fill["qty"], fill["price"], fill["fee"]) == (pytest.approx(1.0), 102.0, pytest.approx(0.204))
    assert not [one for one in session.venue.records if one.seen is Seen.OPEN]
    session.pass_secs(10.0)
    assert session.look() == [] and session.venue.everything() == []
    assert session.value("SELECT count(*) FROM notices WHERE level = 'error' AND kind = 'reconcile'") == 1


def test_a_part_that_was_sold_by_hand_leaves_a_smaller_stop(session: Hands) -> None:
    trade_id = opened(session)
    session.venue.trade(SYMBOL, "sell", 0.4)
    session.pass_secs(10.0)
    assert session.look() == [(SYMBOL, "short", 1)]
    session.pass_secs(5.0)
    assert session.engine.held(trade_id) == pytest.approx(0.6)
    stops = [one for one in session.venue.records if one.seen is Seen.OPEN and one.ticket.kind is Kind.STOP]
    assert [one.ticket.qty for one in stops] == [pytest.approx(0.6)]
    session.pass_secs(10.0)
    assert session.look() == []


def test_a_trade_that_is_gone_without_a_trace_halts_its_symbol(session: Hands) -> None:
    opened(session)
    session.venue.trade(SYMBOL, "sell", 1.0)
    session.venue.history.clear()
    session.pass_secs(10.0)
    assert session.look() == [(SYMBOL, "halt", 1)]
    reason = session.value("SELECT reason FROM symbol_halts WHERE until_ms IS NULL")
    assert reason.startswith("the venue holds 0 of BTC") and "no orders of the venue's history" in reason
    for _ in range(3):
        session.look()
    assert session.rows()[1:] == [(SYMBOL, "unsettled", 0)]
    session.enter("bb-L-2")
    session.pass_secs(5.0)
    assert session.engine.status("bb-L-2-entry") == "REJECTED"


def test_a_stop_that_fired_while_nobody_listened_is_no_hand(session: Hands) -> None:
    trade_id = opened(session)
    session.kill()
    session.price(90.0)
    session.loop.pass_secs(20.0)
    session.start()
    session.look("start")
    session.pass_secs(10.0)
    assert session.engine.row(trade_id)["status"] == "CLOSED"  # type: ignore[index]
    assert {action for _, action, _ in session.rows()} <= {"vanished", "waits", "more"}
    assert session.value("SELECT count(*) FROM venue_orders WHERE client_id LIKE 'hand-%'") == 0
    assert session.look() == []


def test_orders_and_positions_of_others_are_left_alone(session: Hands) -> None:
    opened(session)
    session.venue.place(SYMBOL, "buy", 1.0, 50.0)
    session.venue.trade(SYMBOL, "buy", 2.0)
    is_swap = session.venue.markets[SYMBOL].market == "swap"
    expected = [(SYMBOL, "halt", 1)] if is_swap else []
    assert session.look() == [*expected, (SYMBOL, "more", 0), (SYMBOL, "foreign order", 0)]
    assert len(session.venue.others) == 1 and session.venue.everything()[0].qty == pytest.approx(3.0)
    texts = [row["text"] for row in session.ledger.rows("SELECT text FROM notices WHERE kind = 'reconcile'")]
    assert len(texts) == 1 and "order x0 (limit buy 1 at 50) is not ours" in texts[0]
    session.look()
    assert session.value("SELECT count(*) FROM notices WHERE kind = 'reconcile'") == 1


def test_an_order_with_our_mark_that_no_ledger_has_is_cancelled(session: Hands) -> None:
    opened(session)
    now = session.venue.now_ms()
    lost = Ticket(
        client_id("of-a-lost-ledger", 0), "x-stop", "x", Kind.STOP, SYMBOL, "sell", "long", Type.STOP, 1.0, math.nan,
        80.0, True, now,
    )  # fmt: skip
    session.venue.records.append(Record("v99", lost, Seen.OPEN, now, now, opened_ms=now))
    assert session.look() == [(SYMBOL, "cancel", 1)]
    assert session.venue.records[-1].seen is Seen.CANCELLED and session.look() == []


def test_a_cancel_that_fails_is_tried_again(session: Hands) -> None:
    now = session.venue.now_ms()
    lost = Ticket(
        client_id("lost", 0), "x-stop", "x", Kind.STOP, SYMBOL, "sell", "long", Type.STOP, 1.0, math.nan, 80.0, True,
        now,
    )  # fmt: skip
    session.venue.records.append(Record("v99", lost, Seen.OPEN, now, now, opened_ms=now))
    session.venue.faults.requests["cancel"].append("lost")
    assert session.look() == [(SYMBOL, "cancel", 0)]
    assert session.look() == [(SYMBOL, "cancel", 1)]


def test_an_entry_whose_answer_was_lost_is_adopted_before_anything_is_sent(session: Hands) -> None:
    session.venue.faults.requests["submit"].append("unanswered")
    session.venue.faults.requests["find"].extend(["no answer"] * 3)
    session.venue.faults.muted = True
    session.enter("aa-L-1")
    session.kill()
    session.loop.pass_secs(1.0)
    session.venue.faults.requests.clear()
    session.venue.faults.muted = False
    broker = LiveBroker(session.ledger, session.venue, clock=session.venue.now_ms)
    reconciler = Reconciler(session.ledger, broker, symbols=lambda: [SYMBOL], clock=session.venue.now_ms)
    session.loop.run(broker.open([SYMBOL]))
    session.loop.run(reconciler.look("start"))
    assert session.rows() == [(SYMBOL, "adopt", 1)]
    assert session.value("SELECT seen FROM venue_orders") == "FILLED"
    session.start()
    session.pass_secs(5.0)
    assert session.engine.row("aa-L-1")["status"] == "ACTIVE"  # type: ignore[index]
    assert sum(one.ticket.kind is Kind.ENTRY for one in session.venue.records) == 1


def test_a_fault_that_is_gone_at_the_second_look_is_none(session: Hands) -> None:
    """What one look alone would book or halt waits for the next."""
    opened(session)
    coins, positions = dict(session.venue.coins), dict(session.venue.positions)
    session.venue.coins.clear()
    session.venue.positions.clear()
    session.loop.call_later(2.0, session.venue.coins.update, coins)
    session.loop.call_later(2.0, session.venue.positions.update, positions)
    assert session.look() == []


def test_what_only_the_second_look_sees_waits_for_the_next(session: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    halts = [Action(What.HALT, symbol, f"{symbol} cannot be settled") for symbol in ("A/B", "C/D")]
    looks = iter([halts[:1], halts])

    async def compare(*_: object) -> list[Action]:
        return next(looks)

    monkeypatch.setattr("executor.broker.reconciling.compare", compare)
    assert session.look() == [("A/B", "halt", 1), ("C/D", "waits", 0)]
    assert session.value("SELECT group_concat(symbol) FROM symbol_halts") == "A/B"


def test_two_trades_closed_by_one_order(session: Hands) -> None:
    names = [opened(session, "aa-L-1"), opened(session, "bb-L-1", 2.0)]
    session.venue.trade(SYMBOL, "sell", 3.0)
    session.pass_secs(10.0)
    assert session.look() == [(SYMBOL, "short", 1)]
    session.pass_secs(5.0)
    assert [session.engine.row(name)["status"] for name in names] == ["CLOSED", "CLOSED"]  # type: ignore[index]
    assert session.value("SELECT sum(qty) FROM fills WHERE order_id LIKE '%-exit'") == pytest.approx(3.0)


def test_a_trade_of_which_all_was_said_by_hand_is_told_to_the_engine_after_a_crash(session: Hands) -> None:
    trade_id = opened(session)
    session.kill()
    session.venue.trade(SYMBOL, "sell", 1.0)
    session.loop.pass_secs(10.0)
    broker = LiveBroker(session.ledger, session.venue, clock=session.venue.now_ms)
    reconciler = Reconciler(session.ledger, broker, symbols=lambda: [SYMBOL], clock=session.venue.now_ms)
    session.loop.run(reconciler.look("by hand"))
    assert session.rows() == [(SYMBOL, "short", 1)]
    session.loop.run(reconciler.look("by hand"))
    assert len(session.rows()) == 1
    session.start()
    session.pass_secs(10.0)
    assert session.engine.row(trade_id)["status"] == "CLOSED"  # type: ignore[index]
    assert session.value("SELECT count(*) FROM fills WHERE order_id LIKE '%-exit'") == 1


def test_a_venue_that_does_not_answer_changes_nothing(session: Hands) -> None:
    opened(session)
    session.venue.trade(SYMBOL, "sell", 1.0)
    session.venue.faults.down_until = session.loop.time() + 5.0
    with pytest.raises(UnreachableVenueError):
        session.look()
    assert session.rows() == []


def test_money_that_is_missing_is_said(session: Hands) -> None:
    session.venue.money *= 0.95
    assert session.look() == [("", "drift", 0)]
    text = last_look(session.ledger)[0]["text"]
    assert "the ledger expects 1,000,000,000.00" in text and "50,000,000.00 is missing" in text


def test_a_target_that_is_nowhere_halts_its_symbol_unless_the_broker_settles_it(
    session: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(session)
    if session.venue.markets[SYMBOL].market == "spot":
        return
    session.kill()
    (gone,) = [one for one in session.venue.records if one.ticket.kind is Kind.TARGET]
    session.venue.records.remove(gone)
    session.loop.pass_secs(10.0)
    broker = LiveBroker(session.ledger, session.venue, clock=session.venue.now_ms)
    reconciler = Reconciler(session.ledger, broker, symbols=lambda: [SYMBOL], clock=session.venue.now_ms)
    session.loop.run(reconciler.look("start"))
    assert session.rows() == [(SYMBOL, "halt", 1)]
    assert "neither lists it nor has it in its history" in session.value("SELECT reason FROM symbol_halts")
