"""Tickets as rows of the ledger: durable before anything is sent, and all that a restart needs."""

import json
import math
from collections.abc import Iterable

from executor.broker.base import Kind, Order, Status
from executor.broker.desk import position_of
from executor.broker.tickets import Sent, Told
from executor.broker.trade import Trade, Want
from executor.broker.venue import Seen, Ticket, Type
from executor.ledger import Ledger, number
from executor.ledger.ledger import Row

_TRADE = "SELECT * FROM venue_orders WHERE trade_id = ? ORDER BY created_ms, rowid"
_FILLS = "SELECT fill_id, price, qty, fee, fee_currency FROM fills WHERE trade_id = ? ORDER BY rowid"
_BARE = "SELECT id, from_ms FROM unprotected WHERE trade_id = ? AND until_ms IS NULL"
_TRADE_OF = "SELECT trade_id FROM venue_orders WHERE client_id = ?"
_DAY_MS = 86_400_000
# What may still fill; what was filled and not reported in full; what changed lately.
_UNSETTLED = """
SELECT trade_id FROM venue_orders WHERE seen IN ('NEW', 'UNKNOWN', 'OPEN', 'FIRED')
UNION SELECT trade_id FROM trades WHERE status = 'ACTIVE'
UNION SELECT trade_id FROM venue_orders WHERE changed_ms > (SELECT max(changed_ms) FROM venue_orders) - ?
UNION SELECT v.trade_id FROM (SELECT trade_id, sum(filled) AS qty FROM venue_orders GROUP BY trade_id) AS v
    LEFT JOIN (SELECT trade_id, sum(abs(qty)) AS qty FROM fills GROUP BY trade_id) AS f USING (trade_id)
    WHERE v.qty > coalesce(f.qty, 0) * 1.000001
ORDER BY 1
"""
_ENTRY = "SELECT * FROM orders WHERE order_id = ?"
_HALT = "SELECT reason FROM symbol_halts WHERE symbol = ? AND until_ms IS NULL"


