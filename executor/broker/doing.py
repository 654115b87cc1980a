"""`Doing`: what the desk says is made durable, then done; what is learned goes back to the desk."""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from executor.broker.base import Kind, Report, Status
from executor.broker.desk import Cancel, Desk, LiveSettings, Market, Steps, Submit, Trade
from executor.broker.errands import Errands, Sleep
from executor.broker.kept import Kept
from executor.broker.looking import GONE, found, look_next
from executor.broker.protection import is_beyond
from executor.broker.tickets import OURS, Sent
from executor.broker.trade import End, is_done
from executor.broker.venue import Gateway, Seen, Ticket, Word
from executor.ledger import Ledger

_log = logging.getLogger(__name__)
# A price that is older is not acted upon.
_STALE_MS = 10_000
_FRESH_MS = 1_000
_CANCEL_AGAIN_MS = 3_000
_TAKEN_MS = 1_000


class Breaker(Protocol):
    """What is asked just before an entry leaves."""

    def refuses(self, ticket: Ticket, price: float, now_ms: int) -> str:
        """Why it must not; "" where it may. price : the last one, NaN where none is known."""
        ...


class _Planned(NamedTuple):
    trade: Trade
    steps: Steps
    period: tuple[int | None, int | None]


class Doing:
    """A desk at a gateway, with its rows in a ledger.

    Attributes
    ----------
    is_running : requests leave. is_ending : entries no longer do. reports : not fetched yet; `news` is set while some
        wait. wake : set when what is due next has changed. on_doubt : see `LiveBroker`.
    """

    def __init__(
        self, ledger: Ledger, gateway: Gateway, settings: LiveSettings, clock: Callable[[], int], sleep: Sleep
    ) -> None:  # fmt: skip
        self.clock, self.gateway, self.settings = clock, gateway, settings
        self.ledger, self.kept, self.desk = ledger, Kept(ledger), Desk(settings)
        self.errands = Errands(gateway, clock, sleep, settings.request_secs, self.all_due)
        self.breaker: Breaker | None = None
        self.on_doubt: Callable[[str, str], None] | None = None
        self.reports: list[Report] = []
        self.news, self.wake = asyncio.Event(), asyncio.Event()
        self.is_running = self.is_ending = False
        self.prices: dict[str, tuple[float, int]] = {}
        self._dirty: dict[str, None] = {}
        self._changed: dict[str, Sent] = {}
        self._due: dict[str, float] = {}
        self._watched: dict[str, str] = {}

    def touch(self, trade: Trade) -> None:
        """Plan it with the next `work`."""
        self._dirty[trade.trade_id] = None

    def all_due(self) -> None:
        self._dirty.update(dict.fromkeys(self.desk.trades))
        self.work()

    def trade(self, trade_id: str) -> Trade | None:
        """A trade at the desk, or from the ledger; None where nothing was ever sent for it."""
        known = self.desk.trades.get(trade_id)
        if known is None and (known := self.kept.trade(trade_id, self.clock())) is not None:
            self.desk.take(known)
        return known

    def trade_of(self, client_id: str) -> Trade | None:
        """The trade of a ticket of ours, from the ledger where all is settled."""
        known = self.desk.trade_of(client_id)
        if known is None and client_id.startswith(OURS) and (name := self.kept.trade_of(client_id)) is not None:
            return self.trade(name)
        return known

    def hear(self, words: Iterable[Word]) -> None:
        """Take words about our tickets; others are left aside."""
        now = self.clock()
        for word in words:
            trade = self.trade_of(word.client_id)
            if trade is None or not self.desk.hear(trade, word, now):
                continue
            sent = trade.sent[word.client_id]
            self._changed[word.client_id] = sent
            self.touch(trade)
            if sent.reason == GONE:
                self.doubt(trade.symbol, f"{word.client_id}: {GONE}")
        self.work()

    def price(self, symbol: str, price: float) -> None:
        """The symbol trades at that price now."""
        self.prices[symbol] = (price, self.clock())
        for trade in self.desk.trades.values():
            if trade.symbol != symbol:
                continue
            stop = trade.live(Kind.STOP)
            if trade.trade_id in self._watched or (
                stop is not None and is_beyond(trade, Kind.STOP, stop.order.price, price)
            ):
                self.touch(trade)
        if self._dirty:
            self.work()

    def watched(self) -> list[str]:
        """Symbols whose price decides about a trade now, and was not heard a moment ago."""
        now, symbols = self.clock(), dict.fromkeys(self._watched.values())
        return [symbol for symbol in symbols if now - self.prices.get(symbol, (0.0, 0))[1] >= _FRESH_MS]

    def unsettled(self) -> dict[str, list[Sent]]:
        """Tickets that may still fill, by symbol."""
        rows: dict[str, list[Sent]] = {}
        for trade in self.desk.trades.values():
            alive = [one for one in trade.sent.values() if not one.is_final]
            if alive:
                rows.setdefault(trade.symbol, []).extend(alive)
        return rows

    def look(self, sent: Sent) -> None:
        """Ask for a ticket with the next `work`."""
        sent.look_ms = min(sent.look_ms, self.clock())
        self._dirty[sent.ticket.trade_id] = None

    def doubt(self, symbol: str, why: str) -> None:
        _log.warning("what is held of %s is in doubt: %s", symbol or "all", why)
        if self.on_doubt is not None:
            self.on_doubt(symbol, why)

    def due_ms(self) -> float:
        """When to `tick` next."""
        return min(self._due.values(), default=math.inf)

    def tick(self) -> None:
        """Look at what is due."""
        now = self.clock()
        for name, due in self._due.items():
            if due <= now:
                self._dirty[name] = None
        self.work()

    def work(self) -> None:
        """Plan what changed, make it durable, then do it."""
        now, plans = self.clock(), []
        if self.is_running:
            trades = [self.desk.trades[name] for name in self._dirty if name in self.desk.trades]
            self._dirty.clear()
            plans = [self._planned(trade, now) for trade in trades]
        self._write(plans, now)
        for plan in plans:
            self._do(plan, now)
        self.wake.set()

    def say(self, trade: Trade, ends: Sequence[End] = ()) -> None:
        """Let the engine know what it does not."""
        found = list(self.desk.reports(trade, ends, self.clock()))
        if found:
            self.reports.extend(found)
            self.news.set()

    def _market(self, symbol: str, now_ms: int) -> Market:
        price, at_ms = self.prices.get(symbol, (math.nan, 0))
        health = self.errands.health
        return Market(
            self.gateway.rules(symbol), self.gateway.capabilities(symbol),
            price if now_ms - at_ms <= _STALE_MS else math.nan,
            health.is_up and health.pause_ms <= now_ms, health.up_ms,
        )  # fmt: skip

    def _planned(self, trade: Trade, now_ms: int) -> _Planned:
        market = self._market(trade.symbol, now_ms)
        period = self.desk.protection(trade, market, now_ms)
        if trade.live(Kind.ENTRY) is not None:
            market = market._replace(halted=self.kept.halted(trade.symbol))
        steps = self.desk.plan(trade, market, now_ms)
        if self.errands.health.pause_ms > now_ms:
            steps.wait(self.errands.health.pause_ms)
        entry = next((a for a in steps.actions if isinstance(a, Submit) and a.ticket.kind is Kind.ENTRY), None)
        if entry is not None:
            why = "" if self.breaker is None else self.breaker.refuses(entry.ticket, market.price, now_ms)
            if why:
                steps.ends.append(End(Kind.ENTRY, Status.REJECTED, f"breaker: {why}"))
            if why or self.is_ending:
                steps.actions.remove(entry)
        return _Planned(trade, steps, period)

    def _write(self, plans: Sequence[_Planned], now_ms: int) -> None:
        """Tickets and what is known of them, in one transaction, before anything leaves."""
        for trade, steps, _ in plans:
            for sent in self._new(trade, steps, now_ms):
                self._changed[sent.ticket.client_id] = sent
            for action in steps.actions:
                if isinstance(action, Cancel) and not action.sent.is_cancelled:
                    action.sent.is_cancelled = True
                    self._changed[action.sent.ticket.client_id] = action.sent
        periods = [plan for plan in plans if plan.period != (None, None)]
        notices = [why for _, steps, _ in plans for why in steps.why.values() if why]
        if not (self._changed or periods):
            return
        with self.ledger.transaction("tickets"):
            self.kept.put(self._changed.values())
            for trade, _, (from_ms, until_ms) in periods:
                self.kept.bare(trade, from_ms, until_ms, _why_bare(trade))
            for text in notices:
                self.kept.notice("warning", "protection", text, now_ms)
        self._changed.clear()

    def _new(self, trade: Trade, steps: Steps, now_ms: int) -> Iterator[Sent]:
        for action in steps.actions:
            if isinstance(action, Submit):
                sent = self.desk.add(trade, action.ticket, steps.why.get(action.ticket.client_id, ""))
                sent.sent_ms, sent.is_submitting = now_ms, True
                yield sent

    def _do(self, plan: _Planned, now_ms: int) -> None:
        trade, steps, _ = plan
        for why in steps.doubts:
            self.doubt(trade.symbol, why)
        for action in steps.actions:
            if isinstance(action, Submit):
                self.errands.start(self._submit(trade.sent[action.ticket.client_id]))
            elif isinstance(action, Cancel):
                action.sent.is_cancelling = True
                self.errands.start(self._cancel(action.sent))
            else:
                action.sent.is_looking = True
                self.errands.start(self._find(action.sent))
        self.say(trade, steps.ends)
        name = trade.trade_id
        self._due.pop(name, None)
        self._watched.pop(name, None)
        if steps.watches:
            self._watched[name] = trade.symbol
        if steps.ends:
            # What is over may leave something to cancel.
            self._due[name] = now_ms
        elif steps.due_ms < math.inf:
            self._due[name] = steps.due_ms
        elif not steps.actions and is_done(trade):
            if any(one.order_id.rpartition("-")[0] == name for one in self.reports):
                # Read anew from the ledger before the engine took them, they would be said a second time.
                self._due[name] = now_ms + _TAKEN_MS
            else:
                self.desk.drop(trade)

    async def _submit(self, sent: Sent) -> None:
        word = await self.errands.submit(sent)
        sent.is_submitting = False
        self._heard_of(sent, word)

    async def _cancel(self, sent: Sent) -> None:
        pause_secs = await self.errands.cancel(sent)
        now = self.clock()
        sent.is_cancelling, sent.looks = False, 0
        sent.cancel_ms = now + max(1000 * pause_secs, _CANCEL_AGAIN_MS)
        sent.look_ms = now
        self._heard_of(sent, None)

    async def _find(self, sent: Sent) -> None:
        word, pause_secs = await self.errands.find(sent)
        sent.is_looking = False
        believed = found(sent, word, pause_secs, self.clock(), self.settings)
        self._heard_of(sent, believed)

    def _heard_of(self, sent: Sent, word: Word | None) -> None:
        trade = self.desk.trade_of(sent.ticket.client_id)
        if trade is None:
            return
        self.touch(trade)
        if word is None:
            look_next(sent, self.clock())
            self.work()
        else:
            # Of this ticket, whatever the gateway put into the answer.
            self.hear([replace(word, client_id=sent.ticket.client_id)])
            look_next(sent, self.clock())


def _why_bare(trade: Trade) -> str:
    """What happened to the stop that is not there."""
    ended = [one for one in trade.tickets(Kind.STOP) if one.waits and one.is_final]
    if any(one.seen is Seen.OPEN for one in trade.tickets(Kind.STOP)):
        return "more was filled"
    return f"{ended[-1].seen.value.lower()}: {ended[-1].reason}".rstrip(": ") if ended else "filled"
