"""The local Gate through ccxt's REST client; what is asserted of orders is read from the exchange's own records."""

import hashlib
import hmac
from dataclasses import replace

import aiohttp
import ccxt
import pytest

from executor.sandbox.book import NewOrder
from executor.sandbox.gate import GateKey
from tests.exchange.venues import GATE_BTC, GATE_ETH, GATE_KEY, START_MS, SWAP, World, gate, run

MINUTE_MS = 60_000
BTC, SWAPPED = GATE_BTC.symbol, SWAP.symbol
GATE = {"make": gate, "exchange": "gate"}
BOTH = pytest.mark.parametrize("symbol", [BTC, SWAPPED], ids=["spot", "swap"])


def size(symbol: str) -> float:
    """A tenth of a bitcoin, in what the market counts."""
    return 100.0 if symbol == SWAPPED else 0.1


def test_markets_are_as_the_venue_lists_them() -> None:
    async def scenario(w: World) -> None:
        assert set(w.rest.markets) == {BTC, SWAPPED, "ETH/USDT"}
        spot, swap = w.rest.market(BTC), w.rest.market(SWAPPED)
        assert spot["precision"] | {"amount": GATE_BTC.lot, "price": GATE_BTC.tick} == spot["precision"]
        assert (spot["limits"]["amount"]["min"], spot["limits"]["cost"]["min"]) == (0.0001, 3.0)
        assert (swap["contractSize"], swap["precision"]["amount"], swap["precision"]["price"]) == (0.001, 1.0, 0.1)
        assert (swap["linear"], swap["settle"], swap["limits"]["amount"]["min"]) == (True, "USDT", 1.0)
        w.venue.set_status("ETH/USDT", "halted")
        w.venue.set_status(SWAPPED, "halted")
        await w.rest.load_markets(True)
        assert w.rest.market("ETH/USDT")["info"]["trade_status"] == "untradable"
        assert w.rest.market(SWAPPED)["info"]["in_delisting"] is True
        w.venue.set_status("ETH/USDT", "delisted")
        await w.rest.load_markets(True)
        assert "ETH/USDT" not in w.rest.markets

    run(scenario, **GATE)


@BOTH
def test_tickers_and_time(symbol: str) -> None:
    async def scenario(w: World) -> None:
        w.venue.price(symbol, 50_500.0, 3.0)
        ticker = await w.rest.fetch_ticker(symbol)
        assert (ticker["last"], ticker["high"], ticker["low"]) == (50_500.0, 50_500.0, 50_000.0)
        assert ticker["baseVolume"] == 4.0 * w.venue.listings[symbol].contract_size
        assert (await w.rest.fetch_tickers([symbol]))[symbol]["last"] == 50_500.0
        assert abs(await w.rest.fetch_time() - w.front.wall_ms()) < 5_000
        assert w.rest.last_response_headers["Date"] == "Tue, 14 Nov 2023 22:14:00 GMT"

    run(scenario, **GATE)


