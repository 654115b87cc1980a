"""The local exchange's core: orders against prices, money that adds up, and time that is stepped through."""

import asyncio
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.sandbox.book import Candle, Listing, NewOrder, Point, RefusalError, Venue
from executor.sandbox.records import Event
from executor.sandbox.script import path
from tests.exchange.venues import GATE_BTC, START_MS, SWAP, Clock
from toolkit.bars.intervals import HOUR_MS, MINUTE_MS

BTC = GATE_BTC.symbol


def venue(*listings: Listing, money: float = 10_000.0, **more: object) -> tuple[Venue, Clock]:
    """Markets at 50,000 and an account with some USDT."""
    clock = Clock()
    made = Venue(listings or (GATE_BTC,), {"USDT": money, "BTC": 0.0}, clock=clock, **more)  # type: ignore[arg-type]
    for symbol in made.listings:
        made.price(symbol, 50_000.0)
    return made, clock


def order(side: str = "buy", qty: float = 0.1, price: float = 0.0, **more: object) -> NewOrder:
    return NewOrder(BTC, side, "limit" if price else "market", qty, price, **more)  # type: ignore[arg-type]


def test_a_market_order_pays_half_the_spread() -> None:
    v, _ = venue()
    v.set_matching(spread_bps=20.0)
    assert v.place(order()).cost == pytest.approx(0.1 * 50_050.0)
    assert v.place(order("sell", 0.05)).cost == pytest.approx(0.05 * 49_950.0)


def test_a_resting_limit_is_filled_at_its_price_the_oldest_first() -> None:
    v, _ = venue()
    first, second = (v.place(order(price=49_000.0, qty=0.04)).id for _ in range(2))
    v.price(BTC, 48_500.0, 0.05)
    assert [(fill.order_id, fill.qty, fill.price) for fill in v.fills()] == [
        (first, 0.04, 49_000.0), (second, 0.01, 49_000.0),
    ]  # fmt: skip
    assert [one.filled for one in v.open_orders()] == [0.01]


@pytest.mark.parametrize(("tif", "kept"), [("gtc", "open"), ("ioc", "canceled")])
def test_what_the_depth_does_not_fill_rests_or_goes(tif: str, kept: str) -> None:
    v, _ = venue()
    v.set_matching(depth={BTC: 0.03})
    placed = v.place(order(price=50_000.0, tif=tif))
    assert (placed.filled, placed.status) == (0.03, kept)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "XXX/USDT"}, "symbol"),
        ({"qty": 0.0}, "qty"),
        ({"qty": math.nan}, "qty"),
        ({"qty": 0.100005}, "lot"),
        ({"qty": 0.00005}, "min_qty"),
        ({"price": 49_000.05}, "tick"),
        ({"price": 1_000.0, "qty": 0.001}, "min_notional"),
        ({"qty": 0.3}, "funds"),
        ({"side": "sell"}, "funds"),
        ({"price": 50_001.0, "tif": "poc"}, "poc"),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_and_leaves_nothing(changes: dict[str, object], code: str) -> None:
    v, _ = venue()
    with pytest.raises(RefusalError) as error:
        v.place(replace(order(price=49_000.0), **changes))  # type: ignore[arg-type]
    assert error.value.code == code
    assert v.open_orders() == v.finished() == [] and v.balances()["USDT"].held == 0.0
    assert [entry.outcome for entry in v.log.of("place")] == [code]


def test_a_trigger_binds_money_only_where_the_venue_locks_it() -> None:
    for locks in (False, True):
        v, _ = venue(locks_triggers=locks)
        v.deposit("BTC", 0.1)
        v.place_trigger(order("sell", price=47_000.0), "<=", 48_000.0)
        assert v.balances()["BTC"].held == (0.1 if locks else 0.0)
        v.price(BTC, 47_999.0)
        assert v.balances()["BTC"].total == 0.0


def test_a_bar_is_walked_from_open_over_the_nearer_extreme_to_close() -> None:
    bars = [Candle(0, 10.0, 14.0, 9.0, 12.0, 8.0), Candle(60_000, 12.0, 13.0, 5.0, 6.0, 4.0)]
    points = list(path(bars, MINUTE_MS))
    assert [point.price for point in points] == [10.0, 9.0, 14.0, 12.0, 12.0, 13.0, 5.0, 6.0]
    assert [point.ts_ms for point in points] == [15_000 * at for at in range(8)]
    assert sum(point.volume for point in points) == 12.0
    assert [point.is_jump for point in points] == [True, False, False, False] * 2


def test_within_a_bar_the_market_trades_at_the_trigger_and_over_a_gap_it_does_not() -> None:
    async def play() -> None:
        for is_jump, price in ((False, 48_000.0), (True, 46_000.0)):
            v, clock = venue()
            v.deposit("BTC", 0.1)
            v.place_trigger(order("sell"), "<=", 48_000.0)
            v.script(BTC, [Point(START_MS + 1_000, 46_000.0, 1.0, is_jump)])
            clock.move(1_000)
            await v.advance(clock())
            assert v.fills()[-1].price == price

    asyncio.run(play())


