"""ccxt, unmodified, against a local venue: bars by REST alone."""

import pytest

from executor.feed.base import ClosedBar, Series
from executor.feed.exchange import ExchangeFeed
from tests.exchange.market_data import MarketData
from tests.executor.feed.rig import START, A, B, at, rig, running
from toolkit.errors import InputError, UnknownNameError


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


@running
async def test_answers_twice_and_out_of_order_change_nothing() -> None:
    def prepare(venue: MarketData) -> None:
        trades(venue, -5, 8)
        venue.jitter = True

    async with rig(now_ms=at(5, 20), prepare=prepare, stream=False) as it:
        await it.pass_to(at(8, 3))
        assert it.bars(A) == [bar(k, 100.0 + k) for k in range(8)]
        assert it.bars(B) == [bar(k, 50.0 + k) for k in range(8)]
        assert it.feed.corrections() == []


@running
async def test_too_many_requests_and_a_bad_gateway_only_delay() -> None:
    async with rig(now_ms=at(2, 20), prepare=lambda venue: trades(venue, -5, 5), stream=False) as it:
        await it.pass_to(at(3))
        it.venue.refuse(429, times=2, headers={"Retry-After": "7"})
        before = len(it.venue.requests)
        await it.pass_to(at(3, 8))
        assert len(it.venue.requests) == before + 2
        assert len(it.events) == 2
        await it.pass_to(at(3, 12))
        assert it.bars(A) == [bar(k, 100.0 + k) for k in range(3)]
        it.venue.refuse(502, times=3)
        await it.pass_to(at(4, 59))
        assert it.bars(A) == [bar(k, 100.0 + k) for k in range(4)]
        assert [len(event.bars) for event in it.events] == [2] * 4


@running
async def test_a_late_symbol_has_its_own_events_and_catches_up() -> None:
    async with rig(now_ms=at(2, 20), prepare=lambda venue: trades(venue, -5, 12), stream=False) as it:
        it.venue.unreachable = {"ETH_USDT"}
        await it.pass_to(at(3, 9))
        assert len(it.bars(A)) == 2
        await it.pass_to(at(6, 20))
        assert it.bars(A) == [bar(k, 100.0 + k) for k in range(6)]
        assert len(it.bars(B)) == 2
        assert it.feed.ages()[B] > 120.0 > 60.0 > it.feed.ages()[A]
        it.venue.unreachable = set()
        await it.pass_to(at(9, 5))
        assert it.bars(B) == [bar(k, 50.0 + k) for k in range(9)]
        moments = [event.moment_ms for event in it.events]
        assert moments == sorted(set(moments))
        assert [len(event.bars) for event in it.events][-2:] == [2, 2]


@running
async def test_a_venue_that_does_not_answer_is_asked_again() -> None:
    def prepare(venue: MarketData) -> None:
        trades(venue, -5, 5)
        venue.timeout_ms = 300

    async with rig(now_ms=at(2, 20), prepare=prepare, stream=False) as it:
        it.venue.silent = {"ETH_USDT"}
        await it.pass_to(at(3, 3))
        assert len(it.events) == 2
        it.venue.silent = set()
        await it.pass_to(at(3, 9))
        assert it.bars(B) == [bar(k, 50.0 + k) for k in range(3)]
        assert [len(event.bars) for event in it.events] == [2] * 3


@running
async def test_an_hour_that_is_missing_is_filled_once_a_later_bar_is_there() -> None:
    def prepare(venue: MarketData) -> None:
        trades(venue, -5, 3)

    async with rig(now_ms=at(3, 1), prepare=prepare, series=(A,), stream=False) as it:
        await it.pass_to(at(63, 30), 5_000)
        assert it.bars(A) == [bar(k, 100.0 + k) for k in range(3)]
        trades(it.venue, 63, 65)
        await it.pass_to(at(65, 10))
        assert it.bars(A) == [
            *(bar(k, 100.0 + k) for k in range(3)),
            *(flat(k, 102.0) for k in range(3, 63)),
            *(bar(k, 100.0 + k) for k in (63, 64)),
        ]


@running
async def test_a_hole_longer_than_a_page_is_passed_over() -> None:
    def prepare(venue: MarketData) -> None:
        trades(venue, -5, 3)
        trades(venue, 2503, 2506)

    async with rig(now_ms=at(2504, 20), prepare=prepare, series=(A,), stream=False) as it:
        await it.pass_to(at(2505, 20))
        assert it.bars(A) == [
            *(bar(k, 100.0 + k) for k in range(3)),
            *(flat(k, 102.0) for k in range(3, 2503)),
            *(bar(k, 100.0 + k) for k in (2503, 2504)),
        ]


@running
async def test_a_hole_at_the_start_is_filled_from_pages_before() -> None:
    def prepare(venue: MarketData) -> None:
        venue.trade("BTC_USDT", at(-2500), 90.0)
        venue.trade("BTC_USDT", at(3), 103.0)

    async with rig(now_ms=at(4, 20), prepare=prepare, series=(A,), stream=False) as it:
        assert it.bars(A) == [*(flat(k, 90.0) for k in range(3)), bar(3, 103.0)]
        asked = len(it.venue.requests)
        await it.pass_to(at(4, 40))
        assert len(it.venue.requests) <= asked + 1
        found = await it.feed.history(A, at(-1000), at(4))
        assert found == [*(flat(k, 90.0) for k in range(-1000, 3)), bar(3, 103.0)]
        assert await it.feed.history(A, at(-1200), at(-1100)) == [flat(k, 90.0) for k in range(-1200, -1100)]


