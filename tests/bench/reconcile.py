"""Reconciliation of a thousand working orders: from the ledger's file and a venue's lists to the plan."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from executor.broker.base import Kind
from executor.broker.gathering import compare, read_ours
from executor.broker.kept import Kept
from executor.broker.live import LiveBroker
from executor.broker.reconcile import Terms, Theirs, Tolerance, reconcile
from executor.broker.reconciling import Reconciler
from executor.broker.tickets import Sent, client_id
from executor.broker.venue import Balance, Capabilities, Held, Listed, Place, Rules, Seen, Ticket, Type, Word
from executor.ledger import Ledger

NOW = 1_700_000_000_000
RULES = Rules(0.01, 0.001, 0.001, 1.0, 1.0, 0.001, 0.002, True)
CAN = Capabilities("spot", Place.VENUE, Place.VENUE)
SYMBOLS = tuple(f"C{k}/USDT" for k in range(50))
LIMIT_SECS = 2.0


class StillVenue:
    """A venue in the same process that answers at once: what is measured is the reconciliation."""

    name = "still"

    def __init__(self, listed: Sequence[Listed], held: Sequence[Held]) -> None:
        self.listed = {symbol: [one for one in listed if one.symbol == symbol] for symbol in SYMBOLS}
        self._held = held

    def rules(self, symbol: str) -> Rules:
        return RULES

    def capabilities(self, symbol: str) -> Capabilities:
        return CAN

    async def orders(self, symbol: str) -> Sequence[Listed]:
        return self.listed[symbol]

    async def held(self) -> Sequence[Held]:
        return self._held

    async def balances(self) -> Sequence[Balance]:
        return [Balance("USDT", 100_000.0, 100_000.0)]

    async def traded(self, symbol: str) -> Sequence[Listed]:
        return []

    async def find(self, ticket: Ticket, venue_id: str) -> Word:
        return Word(ticket.client_id, Seen.FILLED, ticket.qty, 95.0, {}, NOW, venue_id)


def write(book: Ledger, count: int) -> tuple[list[Listed], list[Held]]:
    """`count` working orders, a stop and a target a trade, behind as many finished ones; what the venue has of them."""
    sent, listed, held = list[Sent](), list[Listed](), dict.fromkeys(SYMBOLS, 0.0)
    for k in range(count):
        name, symbol = f"i{k}-L-{NOW - k}", SYMBOLS[k % len(SYMBOLS)]
        is_open = 2 * k < count
        kinds = (Kind.ENTRY, Kind.STOP, Kind.TARGET) if is_open else (Kind.ENTRY, Kind.EXIT)
        for kind in kinds:
            one = _ticket(name, kind, symbol)
            works = kind in (Kind.STOP, Kind.TARGET)
            seen, filled = (Seen.OPEN, 0.0) if works else (Seen.FILLED, 1.0)
            sent.append(Sent(one, seen, filled, 100.0, {}, f"v{len(sent)}", changed_ms=NOW - 10_000_000_000))
            book.insert("orders", _order(one, "OPEN" if works else "CLOSED"))
            if works:
                listed.append(_listed(one, sent[-1].venue_id))
        held[symbol] += is_open
        book.insert("trades", _trade(name, symbol, "ACTIVE" if is_open else "CLOSED"))
        fills = [(one, 1.0) for one in (f"{name}-entry", *([] if is_open else [f"{name}-exit"]))]
        book.put("fills", [_fill(order_id, name, qty) for order_id, qty in fills])
    Kept(book).put(sent)
    book.insert("cash_flows", {"ts_ms": 0, "kind": "allocated", "amount": 100_000.0, "note": ""})
    return listed, [Held(symbol, qty) for symbol, qty in held.items()]


def measured(count: int) -> dict[str, float]:
    """Seconds: the pure function, the plan from the file, a look in which half of the orders are behind."""
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder) / "l.sqlite", create=True) as book:
        with book.transaction("write"):
            listed, held = write(book, count)
        venue: Any = StillVenue(listed, held)
        ours = read_ours(book, SYMBOLS, Kept(book).unsettled(), [one.client_id for one in listed])
        theirs = Theirs(NOW, dict.fromkeys(SYMBOLS, Terms(RULES, CAN)), tuple(listed), tuple(held))
        pure = _best(lambda: reconcile(ours, theirs))
        plan = _best(lambda: asyncio.run(compare(book, venue, SYMBOLS, Tolerance(), lambda: NOW)))
        assert asyncio.run(compare(book, venue, SYMBOLS, Tolerance(), lambda: NOW)) == []
        # Every second stop fired while nobody listened: their trades are over, their words are taken over.
        for rows in venue.listed.values():
            rows[:] = [one for one in rows if one.type is not Type.STOP]
        for k, one in enumerate(held):
            venue._held[k] = Held(one.symbol, 0.0)
        broker = LiveBroker(book, venue, clock=lambda: NOW)
        reconciler = Reconciler(book, broker, symbols=lambda: SYMBOLS, clock=lambda: NOW)
        began = time.perf_counter()
        asyncio.run(reconciler.look("bench"))
        look = time.perf_counter() - began
        done = book.value("SELECT count(*) FROM reconciliations WHERE action = 'vanished' AND done = 1")
        assert done == count // 2, done
    return {"pure": pure, "plan": plan, "look": look}


def run(quick: bool = False) -> list[dict[str, Any]]:
    """A thousand orders on fifty symbols."""
    count = 100 if quick else 1_000
    found = measured(count)
    what = f"reconcile of {count:,} working orders on {len(SYMBOLS)} symbols"
    said = {
        "pure": "two views to a plan",
        "plan": "ledger's file and venue's lists to a plan",
        "look": f"{count // 2:,} of them fired meanwhile: found, adopted, written",
    }
    return [
        {
            "what": f"{what}: {text}", "value": f"{found[name]:.2f} s", "peer": "", "ratio": None,
            "bar": f"< {LIMIT_SECS:g} s",
        }
        for name, text in said.items()
    ]  # fmt: skip


def _best(call: Any) -> float:
    took = []
    for _ in range(3):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return float(np.min(took))


def _ticket(name: str, kind: Kind, symbol: str) -> Ticket:
    type = {Kind.STOP: Type.STOP, Kind.TARGET: Type.TARGET}.get(kind, Type.MARKET)
    order_id = f"{name}-{kind.value}"
    side = "buy" if kind is Kind.ENTRY else "sell"
    level = {Kind.STOP: 95.0, Kind.TARGET: 110.0}.get(kind, float("nan"))
    return Ticket(
        client_id(order_id, 0), order_id, name, kind, symbol, side, "long", type, 1.0, float("nan"), level, False,
        NOW - 10_000_000_000,
    )  # fmt: skip


def _listed(one: Ticket, number: str) -> Listed:
    return Listed(
        one.client_id, Seen.OPEN, 0.0, float("nan"), {}, NOW, number, symbol=one.symbol, side=one.side, type=one.type,
        qty=one.qty, trigger_price=one.trigger_price,
    )  # fmt: skip


def _order(one: Ticket, status: str) -> dict[str, object]:
    return {
        "order_id": one.order_id, "trade_id": one.trade_id, "instance": "i", "symbol": one.symbol,
        "kind": one.kind.value, "side": one.side, "type": "market", "qty": 1.0, "price": one.trigger_price,
        "status": status, "created_ms": one.created_ms, "seq": 0,
    }  # fmt: skip


def _trade(name: str, symbol: str, status: str) -> dict[str, object]:
    return {
        "trade_id": name, "leg": "i", "instance": "i", "strategy": "s", "symbol": symbol, "side": "long",
        "status": status, "signal_ms": 0, "entry_ms": 0, "qty": 1.0, "seq": 0,
    }  # fmt: skip


def _fill(order_id: str, trade_id: str, qty: float) -> dict[str, object]:
    return {
        "fill_id": f"{client_id(order_id, 0)}.1", "order_id": order_id, "trade_id": trade_id, "ts_ms": 0,
        "price": 100.0, "qty": qty, "fee": 0.0, "seq": 0,
    }  # fmt: skip
