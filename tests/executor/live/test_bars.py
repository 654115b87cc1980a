"""Bars of the local exchange by ccxt's sockets: an open candle decides nothing, a missed close is fetched, once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from executor.feed.base import BarEvent, Series
from executor.feed.exchange import ExchangeFeed
from executor.sandbox.book import Venue
from executor.sandbox.faults import Fault, Faults
from executor.tasks import end
from tests.exchange.venues import gate, kucoin
from tests.executor.live.loop import play
from tests.executor.live.session import FIRST, KINDS, MINUTE, LoopClock


class Market:
    """A venue that trades, and what a feed gives of it from the first whole minute on."""

    def __init__(self, kind: str, venue: Venue, faults: Faults, clock: LoopClock) -> None:
        self.symbol = "BTC/USDT:USDT" if kind.endswith("swap") else "BTC/USDT"
        self.series = Series(kind.partition(" ")[0], self.symbol, "1m")
        self.venue, self.faults, self.clock = venue, faults, clock
        self.events: list[BarEvent] = []

    async def trades(self, price: float, to_ms: int) -> None:
        """Each second at this price, until then."""
        while self.clock() < to_ms:
            self.venue.price(self.symbol, price)
            await self.venue.advance(self.clock())
            await asyncio.sleep(1.0)

    async def follow(self, feed: ExchangeFeed) -> None:
        async for event in feed.events():
            self.events.append(event)

    def closes(self) -> list[tuple[int, float]]:
        """Minute and close of each bar that was given, in order."""
        return [((bar.ts - FIRST) // MINUTE, bar.close) for event in self.events for _, bar in event.bars]


def run(kind: str, story: Callable[[Market], Awaitable[None]]) -> None:
    async def whole() -> None:
        clock = LoopClock()
        venue, faults, front = (kucoin if kind.startswith("kucoin") else gate)(clock, wall=clock)
        async with front:
            market = Market(kind, venue, faults, clock)
            # Bars need no key, and ccxt's stamps are of another time.
            options = front.ccxt_options(market.series.exchange) | {"apiKey": "", "secret": "", "password": ""}
            feed = ExchangeFeed(
                market.series.exchange, {market.series: FIRST + MINUTE}, options=options, clock=clock,
            )  # fmt: skip
            following = asyncio.create_task(market.follow(feed))
            try:
                await story(market)
                assert not following.done()
            finally:
                await end([following])
                await feed.close()

    play(whole())


@pytest.mark.parametrize("kind", KINDS)
def test_an_open_candle_decides_nothing(kind: str) -> None:
    async def story(market: Market) -> None:
        for minute, price in enumerate((100.0, 101.0, 102.0, 103.0)):
            # Early in a minute it trades at another price than at its close.
            await market.trades(price + 50.0, FIRST + minute * MINUTE + 30_000)
            known = market.closes()
            await market.trades(price, FIRST + (minute + 1) * MINUTE)
            assert market.closes() == known
        await market.trades(104.0, FIRST + 4 * MINUTE + 15_000)
        assert market.closes() == [(1, 101.0), (2, 102.0), (3, 103.0)]

    run(kind, story)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("secs", [5.0, 130.0])
def test_a_drop_over_a_minute_s_end_loses_no_bar_and_gives_none_twice(kind: str, secs: float) -> None:
    async def story(market: Market) -> None:
        await market.trades(100.0, FIRST + MINUTE)
        await market.trades(101.0, FIRST + 2 * MINUTE - 2_000)
        market.faults.add(Fault("down", secs=secs))
        for minute in range(2, 7):
            await market.trades(100.0 + minute, FIRST + (minute + 1) * MINUTE)
        await market.trades(107.0, FIRST + 7 * MINUTE + 40_000)
        given = market.closes()
        assert [minute for minute, _ in given] == [1, 2, 3, 4, 5, 6]
        assert [close for minute, close in given if minute > 1] == [102.0, 103.0, 104.0, 105.0, 106.0]

    run(kind, story)
