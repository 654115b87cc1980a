"""The local Gate's websockets through ccxt, and what goes wrong on them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import ccxt
import pytest

from executor.sandbox.gate.talk import ALL, Talk
from executor.sandbox.script import Point
from tests.exchange.test_gate import BOTH, BTC, GATE, MINUTE_MS, SWAPPED, size
from tests.exchange.venues import START_MS, World, run


def channels(w: World) -> set[tuple[str, str]]:
    return {heard for line in w.front.hub if isinstance(line.talk, Talk) for heard in line.talk.heard}


async def heard_of(w: World, channel: str, name: str, call: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
    """A watcher that waits, once the venue knows that it does."""
    task = w.watch(call)
    await w.until(lambda: (channel, name) in channels(w))
    return task


@BOTH
def test_an_order_is_told_from_open_to_filled(symbol: str) -> None:
    async def scenario(w: World) -> None:
        qty = size(symbol)
        w.stream.newUpdates = False
        waiting = await heard_of(w, "orders", "BTC_USDT", lambda: w.stream.watch_orders(symbol))
        placed = await w.rest.create_order(symbol, "limit", "buy", qty, 49_000.0, {"clientOrderId": "t-ls-1"})
        (opened,) = await asyncio.wait_for(waiting, 5)
        assert (opened["id"], opened["clientOrderId"], opened["status"]) == (placed["id"], "t-ls-1", "open")
        w.watch(lambda: w.stream.watch_orders(symbol))
        seen = []
        for volume in (0.4 * qty, qty):
            w.venue.price(symbol, 49_000.0, volume)
            filled = 0.4 * qty if volume < qty else qty
            await w.until(lambda filled=filled: w.stream.orders[-1]["filled"] == pytest.approx(filled))
            seen.append((w.stream.orders[-1]["status"], w.stream.orders[-1]["average"]))
        # Of a swap ccxt 4.5.90 passes the venue's own word on.
        assert seen == [("_update" if symbol == SWAPPED else "open", 49_000.0), ("closed", 49_000.0)]

    run(scenario, **GATE)


@BOTH
def test_fills_are_told_with_their_fees(symbol: str) -> None:
    async def scenario(w: World) -> None:
        waiting = await heard_of(w, "usertrades", "BTC_USDT", lambda: w.stream.watch_my_trades(symbol))
        await w.rest.create_order(symbol, "limit", "buy", size(symbol), 50_000.0)
        (trade,) = await asyncio.wait_for(waiting, 5)
        assert (trade["amount"], trade["price"], trade["side"]) == (size(symbol), 50_000.0, "buy")
        (fill,) = w.venue.fills()
        assert (trade["id"], trade["order"], trade["fee"]["cost"]) == (fill.id, fill.order_id, fill.fee)

    run(scenario, **GATE)


@BOTH
def test_a_cancel_is_told(symbol: str) -> None:
    async def scenario(w: World) -> None:
        placed = await w.rest.create_order(symbol, "limit", "buy", size(symbol), 49_000.0)
        waiting = await heard_of(w, "orders", "BTC_USDT", lambda: w.stream.watch_orders(symbol))
        await w.rest.cancel_order(placed["id"], symbol)
        (order,) = await asyncio.wait_for(waiting, 5)
        assert (order["id"], order["status"], order["filled"]) == (placed["id"], "canceled", 0.0)

    run(scenario, **GATE)


@BOTH
def test_the_ends_of_triggers_are_told(symbol: str) -> None:
    async def scenario(w: World) -> None:
        channel = "autoorders" if symbol == SWAPPED else "priceorders"

        def watch() -> Awaitable[Any]:
            return w.stream.watch_orders(symbol, None, None, {"trigger": True})

        waiting = await heard_of(w, channel, "BTC_USDT", watch)
        swapped = {"reduceOnly": True} if symbol == SWAPPED else {}
        price = None if symbol == SWAPPED else 47_000.0
        kind = "market" if symbol == SWAPPED else "limit"
        await w.rest.create_order(
            symbol, kind, "sell", size(symbol), price, {"stopLossPrice": 48_000.0, "clientOrderId": "t-ls-s", **swapped}
        )
        (told,) = await asyncio.wait_for(waiting, 5)
        (trigger,) = w.venue.triggers()
        assert (told["id"], told["status"]) == (trigger.id, "open")
        waiting = w.watch(watch)
        await asyncio.sleep(0)
        w.venue.price(symbol, 47_900.0)
        (told,) = await asyncio.wait_for(waiting, 5)
        assert (told["id"], told["status"]) == (trigger.id, "canceled")
        assert told["info"]["finish_as" if symbol == SWAPPED else "status"] == "failed"

    run(scenario, **GATE)


@BOTH
def test_the_balance_follows_the_account(symbol: str) -> None:
    async def scenario(w: World) -> None:
        kind = "swap" if symbol == SWAPPED else "spot"
        waiting = await heard_of(w, "balances", ALL, lambda: w.stream.watch_balance({"type": kind}))
        await w.rest.create_order(symbol, "limit", "buy", size(symbol), 50_000.0)
        await asyncio.wait_for(waiting, 5)
        total = w.venue.balances(kind)["USDT"].total
        await w.until(lambda: w.stream.balance["USDT"]["total"] == total)
        assert total == (9_997.5 if symbol == SWAPPED else 5_000.0)

    run(scenario, **GATE)


def test_positions_are_told() -> None:
    async def scenario(w: World) -> None:
        # The first call gives what REST knows.
        assert list(await w.stream.watch_positions([SWAPPED])) == []
        waiting = await heard_of(w, "positions", ALL, lambda: w.stream.watch_positions([SWAPPED]))
        await w.rest.create_order(SWAPPED, "market", "sell", 100.0)
        (held,) = await asyncio.wait_for(waiting, 5)
        assert (held["side"], held["contracts"], held["entryPrice"]) == ("short", 100.0, 50_000.0)

    run(scenario, **GATE)


@BOTH
def test_candles_are_updates_of_the_open_minute_and_tell_no_close(symbol: str) -> None:
    async def scenario(w: World) -> None:
        waiting = await heard_of(w, "candlesticks", "1m_BTC_USDT", lambda: w.stream.watch_ohlcv(symbol, "1m"))
        w.venue.price(symbol, 50_300.0, 2.0)
        # Of spot the websocket gives money where REST gives base units.
        money = 1.0 if symbol == SWAPPED else 50_300.0
        rows = [list(row) for row in await asyncio.wait_for(waiting, 5)]
        assert rows == [[START_MS, 50_000.0, 50_300.0, 50_000.0, 50_300.0, 3.0 * money]]
        w.venue.script(symbol, [Point(START_MS + at * MINUTE_MS, 50_000.0 + at, 1.0) for at in (1, 2)])
        w.watch(lambda: w.stream.watch_ohlcv(symbol, "1m"))
        w.clock.move(2 * MINUTE_MS)
        await w.venue.advance(w.clock())
        await w.until(lambda: len(w.stream.ohlcvs[symbol]["1m"]) == 3)
        assert [row[4] for row in w.stream.ohlcvs[symbol]["1m"]] == [50_300.0, 50_001.0, 50_002.0]
        pushes = w.venue.log.of("push candle")
        assert [(entry.ts_ms - START_MS, entry.symbol, entry.id) for entry in pushes] == [
            (at * MINUTE_MS, symbol, "1m") for at in range(3)
        ]
        assert [one.perf_secs for one in pushes] == sorted(one.perf_secs for one in pushes)

    run(scenario, **GATE)


@BOTH
def test_tickers_of_each_trade(symbol: str) -> None:
    async def scenario(w: World) -> None:
        waiting = await heard_of(w, "tickers", "BTC_USDT", lambda: w.stream.watch_ticker(symbol))
        w.venue.price(symbol, 51_000.0)
        told = await asyncio.wait_for(waiting, 5)
        assert (told["symbol"], told["last"], told["low"]) == (symbol, 51_000.0, 50_000.0)

    run(scenario, **GATE)


@pytest.mark.parametrize(
    ("section", "said", "code"),
    [
        ("ws/v4/", {"channel": "spot.tickers", "event": "subscribe", "payload": ["XXX_USDT"]}, 2),
        ("ws/v4/", {"channel": "spot.candlesticks", "event": "subscribe", "payload": ["7m", "BTC_USDT"]}, 2),
        ("ws/v4/", {"channel": "spot.orders", "event": "subscribe", "payload": ["BTC_USDT"]}, 4),
        ("ws/v4/", {"channel": "spot.none", "event": "subscribe", "payload": ["BTC_USDT"]}, 1),
        ("ws/v4/", {"channel": "spot.tickers", "event": "shout", "payload": ["BTC_USDT"]}, 1),
        ("ws/futures/usdt", {"channel": "futures.orders", "event": "subscribe", "payload": ["1", "BTC_USDT"]}, 4),
        ("ws/futures/usdt", {"channel": "futures.tickers", "event": "subscribe", "payload": ["XXX_USDT"]}, 2),
    ],
)
def test_a_subscription_that_makes_no_sense_is_refused(section: str, said: dict[str, Any], code: int) -> None:
    async def scenario(w: World) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"ws://{w.front.host}/{section}") as socket,
        ):
            await socket.send_json({"time": w.front.wall_ms() // 1000, "id": 1, **said})
            answer = await socket.receive_json()
            assert (answer["error"]["code"], answer["result"]) == (code, {"status": "fail"})
            assert channels(w) == set()
            kind = said["channel"].partition(".")[0]
            await socket.send_json({"time": 1, "channel": f"{kind}.ping"})
            assert (await socket.receive_json())["channel"] == f"{kind}.pong"

    run(scenario, **GATE)


@BOTH
def test_a_wrong_secret_hears_nothing_of_the_account(symbol: str) -> None:
    async def scenario(w: World) -> None:
        w.stream.secret = "another"
        with pytest.raises(ccxt.BaseError):
            await asyncio.wait_for(w.watch(lambda: w.stream.watch_orders(symbol)), 5)
        assert channels(w) == set()

    run(scenario, **GATE)


@BOTH
def test_a_drop_is_an_error_and_the_next_wait_connects_anew(symbol: str) -> None:
    async def scenario(w: World) -> None:
        waiting = await heard_of(w, "orders", "BTC_USDT", lambda: w.stream.watch_orders(symbol))
        w.fault("socket_drop")
        with pytest.raises((ccxt.NetworkError, ConnectionError)):
            await asyncio.wait_for(waiting, 5)
        await w.until(lambda: not list(w.front.hub))
        waiting = await heard_of(w, "orders", "BTC_USDT", lambda: w.stream.watch_orders(symbol))
        await w.rest.create_order(symbol, "limit", "buy", size(symbol), 49_000.0)
        assert len(await asyncio.wait_for(waiting, 5)) == 1

    run(scenario, **GATE)


@BOTH
def test_a_muted_socket_answers_pings_and_says_nothing(symbol: str) -> None:
    async def scenario(w: World) -> None:
        waiting = await heard_of(w, "orders", "BTC_USDT", lambda: w.stream.watch_orders(symbol))
        w.fault("socket_mute")
        await w.rest.create_order(symbol, "limit", "buy", size(symbol), 48_000.0)
        (client,) = w.stream.clients.values()
        before = client.lastPong
        await client.connection.ping()
        await w.until(lambda: client.lastPong != before)
        assert not waiting.done()
        w.faults.clear()
        await w.rest.create_order(symbol, "limit", "buy", size(symbol), 47_000.0)
        assert [order["price"] for order in await asyncio.wait_for(waiting, 5)] == [47_000.0]

    run(scenario, **GATE)


def test_a_frozen_socket_answers_nothing() -> None:
    async def scenario(w: World) -> None:
        w.stream.streaming["keepAlive"] = 50
        waiting = await heard_of(w, "orders", "BTC_USDT", lambda: w.stream.watch_orders(BTC))
        w.fault("socket_freeze")
        with pytest.raises(ccxt.NetworkError):
            await asyncio.wait_for(waiting, 5)

    run(scenario, **GATE)


@BOTH
def test_events_come_twice_and_late(symbol: str) -> None:
    async def scenario(w: World) -> None:
        w.stream.newUpdates = False
        waiting = await heard_of(w, "usertrades", "BTC_USDT", lambda: w.stream.watch_my_trades(symbol))
        w.fault("duplicate_events")
        w.fault("late_events", secs=5)
        await w.rest.create_order(symbol, "limit", "buy", size(symbol), 50_000.0)
        await w.front.hub.flush()
        assert not waiting.done()
        w.clock.move(5_000)
        await w.venue.advance(w.clock())
        trades = await asyncio.wait_for(waiting, 5)
        assert [trade["amount"] for trade in trades] == [size(symbol)]

    run(scenario, **GATE)
