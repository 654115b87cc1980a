"""What hears a venue and asks it: news as they come, everything open every few seconds, prices where they decide."""

import asyncio
import logging
import math
from collections.abc import Sequence
from contextlib import suppress

from executor.broker.doing import Doing
from executor.broker.errands import Sleep
from executor.broker.tickets import OURS, Sent
from executor.broker.venue import Heard, Listed, UnreachableVenueError
from executor.tasks import end

_log = logging.getLogger(__name__)
_DOWN_SECS = 2.0
_WATCH_SECS = 1.0
_LONGEST_SECS = 60.0


class Listening:
    """The loops of a live broker."""

    def __init__(self, doing: Doing, sleep: Sleep) -> None:
        self._doing, self._sleep = doing, sleep
        self._poll = asyncio.Event()
        self._asked: set[str] = set()

    async def run(self) -> None:
        """All loops, until one raises or this is cancelled."""
        loops = [self._hear(), self._ask(), self._tick(), self._watch(), self._fail()]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            await end(tasks)

    async def _fail(self) -> None:
        """What went wrong in a request's own task."""
        errands = self._doing.errands
        await errands.failed.wait()
        raise errands.error or RuntimeError("a request's task failed")

    async def _hear(self) -> None:
        while True:
            try:
                self._heard(await self._doing.gateway.hear())
            except UnreachableVenueError as error:
                _log.info("%s says nothing: %s", self._doing.gateway.name, error)
                await self._sleep(max(error.pause_secs, 1.0))

    def _heard(self, heard: Heard) -> None:
        doing = self._doing
        if heard.words:
            doing.hear(heard.words)
        for symbol, price in heard.prices.items():
            doing.price(symbol, price)
        if heard.is_broken:
            # Whatever was said meanwhile was missed.
            for rows in doing.unsettled().values():
                for sent in rows:
                    doing.look(sent)
            doing.work()
            doing.doubt("", "the connection was lost")
        if heard.symbols:
            self._asked.update(heard.symbols)
            self._poll.set()

    async def _tick(self) -> None:
        doing = self._doing
        while True:
            doing.wake.clear()
            secs = (doing.due_ms() - doing.clock()) / 1000
            # Also where it is due already: whoever never waits can never be ended.
            await _set_within(doing.wake, max(0.0, min(secs, _LONGEST_SECS)))
            if doing.due_ms() <= doing.clock():
                doing.tick()

    async def _ask(self) -> None:
        """Every open order of every symbol, often enough that no silence hides anything for long."""
        doing = self._doing
        while True:
            await doing.errands.wait_for_leave()
            asked, self._asked = self._asked, set()
            self._poll.clear()
            alive = doing.unsettled()
            # All in turn, but first those that something was heard of.
            for symbol in sorted(asked & set(alive)) or list(alive):
                await self._compare(symbol)
            if not doing.errands.health.is_up and not alive:
                await self._probe()
            secs = doing.settings.poll_secs if doing.errands.health.is_up else _DOWN_SECS
            await _set_within(self._poll, secs)

    async def _compare(self, symbol: str) -> None:
        """What is open there, beside what is thought to be."""
        doing = self._doing
        before_ms = doing.clock()
        try:
            listed: Sequence[Listed] = await doing.errands.ask(doing.gateway.orders(symbol))
        except UnreachableVenueError as error:
            # That it is down was said once.
            _log.log(logging.INFO if doing.errands.health.is_up else logging.DEBUG, "orders of %s: %s", symbol, error)
            return
        doing.hear(listed)
        there = {one.client_id for one in listed}
        for sent in doing.unsettled().get(symbol, ()):
            if sent.ticket.client_id not in there and not sent.is_submitting and _was_known(sent, before_ms):
                doing.look(sent)
        for name in sorted(there):
            if name.startswith(OURS) and doing.trade_of(name) is None:
                doing.doubt(symbol, f"{name} is ours, and no order of the ledger")
        doing.work()

    async def _probe(self) -> None:
        try:
            await self._doing.errands.ask(self._doing.gateway.balances())
        except UnreachableVenueError as error:
            _log.debug("%s is asked for its balances: %s", self._doing.gateway.name, error)

    async def _watch(self) -> None:
        """Prices that decide, where none is heard."""
        doing = self._doing
        while True:
            await self._sleep(_WATCH_SECS)
            for symbol in doing.watched():
                try:
                    price = await doing.errands.ask(doing.gateway.last_price(symbol))
                except UnreachableVenueError as error:
                    _log.info("the price of %s: %s", symbol, error)
                    continue
                if not math.isnan(price):
                    doing.price(symbol, price)


def _was_known(sent: Sent, before_ms: int) -> bool:
    """Whether it should have been in a list that was asked for then."""
    return sent.known_ms is None or sent.known_ms < before_ms


async def _set_within(event: asyncio.Event, secs: float) -> None:
    # Not `wait_for`, which forgets a cancellation where the event is set at the same moment.
    with suppress(TimeoutError):
        async with asyncio.timeout(secs):
            await event.wait()
