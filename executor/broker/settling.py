"""Which orders of a venue's history closed our trades by hand: found for certain, or not at all."""

import math
from collections.abc import Mapping, Sequence

from executor.broker.venue import Listed, Seen, Word
from executor.broker.views import Booking, Ours, Theirs


def bookings(
    symbols: Sequence[str], trades: Mapping[str, float], short: float, near: float, least: float, ours: Ours,
    theirs: Theirs,
) -> tuple[Booking, ...] | str:  # fmt: skip
    """What to book on which trade; or why that cannot be said.

    Parameters
    ----------
    trades : what each open trade holds, base units. short : of that is missing. near : less is no difference.
    least : less cannot be sold.
    """
    shares = _shares(trades, short, near, least)
    if shares is None:
        return (
            f"which of the trades {', '.join(sorted(trades))} it was of cannot be said; buy it back, or close them all"
        )
    orders = _explaining(_candidates(symbols, trades, ours, theirs), short, near)
    if not orders:
        return "no orders of the venue's history explain exactly that"
    return tuple(_booked(shares, orders))


def _shares(trades: Mapping[str, float], short: float, near: float, least: float) -> dict[str, float] | None:
    """How much of it each trade lost: all of them everything, or one of them."""
    total = math.fsum(trades.values())
    if short > total + near:
        return None
    if total - short < max(least, near):
        left, shares = short, dict[str, float]()
        for name, qty in sorted(trades.items()):
            shares[name] = min(qty, left)
            left -= shares[name]
        return {name: qty for name, qty in shares.items() if qty > 0.0}
    same = [name for name, qty in trades.items() if abs(qty - short) <= near]
    whose = list(trades) if len(trades) == 1 else same
    return {whose[0]: short} if len(whose) == 1 else None


def _candidates(symbols: Sequence[str], trades: Mapping[str, float], ours: Ours, theirs: Theirs) -> list[Listed]:
    """Foreign orders that left what our trades hold, since the first of those was entered, newest first."""
    inside = [one for one in ours.placed if one.ticket.trade_id in trades]
    if not inside:
        return []
    since_ms = min(one.ticket.created_ms for one in inside)
    side = "sell" if inside[0].ticket.position == "long" else "buy"
    found = [
        one
        for symbol in symbols
        for one in theirs.traded.get(symbol, ())
        if one.side == side
        and one.filled > 0.0
        and one.ts_ms >= since_ms
        and not one.client_id
        and one.venue_id not in ours.numbers
    ]
    return sorted(found, key=lambda one: (one.ts_ms, one.venue_id), reverse=True)


def _explaining(orders: Sequence[Listed], short: float, near: float) -> list[Listed]:
    """The newest ones that make it up together; otherwise the only one that does alone, or that there is."""
    total = 0.0
    for k, one in enumerate(orders, 1):
        total += one.filled
        if abs(total - short) <= near:
            return list(orders[:k])
    alone = [one for one in orders if abs(one.filled - short) <= near]
    if len(alone) == 1:
        return alone
    # Of one that sold more, the rest was not ours.
    return list(orders) if len(orders) == 1 and orders[0].filled > short else []


def _booked(shares: Mapping[str, float], orders: Sequence[Listed]) -> list[Booking]:
    """Orders, oldest first, shared out among the trades."""
    found, left = [], [(one, one.filled) for one in reversed(orders)]
    for name, wanted in shares.items():
        while wanted > 0.0 and left:
            order, there = left[0]
            qty = min(wanted, there)
            found.append(Booking(name, _word(order, qty)))
            wanted -= qty
            left[0] = (order, there - qty)
            if there - qty <= 1e-9 * order.filled:
                left.pop(0)
            if wanted <= 1e-9 * qty:
                break
    return found


def _word(order: Listed, qty: float) -> Word:
    """What of an order is ours, with its part of the fees: none said is none, lest the whole order be asked for."""
    part = qty / order.filled
    fees = {currency: fee * part for currency, fee in (order.fees or {}).items()}
    return Word(
        "", Seen.FILLED, qty, order.price, fees, order.ts_ms, order.venue_id,
        reason=f"order {order.venue_id} at the venue", symbol=order.symbol,
    )  # fmt: skip