class Kept:
    """The rows of one ledger. Writes belong into a transaction of the caller."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def unsettled(self) -> list[str]:
        """Trades about which something may still be to do or to say."""
        return [row["trade_id"] for row in self._ledger.rows(_UNSETTLED, (_DAY_MS,))]

    def trade_of(self, client_id: str) -> str | None:
        found: str | None = self._ledger.value(_TRADE_OF, (client_id,))
        return found

    def trade(self, trade_id: str, now_ms: int) -> Trade | None:
        """A trade with its tickets and what was reported of them; None where nothing was ever sent for it."""
        rows = self._ledger.rows(_TRADE, (trade_id,))
        if not rows:
            return None
        trade = Trade(trade_id, rows[0]["symbol"], rows[0]["position"])
        for row in rows:
            sent = _sent(row, now_ms)
            trade.sent[sent.ticket.client_id] = sent
        for fill in self._ledger.rows(_FILLS, (trade_id,)):
            _tell(trade, fill)
        for bare in self._ledger.rows(_BARE, (trade_id,)):
            trade.bare_row, trade.bare_ms = bare["id"], bare["from_ms"]
        entry = self._ledger.rows(_ENTRY, (f"{trade_id}-{Kind.ENTRY.value}",))
        if entry:
            trade.wants[Kind.ENTRY] = _want(entry[0])
            late = trade.wants[Kind.ENTRY].status in (Status.CANCELLED, Status.REJECTED)
            trade.is_late = late and any(one.filled > one.told.qty * 1.000001 for one in trade.tickets(Kind.ENTRY))
        return trade

    def put(self, sent: Iterable[Sent]) -> None:
        """Write tickets as they are now."""
        self._ledger.put("venue_orders", [_row(one) for one in sent])

    def bare(self, trade: Trade, from_ms: int | None, until_ms: int | None, why: str) -> None:
        """A period without a stop at the venue begins or ends."""
        if from_ms is not None:
            row = {"trade_id": trade.trade_id, "from_ms": from_ms, "until_ms": None, "why": why}
            trade.bare_row = self._ledger.insert("unprotected", row)
        if until_ms is not None and trade.bare_row is not None:
            self._ledger.update("unprotected", {"id": trade.bare_row}, {"until_ms": until_ms})
            trade.bare_row = None

    def halted(self, symbol: str) -> str:
        """Why nothing new is entered on a symbol; "" where it may be."""
        return str(self._ledger.value(_HALT, (symbol,)) or "")

    def halt(self, symbol: str, reason: str, now_ms: int) -> None:
        if not self.halted(symbol):
            self._ledger.put("symbol_halts", [{"symbol": symbol, "from_ms": now_ms, "reason": reason}])

    def notice(self, level: str, kind: str, text: str, now_ms: int) -> None:
        self._ledger.insert("notices", {"ts_ms": now_ms, "level": level, "kind": kind, "text": text})


def _row(one: Sent) -> dict[str, object]:
    ticket = one.ticket
    return {
        "client_id": ticket.client_id, "order_id": ticket.order_id, "trade_id": ticket.trade_id,
        "kind": ticket.kind.value, "symbol": ticket.symbol, "side": ticket.side, "position": ticket.position,
        "type": ticket.type.value, "qty": ticket.qty, "price": ticket.price, "trigger_price": ticket.trigger_price,
        "reduce_only": int(ticket.reduce_only), "seen": one.seen.value, "cancelling": int(one.is_cancelled),
        "filled": one.filled, "fill_price": one.price,
        "fees": None if one.fees is None else json.dumps(dict(one.fees)), "venue_id": one.venue_id,
        "fired_id": one.fired_id, "reason": one.reason, "created_ms": ticket.created_ms, "sent_ms": one.sent_ms,
        "known_ms": one.known_ms, "changed_ms": one.changed_ms,
    }  # fmt: skip


def _sent(row: Row, now_ms: int) -> Sent:
    """A ticket of another process: what may have left is looked up, whatever it was."""
    ticket = Ticket(
        row["client_id"], row["order_id"], row["trade_id"], Kind(row["kind"]), row["symbol"], row["side"],
        row["position"], Type(row["type"]), row["qty"], number(row["price"]), number(row["trigger_price"]),
        bool(row["reduce_only"]), row["created_ms"],
    )  # fmt: skip
    seen = Seen(row["seen"])
    sent = Sent(
        ticket, Seen.UNKNOWN if seen is Seen.NEW else seen, row["filled"], number(row["fill_price"]),
        None if row["fees"] is None else json.loads(row["fees"]), row["venue_id"], row["fired_id"], row["reason"],
        bool(row["cancelling"]), row["sent_ms"], row["known_ms"], row["changed_ms"],
    )  # fmt: skip
    if seen.is_final:
        sent.ended_ms = row["changed_ms"]
    if seen is Seen.FIRED:
        sent.fired_ms = now_ms
    if sent.filled:
        sent.filled_ms = row["changed_ms"]
    if not seen.is_final or sent.lacks_fees:
        sent.look_ms = now_ms
    return sent


def _tell(trade: Trade, fill: Row) -> None:
    """What the ledger holds as a fill was reported."""
    name, _, n = fill["fill_id"].rpartition(".")
    sent = trade.sent.get(name)
    if sent is None:
        return
    told: Told = sent.told
    qty, price = abs(fill["qty"]), number(fill["price"])
    told.qty += qty
    told.cost += qty * price if qty and not math.isnan(price) else 0.0
    told.fees[fill["fee_currency"]] = told.fees.get(fill["fee_currency"], 0.0) + fill["fee"]
    told.n = max(told.n, int(n))


def _want(row: Row) -> Want:
    order = Order(
        row["order_id"], row["trade_id"], row["instance"], row["symbol"], Kind(row["kind"]), row["side"], row["type"],
        number(row["qty"]), number(row["price"]), row["created_ms"],
    )  # fmt: skip
    return Want(order, status=Status(row["status"]))


def wanted(trade: Trade | None, order: Order) -> Trade:
    """The trade with a want that the ledger holds as NEW or OPEN."""
    trade = trade or Trade(order.trade_id, order.symbol, position_of(order))
    found = trade.wants.get(order.kind)
    if found is None or not found.is_live:
        trade.wants[order.kind] = Want(order)
    else:
        found.order = order
    return trade
