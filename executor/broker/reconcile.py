"""The ledger against the venue: a pure function from both views to a list of explained actions.

What is ours is known by its client id, and by its row. What is not ours is never touched, only said; what cannot be
explained halts its symbol.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from executor.broker.base import Kind
from executor.broker.holdings import compare_balances, compare_held
from executor.broker.tickets import OURS, Sent
from executor.broker.venue import Listed, Seen, Ticket, Type, Word
from executor.broker.views import Action, Booking, Ours, Placed, Terms, Theirs, Tolerance, What

__all__ = [
    "Action", "Booking", "Ours", "Placed", "Terms", "Theirs", "Tolerance", "What", "missing", "reconcile", "to_find",
]  # fmt: skip


def reconcile(ours: Ours, theirs: Theirs, tolerance: Tolerance | None = None) -> list[Action]:
    """What differs and what follows, the acts first, in the order in which they are to be done.

    Applied, and compared again with a venue that stayed as it was, nothing is left to act upon: but that a cancel may
    end what a symbol waited for.
    """
    tolerance = tolerance or Tolerance()
    known = {one.ticket.client_id: one.sent() for one in ours.placed}
    found = [*_listed(ours, theirs, known, tolerance), *_vanished(ours, theirs, known)]
    found += compare_held(ours, theirs, known, tolerance)
    if not any(one.what.acts or one.what is What.WAITS for one in found):
        found += compare_balances(ours, theirs, known, tolerance)
    found = [_once(one, ours.halted) for one in found]
    order = list(What)
    return sorted(found, key=lambda one: order.index(one.what))


def missing(ours: Ours, theirs: Theirs) -> list[Placed]:
    """Tickets that should be open and are not listed: they are to be looked up in the venue's history."""
    there = {one.client_id for one in theirs.listed}
    return [
        one
        for one in ours.placed
        if not one.seen.is_final
        and one.ticket.client_id not in there
        # What was heard of after the list was asked for need not be in it.
        and (one.changed_ms is None or one.changed_ms < theirs.asked_ms)
    ]


def to_find(ours: Ours, theirs: Theirs) -> list[Placed]:
    """Tickets of which the list says something else than the ledger: the venue's history is to be asked for them."""
    there = {one.client_id for one in theirs.listed}
    return missing(ours, theirs) + [one for one in ours.placed if one.seen.is_final and one.ticket.client_id in there]


def _listed(
    ours: Ours, theirs: Theirs, known: Mapping[str, Sent], tolerance: Tolerance
) -> Iterator[Action]:  # fmt: skip
    """Every open order of the venue."""
    for one in theirs.listed:
        if not one.client_id.startswith(OURS):
            yield Action(What.FOREIGN_ORDER, one.symbol, f"{_described(one)} is not ours and is left alone")
            continue
        sent = known.get(one.client_id)
        if sent is None:
            text = f"{_described(one)} has our mark and no row in the ledger: nobody wants it, it is cancelled"
            yield Action(What.CANCEL, one.symbol, text, ticket=_ticket(one), venue_id=one.venue_id)
            continue
        before = _state(sent)
        if sent.hear(one, theirs.asked_ms):
            text = f"{_described(one)} is ours: the ledger says {before}, the venue {_state(sent)}, which is taken over"
            yield Action(What.ADOPT, one.symbol, text, word=one)
        said = theirs.found.get(one.client_id)
        is_stale = said is not None and said.seen.is_final
        is_stale = is_stale or (sent.changed_ms or 0) >= theirs.asked_ms - 1000 * tolerance.fresh_secs
        yield from _unwanted(one, sent, ours, is_stale=is_stale)


def _unwanted(one: Listed, sent: Sent, ours: Ours, *, is_stale: bool) -> Iterator[Action]:
    """An order of ours that works at the venue and has no reason to. is_stale : the list may be older than its end."""
    ticket = sent.ticket
    if sent.is_final:
        why = f"ended ({_state(sent)}) in the ledger"
        if is_stale:
            text = f"{_described(one)} has {why}, by a word that is newer than the list"
            yield Action(What.WAITS, one.symbol, text)
            return
    elif sent.waits and ticket.order_id not in ours.wanted and ticket.trade_id in ours.closed:
        why = f"of trade {ticket.trade_id}, which is closed"
    else:
        return
    text = f"{_described(one)} is ours and {why}: nobody wants it, it is cancelled"
    yield Action(What.CANCEL, one.symbol, text, ticket=ticket, venue_id=one.venue_id)


def _vanished(ours: Ours, theirs: Theirs, known: Mapping[str, Sent]) -> Iterator[Action]:
    """Open in the ledger and not at the venue; and whatever else was looked up."""
    gone = {one.ticket.client_id for one in missing(ours, theirs)}
    for one in ours.placed:
        name, symbol = one.ticket.client_id, one.ticket.symbol
        sent, word = known[name], theirs.found.get(name)
        if word is None and name not in gone:
            continue
        before, was_unknown = _state(sent), sent.is_unknown and not sent.venue_id
        what = f"{one.ticket.kind.value} {name} of {one.ticket.qty:g} is {before} in the ledger"
        if word is None:
            yield Action(What.WAITS, symbol, f"{what} and not listed; it is to be looked up")
        elif word.seen is Seen.ABSENT and was_unknown:
            yield Action(What.WAITS, symbol, f"{what}, and the venue has none: it is under way, or never arrived")
        elif word.seen is Seen.ABSENT:
            if name in gone:
                yield Action(What.HALT, symbol, f"{what}, and the venue neither lists it nor has it in its history")
        elif sent.hear(_named(word, one), theirs.asked_ms):
            kind = What.VANISHED if name in gone and not was_unknown else What.ADOPT
            listed = "not listed; " if name in gone else ""
            text = f"{what}; {listed}its history says {_state(sent)}, which is taken over"
            yield Action(kind, symbol, text, word=_named(word, one))


def _named(word: Word, one: Placed) -> Word:
    """An answer to a question for a ticket is about that ticket."""
    return replace(word, client_id=one.ticket.client_id, symbol=one.ticket.symbol)


def _once(action: Action, halted: Mapping[str, str]) -> Action:
    """A symbol that is halted is not halted again."""
    if action.what is What.HALT and action.symbol in halted:
        return replace(action, what=What.UNSETTLED, text=f"{action.text}; the symbol is halted already")
    return action


def _ticket(one: Listed) -> Ticket:
    """As much of a ticket as a cancel needs."""
    return Ticket(
        one.client_id, "", "", Kind.EXIT, one.symbol, one.side, "", one.type, one.qty, one.limit_price,
        one.trigger_price, False, one.ts_ms,
    )  # fmt: skip


def _described(one: Listed) -> str:
    at = one.trigger_price if one.type in (Type.STOP, Type.TARGET) else one.limit_price
    level = "" if at != at else f" at {at:g}"
    number = one.client_id if one.client_id.startswith(OURS) else one.venue_id
    return f"order {number} ({one.type.value} {one.side} {one.qty:g}{level})"


def _state(sent: Sent) -> str:
    filled = f", {sent.filled:g} filled" if sent.filled else ""
    return f"{sent.seen.value}{filled}"