@running
async def test_a_series_that_is_new_at_the_venue_begins_with_its_first_bar() -> None:
    async with rig(now_ms=at(6, 20), prepare=lambda venue: trades(venue, 3, 9), stream=False) as it:
        assert it.bars(A) == [bar(k, 100.0 + k) for k in range(3, 6)]
        await it.pass_to(at(8, 5))
        assert it.bars(B) == [bar(k, 50.0 + k) for k in range(3, 8)]


@running
async def test_a_venue_that_is_down_at_the_start_is_asked_again() -> None:
    def prepare(venue: MarketData) -> None:
        trades(venue, -5, 5)
        venue.refuse(502, times=3)

    async with rig(now_ms=at(2, 20), prepare=prepare, stream=False, started=False) as it:
        await it.pass_to(at(3, 5))
        assert it.bars(A) == [bar(k, 100.0 + k) for k in range(3)]
        assert it.failed is None


@running
async def test_a_quiet_market_goes_on_flat_beside_one_that_trades() -> None:
    def prepare(venue: MarketData) -> None:
        trades(venue, -5, 3)
        for minute in range(3, 9):
            venue.trade("BTC_USDT", at(minute), 100.0 + minute)

    async with rig(now_ms=at(3, 20), prepare=prepare, stream=False) as it:
        await it.pass_to(at(6, 50))
        assert it.bars(A) == [bar(k, 100.0 + k) for k in range(6)]
        assert it.bars(B) == [*(bar(k, 50.0 + k) for k in range(3)), *(flat(k, 52.0) for k in range(3, 6))]


@running
async def test_a_bar_that_is_corrected_is_kept_and_not_given_again() -> None:
    async with rig(now_ms=at(2, 20), prepare=lambda venue: trades(venue, -5, 6), stream=False) as it:
        it.venue.trade("BTC_USDT", at(1), 999.0)
        await it.pass_to(at(5, 5))
        assert it.bars(A) == [bar(k, 100.0 + k) for k in range(5)]
        assert it.feed.corrections() == [(A, bar(1, 999.0))]


@running
async def test_zero_volume_is_a_bar() -> None:
    def prepare(venue: MarketData) -> None:
        trades(venue, -5, 4)
        venue.trade("BTC_USDT", at(2), 102.0, volume=0.0)

    async with rig(now_ms=at(4, 20), prepare=prepare, stream=False) as it:
        assert it.bars(A)[2] == bar(2, 102.0, 0.0)


@running
async def test_a_clock_that_jumps_neither_invents_nor_loses_bars() -> None:
    async with rig(now_ms=at(2, 20), prepare=lambda venue: trades(venue, -5, 20), stream=False) as it:
        for minute, skew_ms in ((3, 3_600_000), (6, -7_200_000), (9, 31_000), (12, -900), (15, 0)):
            it.time.skew_ms = skew_ms
            await it.pass_to(at(minute + 2, 50))
            assert it.bars(A) == [bar(k, 100.0 + k) for k in range(len(it.bars(A)))]
            assert it.bars(B) == [bar(k, 50.0 + k) for k in range(len(it.bars(B)))]
        assert len(it.bars(A)) == 17


@running
async def test_history_is_paged_and_whole() -> None:
    def prepare(venue: MarketData) -> None:
        trades(venue, -2500, 4)
        for minute in (*range(-2400, -2300), -1, 3):
            del venue.bars["BTC_USDT"][at(minute)]

    async with rig(now_ms=at(4, 20), prepare=prepare, stream=False) as it:
        found = await it.feed.history(A, at(-3000), at(4))
        assert [one.ts for one in found] == [at(k) for k in range(-2500, 3)]
        assert [one for one in found if one.filled] == [
            *(flat(k, -2301.0) for k in range(-2400, -2300)), flat(-1, 98.0),
        ]  # fmt: skip
        assert await it.feed.history(A, at(-9000), at(-8000)) == []


@running
async def test_a_symbol_that_is_not_traded_is_one_sentence() -> None:
    unknown = Series("gate", "ETH/USD", "1m")
    async with rig(now_ms=at(1), series=(A, unknown), stream=False) as it:
        assert isinstance(it.failed, UnknownNameError)
        assert str(it.failed).startswith("unknown symbol on gate 'ETH/USD': did you mean 'ETH/USDT'")
        assert it.venue.requests == []


@running
async def test_a_base_that_the_venue_does_not_serve_is_one_sentence() -> None:
    async with rig(now_ms=at(1), series=(Series("gate", "BTC/USDT", "45m"),), stream=False) as it:
        assert isinstance(it.failed, InputError)
        assert "gate serves no 45m candles" in str(it.failed)


def test_a_series_of_another_exchange_is_refused() -> None:
    with pytest.raises(InputError, match="each exchange has a feed of its own"):
        ExchangeFeed("kucoin", {A: START})