@BOTH
def test_candles_are_asked_by_time_and_minutes_without_trades_are_absent(symbol: str) -> None:
    async def scenario(w: World) -> None:
        w.clock.move(2 * MINUTE_MS)
        w.venue.price(symbol, 50_200.0, 2.0)
        w.venue.price(symbol, 50_100.0, 1.0)
        first = [START_MS, 50_000.0, 50_000.0, 50_000.0, 50_000.0, 1.0]
        opened = [START_MS + 2 * MINUTE_MS, 50_200.0, 50_200.0, 50_100.0, 50_100.0, 3.0]
        assert await w.rest.fetch_ohlcv(symbol, "1m", since=START_MS, limit=10) == [first, opened]
        assert await w.rest.fetch_ohlcv(symbol, "1m", limit=10) == [first, opened]
        assert await w.rest.fetch_ohlcv(symbol, "1m", START_MS, 2, {"until": START_MS + MINUTE_MS}) == [first]
        hour = START_MS // 3_600_000 * 3_600_000
        bars = await w.rest.fetch_ohlcv(symbol, "1h", since=hour, limit=3)
        assert bars == [[hour, 50_000.0, 50_200.0, 50_000.0, 50_100.0, 4.0]]
        asked = {"currency_pair": "BTC_USDT", "contract": "BTC_USDT", "settle": "usdt", "interval": "1m"}
        ask = w.rest.publicFuturesGetSettleCandlesticks if symbol == SWAPPED else w.rest.publicSpotGetCandlesticks
        with pytest.raises(ccxt.BadRequest, match="range too broad"):
            await ask(asked | {"from": START_MS // 1000, "to": START_MS // 1000 + 3_000 * 60})

    run(scenario, **GATE)


@pytest.mark.parametrize(("fee_in", "currency", "cost"), [("base", "BTC", 0.0001), ("GT", "GT", 5.0)])
def test_a_spot_buy_pays_its_fee_in_base_or_in_a_third_currency(fee_in: str, currency: str, cost: float) -> None:
    async def scenario(w: World) -> None:
        w.venue.listings[BTC] = replace(GATE_BTC, fee_in=fee_in)
        w.venue.deposit("GT", 100.0)
        order = await w.rest.create_order(BTC, "limit", "buy", 0.1, 50_500.0, {"clientOrderId": "t-ls-1"})
        assert (order["status"], order["filled"], order["average"]) == ("closed", 0.1, 50_000.0)
        assert order["clientOrderId"] == "t-ls-1"
        assert {one["currency"]: one["cost"] for one in order["fees"] if one["cost"]} == {currency: cost}
        (trade,) = await w.rest.fetch_my_trades(BTC)
        assert (trade["order"], trade["amount"], trade["price"], trade["takerOrMaker"]) == (
            order["id"], 0.1, 50_000.0, "taker",
        )  # fmt: skip
        assert {one["currency"]: one["cost"] for one in trade["fees"] if one["cost"]} == {currency: cost}
        balance = await w.rest.fetch_balance()
        held = 0.1 - (cost if currency == "BTC" else 0.0)
        assert (balance["BTC"]["total"], balance["USDT"]["total"]) == (pytest.approx(held, abs=1e-12), 5_000.0)

    run(scenario, **GATE)


def test_a_market_buy_on_spot_is_for_an_amount_of_money() -> None:
    async def scenario(w: World) -> None:
        placed = await w.rest.create_order(BTC, "market", "buy", 0.02, 50_000.0)
        assert (await w.rest.fetch_order(placed["id"], BTC))["filled"] == 0.02
        (fill,) = w.venue.fills()
        assert fill.qty * fill.price == 1_000.0

    run(scenario, **GATE)


@BOTH
def test_a_limit_binds_money_fills_in_parts_and_is_cancelled(symbol: str) -> None:
    async def scenario(w: World) -> None:
        qty = size(symbol)
        placed = await w.rest.create_order(symbol, "limit", "buy", qty, 49_000.0, {"clientOrderId": "t-ls-1"})
        kind = {"type": "swap" if symbol == SWAPPED else "spot"}
        assert (await w.rest.fetch_balance(kind))["USDT"]["used"] == pytest.approx(4_900.0, rel=1e-3)
        w.venue.price(symbol, 48_999.0, 0.4 * qty)
        (listed,) = await w.rest.fetch_open_orders(symbol)
        assert (listed["id"], listed["status"], listed["clientOrderId"]) == (placed["id"], "open", "t-ls-1")
        assert listed["remaining"] == pytest.approx(0.6 * qty)
        gone = await w.rest.cancel_order(placed["id"], symbol)
        assert gone["status"] == "canceled"
        order = await w.rest.fetch_order(placed["id"], symbol)
        assert (order["filled"], order["average"]) == (pytest.approx(0.4 * qty), 49_000.0)
        (done,) = await w.rest.fetch_closed_orders(symbol)
        assert done["id"] == placed["id"]
        with pytest.raises((ccxt.InvalidOrder, ccxt.ExchangeError)):
            await w.rest.cancel_order(placed["id"], symbol)
        with pytest.raises(ccxt.OrderNotFound):
            await w.rest.fetch_order("1", symbol)

    run(scenario, **GATE)


@BOTH
def test_an_ioc_order_fills_what_is_there_and_a_poc_order_only_rests(symbol: str) -> None:
    async def scenario(w: World) -> None:
        qty = size(symbol)
        w.venue.set_matching(depth={symbol: 0.3 * qty})
        placed = await w.rest.create_order(symbol, "limit", "buy", qty, 50_100.0, {"timeInForce": "IOC"})
        order = await w.rest.fetch_order(placed["id"], symbol)
        assert (order["filled"], [one.reason for one in w.venue.finished()]) == (0.3 * qty, ["ioc"])
        with pytest.raises(ccxt.OrderImmediatelyFillable):
            await w.rest.create_order(symbol, "limit", "buy", qty, 50_100.0, {"postOnly": True})
        await w.rest.create_order(symbol, "limit", "buy", qty, 49_000.0, {"postOnly": True})
        assert [one.tif for one in w.venue.open_orders()] == ["poc"]

    run(scenario, **GATE)


@BOTH
def test_an_order_is_amended_in_place(symbol: str) -> None:
    async def scenario(w: World) -> None:
        qty = size(symbol)
        placed = await w.rest.create_order(symbol, "limit", "buy", qty, 49_000.0)
        w.venue.price(symbol, 48_999.0, 0.4 * qty)
        changed = await w.rest.edit_order(placed["id"], symbol, "limit", "buy", 0.8 * qty, 48_000.0)
        assert changed["id"] == placed["id"]
        (order,) = w.venue.open_orders()
        assert (order.qty, order.price, order.filled) == pytest.approx((0.8 * qty, 48_000.0, 0.4 * qty))

    run(scenario, **GATE)


@BOTH
def test_all_orders_of_a_market_are_cancelled_and_others_stay(symbol: str) -> None:
    async def scenario(w: World) -> None:
        for name in (symbol, "ETH/USDT"):
            await w.rest.create_order(name, "limit", "buy", size(name), 2_000.0)
        w.venue.place(NewOrder(symbol, "buy", "limit", size(symbol), 40_000.0))
        assert [one["clientOrderId"] for one in await w.rest.fetch_open_orders(symbol)] == ["apiv4"] * 2
        await w.rest.cancel_all_orders(symbol)
        assert [order.symbol for order in w.venue.open_orders()] == ["ETH/USDT"]

    run(scenario, **GATE)


def test_a_second_order_with_the_same_text_is_taken_and_a_text_is_forgotten_after_the_end() -> None:
    async def scenario(w: World) -> None:
        named = {"clientOrderId": "t-ls-1"}
        for _ in range(2):
            await w.rest.create_order(BTC, "limit", "buy", 0.01, 49_000.0, named)
        assert len(w.venue.by_client("t-ls-1")) == 2
        found = await w.rest.fetch_order(None, BTC, named)
        assert found["id"] in {order.id for order in w.venue.by_client("t-ls-1")}
        await w.rest.cancel_all_orders(BTC)
        with pytest.raises(ccxt.OrderNotFound):
            await w.rest.fetch_order(None, BTC, named)

    run(scenario, **GATE)


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((BTC, "limit", "buy", 1.0, 50_000.0), ccxt.InsufficientFunds),
        ((BTC, "limit", "sell", 0.1, 60_000.0), ccxt.InsufficientFunds),
        ((BTC, "limit", "buy", 0.0001, 1_000.0), ccxt.BadRequest),
        ((SWAPPED, "market", "buy", 1_000.0), ccxt.InsufficientFunds),
        ((SWAPPED, "market", "sell", 10.0, None, {"reduceOnly": True}), ccxt.InvalidOrder),
    ],
)
def test_refusals_are_of_ccxts_classes(args: tuple[object, ...], error: type[Exception]) -> None:
    async def scenario(w: World) -> None:
        with pytest.raises(error):
            await w.rest.create_order(*args)
        assert w.venue.open_orders() == w.venue.finished() == []

    run(scenario, **GATE)


