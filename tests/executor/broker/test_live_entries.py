"""Entries: sent once, looked up where nobody answered, not sent at all where that is no longer right."""

from itertools import pairwise

import pytest

from executor.broker.base import Kind
from executor.broker.live import LiveBroker
from executor.broker.venue import Seen, Ticket
from tests.executor.broker.fake_venue import LOCKING, RULES, SPOT, SWAP
from tests.executor.broker.session import SYMBOL, Open

# What befalls the request; whether an order is at the venue in the end; what the engine is told and why.
ONE_FAULT = {
    "the answer is lost": ("unanswered", 1, "CLOSED", ""),
    "the answer takes long": ("slow", 1, "CLOSED", ""),
    "it arrives after it was given up": ("late", 1, "CLOSED", ""),
    "it is lost": ("lost", 0, "CANCELLED", "absent: "),
    "it is refused": ("refused", 0, "REJECTED", "refused: "),
    "there is too little money": ("funds", 0, "REJECTED", "funds: "),
}


@pytest.mark.parametrize("muted", [False, True])
@pytest.mark.parametrize("case", ONE_FAULT)
def test_whatever_befalls_the_request_there_is_at_most_one_order(opened: Open, case: str, muted: bool) -> None:
    fault, count, status, why = ONE_FAULT[case]
    session = opened()
    session.venue.faults.requests["submit"].append(fault)
    session.venue.faults.muted = muted
    trade = session.enter()
    session.pass_secs(30.0)
    assert len(session.sent(Kind.ENTRY)) == count
    assert session.engine.status(f"{trade}-entry") == status
    assert session.engine.reason(f"{trade}-entry").startswith(why)
    assert [one.left for one in session.at_venue(Kind.STOP)] == [0.998] * count
    session.pass_secs(200.0)
    assert max(session.venue.submits.values()) == 1 and len(session.tickets(Kind.ENTRY)) == 1


def test_three_times_too_many_requests_then_one_order(opened: Open) -> None:
    session = opened()
    session.venue.faults.requests["submit"].extend(["busy"] * 3)
    trade = session.enter()
    session.pass_secs(10.0)
    assert session.engine.status(f"{trade}-entry") == "CLOSED"
    tickets = session.tickets(Kind.ENTRY)
    assert [row["seen"] for row in tickets] == ["REFUSED"] * 3 + ["FILLED"]
    assert len({row["client_id"] for row in tickets}) == 4 and len(session.sent(Kind.ENTRY)) == 1
    pauses = [b["sent_ms"] - a["sent_ms"] for a, b in pairwise(tickets)]
    assert min(pauses) >= 1000


def test_where_the_venue_stays_busy_an_entry_gets_stale(opened: Open) -> None:
    session = opened()
    session.venue.faults.requests["submit"].extend(["busy"] * 1000)
    trade = session.enter()
    session.pass_secs(70.0)
    assert session.engine.status(f"{trade}-entry") == "CANCELLED"
    assert session.engine.reason(f"{trade}-entry").startswith("stale: ")


@pytest.mark.parametrize(("secs", "status"), [(30.0, "CLOSED"), (61.0, "CANCELLED")])
def test_after_a_restart_an_old_entry_that_never_left_is_not_sent(opened: Open, secs: float, status: str) -> None:
    session = opened()
    session.broker._doing.is_running = False
    trade = session.enter()
    session.kill()
    assert session.tickets(Kind.ENTRY) == []
    session.loop.pass_secs(secs)
    session.start()
    session.pass_secs(5.0)
    assert session.engine.status(f"{trade}-entry") == status
    assert session.engine.reason(f"{trade}-entry").startswith("" if status == "CLOSED" else "stale: ")


@pytest.mark.parametrize("fault", ["", "unanswered", "late"])
def test_killed_between_request_and_answer_the_order_is_adopted(opened: Open, fault: str) -> None:
    session = opened()
    session.venue.faults.requests["submit"].append(fault)
    trade = session.enter()
    session.kill()
    assert [row["seen"] for row in session.tickets(Kind.ENTRY)] == ["NEW"]
    session.loop.pass_secs(5.0)
    session.start()
    session.pass_secs(5.0)
    assert len(session.sent(Kind.ENTRY)) == 1
    assert session.engine.held(trade) == pytest.approx(session.venue.coins["BTC"]) == pytest.approx(0.998)
    assert [one.left for one in session.at_venue(Kind.STOP)] == [0.998]


@pytest.mark.parametrize(("qty", "price", "why"), [(0.0005, 100.0, "quantity"), (0.009, 100.0, "notional")])
def test_what_the_venue_would_not_take_is_not_sent(opened: Open, qty: float, price: float, why: str) -> None:
    session = opened()
    session.price(price)
    session.pass_secs(0.1)
    trade = session.enter(qty=qty)
    session.pass_secs(1.0)
    assert session.engine.status(f"{trade}-entry") == "REJECTED"
    assert f"below the least {why}" in session.engine.reason(f"{trade}-entry")
    assert not session.venue.submits


