"""`Venue`: the local exchange without its protocol: one account, markets that trade by a script, and its records.

Time is who drives it. A driver in the same process steps through a week as fast as it likes:

    venue.script(symbol, bars)
    for now_ms in moments:
        clock.now_ms = now_ms
        await venue.advance(now_ms)

`advance` walks through everything that is due up to then in the order of time, one moment after the other: prices, what
they match, triggers, expiries, funding; within a moment `venue.now()` is that moment, whatever the clock says. What the
fronts push is written to their sockets before the next moment begins (`flushes`), so nothing is in flight here when it
returns; whether a client has read it, only the client knows. `price` does one trade at once, with pushes queued and
written by the loop. Stamps of requests are judged by a front's `wall`, which no market's clock moves.
"""

import heapq
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from executor.sandbox.holdings import Holdings
from executor.sandbox.matching import Matching
from executor.sandbox.records import (
    Booked,
    Event,
    Fill,
    Item,
    Listing,
    Log,
    Money,
    NewOrder,
    Position,
    RefusalError,
    Tick,
    Trigger,
    VenueOrder,
)
from executor.sandbox.script import Point, path
from executor.sandbox.tape import Candle, Day, Tape
from executor.sandbox.wallet import Wallet
from toolkit.bars.intervals import HOUR_MS, MINUTE_MS

__all__ = [
    "Booked", "Candle", "Day", "Event", "Fill", "Listing", "Money", "NewOrder", "Point", "Position", "RefusalError",
    "Trigger", "Venue", "VenueOrder",
]  # fmt: skip

# Swaps pay funding at 0, 8 and 16 o'clock UTC.
FUNDING_MS = 8 * HOUR_MS
# Of the market's own trade where the test says no volume.
_PLAIN_VOLUME = 1.0


