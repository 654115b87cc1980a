"""`Desk`: what the engine wants, what was sent for it, and what is to be done next. It knows no clock, no file and no
socket: who drives it says what time it is, keeps its rows and does what it says.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from executor.broker.base import Intent, Kind, Order, Report, Status, Verb
from executor.broker.entering import plan_entry
from executor.broker.leaving import plan_leaving
from executor.broker.looking import look, look_next
from executor.broker.protection import bare_from, is_bare
from executor.broker.telling import increments
from executor.broker.tickets import Sent
from executor.broker.trade import (
    Action,
    Cancel,
    End,
    Find,
    LiveSettings,
    Market,
    Steps,
    Submit,
    Trade,
    Want,
)
from executor.broker.venue import Seen, Ticket, Word

__all__ = ["Action", "Cancel", "Desk", "Find", "LiveSettings", "Market", "Steps", "Submit", "Trade", "Want"]


class Desk:
    """Trades by id, each planned for itself."""

    def __init__(self, settings: LiveSettings) -> None:
        self.settings = settings
        self.trades: dict[str, Trade] = {}
        self._by_client: dict[str, Trade] = {}

    def take(self, trade: Trade) -> None:
        """A trade from the ledger's rows."""
        self.trades[trade.trade_id] = trade
        self._by_client.update((name, trade) for name in trade.sent)

    def drop(self, trade: Trade) -> None:
        """Nothing is wanted of it, nothing can happen to it."""
        del self.trades[trade.trade_id]
        for name in trade.sent:
            del self._by_client[name]

    def want(self, intent: Intent) -> Trade | None:
        """Take an intent; the trade that it is about, None where nothing is known of one to amend or cancel."""
        verb, order, _ = intent
        trade = self.trades.get(order.trade_id)
        if verb is Verb.SUBMIT:
            if trade is None:
                trade = self.trades[order.trade_id] = Trade(order.trade_id, order.symbol, position_of(order))
            found = trade.wants.get(order.kind)
            if found is None or not found.is_live:
                trade.wants[order.kind] = Want(order)
            return trade
        want = None if trade is None else trade.wants.get(order.kind)
        if want is None:
            return None
        if verb is Verb.AMEND:
            want.order = _amended(want.order, order)
        else:
            want.is_wanted, want.reason = False, intent.reason
        return trade

    def add(self, trade: Trade, ticket: Ticket, why: str = "") -> Sent:
        """A ticket that is about to be durable."""
        sent = Sent(ticket, reason=why)
        trade.sent[ticket.client_id] = sent
        self._by_client[ticket.client_id] = trade
        return sent

    def trade_of(self, client_id: str) -> Trade | None:
        return self._by_client.get(client_id)

    def hear(self, trade: Trade, word: Word, now_ms: int) -> bool:
        """Take a word about one of a trade's tickets; whether it said anything new."""
        sent = trade.sent[word.client_id]
        before = sent.filled
        if not sent.hear(word, now_ms):
            return False
        if sent.ticket.kind is Kind.ENTRY and sent.filled > before:
            entry = trade.wants.get(Kind.ENTRY)
            trade.is_told = False
            trade.is_late = trade.is_late or entry is None or entry.status in (Status.CANCELLED, Status.REJECTED)
        sent.look_ms = math.inf
        look_next(sent, now_ms)
        return True

    def plan(self, trade: Trade, market: Market, now_ms: int) -> Steps:
        """What is to be done about a trade now."""
        steps = Steps(now_ms)
        plan_entry(trade, market, self.settings, steps)
        plan_leaving(trade, market, self.settings, steps)
        for sent in trade.sent.values():
            look(sent, steps)
        return steps

    def protection(self, trade: Trade, market: Market, now_ms: int) -> tuple[int | None, int | None]:
        """Whether a period without a stop at the venue begins or ends now: its first and its last moment, or None."""
        bare = is_bare(trade, market, now_ms, self.settings)
        if bare and trade.bare_ms is None:
            trade.bare_ms = bare_from(trade, now_ms)
            return trade.bare_ms, None
        if not bare and trade.bare_ms is not None:
            began, trade.bare_ms = trade.bare_ms, None
            return None, max(began, _left_ms(trade) if trade.sellable(market) == 0.0 else now_ms)
        return None, None

    def reports(self, trade: Trade, ends: Sequence[End], now_ms: int) -> Iterator[Report]:
        """What the engine was not told yet."""
        for sent in trade.sent.values():
            yield from increments(trade, sent)
        for kind, want in trade.wants.items():
            if want.status is Status.NEW and want.is_live:
                there = next((one for one in trade.tickets(kind) if one.seen in (Seen.OPEN, Seen.FIRED)), None)
                if there is not None:
                    want.status = Status.OPEN
                    ts_ms = there.changed_ms or now_ms
                    yield Report(want.order.order_id, Status.OPEN, ts_ms, venue_order_id=there.venue_id)
        for end in ends:
            if end.kind in trade.wants:
                trade.wants[end.kind].status = end.status
            last = max((one.changed_ms or 0 for one in trade.tickets(end.kind)), default=0) or now_ms
            yield Report(f"{trade.trade_id}-{end.kind.value}", end.status, last, reason=end.reason)

    def orders(self) -> Iterator[Order]:
        """Wants that are not settled: to be carried out, or with a ticket that may still be filled."""
        for trade in self.trades.values():
            for kind, want in trade.wants.items():
                if want.is_live or trade.may_fill(kind):
                    yield want.order


def position_of(order: Order) -> str:
    """The side of the trade that an order is of."""
    buys = order.side == "buy"
    return "long" if buys == (order.kind is Kind.ENTRY) else "short"


def _amended(order: Order, said: Order) -> Order:
    """An amendment names a level and a quantity, and little else."""
    return replace(order, price=said.price, qty=said.qty)


def _left_ms(trade: Trade) -> int:
    """When the last of a trade was sold."""
    return max((one.changed_ms or 0 for one in trade.sent.values() if one.filled), default=0)
