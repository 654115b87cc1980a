"""Random ledgers against random venues: what is not ours is never touched, and a plan leaves nothing to act upon."""

from collections import defaultdict
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from executor.broker.base import Kind
from executor.broker.reconcile import Action, Ours, Placed, Theirs, What, reconcile
from executor.broker.tickets import OURS
from executor.broker.venue import Held, Listed, Seen, Word
from tests.executor.broker.fake_venue import LOCKING, SPOT, SWAP
from tests.executor.broker.sides import (
    BTC,
    HEDGE,
    NOW,
    OLD,
    applied,
    entered,
    listed,
    others,
    ours,
    placed,
    theirs,
    ticket,
    word,
)

SYMBOLS = (BTC, "BTC/USDC", "ETH/USDT")
LOTS = st.integers(1, 12).map(lambda n: n / 4)
PART = st.sampled_from([0.0, 0.25, 0.5, 1.0])
FINAL = (Seen.FILLED, Seen.CANCELLED, Seen.REFUSED, Seen.ABSENT)


@st.composite
def tickets(draw: st.DrawFn, name: str) -> list[Placed]:
    """A trade: an entry, mostly filled, and what leaves it, in any state."""
    symbol, long, qty = draw(st.sampled_from(SYMBOLS)), draw(st.booleans()), draw(LOTS)
    rows = [entered(name, qty, symbol=symbol, long=long)]
    if draw(st.booleans()) and draw(st.booleans()):
        rows = [placed(ticket(name, Kind.ENTRY, qty, symbol=symbol, long=long), draw(st.sampled_from(Seen)))]
    for kind in draw(st.sets(st.sampled_from([Kind.STOP, Kind.TARGET, Kind.EXIT]))):
        seen = draw(st.sampled_from(Seen))
        part = 1.0 if seen is Seen.FILLED else draw(PART) if seen in (Seen.OPEN, Seen.FIRED, Seen.CANCELLED) else 0.0
        rows.append(placed(ticket(name, kind, qty, symbol=symbol, long=long), seen, qty * part))
    if draw(st.booleans()):
        rows[-1] = replace(rows[-1], changed_ms=NOW - 10)
    return rows


@st.composite
def said(draw: st.DrawFn, one: Placed) -> Word:
    """What a venue may say of an order of ours: never less than is known."""
    seen = draw(st.sampled_from([Seen.OPEN, Seen.FIRED, Seen.FILLED, Seen.CANCELLED, Seen.ABSENT]))
    part = 1.0 if seen is Seen.FILLED else 0.0 if seen is Seen.ABSENT else draw(PART)
    return word(one.ticket, seen, max(one.filled, one.ticket.qty * part) if part else 0.0)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Ours, Theirs]:
    rows = [one for k in range(draw(st.integers(0, 4))) for one in draw(tickets(f"t{k}"))]
    trades = sorted({one.ticket.trade_id for one in rows})
    closed = draw(st.sets(st.sampled_from(trades))) if trades else set()
    wanted = [one.ticket.order_id for one in rows if draw(st.booleans())]
    opened = [listed(one.ticket, filled=one.filled) for one in rows if draw(st.booleans())]
    opened += [
        replace(others(f"x{k}", symbol=draw(st.sampled_from(SYMBOLS))), seen=Seen.OPEN, filled=0.0,
                client_id=draw(st.sampled_from(["", "mine-1", f"{OURS}0123456789abcdef-{k}"])))
        for k in range(draw(st.integers(0, 3)))
    ]  # fmt: skip
    found = [draw(said(one)) for one in rows if draw(st.booleans())]
    sides = ("buy", "sell")
    traded = [
        others(
            draw(st.sampled_from([f"h{k}", f"v-{OURS}t0-stop"])), draw(LOTS), side=draw(st.sampled_from(sides)),
            ts_ms=OLD + draw(st.integers(-1, 3)), symbol=draw(st.sampled_from(SYMBOLS)),
            client_id=draw(st.sampled_from(["", "", f"{OURS}t1-stop"])),
        )
        for k in range(draw(st.integers(0, 4)))
    ]  # fmt: skip
    can = draw(st.sampled_from([SPOT, LOCKING, SWAP, HEDGE]))
    held = [
        Held(symbol, sign * draw(LOTS))
        for symbol in SYMBOLS
        for sign in ((1.0,) if can.market == "spot" else (1.0, -1.0))
        if draw(st.booleans())
    ]
    halted = dict.fromkeys(draw(st.sets(st.sampled_from(SYMBOLS))), "before")
    mine = ours(
        *rows, closed=closed, wanted=wanted, symbols=SYMBOLS, halted=halted, cash=draw(LOTS) * 100, capital=100.0,
        numbers=frozenset({f"v-{OURS}t0-stop"}),
    )  # fmt: skip
    money = draw(LOTS) * 100
    return mine, theirs(*opened, held=held, can=can, found=found, traded=traded, symbols=SYMBOLS, money=money)


