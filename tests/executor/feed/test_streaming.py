"""ccxt.pro, unmodified, against a local venue: closes by websocket, values by REST."""

from executor.feed.base import ClosedBar
from tests.exchange.market_data import MarketData
from tests.executor.feed.rig import PAIRS, A, B, Rig, at, rig, running


def bar(minute: int, close: float) -> ClosedBar:
    return ClosedBar(at(minute), close, close, close, close, 2.0)


def trades(venue: MarketData, first: int, end: int) -> None:
    for minute in range(first, end):
        for k, pair in enumerate(PAIRS.values()):
            venue.trade(pair, at(minute), 100.0 * (k + 1) + minute)


async def subscribed(it: Rig) -> None:
    await it.until(lambda: it.venue.subscriptions == {("1m", pair) for pair in PAIRS.values()})


async def streamed(it: Rig, minute: int) -> None:
    """Every candle of this minute is pushed, and heard."""
    for pair in PAIRS.values():
        await it.venue.push(pair, at(minute))
    await it.until(lambda: all(it.feed._newest.get(series, 0) >= at(minute) for series in PAIRS))
    await it.settle()


@running
async def test_a_bar_is_given_as_soon_as_the_next_candle_is_seen() -> None:
    async with rig(now_ms=at(2, 20), prepare=lambda venue: trades(venue, -5, 4)) as it:
        await subscribed(it)
        it.time.go(at(3))
        await streamed(it, 3)
        assert it.bars(A) == [bar(k, 100.0 + k) for k in range(3)]
        assert it.bars(B) == [bar(k, 200.0 + k) for k in range(3)]
        assert [event.moment_ms for event in it.events] == [at(1), at(2), at(3)]
        asked = len(it.venue.requests)
        for _ in range(3):
            await it.venue.push("BTC_USDT", at(2))
            await streamed(it, 3)
        assert (len(it.events), len(it.venue.requests)) == (3, asked)


@running
async def test_a_drop_is_reconnected_and_what_was_missed_is_there() -> None:
    async with rig(now_ms=at(2, 20), prepare=lambda venue: trades(venue, -5, 30)) as it:
        await subscribed(it)
        it.venue.drop()
        it.venue.unreachable = set(PAIRS.values())
        await it.pass_to(at(9, 50))
        assert len(it.events) == 2
        it.venue.unreachable = set()
        await it.pass_to(at(11, 20))
        await subscribed(it)
        assert it.venue.connections >= 2
        assert it.bars(A) == [bar(k, 100.0 + k) for k in range(11)]
        assert [len(event.bars) for event in it.events] == [2] * 11
        it.time.go(at(12))
        await streamed(it, 12)
        assert it.bars(B) == [bar(k, 200.0 + k) for k in range(12)]


@running
async def test_a_mute_stream_is_polled_and_opened_anew() -> None:
    async with rig(now_ms=at(2, 20), prepare=lambda venue: trades(venue, -5, 12), stale_after_ms=60_000) as it:
        await subscribed(it)
        it.venue.muted = True
        before = it.venue.connections
        await it.pass_to(at(5, 5))
        assert it.bars(A) == [bar(k, 100.0 + k) for k in range(5)]
        assert it.venue.connections > before
        it.venue.muted = False
        await subscribed(it)
        it.time.go(at(6))
        await streamed(it, 6)
        assert it.bars(A)[5:] == [bar(5, 105.0)]
        assert max(it.feed.ages().values()) < 1.0