@BOTH
@pytest.mark.parametrize("status", ["halted", "delisted"])
def test_a_market_that_is_closed_takes_no_order(symbol: str, status: str) -> None:
    async def scenario(w: World) -> None:
        w.venue.set_status(symbol, status)
        with pytest.raises(ccxt.ExchangeError):
            await w.rest.create_order(symbol, "limit", "buy", size(symbol), 49_000.0)
        assert w.venue.open_orders() == []

    run(scenario, **GATE)


def test_the_books_of_both_accounts_explain_their_balances() -> None:
    async def scenario(w: World) -> None:
        w.venue.deposit("USDT", 50.0)
        await w.rest.create_order(BTC, "limit", "buy", 0.1, 50_000.0)
        await w.rest.create_order(SWAPPED, "market", "buy", 100.0)
        for kind in ("spot", "swap"):
            rows = await w.rest.fetch_ledger("USDT", None, None, {"type": kind})
            signed = [row["amount"] * (1 if row["direction"] == "in" else -1) for row in rows]
            assert sum(signed) == pytest.approx(w.venue.balances(kind)["USDT"].total - 10_000.0)

    run(scenario, **GATE)


@pytest.mark.parametrize(
    ("name", "code"), [("secret", "INVALID_SIGNATURE"), ("apiKey", "INVALID_KEY")], ids=["secret", "key"]
)
@BOTH
def test_a_wrong_key_is_turned_away(symbol: str, name: str, code: str) -> None:
    async def scenario(w: World) -> None:
        setattr(w.rest, name, "another")
        for ask in (w.rest.fetch_open_orders, w.rest.fetch_my_trades):
            with pytest.raises(ccxt.AuthenticationError, match=code):
                await ask(symbol)
        with pytest.raises(ccxt.AuthenticationError, match=code):
            await w.rest.create_order(symbol, "limit", "buy", size(symbol), 49_000.0)
        assert w.venue.open_orders() == []

    run(scenario, **GATE)


