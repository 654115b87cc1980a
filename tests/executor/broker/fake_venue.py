"""A venue that is honest about what it does and unreliable in everything around it.

It matches at one price a symbol, on the clock of its loop. Requests, answers and news get lost, late, doubled or
refused as the test says; what the venue did all the same stands in `records`, which are its own.
"""

import asyncio
import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from executor.broker.venue import (
    Balance,
    Capabilities,
    Heard,
    Held,
    Listed,
    Place,
    RefusedError,
    Rules,
    Seen,
    Ticket,
    Type,
    UnknownOutcomeError,
    UnreachableVenueError,
    Word,
)

START_MS = 1_700_000_000_000
SPOT = Capabilities("spot", Place.VENUE, Place.VENUE, stop_is_limit=True, trigger_life_secs=86_400.0)
LOCKING = Capabilities("spot", Place.VENUE, Place.DAEMON, triggers_lock=True)
WATCHED = Capabilities("spot", Place.DAEMON, Place.DAEMON)
SWAP = Capabilities("swap", Place.VENUE, Place.VENUE)
RULES = Rules(0.01, 0.001, 0.001, 1.0, 1.0, 0.001, 0.002, True)
_T = TypeVar("_T")
_OPEN = (Seen.OPEN, Seen.FIRED)


@dataclass
class Record:
    """An order that arrived, as the venue keeps it."""

    id: str
    ticket: Ticket
    seen: Seen
    created_ms: int
    changed_ms: int
    filled: float = 0.0
    cost: float = 0.0
    fees: dict[str, float] = field(default_factory=dict)
    fired_id: str = ""
    reason: str = ""
    opened_ms: int | None = None
    ended_ms: int | None = None

    @property
    def left(self) -> float:
        return self.ticket.qty - self.filled

    @property
    def is_open(self) -> bool:
        return self.seen in _OPEN

    def word(self, *, fees: bool = True) -> Word:
        price = self.cost / self.filled if self.filled else math.nan
        return Word(
            self.ticket.client_id, self.seen, self.filled, price, dict(self.fees) if fees else None, self.changed_ms,
            self.id, self.fired_id, self.reason, self.ticket.symbol,
        )  # fmt: skip


@dataclass
class Faults:
    """What goes wrong next. requests : by verb, what befalls the next ones, in turn: `lost` (the request), `unanswered`
    (done, no answer), `late` (done after `late_secs` of the venue, given up before), `slow`, `busy` (429), `refused`,
    `funds`.

    muted : no news. lags_secs : news are late by that. doubles : every news comes twice. hides_fees : news name none.
    fails_triggers : so many triggers fail when they fire. share : of an order that fills at once, the rest later.
    """

    requests: dict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    muted: bool = False
    lags_secs: float = 0.0
    doubles: bool = False
    hides_fees: bool = False
    fails_triggers: int = 0
    share: float = 1.0
    down_until: float = -math.inf


