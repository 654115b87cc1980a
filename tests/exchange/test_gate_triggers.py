"""Price orders of the local Gate through ccxt: what waits, fires, fails, expires or is taken back."""

from typing import Any

import ccxt
import pytest

from tests.exchange.test_gate import BOTH, BTC, GATE, SWAPPED, size
from tests.exchange.venues import World, run

TRIGGER = {"trigger": True}


async def stop(w: World, symbol: str, **params: Any) -> str:
    """A sell of what is held once the price falls to 48,000."""
    wanted: dict[str, Any] = {"stopLossPrice": 48_000.0, "clientOrderId": "t-ls-stop"} | params
    if symbol == SWAPPED:
        placed = await w.rest.create_order(symbol, "market", "sell", 100.0, None, wanted | {"reduceOnly": True})
    else:
        placed = await w.rest.create_order(symbol, "limit", "sell", 0.1, 47_000.0, wanted)
    return str(placed["id"])


async def hold(w: World, symbol: str) -> None:
    """A tenth of a bitcoin, bought at the last price."""
    if symbol == SWAPPED:
        await w.rest.create_order(symbol, "market", "buy", 100.0)
    else:
        w.venue.deposit("BTC", 0.1)


@BOTH
def test_a_stop_waits_apart_from_orders_and_names_the_order_that_it_becomes(symbol: str) -> None:
    async def scenario(w: World) -> None:
        await hold(w, symbol)
        number = await stop(w, symbol)
        assert await w.rest.fetch_open_orders(symbol) == []
        (listed,) = await w.rest.fetch_open_orders(symbol, None, None, TRIGGER)
        assert (listed["id"], listed["status"], listed["triggerPrice"]) == (number, "open", 48_000.0)
        assert (listed["side"], listed["amount"]) == ("sell", size(symbol))
        if symbol == BTC:
            assert (await w.rest.fetch_balance())["BTC"]["used"] == 0.0
        w.venue.price(symbol, 48_000.1)
        assert w.venue.triggers()
        w.venue.price(symbol, 47_500.0)
        found = await w.rest.fetch_order(number, symbol, TRIGGER)
        assert (found["status"], found["filled"] or 0.0) == ("closed", 0.0)
        info = found["info"]
        fired = await w.rest.fetch_order(str(info["trade_id" if symbol == SWAPPED else "fired_order_id"]), symbol)
        assert (fired["status"], fired["filled"], fired["average"]) == ("closed", size(symbol), 47_500.0)
        assert await w.rest.fetch_open_orders(symbol, None, None, TRIGGER) == []
        (ended,) = await w.rest.fetch_closed_orders(symbol, None, None, TRIGGER)
        assert ended["id"] == number
        if symbol == SWAPPED:
            assert fired["reduceOnly"] is True
            assert w.venue.position(symbol, "both").qty == 0.0

    run(scenario, **GATE)


@BOTH
def test_a_target_fires_above(symbol: str) -> None:
    async def scenario(w: World) -> None:
        await hold(w, symbol)
        limit = 51_900.0 if symbol == BTC else None
        params = {"takeProfitPrice": 52_000.0, "reduceOnly": symbol == SWAPPED}
        await w.rest.create_order(symbol, "limit" if limit else "market", "sell", size(symbol), limit, params)
        w.venue.price(symbol, 51_999.9)
        assert [one.rule for one in w.venue.triggers()] == [">="]
        w.venue.price(symbol, 52_100.0)
        assert (w.venue.fills()[-1].side, w.venue.fills()[-1].price) == ("sell", 52_100.0)

    run(scenario, **GATE)


@BOTH
def test_a_stop_may_fire_and_fail(symbol: str) -> None:
    async def scenario(w: World) -> None:
        number = await stop(w, symbol)
        w.venue.price(symbol, 47_500.0)
        found = await w.rest.fetch_order(number, symbol, TRIGGER)
        assert (found["status"], w.venue.finished()) == ("canceled", [])
        said = found["info"]["finish_as" if symbol == SWAPPED else "status"]
        reason = "reduce_only" if symbol == SWAPPED else "funds"
        assert (said, found["info"]["reason"]) == ("failed", reason)
        w.fault("trigger_fails", symbol)
        await hold(w, symbol)
        w.venue.price(symbol, 50_000.0)
        await stop(w, symbol)
        w.venue.price(symbol, 47_500.0)
        assert w.venue.triggers(waiting=False)[-1].reason == "TRIGGER_FAILED"

    run(scenario, **GATE)


def test_a_stop_limit_that_is_gapped_through_rests_unfilled() -> None:
    async def scenario(w: World) -> None:
        await hold(w, BTC)
        await stop(w, BTC)
        w.venue.price(BTC, 46_000.0)
        (resting,) = await w.rest.fetch_open_orders(BTC)
        assert (resting["price"], resting["filled"], resting["clientOrderId"]) == (47_000.0, 0.0, "t-ls-stop")

    run(scenario, **GATE)


@BOTH
def test_a_stop_expires_after_a_day(symbol: str) -> None:
    async def scenario(w: World) -> None:
        number = await stop(w, symbol)
        w.clock.move(86_400_000 - 1)
        await w.venue.advance(w.clock())
        assert (await w.rest.fetch_order(number, symbol, TRIGGER))["status"] == "open"
        w.clock.move(1)
        await w.venue.advance(w.clock())
        found = await w.rest.fetch_order(number, symbol, TRIGGER)
        assert found["info"]["finish_as" if symbol == SWAPPED else "status"] == "expired"
        assert found["status"] in ("canceled", "expired")

    run(scenario, **GATE)


@BOTH
def test_stops_are_cancelled_one_and_all(symbol: str) -> None:
    async def scenario(w: World) -> None:
        numbers = [await stop(w, symbol) for _ in range(3)]
        await w.rest.cancel_order(numbers[0], symbol, TRIGGER)
        with pytest.raises(ccxt.ExchangeError):
            await w.rest.cancel_order(numbers[0], symbol, TRIGGER)
        with pytest.raises(ccxt.OrderNotFound):
            await w.rest.fetch_order("1", symbol, TRIGGER)
        assert (await w.rest.fetch_order(numbers[0], symbol, TRIGGER))["status"] == "canceled"
        assert [one.id for one in w.venue.triggers()] == numbers[1:]
        await w.rest.cancel_all_orders(symbol, TRIGGER)
        assert w.venue.triggers() == []

    run(scenario, **GATE)


def test_a_market_order_from_a_spot_trigger_is_refused_and_so_is_a_trigger_on_the_wrong_side_of_a_swap() -> None:
    async def scenario(w: World) -> None:
        with pytest.raises(ccxt.BadRequest, match=r"put\.type"):
            await w.rest.create_order(BTC, "market", "sell", 0.1, None, {"stopLossPrice": 48_000.0})
        with pytest.raises(ccxt.ExchangeError, match="AUTO_TRIGGER_PRICE_LESS_LAST"):
            await stop(w, SWAPPED, stopLossPrice=51_000.0)
        assert w.venue.triggers() == []

    run(scenario, **GATE)
