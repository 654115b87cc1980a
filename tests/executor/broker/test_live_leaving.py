"""Leaving a trade: sold once, whatever befalls the request; the rest cancelled, mended or noted."""

import math

import pytest

from executor.broker.base import Kind
from executor.broker.venue import Capabilities, Seen, Type
from tests.executor.broker.fake_venue import LOCKING, SPOT, SWAP, WATCHED
from tests.executor.broker.session import SYMBOL, Open, Session
from tests.executor.broker.small_engine import Plan

MARKETS = {"spot": SPOT, "swap": SWAP, "locking": LOCKING, "watched": WATCHED}
every_market = pytest.mark.parametrize("market", MARKETS.values(), ids=MARKETS)


def entered(opened: Open, market: Capabilities = SPOT, **given: object) -> Session:
    session = opened(markets={SYMBOL: market}, **given)
    session.enter()
    session.pass_secs(1.0)
    return session


def held(session: Session) -> float:
    return session.venue.everything()[0].qty


def is_flat(session: Session, trade_id: str = "aa-L-1") -> bool:
    return abs(held(session)) < 0.001 and not session.at_venue() and session.trade(trade_id)["status"] == "CLOSED"


@every_market
def test_what_binds_the_balance_goes_first_and_the_time_counts(opened: Open, market: Capabilities) -> None:
    session = entered(opened, market)
    session.leave("aa-L-1")
    session.pass_secs(3.0)
    (sold,) = session.sent(Kind.EXIT)
    assert is_flat(session) and sold.ticket.reduce_only is (market is SWAP)
    for stop in session.sent(Kind.STOP):
        assert ((stop.ended_ms or math.inf) <= sold.created_ms) is market.triggers_lock
    rows = session.ledger.rows("SELECT * FROM unprotected ORDER BY id")
    assert len(rows) == {"locking": 2, "watched": 0}.get(name_of(market), 1)
    assert all(row["until_ms"] is not None for row in rows)


def name_of(market: Capabilities) -> str:
    return next(name for name, one in MARKETS.items() if one == market)


@every_market
@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("fault", ["refused", "funds", "lost", "unanswered", "late", "slow", "busy"])
def test_whatever_befalls_an_exit_it_is_sold_once(opened: Open, market: Capabilities, fault: str, times: int) -> None:
    # Another trade, so that what is sold twice is there to be sold.
    session = opened(markets={SYMBOL: market}, base_fee=False)
    session.enter("bb-L-1", qty=5.0)
    session.enter()
    session.pass_secs(1.0)
    session.venue.faults.requests["submit"].extend([fault] * times)
    session.leave("aa-L-1")
    session.pass_secs(90.0)
    assert held(session) == pytest.approx(5.0) and session.trade("aa-L-1")["status"] == "CLOSED"
    assert {one.ticket.trade_id for one in session.at_venue()} <= {"bb-L-1"}
    assert sum(one.filled for one in session.sent(Kind.EXIT)) == pytest.approx(1.0)
    assert max(session.venue.submits.values()) == 1


@every_market
@pytest.mark.parametrize("fault", ["lost", "slow", "busy"])
def test_a_cancel_that_is_lost_is_asked_for_again(opened: Open, market: Capabilities, fault: str) -> None:
    session = entered(opened, market)
    session.venue.faults.requests["cancel"].extend([fault] * 2)
    session.leave("aa-L-1")
    session.pass_secs(30.0)
    assert is_flat(session)


