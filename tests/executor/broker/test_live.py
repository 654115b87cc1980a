"""A live session from entry to exit, asserted on the venue's own records."""

import pytest

from executor.broker.base import Kind
from executor.broker.venue import Seen, Type
from tests.executor.broker.fake_venue import SWAP
from tests.executor.broker.session import SYMBOL, Open


def test_an_entry_has_its_stop_and_target_at_the_venue_for_what_is_held(opened: Open) -> None:
    session = opened()
    trade = session.enter()
    session.pass_secs(1.0)
    assert session.engine.held(trade) == pytest.approx(0.998)
    (stop,), (target,) = session.at_venue(Kind.STOP), session.at_venue(Kind.TARGET)
    assert (stop.ticket.type, stop.ticket.qty, stop.ticket.trigger_price) == (Type.STOP, 0.998, 95.0)
    assert stop.ticket.price == pytest.approx(95.0 * 0.995)
    assert (target.ticket.qty, target.ticket.trigger_price) == (0.998, 110.0)
    assert session.ledger.value("SELECT max(until_ms - from_ms) FROM unprotected") < 100


def test_an_exit_is_sold_first_and_then_the_others_go(opened: Open) -> None:
    session = opened()
    trade = session.enter()
    session.pass_secs(1.0)
    session.leave(trade)
    session.pass_secs(2.0)
    assert session.trade(trade)["status"] == "CLOSED"
    assert session.venue.coins["BTC"] == pytest.approx(0.0, abs=1e-9)
    assert session.at_venue() == []
    ends = {one.ticket.kind: (one.seen, one.ended_ms) for one in session.venue.records}
    assert ends[Kind.EXIT][0] is Seen.FILLED and ends[Kind.STOP][0] is Seen.CANCELLED
    assert ends[Kind.STOP][1] > ends[Kind.EXIT][1]  # type: ignore[operator]
    assert session.broker.open_orders() == () and not session.broker._doing.desk.trades


def test_a_stop_that_fires_cancels_the_target(opened: Open) -> None:
    session = opened(markets={SYMBOL: SWAP})
    trade = session.enter()
    session.pass_secs(1.0)
    session.price(94.9)
    session.pass_secs(2.0)
    assert session.venue.positions[SYMBOL] == 0.0
    assert session.engine.status(f"{trade}-stop") == "CLOSED"
    assert session.engine.status(f"{trade}-target") == "CANCELLED"
    assert session.at_venue() == []


@pytest.mark.parametrize("at_secs", [0.0, 0.005, 0.015, 0.03, 0.045, 0.06, 1.0])
def test_killed_at_any_moment_it_goes_on(opened: Open, at_secs: float) -> None:
    session = opened()
    trade = session.enter()
    session.pass_secs(at_secs)
    session.restart()
    session.pass_secs(20.0)
    assert len([one for one in session.venue.records if one.ticket.kind is Kind.ENTRY]) <= 1
    if session.venue.coins["BTC"]:
        assert session.engine.held(trade) == pytest.approx(session.venue.coins["BTC"])
        assert [one.left for one in session.at_venue(Kind.STOP)] == [0.998]
    session.leave(trade)
    session.pass_secs(2.0)
    session.restart()
    session.pass_secs(2.0)
    assert session.venue.coins["BTC"] == pytest.approx(0.0, abs=1e-9)
    assert session.at_venue() == []
