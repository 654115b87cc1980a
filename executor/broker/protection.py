"""A trade's stop and target at the venue: there, for what is held, at their level; and whether they are."""

import math

from executor.broker.base import Kind
from executor.broker.pausing import pause_until
from executor.broker.tickets import Sent
from executor.broker.trade import LiveSettings, Market, Steps, Trade, same_qty
from executor.broker.venue import Place, Seen, Ticket, Type

_RENEW_SHARE = 0.1
_RENEW_SECS = 600.0


def protect(
    trade: Trade, kind: Kind, qty: float, market: Market, settings: LiveSettings, steps: Steps
) -> None:  # fmt: skip
    """Keep one waiting order of a kind at the venue, for `qty` at the wanted level; the new one first, then the old
    ones go, unless a waiting order binds what the next one needs."""
    alive = [one for one in trade.tickets(kind) if not one.is_final and one.waits]
    want = trade.live(kind)
    place = market.can.stop if kind is Kind.STOP else market.can.target
    if want is None or math.isnan(want.order.price) or place is Place.DAEMON:
        for one in alive:
            steps.cancel(one)
        return
    level = want.order.price
    good = [one for one in alive if _serves(one, level, qty, market, steps)]
    kept = next((one for one in good if one.seen is Seen.OPEN), None)
    if kept is not None:
        for one in alive:
            if one is not kept and not one.is_unknown:
                steps.cancel(one)
        return
    if good or any(one.is_unknown for one in alive):
        return
    if alive and market.can.triggers_lock:
        for one in alive:
            steps.cancel(one)
        return
    until = pause_until([one for one in trade.tickets(kind) if one.waits], steps.now_ms)
    if until > steps.now_ms:
        steps.wait(until)
    elif market.is_up:
        steps.submit(_waiting(trade, kind, qty, level, market, settings, steps.now_ms))


def covered(trade: Trade, market: Market, now_ms: int, settings: LiveSettings) -> float:
    """Base units for which a stop waits at the venue, or is on its way after firing."""
    total = 0.0
    for one in trade.tickets(Kind.STOP):
        if not one.waits:
            continue
        if one.seen is Seen.OPEN or (
            one.seen is Seen.FIRED and now_ms - (one.fired_ms or now_ms) <= 1000 * fired_secs(market, settings)
        ):
            total += one.left
    return total


def is_bare(trade: Trade, market: Market, now_ms: int, settings: LiveSettings) -> bool:
    """Whether something is held whose stop should be at the venue and is not, in full."""
    want = trade.wants.get(Kind.STOP)
    if want is None or not want.is_live or math.isnan(want.order.price) or market.can.stop is Place.DAEMON:
        return False
    qty = trade.sellable(market)
    there = covered(trade, market, now_ms, settings)
    return qty > 0.0 and there < qty and not same_qty(there, qty, market)


def bare_from(trade: Trade, now_ms: int) -> int:
    """Since when, by the venue's own times: the fill that is not covered, or the end of the stop that was."""
    entries, stops = list(trade.tickets(Kind.ENTRY)), [one for one in trade.tickets(Kind.STOP) if one.waits]
    if any(one.seen is Seen.OPEN for one in stops):
        found = max((one.changed_ms or 0 for one in entries), default=0)
    elif any(one.known_ms is not None for one in stops):
        found = max(one.fired_ms or one.changed_ms or 0 for one in stops if one.known_ms is not None)
    else:
        found = min((one.filled_ms or one.changed_ms or now_ms for one in entries if one.filled), default=now_ms)
    return min(found or now_ms, now_ms)


def watches(trade: Trade, qty: float, market: Market, now_ms: int, settings: LiveSettings) -> bool:
    """Whether the daemon itself must see the price: of an order that is wanted, and not at the venue."""
    stop, target = trade.live(Kind.STOP), trade.live(Kind.TARGET)
    if stop is not None and not math.isnan(stop.order.price):
        there = covered(trade, market, now_ms, settings)
        if there < qty and not same_qty(there, qty, market):
            return True
    if target is None or math.isnan(target.order.price):
        return False
    return not any(one.seen is Seen.OPEN and one.waits for one in trade.tickets(Kind.TARGET))


def is_beyond(trade: Trade, kind: Kind, level: float, price: float) -> bool:
    """Whether a price has reached a stop or a target; never for one that is not known."""
    falls = (kind is Kind.STOP) == (trade.position == "long")
    return price <= level if falls else price >= level


def fired_secs(market: Market, settings: LiveSettings) -> float:
    """How long a fired stop may take to fill."""
    return settings.gapped_secs if market.can.stop_is_limit else settings.protect_within_secs


def _serves(one: Sent, level: float, qty: float, market: Market, steps: Steps) -> bool:
    """Whether it is what is wanted, and will be for a while."""
    ticket = one.ticket
    at = ticket.trigger_price if one.is_trigger else ticket.price
    if one.is_cancelled or at != level or not same_qty(one.left, qty, market):
        return False
    life = market.can.trigger_life_secs
    if not one.is_trigger or math.isinf(life):
        return True
    renew_ms = ticket.created_ms + 1000 * (life - min(_RENEW_SHARE * life, _RENEW_SECS))
    if steps.now_ms >= renew_ms:
        return False
    steps.wait(renew_ms)
    return True


def _waiting(
    trade: Trade, kind: Kind, qty: float, level: float, market: Market, settings: LiveSettings, now_ms: int
) -> Ticket:  # fmt: skip
    is_swap = market.can.market == "swap"
    if kind is Kind.TARGET and is_swap:
        return trade.ticket(kind, qty, now_ms, type=Type.LIMIT, price=level, reduces=True)
    price = math.nan
    if market.can.stop_is_limit:
        # Beyond the level, so that it fills through a gap of that much.
        gap = settings.stop_limit_gap
        price = level * (1.0 - gap if trade.exit_side == "sell" else 1.0 + gap)
    type = Type.STOP if kind is Kind.STOP else Type.TARGET
    return trade.ticket(kind, qty, now_ms, type=type, price=price, trigger_price=level, reduces=is_swap)