class Venue:
    """One account. Nothing happens by itself: only what is asked, and what `advance` finds due.

    Parameters
    ----------
    balances : money by currency. clock : the market's time, epoch ms.
    swap_balances : of an account of its own for swaps; without it swaps are traded from the same purse.
    hedge : swaps hold a long and a short position each. locks_triggers : a waiting sell binds the base currency.

    Attributes
    ----------
    listings : by symbol. log : what was asked of it, the exchange's own records.
    listeners : called with each `Event`, in the order of what happened. flushes : awaited after each step of `advance`.
    fails_trigger : asked with the symbol whether a trigger that fires now fails.
    """

    def __init__(
        self, listings: Iterable[Listing], balances: Mapping[str, float], *, clock: Callable[[], int],
        hedge: bool = False, locks_triggers: bool = False, swap_balances: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        self.listings = {listing.symbol: listing for listing in listings}
        self.log = Log()
        self.listeners: list[Callable[[Event], None]] = []
        self.flushes: list[Callable[[], Awaitable[None]]] = []
        self.fails_trigger: Callable[[str], bool] = lambda symbol: False
        self._clock, self._locks_triggers = clock, locks_triggers
        self._at: int | None = None
        self._tapes = {symbol: Tape() for symbol in self.listings}
        self._wallet = Wallet(balances, lambda moved: self._tell("balance", "spot", "", moved))
        self._swap_wallet = self._wallet
        if swap_balances is not None:
            self._swap_wallet = Wallet(swap_balances, lambda moved: self._tell("balance", "swap", "", moved))
        self._holdings = Holdings(
            self._swap_wallet, lambda held: self._tell("position", "", held.symbol, held), hedge=hedge
        )
        self._matching = Matching(
            self.listings, self._wallet_of, self._holdings, self._order_news, self.now, self.last_price
        )
        self._triggers: dict[str, Trigger] = {}
        self._waiting: dict[str, Trigger] = {}
        self._script: list[tuple[int, int, str, Point, Iterator[Point]]] = []
        self._scripts = 0
        self._rates: dict[str, float] = {}
        self._funded_ms = clock()

    def now(self) -> int:
        """The market's time; while `advance` catches up, that of what is just due."""
        return self._clock() if self._at is None else self._at

    # Orders.

    def place(self, new: NewOrder) -> VenueOrder:
        """Take an order. Raises RefusalError : by the market's rules, or for want of money."""
        try:
            order = self._matching.place(new)
        except RefusalError as error:
            self._note("place", new.symbol, new.client_id, outcome=error.code)
            raise
        self._note("place", new.symbol, new.client_id, id=order.id)
        return order

    def cancel(self, number: str) -> VenueOrder:
        """Raises RefusalError : `missing` or `finished`."""
        return self._asked("cancel", number, lambda: self._matching.cancel(number))

    def amend(self, number: str, *, price: float | None = None, qty: float | None = None) -> VenueOrder:
        """Raises RefusalError : as `place` and `cancel`."""
        return self._asked("amend", number, lambda: self._matching.amend(number, price, qty))

    def place_trigger(self, new: NewOrder, rule: str, trigger_price: float, life_secs: float = 0.0) -> Trigger:
        """An order that is placed once the last price is at `trigger_price` or beyond. rule : "<=" or ">=".

        life_secs : after which it expires, 0 for never. Raises RefusalError : by the market's rules.
        """
        try:
            listing = self._matching.check(new)
            number, now = self._matching.number(), self.now()
            if self._locks_triggers and listing.market == "spot":
                is_sell = new.side == "sell"
                price = new.price or trigger_price
                amount = new.qty if is_sell else new.qty * price
                self._wallet.hold(number, listing.base if is_sell else listing.quote, amount)
        except RefusalError as error:
            self._note("place trigger", new.symbol, new.client_id, outcome=error.code)
            raise
        expires_ms = now + int(life_secs * 1000) if life_secs else 0
        trigger = Trigger(number, rule, trigger_price, new, now, now, expires_ms=expires_ms)
        self._triggers[number] = self._waiting[number] = trigger
        self._note("place trigger", new.symbol, new.client_id, id=number)
        self._tell("trigger", "put", new.symbol, replace(trigger))
        if self._is_reached(trigger, self.last_price(new.symbol)):
            self._fire(trigger)
        return replace(trigger)

    def cancel_trigger(self, number: str) -> Trigger:
        """Raises RefusalError : `missing` or `finished`."""
        trigger = self._triggers.get(number)
        if trigger is None or trigger.status != "open":
            self._note("cancel trigger", id=number, outcome="missing" if trigger is None else "finished")
            raise RefusalError("missing" if trigger is None else "finished", f"no trigger {number} waits")
        self._note("cancel trigger", trigger.symbol, trigger.client_id, id=number)
        self._end(trigger, "canceled", "manual")
        return replace(trigger)

    def order(self, number: str) -> VenueOrder | None:
        found = self._matching.orders.get(number)
        return None if found is None else replace(found, fees=dict(found.fees))

    def by_client(self, client_id: str) -> list[VenueOrder]:
        """All orders of that client id, oldest first: it need not be unique."""
        return [replace(order, fees=dict(order.fees)) for order in self._matching.by_client(client_id)]

    def open_orders(self, symbol: str = "") -> list[VenueOrder]:
        """Oldest first."""
        return [replace(order, fees=dict(order.fees)) for order in self._matching.open_orders(symbol)]

    def finished(self, symbol: str = "", since_ms: int = 0) -> list[VenueOrder]:
        """Oldest first."""
        return [
            replace(order, fees=dict(order.fees))
            for order in self._matching.orders.values()
            if order.status != "open" and symbol in ("", order.symbol) and order.created_ms >= since_ms
        ]

    def fills(self, symbol: str = "", since_ms: int = 0) -> list[Fill]:
        """Oldest first."""
        return [fill for fill in self._matching.fills if symbol in ("", fill.symbol) and fill.ts_ms >= since_ms]

    def trigger(self, number: str) -> Trigger | None:
        found = self._triggers.get(number)
        return None if found is None else replace(found)

    def triggers(self, symbol: str = "", *, waiting: bool = True) -> list[Trigger]:
        """Those that wait, or those that ended; oldest first."""
        return [
            replace(trigger)
            for trigger in self._triggers.values()
            if symbol in ("", trigger.symbol) and (trigger.status == "open") == waiting
        ]

    # The account.

    def balances(self, market: str = "spot") -> dict[str, Money]:
        """market : "spot" or "swap", where they are apart."""
        return self._wallet_of(market).all()

    def held_for(self, market: str, owner: str) -> float:
        """Money bound for owners whose name begins so, such as "position"."""
        return self._wallet_of(market).held_for(owner)

    def positions(self) -> list[Position]:
        return self._holdings.all()

    def position(self, symbol: str, side: str) -> Position:
        """side : "both", or "long" or "short" in hedge mode."""
        return replace(self._holdings.of(symbol, side))

    def booked(self, currency: str = "", since_ms: int = 0, market: str = "spot") -> list[Booked]:
        """The account's book, oldest first."""
        book = self._wallet_of(market).book
        return [row for row in book if currency in ("", row.currency) and row.ts_ms >= since_ms]

    def deposit(self, currency: str, amount: float, market: str = "spot") -> None:
        self._wallet_of(market).change(currency, amount, "deposit", "", self.now())

    def withdraw(self, currency: str, amount: float, market: str = "spot") -> None:
        """Raises RefusalError : `funds`."""
        if amount > self._wallet_of(market).money(currency).free:
            raise RefusalError("funds", f"there are not {amount:g} {currency} free")
        self._wallet_of(market).change(currency, -amount, "withdraw", "", self.now())

    def _wallet_of(self, market: str) -> Wallet:
        return self._swap_wallet if market == "swap" else self._wallet

    @property
    def is_apart(self) -> bool:
        """Swaps have an account of their own."""
        return self._swap_wallet is not self._wallet

    @property
    def hedge(self) -> bool:
        return self._holdings.hedge

    def set_mode(self, *, hedge: bool) -> None:
        """Raises RefusalError : `mode`; a position or an order of a swap is open."""
        swaps = [symbol for symbol, listing in self.listings.items() if listing.market == "swap"]
        if hedge != self.hedge and any(self._matching.open_orders(symbol) for symbol in swaps):
            raise RefusalError("mode", "the position mode changes only while no order is open")
        self._holdings.set_mode(hedge=hedge)

    def set_leverage(self, symbol: str, leverage: float) -> None:
        self._holdings.set_leverage(symbol, leverage)

    def set_margin(self, symbol: str, mode: str) -> None:
        """mode : "isolated" or "cross"."""
        self._holdings.set_margin_mode(symbol, mode)

    # The market.

    def set_status(self, symbol: str, status: str) -> None:
        """status : "trading", "halted" or "delisted"."""
        self.listings[symbol] = replace(self.listings[symbol], status=status)

    def set_matching(self, *, spread_bps: float | None = None, depth: Mapping[str, float] | None = None) -> None:
        """depth : by symbol, how much of an order is filled at once; none for all of it."""
        if spread_bps is not None:
            self._matching.spread_bps = spread_bps
        if depth is not None:
            self._matching.depth = dict(depth)

    def last_price(self, symbol: str) -> float:
        """0 before the first trade."""
        tape = self._tapes.get(symbol)
        return 0.0 if tape is None else tape.last

    def price(self, symbol: str, price: float, volume: float = math.inf) -> None:
        """The market trades now. volume : how much of it orders that rest can have."""
        now = self.now()
        plain = _PLAIN_VOLUME if math.isinf(volume) else volume
        self._tapes[symbol].trade(now, price, plain)
        self._tell("price", "", symbol, Tick(price, plain))
        if self.listings[symbol].status != "trading":
            return
        self._matching.trade(symbol, price, volume)
        for trigger in [one for one in self._waiting.values() if one.symbol == symbol]:
            if self._is_reached(trigger, price):
                self._fire(trigger)

    def script(self, symbol: str, path_to_come: Iterable[Point] | Iterable[Candle], step_ms: int = MINUTE_MS) -> None:
        """What the market will do: trades, or bars of length `step_ms` (see `script.path`), oldest first; read as
        they fall due, so they may go on for ever.
        """
        points = _points(path_to_come, step_ms)
        self._scripts += 1
        self._queue(self._scripts, symbol, points)

    def remember(self, symbol: str, minutes: Iterable[Candle]) -> None:
        """Minutes of the past, in order; nothing is matched against them."""
        self._tapes[symbol].remember(minutes)

    def candles(self, symbol: str, interval: str, first_ms: int, last_ms: int) -> list[Candle]:
        """Candles that open in [first, last], the open one with them, oldest first; empty minutes are absent."""
        return self._tapes[symbol].candles(interval, first_ms, min(last_ms, self.now()))

    def funding(self, symbol: str, rate: float) -> None:
        """The rate of the stamps to come."""
        self._rates[symbol] = rate

    def rate(self, symbol: str) -> float:
        """Funding of the next stamp."""
        return self._rates.get(symbol, 0.0)

    def day(self, symbol: str) -> Day:
        """The market's last 24 hours."""
        return self._tapes[symbol].day(self.now())

    async def advance(self, now_ms: int) -> None:
        """Apply everything that is due up to then, in the order of time."""
        while (due := self._next_due()) <= now_ms:
            self._at = int(due)
            self._expire()
            self._fund()
            while self._script and self._script[0][0] <= due:
                _, number, symbol, point, rest = heapq.heappop(self._script)
                self._walk(symbol, point)
                self._queue(number, symbol, rest)
            await self._flush()
        self._at = None
        await self._flush()

    async def _flush(self) -> None:
        for flush in self.flushes:
            await flush()

    def _next_due(self) -> float:
        expiries = (trigger.expires_ms for trigger in self._waiting.values() if trigger.expires_ms)
        scripted = self._script[0][0] if self._script else math.inf
        funding = (self._funded_ms // FUNDING_MS + 1) * FUNDING_MS if self._rates else math.inf
        return min(scripted, funding, *expiries, math.inf)

    def _queue(self, number: int, symbol: str, points: Iterator[Point]) -> None:
        point = next(points, None)
        if point is not None:
            heapq.heappush(self._script, (point.ts_ms, number, symbol, point, points))

    def _walk(self, symbol: str, point: Point) -> None:
        """On the way to a price the market trades at each price where a trigger waits."""
        last = self.last_price(symbol)
        if not point.is_jump and last:
            levels = {one.trigger_price for one in self._waiting.values() if one.symbol == symbol}
            low, high = sorted((last, point.price))
            for level in sorted((one for one in levels if low < one < high), reverse=point.price < last):
                self.price(symbol, level, 0.0)
        self.price(symbol, point.price, point.volume)

    def _expire(self) -> None:
        now = self.now()
        for trigger in [one for one in self._waiting.values() if one.expires_ms and one.expires_ms <= now]:
            self._end(trigger, "expired", "expired")

    def _fund(self) -> None:
        now = self.now()
        if not self._rates or now // FUNDING_MS <= self._funded_ms // FUNDING_MS:
            return
        self._funded_ms = now
        for symbol, rate in self._rates.items():
            self._holdings.fund(self.listings[symbol], rate, self.last_price(symbol), now)

    def _is_reached(self, trigger: Trigger, price: float) -> bool:
        if not price:
            return False
        return price <= trigger.trigger_price if trigger.rule == "<=" else price >= trigger.trigger_price

    def _fire(self, trigger: Trigger) -> None:
        self._wallet.release(trigger.id)
        if self.fails_trigger(trigger.symbol):
            self._end(trigger, "failed", "TRIGGER_FAILED")
            return
        try:
            order = self._matching.place(trigger.order, trigger.id)
        except RefusalError as error:
            self._end(trigger, "failed", error.code)
            return
        trigger.order_id = order.id
        self._end(trigger, "fired", "")

    def _end(self, trigger: Trigger, status: str, reason: str) -> None:
        trigger.status, trigger.reason, trigger.updated_ms = status, reason, self.now()
        self._waiting.pop(trigger.id, None)
        self._wallet.release(trigger.id)
        if status in ("fired", "failed", "expired"):
            outcome = "ok" if status == "fired" else reason
            self._note(f"trigger {status}", trigger.symbol, trigger.client_id, id=trigger.id, outcome=outcome)
        self._tell("trigger", "finish", trigger.symbol, replace(trigger))

    def _asked(self, verb: str, number: str, call: Callable[[], VenueOrder]) -> VenueOrder:
        try:
            order = call()
        except RefusalError as error:
            self._note(verb, id=number, outcome=error.code)
            raise
        self._note(verb, order.symbol, order.client_id, id=number)
        return order

    def _order_news(self, verb: str, item: VenueOrder | Fill) -> None:
        kind = "fill" if isinstance(item, Fill) else "order"
        self._tell(kind, "" if kind == "fill" else verb, item.symbol, item)

    def _tell(self, kind: str, verb: str, symbol: str, item: Item) -> None:
        event = Event(kind, verb, symbol, item, self.now())
        for listener in self.listeners:
            listener(event)

    def _note(self, verb: str, symbol: str = "", client_id: str = "", **more: str) -> None:
        self.log.note(self.now(), verb, symbol, client_id, **more)


def _points(given: Iterable[Point] | Iterable[Candle], step_ms: int) -> Iterator[Point]:
    for one in given:
        if isinstance(one, Candle):
            yield from path([one], step_ms)
        else:
            yield one