@pytest.mark.parametrize("by", ["venue", "ledger", "venue, unannounced"])
def test_a_halted_symbol_takes_no_entry_and_keeps_its_stop(opened: Open, by: str) -> None:
    session = opened()
    first = session.enter()
    session.pass_secs(1.0)
    if by == "ledger":
        session.do(lambda: session.broker.halt_symbol(SYMBOL, "in doubt"))
    else:
        session.venue.halted.add(SYMBOL)
    if by == "venue, unannounced":
        session.venue.rules = lambda symbol: RULES  # type: ignore[method-assign]
    second = session.enter("bb-L-2")
    session.pass_secs(2.0)
    assert session.engine.status(f"{second}-entry") == "REJECTED"
    assert session.engine.reason(f"{second}-entry").startswith("halted: ")
    assert {one.ticket.trade_id for one in session.at_venue(Kind.STOP)} == {first}
    assert len(session.sent(Kind.ENTRY)) == 1


def test_a_halt_that_is_over_lets_entries_through(opened: Open) -> None:
    session = opened()
    session.do(lambda: session.broker.halt_symbol(SYMBOL, "in doubt"))
    session.ledger.update("symbol_halts", {"symbol": SYMBOL}, {"until_ms": session.venue.now_ms()})
    trade = session.enter()
    session.pass_secs(1.0)
    assert session.engine.status(f"{trade}-entry") == "CLOSED"


class Breaker:
    """Refuses everything."""

    def __init__(self) -> None:
        self.asked: list[Kind] = []

    def refuses(self, ticket: Ticket, price: float, now_ms: int) -> str:
        self.asked.append(ticket.kind)
        return "enough for today"


def test_the_breaker_is_asked_about_entries_only(opened: Open) -> None:
    session = opened()
    trade = session.enter()
    session.pass_secs(1.0)
    session.broker._doing.breaker = breaker = Breaker()
    refused = session.enter("bb-L-2")
    session.leave(trade)
    session.pass_secs(2.0)
    assert session.engine.status(f"{refused}-entry") == "REJECTED"
    assert session.engine.reason(f"{refused}-entry") == "breaker: enough for today"
    assert session.trade(trade)["status"] == "CLOSED" and breaker.asked == [Kind.ENTRY]
    assert len(session.tickets(Kind.ENTRY)) == 1


@pytest.mark.parametrize("fault", ["", "unanswered", "slow"])
def test_an_entry_that_is_given_up_when_part_filled_keeps_what_it_has(opened: Open, fault: str) -> None:
    session = opened(markets={SYMBOL: SWAP})
    session.venue.faults.share = 0.25
    session.venue.faults.requests["submit"].append(fault)
    trade = session.enter(qty=2.0)
    session.pass_secs(0.03)
    session.do(lambda: session.engine.give_up(trade, session.venue.now_ms()))
    session.pass_secs(10.0)
    (entry,) = session.sent(Kind.ENTRY)
    assert session.engine.held(trade) == pytest.approx(entry.filled) == session.venue.positions[SYMBOL]
    assert [one.left for one in session.at_venue(Kind.STOP)] == [pytest.approx(entry.filled)]
    status = "CLOSED" if entry.seen is Seen.FILLED else "CANCELLED"
    assert session.engine.status(f"{trade}-entry") == status


@pytest.mark.parametrize(("gives_up", "entries"), [(True, 1), (False, 2)])
def test_an_entry_waits_for_a_venue_that_is_down_unless_it_is_given_up(
    opened: Open, gives_up: bool, entries: int
) -> None:
    session = opened()
    session.enter()
    session.pass_secs(1.0)
    session.venue.faults.down_until = session.loop.time() + 60.0
    session.pass_secs(40.0)
    second = session.enter("bb-L-2")
    session.pass_secs(10.0)
    if gives_up:
        session.do(lambda: session.engine.give_up(second, session.venue.now_ms()))
    session.pass_secs(30.0)
    assert len(session.sent(Kind.ENTRY)) == entries == len(session.at_venue(Kind.STOP))
    assert session.engine.status(f"{second}-entry") == ("CANCELLED" if gives_up else "CLOSED")


@pytest.mark.parametrize("market", [SPOT, SWAP, LOCKING])
def test_what_arrives_after_it_was_called_absent_is_sold(opened: Open, market: object) -> None:
    session = opened(markets={SYMBOL: market})
    session.venue.late_secs = 15.0
    session.venue.faults.requests["submit"].append("late")
    trade = session.enter()
    session.pass_secs(14.0)
    assert session.engine.reason(f"{trade}-entry").startswith("absent: ")
    session.pass_secs(60.0)
    assert session.venue.everything()[0].qty == pytest.approx(0.0, abs=0.001)
    assert session.at_venue() == [] and session.trade(trade)["status"] == "CLOSED"


def test_on_the_way_out_nothing_new_is_entered(opened: Open) -> None:
    session = opened()
    session.loop.run(session.broker.settle())
    session.enter()
    session.pass_secs(2.0)
    assert not session.venue.submits


def test_a_second_broker_goes_by_the_ledger_alone(opened: Open) -> None:
    """A running broker that is handed the orders again takes them over without sending one twice."""
    session = opened()
    trade = session.enter()
    session.pass_secs(0.005)
    broker: LiveBroker = session.broker
    for _ in range(3):
        session.do(lambda: broker.resume(list(broker.open_orders())))
    session.pass_secs(2.0)
    assert len(session.sent(Kind.ENTRY)) == 1 and session.engine.held(trade) == pytest.approx(0.998)