@pytest.mark.parametrize("market", [SPOT, SWAP], ids=["spot", "swap"])
def test_what_a_race_sold_twice_is_bought_back(opened: Open, market: Capabilities) -> None:
    session = opened(markets={SYMBOL: market}, plan=Plan(target=math.nan), base_fee=False)
    session.price(80.0)
    session.enter("bb-L-1", qty=5.0)
    session.pass_secs(1.0)
    session.price(100.0)
    session.enter()
    session.pass_secs(1.0)
    session.venue.faults.requests["submit"].append("late")
    session.leave("aa-L-1")
    session.pass_secs(0.5)
    session.price(94.8)
    session.pass_secs(30.0)
    assert held(session) == pytest.approx(5.0) and session.trade("aa-L-1")["status"] == "CLOSED"
    assert [one.ticket.side for one in session.sent(Kind.EXIT)] == ["sell", "buy"]
    assert {one.ticket.trade_id for one in session.at_venue()} == {"bb-L-1"}
    assert "mending" in str(session.ledger.value("SELECT group_concat(text) FROM notices"))
    bought = session.ledger.value("SELECT sum(qty) FROM fills WHERE order_id = 'aa-L-1-exit' AND qty < 0")
    assert bought == pytest.approx(-1.0) and session.engine.held("aa-L-1") == pytest.approx(0.0)


@every_market
@pytest.mark.parametrize("secs", [0.0, 0.005, 0.02, 0.04, 0.06, 0.1])
def test_exit_and_stop_at_nearly_the_same_moment(opened: Open, market: Capabilities, secs: float) -> None:
    session = opened(markets={SYMBOL: market}, plan=Plan(target=math.nan), base_fee=False)
    session.price(80.0)
    session.enter("bb-L-1", qty=5.0)
    session.pass_secs(1.0)
    session.price(100.0)
    session.enter()
    session.pass_secs(1.0)
    session.leave("aa-L-1")
    session.pass_secs(secs)
    session.price(94.8)
    session.pass_secs(30.0)
    assert held(session) == pytest.approx(5.0) and session.trade("aa-L-1")["status"] == "CLOSED"
    assert {one.ticket.trade_id for one in session.at_venue()} <= {"bb-L-1"}


def test_less_than_a_lot_that_is_left_stays_and_the_trade_ends(opened: Open) -> None:
    session = opened()
    session.enter(qty=0.125)
    session.pass_secs(1.0)
    session.leave("aa-L-1")
    session.pass_secs(3.0)
    (sold,) = session.sent(Kind.EXIT)
    assert sold.filled == 0.124 and held(session) == pytest.approx(0.00075) and is_flat(session)
    assert session.engine.held("aa-L-1") == pytest.approx(0.00075)


@pytest.mark.parametrize("fault", ["", "slow"])
def test_an_entry_that_is_all_dust_ends_its_trade(opened: Open, fault: str) -> None:
    session = opened()
    session.venue.faults.requests["submit"].append(fault)
    session.price(100.0)
    # Net of the fee less than the least notional.
    session.enter(qty=0.01)
    session.pass_secs(15.0)
    assert session.trade("aa-L-1")["status"] == "CLOSED" and not session.at_venue()
    assert session.value("SELECT count(*) FROM venue_orders") == 1


def test_fees_that_are_said_later_are_booked_and_the_end_waits_for_them(opened: Open) -> None:
    session = entered(opened)
    session.venue.faults.hides_fees = True
    session.leave("aa-L-1")
    session.pass_secs(0.2)
    fills = session.ledger.rows("SELECT * FROM fills WHERE order_id = 'aa-L-1-exit'")
    assert [(row["qty"], row["fee"]) for row in fills] == [(0.998, 0.0)]
    assert session.trade("aa-L-1")["status"] == "ACTIVE"
    session.pass_secs(3.0)
    fills = session.ledger.rows("SELECT * FROM fills WHERE order_id = 'aa-L-1-exit' ORDER BY fill_id")
    assert [(row["qty"], row["fee_currency"]) for row in fills] == [(0.998, ""), (0.0, "USDT")]
    assert fills[1]["fee"] == pytest.approx(0.998 * 100 * 0.002) and is_flat(session)


def test_fees_are_booked_after_a_venue_that_was_down_for_minutes(opened: Open) -> None:
    session = opened(markets={SYMBOL: SWAP})
    session.venue.faults.hides_fees = True
    session.enter()
    session.pass_secs(0.01)
    session.venue.faults.down_until = session.venue.loop.time() + 120.0
    session.venue.struck()
    session.pass_secs(140.0)
    fees = session.ledger.rows("SELECT fee, fee_currency FROM fills WHERE fee > 0")
    assert [tuple(row) for row in fees] == [(pytest.approx(0.2), "USDT")]


