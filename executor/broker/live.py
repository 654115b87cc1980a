"""`LiveBroker`: the engine's orders at a venue."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from executor.broker.base import Intent, Kind, Order, Report, Status
from executor.broker.desk import LiveSettings
from executor.broker.doing import Breaker, Doing
from executor.broker.errands import Sleep
from executor.broker.kept import wanted
from executor.broker.listening import Listening
from executor.broker.venue import Gateway, Seen, Word
from executor.ledger import Ledger

__all__ = ["Breaker", "LiveBroker", "LiveSettings"]


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class LiveBroker:
    """A `Broker` whose orders are filled by a venue.

    Nothing is sent before `run` runs; then every change of what is wanted or known is followed at once. All that it
    knows is in the ledger's `orders`, `venue_orders`, `fills` and `unprotected`: after a crash another one goes on.

    Parameters
    ----------
    gateway : the account at the venue. clock : epoch ms. sleep : how to wait, in seconds.
    breaker : asked before each entry.

    Attributes
    ----------
    matches : whether the account's own matching fills orders.
    """

    matches = False

    def __init__(
        self,
        ledger: Ledger,
        gateway: Gateway,
        settings: LiveSettings | None = None,
        *,
        clock: Callable[[], int] = wall_ms,
        sleep: Sleep = asyncio.sleep,
        breaker: Breaker | None = None,
    ) -> None:
        self.name, self.gateway = gateway.name, gateway
        self._doing = Doing(ledger, gateway, settings or LiveSettings(), clock, sleep)
        self._doing.breaker = breaker
        self._listening = Listening(self._doing, sleep)

    @property
    def news(self) -> asyncio.Event:
        """Set while reports wait."""
        return self._doing.news

    @property
    def on_doubt(self) -> Callable[[str, str], None] | None:
        """Called with a symbol ("" = all) and why, where what is held should be compared with the venue soon."""
        return self._doing.on_doubt

    @on_doubt.setter
    def on_doubt(self, call: Callable[[str, str], None] | None) -> None:
        self._doing.on_doubt = call

    def send(self, intent: Intent) -> Sequence[Report]:
        self._doing.trade(intent.order.trade_id)
        trade = self._doing.desk.want(intent)
        if trade is not None:
            self._doing.touch(trade)
        return ()

    def flush(self, now_ms: int) -> None:
        self._doing.work()

    def resume(self, orders: Sequence[Order]) -> Sequence[Report]:
        """Take over what the ledger holds; what is under way already goes on."""
        doing = self._doing
        for name in doing.kept.unsettled():
            doing.trade(name)
        still = {order.order_id for order in orders}
        for trade in doing.desk.trades.values():
            for want in trade.wants.values():
                if want.is_live and want.order.order_id not in still:
                    want.is_wanted = False
        for order in orders:
            doing.desk.take(wanted(doing.trade(order.trade_id), order))
        for trade in doing.desk.trades.values():
            doing.touch(trade)
            doing.say(trade)
        doing.work()
        return ()

    def reports(self) -> Sequence[Report]:
        found, self._doing.reports = self._doing.reports, []
        self._doing.news.clear()
        return found

    def ended(self, order_id: str) -> None:
        name, _, word = order_id.rpartition("-")
        trade = self._doing.desk.trades.get(name)
        want = None if trade is None else trade.wants.get(Kind(word))
        if trade is not None and want is not None:
            want.status, want.is_wanted = Status.CLOSED, False
            self._doing.touch(trade)

    def open_orders(self) -> Sequence[Order]:
        return tuple(self._doing.desk.orders())

    async def open(self, symbols: Sequence[str]) -> None:
        """Connect, for these symbols and those of every trade that is not settled.

        Raises
        ------
        InputError : the venue does not have a symbol. UnreachableVenueError, VenueError : as the gateway says.
        """
        known = (trade.symbol for trade in self._doing.desk.trades.values())
        await self.gateway.open(list(dict.fromkeys([*symbols, *known])))

    async def run(self) -> None:
        """Send, listen and ask until cancelled.

        Raises
        ------
        LedgerError : the ledger cannot be written. Whatever is no fault of the venue ends it too.
        """
        self._doing.is_running, self._doing.is_ending = True, False
        self._doing.all_due()
        try:
            await self._listening.run()
        finally:
            self._doing.is_running = False

    async def settle(self) -> None:
        """Until every request has its answer; entries that were not sent by now are not sent."""
        self._doing.is_ending = True
        await self._doing.errands.settle()

    async def close(self) -> None:
        """Disconnect; requests under way are given up, their outcome is looked up at the next start."""
        self._doing.is_running = False
        self._doing.errands.abandon()
        await self.gateway.close()

    def hear(self, words: Iterable[Word]) -> None:
        """Take words about our tickets, from wherever; others are left aside."""
        self._doing.hear(words)

    def by_hand(self, trade_id: str, word: Word) -> None:
        """Book what a person sold of a trade at the venue.

        word : of the order that did it: venue_id, and what of its fills belongs to this trade.
        """
        doing = self._doing
        trade = doing.trade(trade_id)
        if trade is None:
            return
        name = f"hand-{word.venue_id}-{trade_id}"
        if name not in trade.sent:
            ticket = replace(trade.ticket(Kind.EXIT, word.filled, doing.clock()), client_id=name)
            doing.desk.add(trade, ticket, f"byhand: {word.reason or f'order {word.venue_id} of the venue'}")
        doing.hear([replace(word, client_id=name, seen=Seen.FILLED, reason="")])

    def halt_symbol(self, symbol: str, reason: str) -> None:
        """Enter nothing new on a symbol until its row in `symbol_halts` is gone; what is held stays protected."""
        now = self._doing.clock()
        with self._doing.ledger.transaction("halt"):
            self._doing.kept.halt(symbol, reason, now)
            self._doing.kept.notice("error", "halt", f"{symbol} is halted: {reason}", now)

    def value(self, currency: str) -> float:
        """Money of one unit of a currency, by the last prices; NaN where none is known."""
        for symbol, (price, _) in self._doing.prices.items():
            base, _, quote = symbol.partition(":")[0].partition("/")
            if currency == quote:
                return 1.0
            if currency == base:
                return price
        return math.nan
