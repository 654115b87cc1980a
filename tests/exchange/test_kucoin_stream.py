"""The local KuCoin's websockets through ccxt, and what goes wrong on them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import ccxt
import pytest

from executor.sandbox.kucoin.news import ORDERS_V2
from executor.sandbox.kucoin.talk import Talk
from executor.sandbox.script import Point
from tests.exchange.venues import START_MS, World, run

MINUTE_MS = 60_000


def topics(w: World) -> set[str]:
    return {topic for line in w.front.hub if isinstance(line.talk, Talk) for topic in line.talk.topics}


async def heard_of(w: World, topic: str, call: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
    """A watcher that waits, once the venue knows that it does."""
    task = w.watch(call)
    await w.until(lambda: topic in topics(w))
    return task


def test_an_order_is_told_from_open_to_filled() -> None:
    async def scenario(w: World) -> None:
        waiting = await heard_of(w, "/spotMarket/tradeOrders", lambda: w.stream.watch_orders("BTC/USDT"))
        placed = await w.rest.create_order("BTC/USDT", "limit", "buy", 0.1, 49_000.0, {"clientOid": "ls-1"})
        (opened,) = await asyncio.wait_for(waiting, 5)
        assert (opened["id"], opened["clientOrderId"], opened["status"]) == (placed["id"], "ls-1", "open")
        states = []
        for volume in (0.04, 1.0):
            waiting = w.watch(lambda: w.stream.watch_orders("BTC/USDT"))
            await asyncio.sleep(0)
            w.venue.price("BTC/USDT", 49_000.0, volume)
            (order,) = await asyncio.wait_for(waiting, 5)
            states.append((order["filled"], order["average"]))
        assert states[0] == (0.04, 49_000.0)
        await w.until(lambda: w.stream.orders[-1]["status"] == "closed")
        assert w.stream.orders[-1]["filled"] == 0.1
        assert w.stream.orders[-1]["average"] == pytest.approx(49_000.0)
        assert [trade["amount"] for trade in w.stream.myTrades] == [0.04, 0.06]

    run(scenario)


def test_a_cancel_is_told() -> None:
    async def scenario(w: World) -> None:
        placed = await w.rest.create_order("BTC/USDT", "limit", "buy", 0.1, 49_000.0)
        waiting = await heard_of(w, "/spotMarket/tradeOrders", lambda: w.stream.watch_orders())
        await w.rest.cancel_order(placed["id"], "BTC/USDT")
        (order,) = await asyncio.wait_for(waiting, 5)
        assert (order["id"], order["status"], order["filled"]) == (placed["id"], "canceled", 0.0)

    run(scenario)


@pytest.mark.parametrize("held", [0.1, 0.0999])
def test_a_stop_order_is_told_from_open_to_triggered_or_failed(held: float) -> None:
    async def scenario(w: World) -> None:
        w.venue.deposit("BTC", held)

        def watch() -> Awaitable[Any]:
            return w.stream.watch_orders(None, None, None, {"trigger": True})

        waiting = await heard_of(w, "/spotMarket/advancedOrders", watch)
        stop = await w.rest.create_order("BTC/USDT", "market", "sell", 0.1, None, {"stopLossPrice": 48_000.0})
        (told,) = await asyncio.wait_for(waiting, 5)
        assert (told["id"], told["status"], told["triggerPrice"]) == (stop["id"], "open", 48_000.0)
        waiting = w.watch(watch)
        await asyncio.sleep(0)
        w.venue.price("BTC/USDT", 47_900.0)
        (told,) = await asyncio.wait_for(waiting, 5)
        assert told["info"]["triggerSuccess"] is (held == 0.1)
        assert told["status"] == ("triggered" if held == 0.1 else "canceled")

    run(scenario)


def test_the_balance_follows_the_account() -> None:
    async def scenario(w: World) -> None:
        waiting = await heard_of(w, "/account/balance", lambda: w.stream.watch_balance())
        await w.rest.create_order("BTC/USDT", "market", "buy", 0.1)
        await asyncio.wait_for(waiting, 5)
        await w.until(lambda: w.stream.balance["trade"]["USDT"]["total"] == 4_995.0)
        assert w.stream.balance["trade"]["BTC"]["total"] == 0.1
        assert w.venue.balances()["USDT"].total == 4_995.0

    run(scenario)


def test_candles_are_updates_of_the_open_minute_and_tell_no_close() -> None:
    async def scenario(w: World) -> None:
        waiting = await heard_of(w, "/market/candles:BTC-USDT_1min", lambda: w.stream.watch_ohlcv("BTC/USDT", "1m"))
        w.venue.price("BTC/USDT", 50_300.0, 2.0)
        rows = [list(row) for row in await asyncio.wait_for(waiting, 5)]
        assert rows == [[START_MS, 50_000.0, 50_300.0, 50_000.0, 50_300.0, 3.0]]
        waiting = w.watch(lambda: w.stream.watch_ohlcv("BTC/USDT", "1m"))
        await asyncio.sleep(0)
        w.clock.move(MINUTE_MS)
        w.venue.price("BTC/USDT", 50_100.0)
        rows = [list(row) for row in await asyncio.wait_for(waiting, 5)]
        assert rows[-1] == [START_MS + MINUTE_MS, 50_100.0, 50_100.0, 50_100.0, 50_100.0, 1.0]
        pushes = w.venue.log.of("push candle")
        assert [(entry.ts_ms, entry.id) for entry in pushes] == [(START_MS, "1min"), (START_MS + MINUTE_MS, "1min")]
        assert pushes[0].perf_secs < pushes[1].perf_secs

    run(scenario)


def test_tickers_of_one_market_and_of_all() -> None:
    async def scenario(w: World) -> None:
        plain = {"spotMethod": "/market/ticker"}
        one = await heard_of(w, "/market/ticker:BTC-USDT", lambda: w.stream.watch_ticker("BTC/USDT", plain))
        every = await heard_of(w, "/market/ticker:all", lambda: w.stream.watch_tickers())
        w.venue.price("BTC/USDT", 51_000.0)
        assert (await asyncio.wait_for(one, 5))["last"] == 51_000.0
        assert (await asyncio.wait_for(every, 5))["BTC/USDT"]["last"] == 51_000.0

    run(scenario)


def test_a_snapshot_is_of_a_day() -> None:
    async def scenario(w: World) -> None:
        day = await heard_of(w, "/market/snapshot:ETH-USDT", lambda: w.stream.watch_ticker("ETH/USDT"))
        w.venue.price("ETH/USDT", 3_100.0)
        found = await asyncio.wait_for(day, 5)
        assert (found["last"], found["high"], found["low"]) == (3_100.0, 3_100.0, 3_000.0)

    run(scenario)


def test_a_script_is_told_in_the_order_of_its_time() -> None:
    async def scenario(w: World) -> None:
        await heard_of(w, "/market/candles:BTC-USDT_1min", lambda: w.stream.watch_ohlcv("BTC/USDT", "1m"))
        points = [Point(START_MS + at * MINUTE_MS, 50_000.0 + at, 1.0) for at in (1, 2, 3)]
        w.venue.script("BTC/USDT", points)
        w.clock.move(3 * MINUTE_MS)
        await w.venue.advance(w.clock())
        await w.until(lambda: len(w.stream.ohlcvs.get("BTC/USDT", {}).get("1m", ())) == 3)
        assert [row[:2] for row in w.stream.ohlcvs["BTC/USDT"]["1m"]] == [[p.ts_ms, p.price] for p in points]

    run(scenario)


def test_an_unknown_pair_is_refused() -> None:
    async def scenario(w: World) -> None:
        token = await w.rest.publicPostBulletPublic()
        url = f"{token['data']['instanceServers'][0]['endpoint']}?token={token['data']['token']}&connectId=7"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            assert await socket.receive_json() == {"id": "7", "type": "welcome"}

            async def ask(kind: str, **more: object) -> dict[str, Any]:
                await socket.send_json({"id": "1", "type": kind, "response": True, **more})
                found: dict[str, Any] = await socket.receive_json()
                return found

            assert (await ask("subscribe", topic="/market/ticker:XXX-USDT"))["code"] == 400
            assert (await ask("subscribe", topic="/market/candles:BTC-USDT_7min"))["code"] == 400
            assert (await ask("subscribe", topic="/spotMarket/tradeOrders"))["code"] == 403
            assert (await ask("subscribe", topic="/no/such"))["code"] == 404
            assert (await ask("subscribe"))["code"] == 406
            assert (await ask("shout"))["code"] == 415
            assert (await ask("ping"))["type"] == "pong"
            assert await ask("subscribe", topic="/market/ticker:BTC-USDT,ETH-USDT") == {"id": "1", "type": "ack"}
            assert topics(w) == {"/market/ticker:BTC-USDT", "/market/ticker:ETH-USDT"}
            assert await ask("unsubscribe", topic="/market/ticker:ETH-USDT") == {"id": "1", "type": "ack"}
            assert topics(w) == {"/market/ticker:BTC-USDT"}

    run(scenario)


def test_orders_have_a_topic_of_a_second_version() -> None:
    async def scenario(w: World) -> None:
        token = await w.rest.privatePostBulletPrivate()
        url = f"{token['data']['instanceServers'][0]['endpoint']}?token={token['data']['token']}&connectId=7"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            await socket.receive_json()
            await socket.send_json({"id": "1", "type": "subscribe", "topic": ORDERS_V2, "response": True})
            await socket.receive_json()
            await w.rest.create_order("BTC/USDT", "market", "buy", 0.1)
            kinds = [(await socket.receive_json())["data"]["type"] for _ in range(2)]
            assert kinds == ["match", "filled"]

    run(scenario)


def test_a_token_that_expired_opens_no_socket_until_another_is_asked_for() -> None:
    async def scenario(w: World) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        waiting = await heard_of(w, "/spotMarket/tradeOrders", lambda: w.stream.watch_orders())
        w.fault("expired_token")
        assert not waiting.done()
        w.fault("socket_drop")
        with pytest.raises((ccxt.NetworkError, ConnectionError)):
            await asyncio.wait_for(waiting, 5)
        # The venue's word ends ccxt's reader: this watcher never returns where it had subscribed before the socket was
        # closed, though another token is asked for next.
        w.watch(lambda: w.stream.watch_orders())
        await w.until(lambda: w.front.hub.opened == 2 and not list(w.front.hub))
        waiting = await heard_of(w, "/spotMarket/tradeOrders", lambda: w.stream.watch_orders())
        await w.rest.create_order("BTC/USDT", "market", "buy", 0.1)
        assert (await asyncio.wait_for(waiting, 5))[0]["filled"] == 0.1

    run(scenario)


def test_a_muted_socket_answers_pings_and_says_nothing() -> None:
    async def scenario(w: World) -> None:
        waiting = await heard_of(w, "/spotMarket/tradeOrders", lambda: w.stream.watch_orders())
        w.fault("socket_mute")
        await w.rest.create_order("BTC/USDT", "market", "buy", 0.1)
        (client,) = w.stream.clients.values()
        before = client.lastPong
        await client.send(w.stream.ping(client))
        await w.until(lambda: client.lastPong != before)
        assert not waiting.done()
        w.faults.clear()
        await w.rest.create_order("BTC/USDT", "market", "sell", 0.1)
        orders = await asyncio.wait_for(waiting, 5)
        assert {order["side"] for order in orders} == {"sell"}

    run(scenario)


def test_a_frozen_socket_answers_nothing() -> None:
    async def scenario(w: World) -> None:
        waiting = await heard_of(w, "/spotMarket/tradeOrders", lambda: w.stream.watch_orders())
        w.fault("socket_freeze")
        with pytest.raises(ccxt.NetworkError):
            await asyncio.wait_for(waiting, 5)

    run(scenario, ping_ms=50)


def test_events_come_twice_and_late() -> None:
    async def scenario(w: World) -> None:
        w.stream.newUpdates = False
        waiting = await heard_of(w, "/spotMarket/tradeOrders", lambda: w.stream.watch_my_trades())
        w.fault("duplicate_events")
        w.fault("late_events", secs=5)
        await w.rest.create_order("BTC/USDT", "market", "buy", 0.1)
        await w.front.hub.flush()
        assert not waiting.done()
        w.clock.move(5_000)
        await w.venue.advance(w.clock())
        assert [trade["amount"] for trade in await asyncio.wait_for(waiting, 5)] == [0.1]

    run(scenario)
