"""ccxt, unmodified, against a local venue: bars by REST alone."""

from executor.feed.base import ClosedBar
from tests.exchange.market_data import MarketData
from tests.executor.feed.rig import A, B, at, rig, running


def bar(minute: int, close: float, volume: float = 2.0) -> ClosedBar:
    return ClosedBar(at(minute), close, close, close, close, volume)


def flat(minute: int, close: float) -> ClosedBar:
    return bar(minute, close, 0.0)._replace(filled=True)


def trades(venue: MarketData, first: int, end: int) -> None:
    for minute in range(first, end):
        venue.trade("BTC_USDT", at(minute), 100.0 + minute)
        venue.trade("ETH_USDT", at(minute), 50.0 + minute)


@running
async def test_it_catches_up_and_goes_on_with_each_close() -> None:
    async with rig(now_ms=at(30, 20), prepare=lambda venue: trades(venue, -5, 31), stream=False) as it:
        assert [len(event.bars) for event in it.events] == [2] * 30
        assert it.bars(A) == [bar(k, 100.0 + k) for k in range(30)]
        trades(it.venue, 31, 32)
        await it.pass_to(at(31, 1))
        assert len(it.events) == 30
        await it.pass_to(at(31, 4))
        assert it.bars(B)[30:] == [bar(30, 80.0)]
        assert it.events[-1].moment_ms == at(31)
        assert it.events[-1].recorded == "rest"
