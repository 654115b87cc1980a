"""Small ledgers' and venues' views, and what a plan makes of them."""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from executor.broker.base import Kind
from executor.broker.reconcile import Action, Ours, Placed, Terms, Theirs, What
from executor.broker.venue import Balance, Capabilities, Held, Listed, Rules, Seen, Ticket, Type, Word
from tests.executor.broker.fake_venue import RULES, SPOT, SWAP

NOW = 1_700_000_100_000
OLD = NOW - 60_000
BTC = "BTC/USDT"
HEDGE = replace(SWAP, hedge=True)


def ticket(name: str, kind: Kind = Kind.ENTRY, qty: float = 1.0, *, long: bool = True, symbol: str = BTC) -> Ticket:
    """Of trade `name`; the client id says what it is."""
    type = {Kind.STOP: Type.STOP, Kind.TARGET: Type.TARGET}.get(kind, Type.MARKET)
    level = 95.0 if type is not Type.MARKET else math.nan
    return Ticket(
        f"ls-{name}-{kind.value}", f"{name}-{kind.value}", name, kind, symbol,
        "buy" if long == (kind is Kind.ENTRY) else "sell", "long" if long else "short", type, qty, math.nan, level,
        False, OLD,
    )  # fmt: skip


def placed(one: Ticket, seen: Seen = Seen.OPEN, filled: float = 0.0, **given: Any) -> Placed:
    price, fees = (100.0, {}) if filled else (math.nan, None)
    number = "" if seen in (Seen.NEW, Seen.UNKNOWN) else f"v-{one.client_id}"
    return Placed(one, seen, filled, price, fees, number, changed_ms=OLD, **given)


def entered(name: str, qty: float = 1.0, **given: Any) -> Placed:
    """The filled entry of a trade."""
    return placed(ticket(name, Kind.ENTRY, qty, **given), Seen.FILLED, qty)


def word(one: Ticket, seen: Seen, filled: float = 0.0, ts_ms: int = OLD + 1) -> Word:
    return Word(one.client_id, seen, filled, 95.0 if filled else math.nan, {}, ts_ms, f"v-{one.client_id}")


def listed(one: Ticket, seen: Seen = Seen.OPEN, filled: float = 0.0) -> Listed:
    said = word(one, seen, filled)
    return Listed(
        **{**vars(said), "symbol": one.symbol}, side=one.side, type=one.type, qty=one.qty,
        trigger_price=one.trigger_price,
    )  # fmt: skip


def others(
    number: str, qty: float = 1.0, *, side: str = "sell", ts_ms: int = OLD + 1, symbol: str = BTC, client_id: str = ""
) -> Listed:  # fmt: skip
    """A filled order of somebody else's."""
    return Listed(
        client_id, Seen.FILLED, qty, 99.0, {"USDT": 0.2 * qty}, ts_ms, number, symbol=symbol, side=side, qty=qty
    )


def ours(*tickets: Placed, closed: Iterable[str] = (), wanted: Iterable[str] | None = None, **given: Any) -> Ours:
    names = [one.ticket.order_id for one in tickets if not one.seen.is_final] if wanted is None else wanted
    return Ours(tickets, frozenset(names), frozenset(closed), symbols=given.pop("symbols", (BTC,)), **given)


def theirs(
    *open_orders: Listed, held: float | Iterable[Held] = 0.0, can: Capabilities = SPOT, rules: Rules = RULES,
    found: Iterable[Word] = (), traded: Iterable[Listed] = (), symbols: Iterable[str] = (BTC,), money: float = 0.0,
    prices: dict[str, float] | None = None, asked_ms: int = NOW,
) -> Theirs:  # fmt: skip
    rows = [Held(BTC, held)] if isinstance(held, float | int) else list(held)
    fills: dict[str, tuple[Listed, ...]] = {}
    for one in traded:
        fills[one.symbol] = (*fills.get(one.symbol, ()), one)
    return Theirs(
        asked_ms, {symbol: Terms(rules, can) for symbol in symbols}, open_orders, tuple(rows),
        (Balance("USDT", money, money),), prices or {}, {one.client_id: one for one in found}, fills,
    )  # fmt: skip


def kinds(actions: Iterable[Action]) -> list[str]:
    return [one.what.value for one in actions]


def applied(actions: Iterable[Action], mine: Ours, venue: Theirs) -> tuple[Ours, Theirs]:
    """Both sides as a live broker and an honest venue leave them."""
    known = {one.ticket.client_id: one for one in mine.placed}
    for one in actions:
        if one.word is not None:
            known[one.word.client_id] = heard(known[one.word.client_id], one.word)
        for trade_id, said in one.bookings:
            first = next(p.ticket for p in mine.placed if p.ticket.trade_id == trade_id)
            side = "sell" if first.position == "long" else "buy"
            hand = replace(
                first, client_id=f"hand-{said.venue_id}-{trade_id}", kind=Kind.EXIT, side=side, type=Type.MARKET,
                qty=said.filled,
            )  # fmt: skip
            known[hand.client_id] = Placed(
                hand, Seen.FILLED, said.filled, said.price, said.fees, said.venue_id, changed_ms=said.ts_ms
            )
            mine = replace(mine, numbers=mine.numbers | {said.venue_id})
        if one.what is What.HALT:
            mine = replace(mine, halted={**mine.halted, one.symbol: one.text})
        if one.ticket is not None:
            gone = [row for row in venue.listed if row.client_id == one.ticket.client_id]
            venue = replace(venue, listed=tuple(row for row in venue.listed if row not in gone))
            if one.ticket.client_id in known:
                before = known[one.ticket.client_id]
                end = replace(gone[-1], seen=Seen.CANCELLED)
                known[one.ticket.client_id] = heard(before, end)
    return replace(mine, placed=tuple(known.values())), venue


def heard(one: Placed, said: Word) -> Placed:
    sent = one.sent()
    sent.hear(said, NOW)
    return Placed(
        one.ticket, sent.seen, sent.filled, sent.price, sent.fees, sent.venue_id, sent.fired_id, sent.changed_ms
    )
