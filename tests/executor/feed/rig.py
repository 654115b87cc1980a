"""A feed on a local venue, with time that passes only when a test says so."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from executor.feed.base import BarEvent, ClosedBar, Series
from executor.feed.exchange import ExchangeFeed
from executor.feed.polling import RestCandles
from tests.exchange.market_data import MINUTE, MarketData

START = 1_700_000_040_000 // MINUTE * MINUTE
A, B = Series("gate", "BTC/USDT", "1m"), Series("gate", "ETH/USDT", "1m")
PAIRS = {A: "BTC_USDT", B: "ETH_USDT"}


def at(minute: int, secs: float = 0.0) -> int:
    return START + minute * MINUTE + int(secs * 1000)


class Time:
    """The venue's clock, and the machine's, which is `skew_ms` ahead. Sleepers wake by the venue's."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms, self.skew_ms = now_ms, 0
        self._sleepers: list[tuple[int, int, asyncio.Event]] = []
        self._n = 0

    def machine(self) -> int:
        return self.now_ms + self.skew_ms

    def venue(self) -> int:
        return self.now_ms

    async def sleep(self, secs: float) -> None:
        woken, self._n = asyncio.Event(), self._n + 1
        heapq.heappush(self._sleepers, (self.now_ms + max(int(secs * 1000), 1), self._n, woken))
        await woken.wait()

    def go(self, now_ms: int) -> None:
        self.now_ms = now_ms
        while self._sleepers and self._sleepers[0][0] <= now_ms:
            heapq.heappop(self._sleepers)[2].set()


class Rig:
    """What a test sees: the venue, the feed, its events so far."""

    def __init__(self, feed: ExchangeFeed, venue: MarketData, time: Time) -> None:
        self.feed, self.venue, self.time = feed, venue, time
        self.events: list[BarEvent] = []
        self.failed: BaseException | None = None
        self._in_flight = 0
        rest: RestCandles = feed._rest
        asked = rest._ask

        async def counted(what: str, call: Callable[[], Any]) -> Any:
            self._in_flight += 1
            try:
                return await asked(what, call)
            finally:
                self._in_flight -= 1

        rest._ask = counted  # type: ignore[method-assign]

    async def collect(self) -> None:
        try:
            async for event in self.feed.events():
                self.events.append(event)
        except Exception as error:
            self.failed = error

    async def until(self, holds: Callable[[], bool]) -> None:
        """Until something has come over the sockets."""

        async def wait() -> None:
            while not holds():
                await asyncio.sleep(0)

        await asyncio.wait_for(wait(), 20)

    async def settle(self) -> None:
        """Until nothing is under way, and everybody has looked at what came."""
        for _ in range(3):
            for _ in range(15):
                await asyncio.sleep(0)
            await self.until(lambda: self._in_flight == 0)

    async def pass_to(self, now_ms: int, step_ms: int = 1_000) -> None:
        """Let the time pass, a second at a time."""
        while self.time.now_ms < now_ms:
            self.time.go(min(self.time.now_ms + step_ms, now_ms))
            await self.settle()

    def bars(self, series: Series) -> list[ClosedBar]:
        return [bar for event in self.events for one, bar in event.bars if one == series]


@asynccontextmanager
async def rig(
    *,
    now_ms: int,
    prepare: Callable[[MarketData], None] = lambda _: None,
    series: Sequence[Series] = (A, B),
    started: bool = True,
    **how: Any,
) -> AsyncIterator[Rig]:
    """A running feed from START on; `prepare` sees the venue before. started : wait until it has loaded the markets."""
    time = Time(now_ms)
    async with MarketData(PAIRS.values(), time.venue) as venue:
        prepare(venue)
        feed = ExchangeFeed(
            "gate", dict.fromkeys(series, START), options=venue.options(), clock=time.machine, sleep=time.sleep, **how
        )
        made = Rig(feed, venue, time)
        task = asyncio.create_task(made.collect())
        try:
            if started:
                await made.until(lambda: bool(feed.ages()) or made.failed is not None)
                await made.settle()
            yield made
        finally:
            await feed.close()
            await task


def running(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """A test that is a coroutine."""

    def run() -> None:
        async def bounded() -> None:
            await asyncio.wait_for(test(), 50)

        asyncio.run(bounded())

    run.__name__, run.__doc__ = test.__name__, test.__doc__  # type: ignore[attr-defined]
    return run
