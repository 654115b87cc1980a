"""What is to be done about a trade's entry: one market order, sent once; what is not known is looked up, not resent."""

from executor.broker.base import Kind, Status
from executor.broker.tickets import Sent
from executor.broker.trade import LEAVING, End, LiveSettings, Market, Steps, Trade, Want, whole_lots
from executor.broker.venue import Seen


def plan_entry(trade: Trade, market: Market, settings: LiveSettings, steps: Steps) -> None:
    """Submit what is wanted, cancel what no longer is, and say what became of it."""
    want = trade.wants.get(Kind.ENTRY)
    tickets = list(trade.tickets(Kind.ENTRY))
    alive = [one for one in tickets if not one.is_final]
    if alive:
        is_wanted = want is not None and want.is_live and not _is_being_left(trade)
        for one in alive[1:] if is_wanted else alive:
            steps.cancel(one)
    elif want is not None and want.status not in (Status.CLOSED, Status.CANCELLED, Status.REJECTED):
        if not tickets or _may_go_again(tickets[-1]):
            _send(trade, want, tickets, market, settings, steps)
        else:
            steps.ends.append(_end(tickets, want))


def _send(
    trade: Trade, want: Want, tickets: list[Sent], market: Market, settings: LiveSettings, steps: Steps
) -> None:  # fmt: skip
    now, order = steps.now_ms, want.order
    if not want.is_wanted:
        steps.ends.append(_cancelled(want))
        return
    stale_ms = order.created_ms + settings.max_entry_age_secs * 1000
    if now > stale_ms:
        text = f"stale: not sent within {settings.max_entry_age_secs:g} s"
        steps.ends.append(End(Kind.ENTRY, Status.CANCELLED, text))
        return
    why = _refused_here(order.qty, market)
    if why:
        steps.ends.append(End(Kind.ENTRY, Status.REJECTED, why))
        return
    pause_ms = tickets[-1].pause_ms if tickets else now
    if pause_ms > now or not market.is_up:
        steps.wait(max(pause_ms, now) if market.is_up else stale_ms + 1)
        return
    steps.submit(trade.ticket(Kind.ENTRY, whole_lots(order.qty, market.rules.lot_step), now))


def _refused_here(qty: float, market: Market) -> str:
    """Why the venue would not take it; "" where it would."""
    rules = market.rules
    if market.halted:
        return f"halted: {market.halted}"
    if not rules.is_trading:
        return "halted: the venue does not trade it now"
    lots = whole_lots(qty, rules.lot_step)
    if lots <= 0.0 or lots < rules.min_qty * (1.0 - 1e-9):
        return f"refused: {qty:g} is below the least quantity of {max(rules.min_qty, rules.lot_step):g}"
    if lots * market.price < rules.min_notional:
        return f"refused: {lots * market.price:g} is below the least notional of {rules.min_notional:g}"
    return ""


def _end(tickets: list[Sent], want: Want) -> End:
    last, filled = tickets[-1], sum(one.filled for one in tickets)
    if last.seen is Seen.FILLED or (filled and filled >= last.ticket.qty * (1.0 - 1e-9)):
        return End(Kind.ENTRY, Status.CLOSED)
    if last.seen is Seen.REFUSED:
        return End(Kind.ENTRY, Status.REJECTED, last.reason or "refused: the venue did not say why")
    if last.seen is Seen.ABSENT:
        return End(Kind.ENTRY, Status.CANCELLED, "absent: it never arrived at the venue")
    if not want.is_wanted:
        return _cancelled(want)
    return End(Kind.ENTRY, Status.CANCELLED, f"cancelled: {last.reason or 'by the venue'}")


def _cancelled(want: Want) -> End:
    known = want.reason.partition(":")[0] in ("expired", "stale", "halted")
    return End(
        Kind.ENTRY, Status.CANCELLED, want.reason if known else f"cancelled: {want.reason or 'no longer wanted'}"
    )


def _may_go_again(last: Sent) -> bool:
    """Whether the venue only said "not now"."""
    return last.seen is Seen.REFUSED and last.pause_ms > 0.0


def _is_being_left(trade: Trade) -> bool:
    """Whether its exit is wanted or has begun: no more of it is to be bought."""
    return trade.live(Kind.EXIT) is not None or any(one.filled or one.is_leaving_now for one in trade.tickets(*LEAVING))