@settings(max_examples=200, deadline=None)
@given(pairs())
def test_what_is_not_ours_is_never_touched(pair: tuple[Ours, Theirs]) -> None:
    mine, venue = pair
    plan = reconcile(mine, venue)
    known = {one.ticket.client_id: one.ticket for one in mine.placed}
    listed_ids = {one.client_id for one in venue.listed}
    taken: dict[str, float] = defaultdict(float)
    for one in plan:
        assert one.text
        if not one.what.acts:
            assert one.word is None and one.ticket is None and not one.bookings
        if one.word is not None:
            assert one.word.client_id in known
        if one.ticket is not None:
            assert one.ticket.client_id.startswith(OURS) and one.ticket.client_id in listed_ids
        for trade_id, said in one.bookings:
            taken[said.venue_id] += said.filled
            _check_booking(trade_id, said, mine, venue)
    for number, qty in taken.items():
        rows = [one for orders in venue.traded.values() for one in orders if one.venue_id == number]
        assert qty <= sum(one.filled for one in rows) + 1e-9
    assert [one.what for one in plan] == sorted((one.what for one in plan), key=list(What).index)


def _check_booking(trade_id: str, said: Word, mine: Ours, venue: Theirs) -> None:
    """A booking is of an order that somebody else made, and leaves a trade that was open."""
    inside = [one for one in mine.placed if one.ticket.trade_id == trade_id]
    (order,) = {
        one
        for rows in venue.traded.values()
        for one in map(_plain, rows)
        if one.venue_id == said.venue_id and one.side != inside[0].ticket.side
    }
    assert not order.client_id and order.venue_id not in mine.numbers
    assert said.fees is not None and said.filled > 0.0 and said.seen is Seen.FILLED
    entered_qty = sum(one.ticket.qty for one in inside if one.ticket.kind is Kind.ENTRY)
    assert said.filled <= entered_qty + 1e-9


def _plain(one: Listed) -> Listed:
    return replace(one, fees=None)


@settings(max_examples=200, deadline=None)
@given(pairs())
def test_a_plan_that_was_applied_leaves_reports(pair: tuple[Ours, Theirs]) -> None:
    plan = reconcile(*pair)
    left = applied(plan, *pair)
    again = reconcile(*left)
    acts = [one for one in again if one.what.acts]
    # An order that was being filled and is cancelled now lets its symbol be judged.
    cancelled = any(one.what is What.CANCEL for one in plan)
    assert not acts or (cancelled and any(one.what is What.WAITS for one in plan)), _said(plan, again)
    last = reconcile(*applied(again, *left))
    assert not any(one.what.acts for one in last), _said(again, last)


def _said(*plans: list[Action]) -> str:
    return "\n".join(f"{one.what}: {one.text}" for plan in plans for one in plan)


@settings(max_examples=100, deadline=None)
@given(pairs())
def test_a_plan_depends_on_nothing_else(pair: tuple[Ours, Theirs]) -> None:
    before = (pair[0].placed, pair[1].listed, dict(pair[1].found))
    assert reconcile(*pair) == reconcile(*pair)
    assert before == (pair[0].placed, pair[1].listed, dict(pair[1].found))
