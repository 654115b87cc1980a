"""What is to be done to leave a trade: at its stop, at its target, when the engine wants it, or since it must."""

import math
from collections.abc import Sequence

from executor.broker.base import Kind, Status
from executor.broker.pausing import has_failed, pause_until
from executor.broker.protection import covered, fired_secs, is_beyond, protect, watches
from executor.broker.tickets import Sent
from executor.broker.trade import LEAVING, End, LiveSettings, Market, Steps, Trade, exists, same_qty, sellable
from executor.broker.venue import Place, Seen

_Urge = tuple[Kind, str]


def plan_leaving(trade: Trade, market: Market, settings: LiveSettings, steps: Steps) -> None:
    """Bring what is at the venue to what is wanted of a trade that holds something, or has been left."""
    qty = trade.sellable(market)
    if qty == 0.0:
        _settle(trade, market, settings, steps)
        return
    trade.flat_ms = None
    leavers = [one for one in trade.tickets(*LEAVING) if one.is_leaving_now]
    if leavers:
        _see_through(leavers, trade, market, settings, steps)
        return
    urge = _urge(trade, qty, market, settings, steps)
    if urge is not None:
        _leave(trade, urge, qty, market, steps)
        return
    for kind in (Kind.STOP, Kind.TARGET):
        protect(trade, kind, qty, market, settings, steps)
    steps.watches = steps.watches or watches(trade, qty, market, steps.now_ms, settings)


def _see_through(
    leavers: Sequence[Sent], trade: Trade, market: Market, settings: LiveSettings, steps: Steps
) -> None:  # fmt: skip
    """Something is leaving the trade now: wait for it, but for a stop that fired and does not fill."""
    for one in leavers:
        if one.seen is not Seen.FIRED:
            continue
        steps.watches = True
        want = trade.wants.get(one.ticket.kind)
        level = want.order.price if want is not None else one.ticket.trigger_price
        fired_ms = one.fired_ms or steps.now_ms
        is_gapped = trade.live(Kind.EXIT) is not None or is_beyond(trade, one.ticket.kind, level, market.price)
        secs = fired_secs(market, settings) if is_gapped else settings.protect_within_secs
        if steps.now_ms < fired_ms + 1000 * secs:
            steps.wait(fired_ms + 1000 * secs)
        else:
            steps.cancel(one)


def _urge(trade: Trade, qty: float, market: Market, settings: LiveSettings, steps: Steps) -> _Urge | None:
    """Which order is to be carried out at the market now, and why; None: the trade goes on."""
    if trade.live(Kind.EXIT) is not None:
        return Kind.EXIT, ""
    now, stop, target = steps.now_ms, trade.live(Kind.STOP), trade.live(Kind.TARGET)
    if stop is not None and not math.isnan(stop.order.price):
        if is_beyond(trade, Kind.STOP, stop.order.price, market.price):
            if not _should_fire(trade, qty, market, settings, steps):
                return Kind.STOP, "the price is beyond the stop, which is not at the venue"
        else:
            trade.beyond_ms = None
        if market.can.stop is Place.VENUE and trade.bare_ms is not None and market.is_up:
            until = max(trade.bare_ms, market.up_ms) + settings.protect_within_secs * 1000
            if now >= until:
                return Kind.STOP, f"unprotected: no stop at the venue for {settings.protect_within_secs:g} s"
            steps.wait(until)
    if target is not None and is_beyond(trade, Kind.TARGET, target.order.price, market.price) and not _waits(trade):
        return Kind.TARGET, "the price is at the target, which is not at the venue"
    return _astray(trade, settings, steps)


def _waits(trade: Trade) -> bool:
    """Whether the target is at the venue, where it fills by itself."""
    return any(one.seen is Seen.OPEN and one.waits for one in trade.tickets(Kind.TARGET))


def _should_fire(trade: Trade, qty: float, market: Market, settings: LiveSettings, steps: Steps) -> bool:
    """Whether a stop at the venue may be trusted to fire, the price being beyond it; it is asked for meanwhile."""
    there = covered(trade, market, steps.now_ms, settings)
    if there < qty and not same_qty(there, qty, market):
        return False
    if trade.beyond_ms is None:
        trade.beyond_ms = steps.now_ms
        for one in trade.tickets(Kind.STOP):
            if not one.is_final:
                one.look_ms = min(one.look_ms, steps.now_ms + 1000.0)
    until = trade.beyond_ms + settings.protect_within_secs * 1000
    steps.wait(until)
    steps.watches = True
    return steps.now_ms < until