class FakeVenue:
    """A `Gateway` of a venue in the same process; it outlives who talks to it.

    Attributes
    ----------
    records : every order that arrived, oldest first. coins, money : what is on the account. positions : of swaps,
        above 0 long. fault_ms : when something last went wrong. refuses : which tickets it never takes.
        submits : requests by client id, as they were sent.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, markets: dict[str, Capabilities], *, rules: Rules = RULES,
        latency_secs: float = 0.02, base_fee: bool = True,
    ) -> None:  # fmt: skip
        self.name, self.loop, self.markets, self._rules = "fake", loop, markets, rules
        self.faults, self.fault_ms = Faults(), -math.inf
        self.records: list[Record] = []
        self.prices = dict.fromkeys(markets, 100.0)
        self.coins: dict[str, float] = defaultdict(float)
        self.positions: dict[str, float] = defaultdict(float)
        self.money, self.base_fee = 1e9, base_fee
        self.halted: set[str] = set()
        self.refuses: Callable[[Ticket], bool] = lambda ticket: False
        self.submits: Counter[str] = Counter()
        self.watchers: list[Callable[[], None]] = []
        self._latency_secs, self.late_secs = latency_secs, 3.0
        self._news: asyncio.Queue[Heard] = asyncio.Queue()

    def now_ms(self) -> int:
        return START_MS + round(self.loop.time() * 1000)

    # What a gateway is asked.

    async def open(self, symbols: Sequence[str]) -> None:
        self._news = asyncio.Queue()

    def rules(self, symbol: str) -> Rules:
        return self._rules._replace(is_trading=symbol not in self.halted)

    def capabilities(self, symbol: str) -> Capabilities:
        return self.markets[symbol]

    async def submit(self, ticket: Ticket) -> Word:
        self.submits[ticket.client_id] += 1
        return await self._request("submit", lambda: self._place(ticket))

    async def cancel(self, ticket: Ticket, venue_id: str) -> None:
        await self._request("cancel", lambda: self._cancel(ticket.client_id))

    async def find(self, ticket: Ticket, venue_id: str) -> Word:
        return await self._question("find", lambda: self._found(ticket))

    async def orders(self, symbol: str) -> Sequence[Listed]:
        return await self._question("orders", lambda: self._listed(symbol))

    async def held(self) -> Sequence[Held]:
        return await self._question("held", self.everything)

    async def balances(self) -> Sequence[Balance]:
        return await self._question("balances", lambda: [Balance("USDT", self.money, self.money)])

    async def last_price(self, symbol: str) -> float:
        return await self._question("price", lambda: self.prices[symbol])

    async def traded(self, symbol: str) -> Sequence[Listed]:
        return await self._question("traded", list)

    async def hear(self) -> Heard:
        return await self._news.get()

    async def can_withdraw(self) -> bool | None:
        return False

    async def close(self) -> None:
        self._news = asyncio.Queue()

    # What happens at the venue by itself, or by a person's hand.

    def trade_at(self, symbol: str, price: float) -> None:
        """The market trades at a price: limits fill, triggers fire."""
        self.prices[symbol] = price
        if symbol not in self.halted:
            for record in list(self.records):
                if record.is_open and record.ticket.symbol == symbol:
                    self._match(record)
        self._tell(Heard(prices={symbol: price}))
        self.changed()

    def cancel_by_hand(self, record: Record, reason: str = "by hand") -> None:
        self._end(record, Seen.CANCELLED, reason)

    def expire(self) -> None:
        """End triggers whose life is over."""
        for record in self.records:
            life = self.markets[record.ticket.symbol].trigger_life_secs
            is_trigger = record.ticket.type in (Type.STOP, Type.TARGET)
            if record.seen is Seen.OPEN and is_trigger and self.now_ms() > record.created_ms + life * 1000:
                self._end(record, Seen.CANCELLED, "expired")

    def drop(self) -> None:
        """The connection breaks and is back; what was said meanwhile is lost."""
        while not self._news.empty():
            self._news.get_nowait()
        self._news.put_nowait(Heard(is_broken=True))
        self.struck()

    def struck(self) -> None:
        self.fault_ms = self.now_ms()

    def everything(self) -> list[Held]:
        found = []
        for symbol, can in self.markets.items():
            qty = self.positions[symbol] if can.market == "swap" else self.coins[symbol.partition("/")[0]]
            found.append(Held(symbol, qty))
        return found

    def changed(self) -> None:
        for watcher in self.watchers:
            watcher()

    # How it does that.

    async def _request(self, verb: str, act: Callable[[], _T]) -> _T:
        """Something that changes the venue: it happens there even if whoever asked is gone by then."""
        fault = self._next_fault(verb)
        if self._is_down() or fault == "lost":
            await asyncio.sleep(self._latency_secs)
            raise UnknownOutcomeError("the connection was reset")
        if fault in ("busy", "refused", "funds"):
            await asyncio.sleep(self._latency_secs)
            if fault == "busy":
                raise RefusedError("too many requests", code="rate", pause_secs=1.0)
            raise RefusedError("refused", is_funds=fault == "funds")
        done: asyncio.Future[_T] = self.loop.create_future()
        there_secs = self.late_secs if fault == "late" else self._latency_secs / 2
        self.loop.call_later(there_secs, _settle, done, act)
        done.add_done_callback(_seen)
        if fault == "late":
            await asyncio.sleep(1.0)
            raise UnknownOutcomeError("no answer in time")
        answer = await asyncio.shield(done)
        await asyncio.sleep(8.0 if fault == "slow" else self._latency_secs / 2)
        if fault == "unanswered" or self._is_down():
            raise UnknownOutcomeError("the answer was lost")
        return answer

    async def _question(self, verb: str, answer: Callable[[], _T]) -> _T:
        fault = self._next_fault(verb)
        await asyncio.sleep(self._latency_secs)
        if fault == "busy":
            raise UnreachableVenueError("too many requests", pause_secs=1.0)
        if fault or self._is_down():
            raise UnreachableVenueError("no answer")
        return answer()

    def _next_fault(self, verb: str) -> str:
        waiting = self.faults.requests[verb]
        if waiting or self._is_down():
            self.struck()
        return waiting.popleft() if waiting else ""

    def _is_down(self) -> bool:
        return self.loop.time() < self.faults.down_until

    def _place(self, ticket: Ticket) -> Word:
        if ticket.symbol in self.halted:
            raise RefusedError("the symbol is halted", is_halted=True)
        if self.refuses(ticket):
            raise RefusedError("not this one")
        if ticket.qty < self._rules.min_qty * (1 - 1e-9):
            raise RefusedError("below the minimum")
        self._check_funds(ticket)
        now = self.now_ms()
        record = Record(f"v{len(self.records) + 1}", ticket, Seen.OPEN, now, now, opened_ms=now)
        self.records.append(record)
        word = record.word()
        self._match(record)
        self._say(record)
        self.changed()
        return record.word(fees=not self.faults.hides_fees) if ticket.type is Type.MARKET else word

    def _check_funds(self, ticket: Ticket) -> None:
        can = self.markets[ticket.symbol]
        if can.market == "swap":
            if ticket.reduce_only and self._reducible(ticket) <= 1e-12:
                raise RefusedError("reduce-only with nothing to reduce")
            return
        binds = ticket.side == "sell" and (ticket.type is Type.MARKET or can.triggers_lock)
        if binds and ticket.qty > self._free(ticket.symbol) + 1e-9:
            raise RefusedError("not enough", is_funds=True)

    def _free(self, symbol: str) -> float:
        base, locked = symbol.partition("/")[0], 0.0
        if self.markets[symbol].triggers_lock:
            locked = sum(
                r.left for r in self.records if r.is_open and r.ticket.symbol == symbol and r.ticket.side == "sell"
            )
        return self.coins[base] - locked

    def _reducible(self, ticket: Ticket) -> float:
        position = self.positions[ticket.symbol]
        return max(0.0, position if ticket.side == "sell" else -position)

    def _match(self, record: Record) -> None:
        """What the price makes of an open order now."""
        ticket, price = record.ticket, self.prices[record.ticket.symbol]
        if record.seen is Seen.OPEN and ticket.type in (Type.STOP, Type.TARGET):
            falls = (ticket.type is Type.STOP) == (ticket.side == "sell")
            if price <= ticket.trigger_price if falls else price >= ticket.trigger_price:
                self._fire(record)
            return
        if not math.isnan(ticket.price) and (price < ticket.price if ticket.side == "sell" else price > ticket.price):
            return
        self._fill(record, record.left * self.faults.share)
        if record.is_open and record.left > 1e-9:
            self.loop.call_later(0.3, self._fill_rest, record)

    def _fire(self, record: Record) -> None:
        short = self.markets[record.ticket.symbol].market == "spot" and record.ticket.side == "sell"
        base = record.ticket.symbol.partition("/")[0]
        if self.faults.fails_triggers > 0:
            self.faults.fails_triggers -= 1
            self.struck()
            self._end(record, Seen.CANCELLED, "the fired order failed")
        elif short and record.left > self.coins[base] + 1e-9:
            self._end(record, Seen.CANCELLED, "the fired order failed: not enough")
        else:
            record.seen, record.fired_id, record.changed_ms = Seen.FIRED, f"f{record.id}", self.now_ms()
            self._tell(Heard(symbols=[record.ticket.symbol]))
            self._match(record)

    def _fill_rest(self, record: Record) -> None:
        if record.is_open and record.ticket.symbol not in self.halted:
            self._fill(record, record.left)
            self.changed()

    def _fill(self, record: Record, qty: float) -> None:
        ticket, can = record.ticket, self.markets[record.ticket.symbol]
        base, price = ticket.symbol.partition("/")[0], self.prices[ticket.symbol]
        if can.market == "swap" and ticket.reduce_only:
            qty = min(qty, self._reducible(ticket))
        elif can.market == "spot" and ticket.side == "sell":
            qty = min(qty, self.coins[base])
        if qty <= 1e-12:
            self._end(record, Seen.CANCELLED, "nothing to sell")
            return
        sign = 1.0 if ticket.side == "buy" else -1.0
        record.filled += qty
        record.cost += qty * price
        fee_in_base = can.market == "spot" and ticket.side == "buy" and self.base_fee
        fee = qty * self._rules.taker * (1.0 if fee_in_base else price)
        currency = base if fee_in_base else "USDT"
        record.fees[currency] = record.fees.get(currency, 0.0) + fee
        if can.market == "swap":
            self.positions[ticket.symbol] += sign * qty
        else:
            self.coins[base] += sign * qty - (fee if fee_in_base else 0.0)
        record.changed_ms = self.now_ms()
        if record.left <= 1e-9:
            self._end(record, Seen.FILLED, "")
        else:
            self._say(record)

    def _end(self, record: Record, seen: Seen, reason: str) -> None:
        if record.is_open:
            record.seen, record.reason = seen, reason
            record.changed_ms = record.ended_ms = self.now_ms()
            self._say(record)
            self.changed()

    def _cancel(self, client_id: str) -> None:
        for record in self.records:
            if record.ticket.client_id == client_id:
                self._end(record, Seen.CANCELLED, "asked for")

    def _found(self, ticket: Ticket) -> Word:
        for record in self.records:
            if record.ticket.client_id == ticket.client_id:
                return record.word()
        return Word(ticket.client_id, Seen.ABSENT, 0.0, math.nan, {}, 0)

    def _listed(self, symbol: str) -> list[Listed]:
        return [
            Listed(
                **vars(record.word()), side=record.ticket.side,
                type=record.ticket.type, qty=record.ticket.qty, limit_price=record.ticket.price,
                trigger_price=record.ticket.trigger_price,
            )
            for record in self.records
            if record.seen is Seen.OPEN and record.ticket.symbol == symbol
        ]  # fmt: skip

    def _say(self, record: Record) -> None:
        self._tell(Heard(words=[record.word(fees=not self.faults.hides_fees)]))

    def _tell(self, heard: Heard) -> None:
        """Put into the ears of whoever listens, as well as the connection does that now."""
        if self.faults.muted or self._is_down():
            self.struck()
            return
        for _ in range(2 if self.faults.doubles else 1):
            if self.faults.lags_secs:
                self.loop.call_later(self.faults.lags_secs, self._news.put_nowait, heard)
            else:
                self._news.put_nowait(heard)


def _settle(done: "asyncio.Future[_T]", act: Callable[[], _T]) -> None:
    try:
        answer = act()
    except RefusedError as error:
        if not done.done():
            done.set_exception(error)
    else:
        if not done.done():
            done.set_result(answer)


def _seen(done: "asyncio.Future[_T]") -> None:
    """A refusal that nobody waits for is none that was forgotten."""
    if not done.cancelled():
        done.exception()
