"""A trade's stop and target: there, for what is held, whatever becomes of them; asserted on the venue's records."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from executor.broker.base import Kind
from executor.broker.desk import LiveSettings
from executor.broker.venue import Capabilities, Seen, Type
from tests.executor.broker.fake_venue import LOCKING, SPOT, SWAP, WATCHED
from tests.executor.broker.session import SYMBOL, Open, Session
from tests.executor.broker.small_engine import Plan

MARKETS = {"spot": SPOT, "swap": SWAP, "locking": LOCKING}
every_market = pytest.mark.parametrize("market", MARKETS.values(), ids=MARKETS)
SETTINGS = LiveSettings()


def entered(opened: Open, market: Capabilities = SPOT, side: str = "buy", **given: object) -> Session:
    """One unit at 100, with its stop at 95 (105 where it is short) and its target at 110 (90)."""
    session = opened(markets={SYMBOL: market}, **given)
    session.enter(side=side)
    session.pass_secs(1.0)
    assert len(session.at_venue(Kind.STOP)) == (market != WATCHED)
    return session


def held(session: Session) -> float:
    return session.venue.everything()[0].qty


def is_flat(session: Session) -> bool:
    """Nothing but less than a lot is held, nothing waits, the trade is closed."""
    return abs(held(session)) < 0.001 and not session.at_venue() and session.trade("aa-L-1")["status"] == "CLOSED"


def longest_secs(session: Session) -> float:
    return float(session.ledger.value("SELECT max(until_ms - from_ms) FROM unprotected") / 1000)


@every_market
def test_more_fills_make_the_stop_larger(opened: Open, market: Capabilities) -> None:
    session = opened(markets={SYMBOL: market}, base_fee=False)
    session.venue.faults.share = 0.25
    session.enter()
    session.pass_secs(2.0)
    first, *_, last = session.sent(Kind.STOP)
    assert (first.ticket.qty, last.ticket.qty) == (0.25, 1.0)
    assert session.at_venue(Kind.STOP) == [last] and first.ended_ms is not None
    assert (first.ended_ms < last.created_ms) is market.triggers_lock


@every_market
def test_a_trailed_stop_moves(opened: Open, market: Capabilities) -> None:
    session = entered(opened, market)
    session.do(lambda: session.engine.trail("aa-L-1", 98.0, session.venue.now_ms()))
    session.pass_secs(1.0)
    old, new = session.sent(Kind.STOP)
    assert session.at_venue(Kind.STOP) == [new] and new.ticket.trigger_price == 98.0
    assert (old.ended_ms or 0) > new.created_ms or market.triggers_lock
    assert (len(session.ledger.rows("SELECT * FROM unprotected")) == 2) is market.triggers_lock


@every_market
@pytest.mark.parametrize("muted", [False, True])
@pytest.mark.parametrize("reason", ["by hand", "expired"])
def test_a_stop_that_is_gone_is_placed_again(opened: Open, market: Capabilities, reason: str, muted: bool) -> None:
    session = entered(opened, market)
    session.venue.faults.muted = muted
    session.venue.cancel_by_hand(session.at_venue(Kind.STOP)[0], reason)
    session.pass_secs(SETTINGS.poll_secs + 2.0 if muted else 0.5)
    assert [one.left for one in session.at_venue(Kind.STOP)] == [session.venue.everything()[0].qty]
    row = session.ledger.rows("SELECT * FROM unprotected ORDER BY id")[-1]
    assert row["until_ms"] is not None and row["why"].startswith("cancelled")


@every_market
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("fault", ["refused", "lost", "unanswered", "late", "slow", "busy"])
def test_whatever_befalls_a_stops_request_there_is_one_in_time(
    opened: Open, market: Capabilities, fault: str, times: int
) -> None:
    session = opened(markets={SYMBOL: market})
    session.enter()
    session.pass_secs(0.011)
    session.venue.faults.requests["submit"].extend([fault] * times)
    session.pass_secs(60.0)
    stops = session.at_venue(Kind.STOP)
    assert is_flat(session) or [one.left for one in stops] == [pytest.approx(held(session))]
    assert longest_secs(session) <= SETTINGS.protect_within_secs + 1.0
    assert len(session.sent(Kind.ENTRY)) == 1 and held(session) > -1e-9


@every_market
def test_a_trade_whose_stop_is_refused_for_good_is_closed_in_time(opened: Open, market: Capabilities) -> None:
    session = opened(markets={SYMBOL: market})
    session.venue.refuses = lambda ticket: ticket.type is Type.STOP
    session.enter()
    session.pass_secs(SETTINGS.protect_within_secs - 1.0)
    assert held(session) > 0.9
    session.pass_secs(3.0)
    assert is_flat(session) and longest_secs(session) < SETTINGS.protect_within_secs + 1.0
    assert session.engine.reason("aa-L-1-stop").startswith("unprotected: ")
    # More and more slowly, not as fast as the venue refuses.
    assert 3 <= sum(row["seen"] == "REFUSED" for row in session.tickets(Kind.STOP)) <= 8


@every_market
def test_beyond_the_level_nobody_waits_for_a_stop_that_is_not_there(opened: Open, market: Capabilities) -> None:
    session = opened(markets={SYMBOL: market})
    session.venue.refuses = lambda ticket: ticket.type is Type.STOP
    session.enter()
    session.pass_secs(1.0)
    session.price(94.0)
    session.pass_secs(2.0)
    assert is_flat(session) and session.engine.status("aa-L-1-stop") == "CLOSED"


@pytest.mark.parametrize(("side", "market"), [("buy", SPOT), ("buy", SWAP), ("sell", SWAP), ("buy", LOCKING)])
def test_a_stop_that_fires_and_fails_is_sold_at_the_market(opened: Open, side: str, market: Capabilities) -> None:
    session = entered(opened, market, side)
    session.venue.faults.fails_triggers, beyond = 1, 94.0 if side == "buy" else 106.0
    session.do(lambda: session.broker._doing.price(SYMBOL, beyond))
    session.price(beyond)
    session.pass_secs(2.0)
    assert is_flat(session)
    failed, sold = session.sent(Kind.STOP)
    assert failed.seen is Seen.CANCELLED and sold.ticket.type is Type.MARKET
    assert sold.created_ms - (failed.ended_ms or 0) < 1000


@every_market
def test_a_stop_that_failed_is_placed_again_where_the_price_is_back(opened: Open, market: Capabilities) -> None:
    session = entered(opened, market)
    session.venue.faults.fails_triggers, session.venue.faults.muted = 1, True
    session.price(94.9)
    session.venue.faults.muted = False
    session.price(99.0)
    session.pass_secs(SETTINGS.poll_secs + 2.0)
    assert held(session) > 0.9 and [one.left for one in session.at_venue(Kind.STOP)] == [pytest.approx(held(session))]


def test_a_stop_limit_that_is_gapped_through_is_sold_at_the_market(opened: Open) -> None:
    session = entered(opened, SPOT)
    session.price(80.0)
    session.pass_secs(SETTINGS.gapped_secs - 0.5)
    assert session.at_venue(Kind.STOP)[0].seen is Seen.FIRED
    session.pass_secs(2.0)
    gapped, sold = session.sent(Kind.STOP)
    assert gapped.seen is Seen.CANCELLED and sold.ticket.type is Type.MARKET and is_flat(session)


def test_a_stop_limit_that_the_price_comes_back_to_fills_by_itself(opened: Open) -> None:
    session = entered(opened, SPOT)
    session.price(80.0)
    session.pass_secs(1.0)
    session.price(94.8)
    session.pass_secs(2.0)
    assert is_flat(session) and len(session.sent(Kind.STOP)) == 1


@every_market
def test_a_stop_that_does_not_fire_is_not_trusted_for_long(opened: Open, market: Capabilities) -> None:
    session = entered(opened, market)
    # The venue trades there and does nothing about it.
    session.venue.prices[SYMBOL] = 90.0
    session.do(lambda: session.broker._doing.price(SYMBOL, 90.0))
    session.pass_secs(SETTINGS.protect_within_secs - 2.0)
    assert held(session) > 0.9
    session.pass_secs(4.0)
    assert is_flat(session)


@pytest.mark.parametrize("market", [SPOT, SWAP], ids=["spot", "swap"])
@pytest.mark.parametrize(("price", "done", "gone"), [(94.9, Kind.STOP, Kind.TARGET), (110.5, Kind.TARGET, Kind.STOP)])
def test_one_of_stop_and_target_ends_the_other(
    opened: Open, market: Capabilities, price: float, done: Kind, gone: Kind
) -> None:
    session = entered(opened, market)
    session.price(price)
    session.pass_secs(2.0)
    assert is_flat(session)
    assert [one.seen for one in session.sent(done)] == [Seen.FILLED]
    assert [one.seen for one in session.sent(gone)] == [Seen.CANCELLED]
    assert session.engine.status(f"aa-L-1-{done}") == "CLOSED"


@pytest.mark.parametrize(("price", "kind"), [(94.9, Kind.STOP), (110.5, Kind.TARGET)])
@pytest.mark.parametrize("muted", [False, True])
def test_what_the_daemon_watches_is_sold_at_its_price(opened: Open, price: float, kind: Kind, muted: bool) -> None:
    session = entered(opened, WATCHED)
    session.venue.faults.muted = muted
    session.price(price)
    session.pass_secs(4.0)
    assert is_flat(session) and [one.ticket.type for one in session.sent(kind)] == [Type.MARKET]
    assert session.ledger.rows("SELECT * FROM unprotected") == []


def test_a_target_that_cannot_be_at_the_venue_is_watched(opened: Open) -> None:
    session = entered(opened, LOCKING)
    assert session.sent(Kind.TARGET) == []
    session.price(111.0)
    session.pass_secs(3.0)
    assert is_flat(session) and session.engine.status("aa-L-1-target") == "CLOSED"
    (sold,), (stop,) = session.sent(Kind.TARGET), session.sent(Kind.STOP)
    assert (stop.ended_ms or math.inf) < sold.created_ms


def test_a_trigger_is_renewed_before_its_life_ends(opened: Open) -> None:
    session = entered(opened, replace(SPOT, trigger_life_secs=3600.0), plan=Plan(target=math.nan))
    for _ in range(60):
        session.pass_secs(120.0)
        session.venue.expire()
        assert len(session.at_venue(Kind.STOP)) == 1
    stops = session.sent(Kind.STOP)
    assert len(stops) == 3 and "expired" not in {one.reason for one in stops}
    assert all((old.ended_ms or 0) > new.created_ms for old, new in pairwise(stops))
    assert len(session.ledger.rows("SELECT * FROM unprotected")) == 1


@every_market
def test_the_venue_is_down_for_ten_minutes_and_the_stop_fires_meanwhile(opened: Open, market: Capabilities) -> None:
    session = entered(opened, market)
    session.venue.faults.down_until = session.loop.time() + 600.0
    session.pass_secs(300.0)
    session.price(94.9)
    session.pass_secs(330.0)
    assert is_flat(session) and len(session.sent(Kind.STOP)) == 1


@every_market
def test_what_was_filled_as_the_venue_went_down_is_protected_when_it_is_back(
    opened: Open, market: Capabilities
) -> None:
    session = opened(markets={SYMBOL: market})
    session.enter()
    session.pass_secs(0.009)
    session.venue.faults.down_until = session.loop.time() + 120.0
    session.pass_secs(118.0)
    assert held(session) > 0.9 and not session.at_venue()
    session.pass_secs(6.0)
    assert [one.left for one in session.at_venue(Kind.STOP)] == [pytest.approx(held(session))]
    assert 100 < longest_secs(session) < 130


@every_market
@pytest.mark.parametrize("fault", ["muted", "drop"])
def test_a_stop_that_nobody_hears_of_is_found(opened: Open, market: Capabilities, fault: str) -> None:
    session = entered(opened, market)
    session.venue.faults.muted = True
    session.price(94.9)
    if fault == "drop":
        session.venue.faults.muted = False
        session.venue.drop()
    session.pass_secs(2.0 if fault == "drop" else SETTINGS.poll_secs + 2.0)
    assert is_flat(session)
    assert (("", "the connection was lost") in session.doubts) is (fault == "drop")


def test_a_period_without_a_stop_counts_from_the_fill(opened: Open) -> None:
    session = opened()
    session.venue.faults.requests["submit"].append("slow")
    session.venue.faults.muted = True
    session.enter()
    session.pass_secs(20.0)
    (row,) = session.ledger.rows("SELECT * FROM unprotected")
    (entry,), (stop,) = session.sent(Kind.ENTRY), session.sent(Kind.STOP)
    assert row["from_ms"] == entry.changed_ms
    assert 0 <= row["until_ms"] - stop.created_ms < 100