def _astray(trade: Trade, settings: LiveSettings, steps: Steps) -> _Urge | None:
    """An entry that was given up and filled all the same is the engine's to leave; where it cannot, it is left here."""
    entry = trade.wants.get(Kind.ENTRY)
    given_up = entry is not None and entry.status in (Status.CANCELLED, Status.REJECTED)
    if not given_up or not trade.is_late or any(want.is_live for want in trade.wants.values()):
        trade.astray_ms = None
        return None
    trade.astray_ms = trade.astray_ms or steps.now_ms
    until = trade.astray_ms + settings.protect_within_secs * 1000
    if steps.now_ms < until:
        steps.wait(until)
        return None
    return Kind.EXIT, "unprotected: filled after it was given up, and no trade has it"


def _leave(trade: Trade, urge: _Urge, qty: float, market: Market, steps: Steps) -> None:
    """Sell what is held; where waiting triggers bind it they go first."""
    kind, why = urge
    steps.watches = True
    if market.can.triggers_lock:
        waiting = [one for one in trade.tickets(Kind.STOP, Kind.TARGET) if not one.is_final]
        for one in waiting:
            steps.cancel(one)
        if waiting:
            return
    line = [one for one in trade.tickets(*LEAVING) if not one.waits]
    until = pause_until(line, steps.now_ms)
    if until > steps.now_ms:
        steps.wait(until)
    elif market.is_up:
        if line and has_failed(line[-1]):
            steps.doubts.append(f"an order that leaves {trade.trade_id} failed: {line[-1].reason}")
        steps.submit(trade.ticket(kind, qty, steps.now_ms, reduces=market.can.market == "swap"), why)


def _settle(trade: Trade, market: Market, settings: LiveSettings, steps: Steps) -> None:
    """Nothing sellable is held: what waits is cancelled, what was sold too much is bought back, the end is said."""
    waiting = [one for one in trade.tickets(*LEAVING) if not one.is_final]
    for one in waiting:
        steps.cancel(one)
    if trade.may_fill(Kind.ENTRY) or not trade.entered():
        return
    trade.flat_ms = trade.flat_ms if trade.flat_ms is not None else steps.now_ms
    _say(trade, settings, steps)
    if not waiting:
        _mend(trade, market, steps)


def _say(trade: Trade, settings: LiveSettings, steps: Steps) -> None:
    """Report the order that ended the trade, with all its fees where they come soon."""
    if trade.is_told or trade.flat_ms is None:
        return
    filled = [one for one in trade.tickets(*LEAVING) if one.filled]
    if not filled:
        # All that was bought is less than can be sold.
        trade.is_told = True
        steps.ends.append(End(Kind.EXIT, Status.CLOSED, "dust: less was filled than can be sold"))
        return
    last = max(filled, key=lambda one: one.changed_ms or 0)
    if not any(trade.live(kind) for kind in LEAVING):
        return
    until = trade.flat_ms + settings.fees_secs * 1000
    if any(one.lacks_fees for one in filled) and steps.now_ms < until:
        steps.wait(until)
        return
    trade.is_told = True
    steps.ends.append(End(last.ticket.kind, Status.CLOSED, last.reason))


def _mend(trade: Trade, market: Market, steps: Steps) -> None:
    """A race of two orders sold more than was held: the rest is bought back."""
    qty = sellable(-trade.held(market), market)
    if qty == 0.0 or any(one.lacks_fees for one in trade.sent.values() if exists(one)):
        return
    line = [one for one in trade.tickets(Kind.EXIT) if one.ticket.side == trade.entry_side]
    until = pause_until(line, steps.now_ms)
    if until > steps.now_ms:
        steps.wait(until)
    elif market.is_up:
        steps.submit(trade.ticket(Kind.EXIT, qty, steps.now_ms, is_mending=True), "mending: more was sold than held")