def test_a_body_that_was_changed_on_the_way_is_turned_away() -> None:
    async def scenario(w: World) -> None:
        path, stamp = "/api/v4/spot/orders", str(w.front.wall_ms() // 1000)
        digest = hashlib.sha512(b'{"amount":"1"}').hexdigest()
        text = f"POST\n{path}\n\n{digest}\n{stamp}"
        sign = hmac.new(GATE_KEY.secret.encode(), text.encode(), hashlib.sha512).hexdigest()
        headers = {"KEY": GATE_KEY.key, "Timestamp": stamp, "SIGN": sign}
        async with aiohttp.ClientSession() as session:
            url = f"http://{w.front.host}{path}"
            async with session.post(url, headers=headers, data='{"amount":"9"}') as answer:
                assert (answer.status, (await answer.json())["label"]) == (401, "INVALID_SIGNATURE")
            async with session.post(url, data="{}") as answer:
                assert (answer.status, (await answer.json())["label"]) == (401, "MISSING_REQUIRED_HEADER")
            async with session.get(f"http://{w.front.host}/api/v4/no/such") as answer:
                assert answer.status == 404

    run(scenario, **GATE)


def test_a_key_without_the_permission_may_read_and_not_trade() -> None:
    async def scenario(w: World) -> None:
        await w.rest.fetch_balance()
        with pytest.raises(ccxt.PermissionDenied, match="FORBIDDEN"):
            await w.rest.create_order(BTC, "limit", "buy", 0.1, 50_000.0)
        (row,) = await w.rest.privateAccountGetMainKeys()
        assert [one["name"] for one in row["perms"]] == ["wallet", "withdraw"]
        assert (await w.rest.privateAccountGetDetail())["user_id"] == 7

    run(scenario, **GATE, key=GateKey("k", "s", ("wallet", "withdraw"), "7"))


def test_a_clock_that_is_off_by_90_seconds_is_refused_until_it_is_set_right() -> None:
    async def scenario(w: World) -> None:
        w.fault("skew", ms=90_000)
        with pytest.raises(ccxt.AuthenticationError, match="REQUEST_EXPIRED"):
            await w.rest.fetch_balance()
        await w.rest.load_time_difference()
        assert (await w.rest.fetch_balance())["USDT"]["total"] == 10_000.0

    run(scenario, **GATE)


def test_an_unlisted_market_is_not_shown() -> None:
    async def scenario(w: World) -> None:
        w.venue.listings[GATE_ETH.symbol] = replace(GATE_ETH, status="delisted")
        with pytest.raises(ccxt.BadSymbol):
            await w.rest.fetch_ticker("XRP/USDT")
        await w.rest.load_markets(True)
        assert set(w.rest.markets) == {BTC, SWAPPED}

    run(scenario, **GATE)
