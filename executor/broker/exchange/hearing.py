"""`Ears`: what a venue tells by itself, and what is asked for where it says too little or nothing.

Each channel has a task that does nothing but wait and copy: ccxt changes its rows in place, and what comes between two
calls does not wake the next one.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from executor.backoff import Backoff
from executor.broker.exchange.finding import Finder
from executor.broker.exchange.markets import Market
from executor.broker.exchange.session import Session
from executor.broker.exchange.words import Row, client_id_of, fired_word, order_word, trigger_word
from executor.broker.venue import Heard, Listed, Seen, Ticket, Type, UnreachableVenueError, Word
from executor.feed.polling import brief
from executor.tasks import end

_log = logging.getLogger(__name__)
_LOOK_SECS = 1.0
# A price that is older is asked for over REST.
_ASK_SECS = 5.0
# After an answer to an order of ours, until its channel has told of it.
_TELL_SECS = 10.0
# After a channel was opened anew, until it counts as open.
_BACK_SECS = 0.5
_FEES_TRIES = 6
_REMEMBERED = 5_000
_CHANGING = ("status", "filled", "average", "remaining", "lastTradeTimestamp", "fee", "fees")


class Ears:
    """Everything that is heard of an account, in one queue.

    Parameters
    ----------
    stale_secs : a stream that tells no price for longer, while the price moved, is opened anew.
    """

    def __init__(
        self,
        session: Session,
        markets: Mapping[str, Market],
        finder: Finder,
        stale_secs: float,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._session, self._markets, self._finder = session, markets, finder
        self._stale_secs, self._monotonic, self._sleep = stale_secs, monotonic, sleep
        self._words: list[Word] = []
        self._symbols: set[str] = set()
        self._news: dict[str, float] = {}
        self._is_broken = False
        self._wake = asyncio.Event()
        self._prices: dict[str, tuple[float, float]] = {}
        self._streamed: dict[str, tuple[float, float]] = {}
        # Orders that triggers became, with the trigger's word; and triggers by client id.
        self._fired: OrderedDict[str, Word] = OrderedDict()
        self._triggers: OrderedDict[str, str] = OrderedDict()
        self._told: OrderedDict[str, str] = OrderedDict()
        self._expected: dict[str, float] = {}
        self._costing: dict[str, Word] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._lost: set[str] = set()

    def start(self) -> None:
        """Open the channels."""
        now, stream = self._monotonic(), self._session.stream
        for symbol, market in self._markets.items():
            self._streamed[symbol] = (float("nan"), now)
            watch = partial(stream.watch_orders, symbol)
            take = partial(self._take_orders, market)
            self._start(self._listen(f"orders of {symbol}", watch, take, lambda: stream.orders))
            if market.quirks.triggers_apart and market.quirks.trigger_news:
                watch = partial(stream.watch_orders, symbol, None, None, {"trigger": True})
                take = partial(self._take_triggers, market)
                self._start(self._listen(f"triggers of {symbol}", watch, take, lambda: stream.triggerOrders))
            watch = partial(stream.watch_ticker, symbol)
            self._start(self._listen(f"prices of {symbol}", watch, partial(self._take_price, symbol)))
        self._start(self._look())

    async def hear(self) -> Heard:
        """What came since the last call, as soon as there is something."""
        await self._wake.wait()
        self._wake.clear()
        found = Heard(tuple(self._words), tuple(sorted(self._symbols)), dict(self._news), self._is_broken)
        self._words, self._symbols, self._news, self._is_broken = [], set(), {}, False
        return found

    def price(self, symbol: str, within_secs: float) -> float | None:
        """The last price that was heard, None where that is too long ago."""
        found = self._prices.get(symbol)
        return found[0] if found is not None and self._monotonic() - found[1] <= within_secs else None

    def sent(self, word: Word, *, is_trigger: bool) -> None:
        """An order was acknowledged: its channel must tell of it soon."""
        if is_trigger:
            _remember(self._triggers, word.client_id, word.venue_id)
        elif word.venue_id and f"order {word.venue_id}" not in self._told:
            self._expected[word.venue_id] = self._monotonic() + _TELL_SECS
        self._ask_fees(word)

    def learned(self, ticket: Ticket, word: Word) -> None:
        """An order was looked up: news of what a trigger became are told under the trigger's client id."""
        if ticket.type not in (Type.STOP, Type.TARGET):
            return
        if word.venue_id:
            _remember(self._triggers, word.client_id, word.venue_id)
        if word.fired_id and word.fired_id != word.venue_id:
            _remember(self._fired, word.fired_id, word)

    def named(self, row: Listed) -> Listed:
        """An order of a list, with the client id of the trigger that it was."""
        trigger = self._fired.get(row.venue_id)
        return row if row.client_id or trigger is None else replace(row, client_id=trigger.client_id)

    async def drop(self, why: str) -> None:
        """Close the connections; the channels open others."""
        _log.warning("%s; the streams of %s are opened anew", why, self._session.venue)
        self._expected.clear()
        await self._session.drop_stream()

    async def close(self) -> None:
        await end(self._tasks)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("what listens to %s ended", self._session.venue, exc_info=task.exception())

    async def _listen(
        self, what: str, watch: Callable[[], Any], take: Callable[[Any], None], kept: Callable[[], Any] | None = None
    ) -> None:
        """Wait, copy, and open again what broke.

        kept : the rows that ccxt keeps. An update that comes before the next call of `watch` wakes nobody: whatever is
            kept is looked at once that call waits.
        """
        pauses = Backoff(0.5, 10.0)
        while True:
            self._session.open_stream()
            waiting = asyncio.ensure_future(watch())
            try:
                if what in self._lost:
                    await self._wait_until_back(waiting)
                    self._found(what)
                if kept is not None:
                    await asyncio.sleep(0)
                    take(kept() or ())
                found = await waiting
                if kept is None:
                    take(found)
                pauses.reset()
                continue
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # ccxt cancels its watchers when a connection is closed.
                self._lost.add(what)
            except Exception as error:
                if what not in self._lost:
                    _log.warning("%s does not stream the %s (%s)", self._session.venue, what, brief(error))
                self._lost.add(what)
            finally:
                waiting.cancel()
            self._session.forget_tokens()
            await self._sleep(pauses.failed())

    async def _wait_until_back(self, waiting: "asyncio.Future[Any]") -> None:
        """Until the channel is open again; raises what it failed with again."""
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=_BACK_SECS)
            if not waiting.done() and self._session.is_streaming():
                return
        waiting.result()

    def _found(self, what: str) -> None:
        """A channel is open again; once all are, whatever may have been missed has to be asked for."""
        self._lost.discard(what)
        if not self._lost:
            self._is_broken = True
            self._wake.set()

    def _take_orders(self, market: Market, rows: Sequence[Row]) -> None:
        for row in rows:
            if not self._is_new(row, market, "order"):
                continue
            word = order_word(row, market)
            self._expected.pop(word.venue_id, None)
            known = self._fired.get(word.venue_id)
            trigger_id = self._triggers.get(word.client_id)
            if known is not None:
                word = fired_word(known, word)
            elif trigger_id is not None and trigger_id != word.venue_id:
                word = fired_word(replace(word, venue_id=trigger_id), word)
            if word.client_id:
                if not (word.filled and market.quirks.fills_by_rest):
                    self._words.append(word)
                self._ask_fees(word)
            else:
                # Of somebody else, or what a trigger of ours became.
                self._symbols.add(market.symbol)
        self._wake.set()

    def _take_triggers(self, market: Market, rows: Sequence[Row]) -> None:
        for row in rows:
            if not self._is_new(row, market, "trigger"):
                continue
            if trigger_word(row, market).seen is not Seen.OPEN or not client_id_of(row, market):
                self._symbols.add(market.symbol)
                self._wake.set()

    def _is_new(self, row: Row, market: Market, kind: str) -> bool:
        """Each update gives every row that ccxt keeps, of all symbols."""
        if row.get("symbol") != market.symbol:
            return False
        # Triggers have numbers of their own.
        number, mark = f"{kind} {row.get('id')}", repr([row.get(name) for name in _CHANGING])
        is_new = self._told.get(number) != mark
        _remember(self._told, number, mark)
        return is_new

    def _take_price(self, symbol: str, row: Row) -> None:
        if row.get("last"):
            self._streamed[symbol] = (float(row["last"]), self._monotonic())
            self._set_price(symbol, float(row["last"]))

    def _set_price(self, symbol: str, price: float) -> None:
        self._prices[symbol] = (price, self._monotonic())
        self._news[symbol] = price
        self._wake.set()

    async def _look(self) -> None:
        """Ask for prices that are not told, and notice streams that say nothing."""
        while True:
            await self._sleep(_LOOK_SECS)
            self._session.keep_alive()
            now = self._monotonic()
            late = [venue_id for venue_id, until in self._expected.items() if now > until]
            if late:
                await self.drop(f"no news of order {late[0]}")
                continue
            for symbol, market in self._markets.items():
                if self.price(symbol, _ASK_SECS) is None:
                    await self._ask_price(symbol, market)

    async def _ask_price(self, symbol: str, market: Market) -> None:
        rest = self._session.rest
        try:
            row = await self._session.ask(market.quirks, f"the price of {symbol}", lambda: rest.fetch_ticker(symbol))
        except UnreachableVenueError as error:
            await self._sleep(error.pause_secs)
            return
        if not row.get("last"):
            return
        price, (told, told_at) = float(row["last"]), self._streamed[symbol]
        self._set_price(symbol, price)
        silent_secs = self._monotonic() - told_at
        if price != told and silent_secs > self._stale_secs:
            self._streamed[symbol] = (price, self._monotonic())
            await self.drop(f"no price of {symbol} for {silent_secs:.0f} s")

    def _ask_fees(self, word: Word) -> None:
        """Where an order's news do not say what its fills cost, REST does, a moment later."""
        is_short = word.fees is None and (word.seen.is_final or self._markets[word.symbol].quirks.fills_by_rest)
        if not (word.filled and is_short):
            return
        is_asked = word.venue_id in self._costing
        self._costing[word.venue_id] = word
        if not is_asked:
            self._start(self._cost(word))

    async def _cost(self, word: Word) -> None:
        """Ask until REST knows as much as was told last, and what it cost."""
        market, pauses = self._markets[word.symbol], Backoff(0.2, 5.0)
        try:
            for _ in range(_FEES_TRIES):
                told = self._costing[word.venue_id]
                found = await self._look_up(market, told)
                if found is not None and found.fees is not None and found.filled >= told.filled:
                    self._words.append(found)
                    self._wake.set()
                    is_newest = self._costing[word.venue_id] is told
                    if found.seen.is_final or (is_newest and not told.seen.is_final):
                        return
                await self._sleep(pauses.failed())
        finally:
            del self._costing[word.venue_id]

    async def _look_up(self, market: Market, word: Word) -> Word | None:
        try:
            found = await self._finder.order(market, word.fired_id or word.venue_id)
        except UnreachableVenueError as error:
            await self._sleep(error.pause_secs)
            return None
        if found is None:
            return None
        return fired_word(word, found) if word.fired_id else replace(found, client_id=word.client_id)


def _remember(known: "OrderedDict[str, Any]", key: str, value: Any) -> None:
    """The newest few thousand: a session may run for years."""
    known[key] = value
    known.move_to_end(key)
    while len(known) > _REMEMBERED:
        known.popitem(last=False)