def test_a_driver_steps_through_time_and_each_moment_is_written_before_the_next() -> None:
    async def play() -> None:
        v, clock = venue()
        happened: list[tuple[str, int]] = []

        async def flush() -> None:
            await asyncio.sleep(0)
            happened.append(("written", v.now()))

        def hear(event: Event) -> None:
            if event.kind == "price":
                happened.append(("price", event.ts_ms))

        v.flushes.append(flush)
        v.listeners.append(hear)
        v.script(BTC, [Point(START_MS + at * 1_000, 50_000.0 + at, 1.0) for at in range(1, 4)])
        v.script(BTC, [Point(START_MS + 2_000, 50_100.0, 1.0)])
        clock.move(2_500)
        await v.advance(clock())
        seconds = [(what, (ts - START_MS) / 1000) for what, ts in happened]
        assert seconds == [
            ("price", 1.0), ("written", 1.0), ("price", 2.0), ("price", 2.0), ("written", 2.0), ("written", 2.5),
        ]  # fmt: skip
        clock.move(10_000)
        await v.advance(clock())
        assert happened[-3:] == [
            ("price", START_MS + 3_000), ("written", START_MS + 3_000), ("written", START_MS + 12_500),
        ]  # fmt: skip

    asyncio.run(play())


@given(
    st.lists(st.tuples(st.integers(0, 2_000), st.floats(1.0, 100.0), st.floats(0.0, 50.0)), min_size=1, max_size=40),
    st.sampled_from(["5m", "1h"]),
)
def test_candles_are_those_of_the_trades(trades: list[tuple[int, float, float]], interval: str) -> None:
    clock = Clock(START_MS // HOUR_MS * HOUR_MS)
    first = clock()
    v = Venue([GATE_BTC], {}, clock=clock)
    trades = sorted(trades, key=lambda trade: trade[0])
    for at, (minute, price, volume) in enumerate(trades):
        clock.now_ms = first + minute * MINUTE_MS
        v.price(BTC, price, volume)
        lately = [one for one in trades[: at + 1] if one[0] > minute - 1_440]
        prices, day = [one[1] for one in lately], v.day(BTC)
        assert day[:3] == (prices[0], max(prices), min(prices))
        assert day.volume == pytest.approx(sum(one[2] for one in lately))
    step = 5 * MINUTE_MS if interval == "5m" else HOUR_MS
    found = v.candles(BTC, interval, first, clock())
    for candle in found:
        inside = [one for one in trades if candle.ts_ms <= first + one[0] * MINUTE_MS < candle.ts_ms + step]
        prices = [price for _, price, _ in inside]
        assert candle[1:5] == (prices[0], max(prices), min(prices), prices[-1])
        assert candle.volume == pytest.approx(sum(volume for _, _, volume in inside))
    assert [one.ts_ms for one in found] == sorted({first + t[0] * MINUTE_MS // step * step for t in trades})


_MOVES = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "stop", "price", "cancel"]),
        st.integers(1, 40),
        st.sampled_from([0.0, 49_000.0, 49_900.0, 50_100.0, 51_000.0]),
    ),
    max_size=30,
)


@pytest.mark.parametrize("listing", [GATE_BTC, replace(GATE_BTC, fee_in="quote"), SWAP], ids=["base", "quote", "swap"])
@given(moves=_MOVES)
def test_money_adds_up_whatever_is_done(listing: Listing, moves: list[tuple[str, int, float]]) -> None:
    v, _ = venue(listing)
    symbol, unit = listing.symbol, listing.lot if listing.market == "swap" else 0.001
    for verb, size, price in moves:
        kind = "limit" if price else "market"
        new = NewOrder(symbol, "sell" if verb == "stop" else verb, kind, round(size * unit, 5), price)
        try:
            if verb == "price":
                v.price(symbol, price or 50_000.0, size * unit)
            elif verb == "cancel" and v.open_orders():
                v.cancel(v.open_orders()[0].id)
            elif verb == "stop":
                v.place_trigger(new, "<=", price or 48_000.0)
            elif verb != "cancel":
                v.place(new)
        except RefusalError:
            continue
    booked = {name: sum(row.change for row in v.booked(name)) for name in ("USDT", "BTC")}
    money, fills = v.balances(), v.fills()
    assert money["USDT"].total == pytest.approx(10_000.0 + booked["USDT"], abs=1e-6)
    sign = {"buy": 1.0, "sell": -1.0}
    held = sum(sign[fill.side] * fill.qty for fill in fills)
    if listing.market == "swap":
        assert v.position(symbol, "both").qty == held
    else:
        fees = sum(fill.fee for fill in fills if fill.fee_currency == "BTC")
        assert money["BTC"].total == pytest.approx(held - fees, abs=1e-9)
        assert all(-1e-9 <= one.held <= one.total + 1e-6 for one in money.values())
    for one in [*v.open_orders(), *v.finished()]:
        mine = [fill for fill in fills if fill.order_id == one.id]
        assert one.filled == pytest.approx(sum(fill.qty for fill in mine), abs=1e-9)
        assert one.cost == pytest.approx(sum(fill.qty * fill.price for fill in mine) * listing.contract_size)
        assert one.filled <= one.qty and (one.status == "open") == (one in v.open_orders())
    if not v.open_orders() and listing.market == "spot":
        assert money["USDT"].held == money["BTC"].held == 0.0