def test_an_exit_that_is_refused_for_good_is_asked_for_less_and_less_often(opened: Open) -> None:
    session = entered(opened)
    session.venue.refuses = lambda ticket: ticket.kind is Kind.EXIT
    session.leave("aa-L-1")
    session.pass_secs(300.0)
    tried = session.tickets(Kind.EXIT)
    assert 10 <= len(tried) <= 20 and {row["seen"] for row in tried} == {"REFUSED"}
    assert session.doubts and [one.left for one in session.at_venue(Kind.STOP)] == [0.998]
    session.venue.refuses = lambda ticket: False
    session.pass_secs(40.0)
    assert is_flat(session)


def test_a_symbol_that_is_halted_with_a_trade_open_is_left_when_it_trades_again(opened: Open) -> None:
    session = entered(opened, SWAP)
    session.venue.halted.add(SYMBOL)
    session.leave("aa-L-1")
    session.pass_secs(60.0)
    assert held(session) == 1.0 and session.at_venue(Kind.STOP)
    session.venue.halted.clear()
    session.pass_secs(40.0)
    assert is_flat(session)


@every_market
def test_a_part_filled_exit_that_ends_is_followed_by_another(opened: Open, market: Capabilities) -> None:
    session = entered(opened, market)
    session.venue.faults.share = 0.4
    session.leave("aa-L-1")
    session.pass_secs(0.2)
    (first,) = [one for one in session.sent(Kind.EXIT) if one.is_open]
    session.venue.cancel_by_hand(first, "the venue ends it")
    session.venue.faults.share = 1.0
    session.pass_secs(5.0)
    assert is_flat(session) and len(session.sent(Kind.EXIT)) == 2
    assert 0.0 < first.filled < 1.0 and first.seen is Seen.CANCELLED


@every_market
@pytest.mark.parametrize("at_secs", [0.0, 0.005, 0.015, 0.03, 0.045, 0.08])
@pytest.mark.parametrize("fault", ["", "unanswered", "late", "lost"])
def test_killed_on_the_way_out(opened: Open, market: Capabilities, at_secs: float, fault: str) -> None:
    session = entered(opened, market)
    session.venue.faults.requests["submit"].append(fault)
    session.leave("aa-L-1")
    session.pass_secs(at_secs)
    session.restart()
    session.pass_secs(40.0)
    assert is_flat(session)
    # What was absent is looked for twice more; then nothing is kept of the trade.
    session.pass_secs(160.0)
    assert is_flat(session) and not session.broker._doing.desk.trades
    assert session.engine.held("aa-L-1") == pytest.approx(held(session), abs=1e-9)
    sold = session.value("SELECT sum(qty) FROM fills WHERE order_id LIKE '%-exit' OR order_id LIKE '%-stop'")
    assert sold == pytest.approx(sum(one.filled for one in session.venue.records if one.ticket.side == "sell"))


def test_a_stop_that_is_wanted_no_more_is_cancelled(opened: Open) -> None:
    """Only the daemon's own watch is left then: nothing is at the venue that nobody wants."""
    session = entered(opened)
    session.do(lambda: session.engine.unwant("aa-L-1-target", session.venue.now_ms()))
    session.pass_secs(2.0)
    assert session.at_venue(Kind.TARGET) == [] and len(session.at_venue(Kind.STOP)) == 1


def test_a_short_trade_is_bought_back(opened: Open) -> None:
    session = opened(markets={SYMBOL: SWAP})
    session.enter(side="sell")
    session.pass_secs(1.0)
    assert held(session) == -1.0
    assert [(one.ticket.side, one.ticket.type, one.ticket.trigger_price) for one in session.at_venue(Kind.STOP)] == [
        ("buy", Type.STOP, 105.0)
    ]
    session.leave("aa-L-1")
    session.pass_secs(2.0)
    assert is_flat(session)
