"""What goes wrong with a request to either local venue: what ccxt makes of it, and what the venue did all the same."""

import asyncio
from typing import Any

import aiohttp
import ccxt
import pytest

from tests.exchange.test_gate import BTC, GATE, SWAPPED, size
from tests.exchange.venues import START_MS, World, run

KUCOIN: dict[str, Any] = {}
VENUES = pytest.mark.parametrize(
    ("where", "symbol"),
    [(GATE, BTC), (GATE, SWAPPED), (KUCOIN, BTC)],
    ids=["gate spot", "gate swap", "kucoin spot"],
)


async def buy(w: World, symbol: str) -> dict[str, Any]:
    found: dict[str, Any] = await w.rest.create_order(symbol, "limit", "buy", size(symbol), 49_000.0)
    return found


@pytest.mark.parametrize(
    ("kind", "error", "placed"),
    [
        ("lost_request", ccxt.NetworkError, 0),
        ("reset", ccxt.NetworkError, 0),
        ("bad_gateway", ccxt.ExchangeNotAvailable, 0),
        ("rate_limit", ccxt.RateLimitExceeded, 0),
        ("lost_response", ccxt.NetworkError, 1),
        ("cut_body", ccxt.BaseError, 1),
    ],
)
@VENUES
def test_one_order_is_there_or_none(where: dict[str, Any], symbol: str, kind: str, error: Any, placed: int) -> None:
    async def scenario(w: World) -> None:
        w.fault(kind, "POST", times=1)
        with pytest.raises((error, ConnectionError)):
            await buy(w, symbol)
        assert len(w.venue.open_orders()) == placed
        assert [entry.outcome for entry in w.venue.log.of("request POST")] == [kind]
        assert [entry.verb for entry in w.venue.log if entry.verb == kind] == [kind]
        await buy(w, symbol)
        assert len(w.venue.open_orders()) == placed + 1

    run(scenario, **where)


@VENUES
def test_half_an_answer_that_looks_whole_has_no_number_in_ccxt(where: dict[str, Any], symbol: str) -> None:
    async def scenario(w: World) -> None:
        w.fault("cut_json", "POST", times=1)
        try:
            answer = await buy(w, symbol)
        except ccxt.BaseError:
            answer = {"id": None}
        assert answer["id"] is None
        assert len(w.venue.open_orders()) == 1

    run(scenario, **where)


@VENUES
def test_a_slow_answer_is_a_timeout_and_the_order_is_there(where: dict[str, Any], symbol: str) -> None:
    async def scenario(w: World) -> None:
        w.rest.timeout = 100
        w.fault("slow", "POST", times=1, secs=0.4)
        with pytest.raises(ccxt.RequestTimeout):
            await buy(w, symbol)
        await w.until(lambda: len(w.venue.open_orders()) == 1)

    run(scenario, **where)


@VENUES
def test_a_refusal_for_haste_says_how_long_to_wait(where: dict[str, Any], symbol: str) -> None:
    async def scenario(w: World) -> None:
        w.fault("rate_limit", times=1, secs=7)
        with pytest.raises(ccxt.RateLimitExceeded):
            await w.rest.fetch_open_orders(symbol)
        headers = {name.lower(): value for name, value in w.rest.last_response_headers.items()}
        if where is GATE:
            asked = int(headers["x-gate-ratelimit-reset-timestamp"]) - w.front.wall_ms() // 1000
            assert asked in (6, 7)
        else:
            assert headers["gw-ratelimit-reset"] == "7000"

    run(scenario, **where)


@VENUES
def test_a_fault_lets_the_first_through_and_ends_after_its_times(where: dict[str, Any], symbol: str) -> None:
    async def scenario(w: World) -> None:
        w.fault("bad_gateway", "POST", first=1, times=2)
        await buy(w, symbol)
        for _ in range(2):
            with pytest.raises(ccxt.ExchangeNotAvailable):
                await buy(w, symbol)
        await buy(w, symbol)
        assert len(w.venue.open_orders()) == 2

    run(scenario, **where)


@VENUES
def test_a_venue_that_is_down_answers_nothing_until_its_time_is_over(where: dict[str, Any], symbol: str) -> None:
    async def scenario(w: World) -> None:
        waiting = w.watch(lambda: w.stream.watch_orders(symbol))
        await w.until(lambda: bool(list(w.front.hub)))
        w.fault("down", secs=600)
        with pytest.raises((ccxt.NetworkError, ConnectionError)):
            await asyncio.wait_for(waiting, 5)
        w.clock.move(599_999)
        with pytest.raises(ccxt.NetworkError):
            await w.rest.fetch_time()
        w.clock.move(1)
        assert await w.rest.fetch_time()

    run(scenario, **where)


@VENUES
def test_faults_prices_and_time_are_controlled_over_http(where: dict[str, Any], symbol: str) -> None:
    async def scenario(w: World) -> None:
        async with aiohttp.ClientSession() as session:

            async def control(**asked: Any) -> tuple[int, dict[str, Any]]:
                async with session.post(f"http://{w.front.host}/control", json=asked) as answer:
                    return answer.status, await answer.json()

            assert await control(price=[symbol, 51_000.0, 2.0]) == (200, {"now_ms": START_MS})
            assert w.venue.last_price(symbol) == 51_000.0
            assert await control(advance_ms=60_000) == (200, {"now_ms": START_MS + 60_000})
            await control(fault={"kind": "bad_gateway", "match": "GET"})
            with pytest.raises(ccxt.ExchangeNotAvailable):
                await w.rest.fetch_time()
            await control(clear="bad_gateway")
            await w.rest.fetch_time()
            status, answer = await control(fault={"kind": "bad_gatewey"})
            assert status == 400 and "did you mean 'bad_gateway'" in answer["error"]
            assert (await control(nothing=1))[0] == (await control(fault={"knd": "reset"}))[0] == 400
            async with session.get(f"http://{w.front.host}/control/log") as found:
                log = await found.json()
        requests = [entry for entry in log if entry["verb"].startswith("request")]
        assert requests[-1]["ts_ms"] == START_MS + 60_000
        assert [one["perf_secs"] for one in log] == sorted(one["perf_secs"] for one in log)

    run(scenario, **where)
