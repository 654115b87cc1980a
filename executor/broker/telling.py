"""What the engine is told of a ticket: what it filled and cost since the last time."""

import math
from collections.abc import Iterator

from executor.broker.base import Kind, Report, Status
from executor.broker.tickets import Sent
from executor.broker.trade import Trade

_NEAR = 1e-9


def increments(trade: Trade, sent: Sent) -> Iterator[Report]:
    """One report for what was filled, one more for each further currency that was paid in.

    qty is below 0 for what was bought back: it was sold too much before.
    """
    told = sent.told
    qty = sent.filled - told.qty
    has_fill = qty > _NEAR * max(sent.filled, told.qty)
    fees = _owed(sent)
    if not has_fill and not fees:
        return
    ts_ms = sent.changed_ms or sent.ticket.created_ms
    is_mending = sent.ticket.kind is not Kind.ENTRY and sent.ticket.side == trade.entry_side
    amount, price = 0.0, math.nan
    if has_fill:
        cost = sent.filled * sent.price
        amount, price = qty, (cost - told.cost) / qty
        told.qty, told.cost = sent.filled, cost
    for currency, fee in fees or [("", 0.0)]:
        told.n += 1
        told.fees[currency] = told.fees.get(currency, 0.0) + fee
        yield Report(
            sent.ticket.order_id, Status.OPEN, ts_ms, -amount if is_mending else amount, price, fee, currency,
            sent.venue_id, fill_id=f"{sent.ticket.client_id}.{told.n}",
        )  # fmt: skip
        amount, price = 0.0, math.nan


def _owed(sent: Sent) -> list[tuple[str, float]]:
    """Fees that were not told yet, by currency."""
    found = []
    for currency, fee in (sent.fees or {}).items():
        told = sent.told.fees.get(currency, 0.0)
        if abs(fee - told) > _NEAR * max(abs(fee), abs(told)):
            found.append((currency, fee - told))
    return found
