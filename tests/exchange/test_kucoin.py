"""The local KuCoin through ccxt's REST client; what is asserted of orders is read from the exchange's own records."""

import hashlib
import hmac
from base64 import b64encode
from dataclasses import replace

import aiohttp
import ccxt
import pytest

from executor.sandbox.book import NewOrder
from executor.sandbox.kucoin import ApiKey
from tests.exchange.venues import BTC, ETH, KEY, START_MS, World, kucoin, run

MINUTE_MS = 60_000


def test_markets_are_as_the_venue_lists_them() -> None:
    async def scenario(w: World) -> None:
        assert list(w.rest.markets) == ["BTC/USDT", "ETH/USDT"]
        market = w.rest.market("BTC/USDT")
        assert market["precision"] == {"amount": BTC.lot, "price": BTC.tick}
        assert market["limits"]["amount"]["min"] == BTC.min_qty
        assert market["limits"]["cost"]["min"] == BTC.min_notional
        assert market["active"] is True
        w.venue.set_status("ETH/USDT", "halted")
        await w.rest.load_markets(True)
        assert w.rest.market("ETH/USDT")["active"] is False
        w.venue.set_status("ETH/USDT", "delisted")
        await w.rest.load_markets(True)
        assert "ETH/USDT" not in w.rest.markets

    run(scenario)


def test_currencies_tickers_and_status() -> None:
    async def scenario(w: World) -> None:
        assert set(w.rest.currencies) >= {"BTC", "ETH", "USDT"}
        assert (await w.rest.fetch_status())["status"] == "ok"
        w.venue.price("BTC/USDT", 50_500.0, 3.0)
        ticker = await w.rest.fetch_ticker("BTC/USDT")
        assert (ticker["last"], ticker["high"], ticker["low"]) == (50_500.0, 50_500.0, 50_000.0)
        assert ticker["baseVolume"] == 4.0
        assert {one["last"] for one in (await w.rest.fetch_tickers()).values()} == {50_500.0, 3_000.0}

    run(scenario)


def test_candles_are_asked_by_time_and_minutes_without_trades_are_absent() -> None:
    async def scenario(w: World) -> None:
        w.clock.move(2 * MINUTE_MS)
        w.venue.price("BTC/USDT", 50_200.0, 2.0)
        w.venue.price("BTC/USDT", 50_100.0, 1.0)
        rows = await w.rest.fetch_ohlcv("BTC/USDT", "1m", since=START_MS, limit=10)
        assert rows == [
            [START_MS, 50_000.0, 50_000.0, 50_000.0, 50_000.0, 1.0],
            [START_MS + 2 * MINUTE_MS, 50_200.0, 50_200.0, 50_100.0, 50_100.0, 3.0],
        ]
        hour = await w.rest.fetch_ohlcv("BTC/USDT", "1h", since=START_MS - 60 * MINUTE_MS, limit=10)
        assert hour == [[START_MS // 3_600_000 * 3_600_000, 50_000.0, 50_200.0, 50_000.0, 50_100.0, 4.0]]

    run(scenario)


def test_a_market_buy_pays_its_fee_in_quote() -> None:
    async def scenario(w: World) -> None:
        placed = await w.rest.create_order("BTC/USDT", "market", "buy", 0.1, None, {"clientOid": "ls-1"})
        order = await w.rest.fetch_order(placed["id"], "BTC/USDT")
        assert (order["status"], order["filled"], order["average"]) == ("closed", 0.1, 50_000.0)
        assert order["clientOrderId"] == "ls-1"
        assert order["fee"] == {"currency": "USDT", "cost": 5.0}
        balance = await w.rest.fetch_balance()
        assert (balance["BTC"]["total"], balance["USDT"]["total"]) == (0.1, 4_995.0)
        (trade,) = await w.rest.fetch_my_trades("BTC/USDT")
        assert (trade["order"], trade["amount"], trade["fee"]["cost"]) == (placed["id"], 0.1, 5.0)
        assert trade["takerOrMaker"] == "taker"

    run(scenario)


@pytest.mark.parametrize(("fee_in", "currency", "cost"), [("base", "BTC", 0.0001), ("KCS", "KCS", 5.0)])
def test_fees_in_base_and_in_a_third_currency(fee_in: str, currency: str, cost: float) -> None:
    async def scenario(w: World) -> None:
        w.venue.listings["BTC/USDT"] = replace(BTC, fee_in=fee_in)
        w.venue.deposit("KCS", 100.0)
        placed = await w.rest.create_order("BTC/USDT", "market", "buy", 0.1)
        order = await w.rest.fetch_order(placed["id"], "BTC/USDT")
        assert order["fee"] == {"currency": currency, "cost": cost}
        held = (await w.rest.fetch_balance())["BTC"]["total"]
        assert held == pytest.approx(0.1 - (cost if currency == "BTC" else 0.0), abs=1e-12)

    run(scenario)


def test_a_market_buy_for_an_amount_of_money() -> None:
    async def scenario(w: World) -> None:
        placed = await w.rest.create_market_buy_order_with_cost("BTC/USDT", 1_000.0)
        assert (await w.rest.fetch_order(placed["id"], "BTC/USDT"))["filled"] == 0.02

    run(scenario)


def test_a_limit_binds_money_until_it_is_cancelled() -> None:
    async def scenario(w: World) -> None:
        placed = await w.rest.create_order("BTC/USDT", "limit", "buy", 0.1, 49_000.0)
        balance = await w.rest.fetch_balance()
        assert balance["USDT"]["used"] == pytest.approx(4_900.0 * 1.001)
        (listed,) = await w.rest.fetch_open_orders("BTC/USDT")
        assert (listed["id"], listed["status"], listed["remaining"]) == (placed["id"], "open", 0.1)
        await w.rest.cancel_order(placed["id"], "BTC/USDT")
        assert (await w.rest.fetch_balance())["USDT"]["used"] == 0.0
        assert (await w.rest.fetch_order(placed["id"], "BTC/USDT"))["status"] == "canceled"
        (done,) = await w.rest.fetch_closed_orders("BTC/USDT")
        assert done["id"] == placed["id"]

    run(scenario)


def test_the_sync_routes_tell_the_whole_order() -> None:
    async def scenario(w: World) -> None:
        placed = await w.rest.create_order("BTC/USDT", "limit", "buy", 0.1, 49_000.0, {"sync": True})
        assert placed["info"]["status"] == "open"
        gone = await w.rest.cancel_order(placed["id"], "BTC/USDT", {"sync": True})
        assert gone["info"]["canceledSize"] == "0.1"
        named = await w.rest.create_order("BTC/USDT", "limit", "buy", 0.1, 49_000.0, {"clientOid": "ls-9"})
        await w.rest.cancel_order(None, "BTC/USDT", {"clientOid": "ls-9", "sync": True})
        assert w.venue.order(named["id"]).status == "canceled"

    run(scenario)


def test_amending_makes_another_order_with_the_same_client_id() -> None:
    async def scenario(w: World) -> None:
        placed = await w.rest.create_order("BTC/USDT", "limit", "buy", 0.1, 49_000.0, {"clientOid": "ls-1"})
        w.venue.price("BTC/USDT", 48_999.0, 0.04)
        changed = await w.rest.edit_order(placed["id"], "BTC/USDT", "limit", "buy", 0.12, 48_000.0)
        assert changed["id"] != placed["id"]
        order = await w.rest.fetch_order(None, "BTC/USDT", {"clientOid": "ls-1"})
        assert (order["id"], order["amount"], order["price"]) == (changed["id"], 0.08, 48_000.0)

    run(scenario)


def test_cancel_all_of_a_symbol_and_of_the_account() -> None:
    async def scenario(w: World) -> None:
        for symbol, price in (("BTC/USDT", 40_000.0), ("ETH/USDT", 2_000.0)):
            await w.rest.create_order(symbol, "limit", "buy", 0.01, price)
        await w.rest.cancel_all_orders("BTC/USDT")
        assert [order.symbol for order in w.venue.open_orders()] == ["ETH/USDT"]
        await w.rest.cancel_all_orders()
        assert w.venue.open_orders() == []

    run(scenario)


@pytest.mark.parametrize(
    ("symbol", "args", "error"),
    [
        ("BTC/USDT", ("market", "buy", 1.0), ccxt.InsufficientFunds),
        ("BTC/USDT", ("limit", "sell", 0.1, 60_000.0), ccxt.InsufficientFunds),
        ("BTC/USDT", ("limit", "buy", 0.0001, 0.1), ccxt.InvalidOrder),
        ("BTC/USDT", ("limit", "buy", 0.00005, 50_000.0), ccxt.InvalidOrder),
    ],
)
def test_refusals_are_of_ccxts_classes(symbol: str, args: tuple[object, ...], error: type[Exception]) -> None:
    async def scenario(w: World) -> None:
        with pytest.raises(error):
            await w.rest.create_order(symbol, *args)
        assert w.venue.open_orders() == w.venue.finished() == []

    run(scenario)


def test_a_halted_market_takes_no_order() -> None:
    async def scenario(w: World) -> None:
        w.venue.set_status("BTC/USDT", "halted")
        with pytest.raises(ccxt.BadSymbol, match="symbolNotAvailable"):
            await w.rest.create_order("BTC/USDT", "market", "buy", 0.1)

    run(scenario)


def test_a_client_id_is_refused_while_its_order_is_open_and_taken_afterwards() -> None:
    async def scenario(w: World) -> None:
        first = await w.rest.create_order("BTC/USDT", "limit", "buy", 0.1, 40_000.0, {"clientOid": "ls-1"})
        with pytest.raises(ccxt.BadRequest, match="clientOidDuplicated"):
            await w.rest.create_order("BTC/USDT", "limit", "buy", 0.1, 40_000.0, {"clientOid": "ls-1"})
        await w.rest.cancel_order(first["id"], "BTC/USDT")
        again = await w.rest.create_order("BTC/USDT", "limit", "buy", 0.1, 40_000.0, {"clientOid": "ls-1"})
        assert [order.id for order in w.venue.by_client("ls-1")] == [first["id"], again["id"]]

    run(scenario)


def test_a_finished_order_cannot_be_cancelled_and_an_unknown_one_is_missing() -> None:
    async def scenario(w: World) -> None:
        placed = await w.rest.create_order("BTC/USDT", "market", "buy", 0.1)
        for number in (placed["id"], "1"):
            with pytest.raises(ccxt.OrderNotFound):
                await w.rest.cancel_order(number, "BTC/USDT")
        with pytest.raises(ccxt.OrderNotFound):
            await w.rest.fetch_order("1", "BTC/USDT")

    run(scenario)


def test_stop_orders_wait_fire_and_leave_their_list() -> None:
    async def scenario(w: World) -> None:
        w.venue.deposit("BTC", 0.1)
        stop = await w.rest.create_order(
            "BTC/USDT", "market", "sell", 0.1, None, {"stopLossPrice": 48_000.0, "clientOid": "ls-stop"}
        )
        target = await w.rest.create_order(
            "BTC/USDT", "limit", "sell", 0.1, 52_000.0, {"takeProfitPrice": 52_000.0, "clientOid": "ls-target"}
        )
        assert (await w.rest.fetch_balance())["BTC"]["used"] == 0.0
        listed = await w.rest.fetch_open_orders("BTC/USDT", None, None, {"trigger": True})
        assert {one["clientOrderId"]: one["info"]["stop"] for one in listed} == {
            "ls-stop": "loss",
            "ls-target": "entry",
        }
        found = await w.rest.fetch_order(stop["id"], "BTC/USDT", {"trigger": True})
        assert (found["status"], found["triggerPrice"], found["amount"]) == ("open", 48_000.0, 0.1)
        w.venue.price("BTC/USDT", 47_500.0)
        fired = await w.rest.fetch_order(None, "BTC/USDT", {"clientOid": "ls-stop"})
        assert fired["id"] != stop["id"]
        assert (fired["status"], fired["average"]) == ("closed", 47_500.0)
        gone = await w.rest.fetch_order(None, "BTC/USDT", {"clientOid": "ls-stop", "trigger": True})
        assert gone["id"] is None
        with pytest.raises(ccxt.OrderNotFound):
            await w.rest.cancel_order(stop["id"], "BTC/USDT", {"trigger": True})
        await w.rest.cancel_order(target["id"], "BTC/USDT", {"trigger": True})
        assert await w.rest.fetch_open_orders("BTC/USDT", None, None, {"trigger": True}) == []

    run(scenario)


def test_a_stop_for_more_than_is_held_fires_and_fails() -> None:
    async def scenario(w: World) -> None:
        w.venue.deposit("BTC", 0.0999)
        await w.rest.create_order("BTC/USDT", "market", "sell", 0.1, None, {"stopLossPrice": 48_000.0})
        w.venue.price("BTC/USDT", 47_500.0)
        (trigger,) = w.venue.triggers(waiting=False)
        assert (trigger.status, trigger.reason) == ("failed", "funds")
        assert w.venue.finished() == []

    run(scenario)


def test_stop_orders_are_cancelled_by_client_id_and_all_at_once() -> None:
    async def scenario(w: World) -> None:
        w.venue.deposit("BTC", 1.0)
        for name in ("ls-a", "ls-b", "ls-c"):
            await w.rest.create_order(
                "BTC/USDT", "market", "sell", 0.1, None, {"stopLossPrice": 48_000.0, "clientOid": name}
            )
        await w.rest.cancel_order(None, "BTC/USDT", {"clientOid": "ls-b", "trigger": True})
        assert [one.client_id for one in w.venue.triggers()] == ["ls-a", "ls-c"]
        await w.rest.cancel_all_orders("BTC/USDT", {"trigger": True})
        assert w.venue.triggers() == []

    run(scenario)


def test_the_account_book_explains_the_balance() -> None:
    async def scenario(w: World) -> None:
        w.venue.deposit("USDT", 50.0)
        await w.rest.create_order("BTC/USDT", "market", "buy", 0.1)
        rows = await w.rest.fetch_ledger("USDT")
        signed = [row["amount"] * (1 if row["direction"] == "in" else -1) for row in rows]
        assert sum(signed) == pytest.approx(w.venue.balances()["USDT"].total - 10_000.0)
        assert {row["type"] for row in rows} == {"transfer", "trade"}

    run(scenario)


@pytest.mark.parametrize(
    ("settings", "error", "code"),
    [
        ({"secret": "another"}, ccxt.AuthenticationError, "400004"),
        ({"password": "another"}, ccxt.AuthenticationError, "400004"),
        ({"apiKey": "another"}, ccxt.AuthenticationError, "400003"),
    ],
)
def test_a_wrong_key_is_turned_away(settings: dict[str, str], error: type[Exception], code: str) -> None:
    async def scenario(w: World) -> None:
        for name, value in settings.items():
            setattr(w.rest, name, value)
        with pytest.raises(error, match=code):
            await w.rest.fetch_balance()

    run(scenario)


def test_a_body_that_was_changed_on_the_way_is_turned_away() -> None:
    async def scenario(w: World) -> None:
        path = "/api/v1/hf/orders"
        stamp = str(w.front.wall_ms())

        def sign(text: str) -> str:
            return b64encode(hmac.new(KEY.secret.encode(), text.encode(), hashlib.sha256).digest()).decode()

        headers = {
            "KC-API-KEY": KEY.key,
            "KC-API-KEY-VERSION": "2",
            "KC-API-TIMESTAMP": stamp,
            "KC-API-PASSPHRASE": sign(KEY.passphrase),
            "KC-API-SIGN": sign(f'{stamp}POST{path}{{"size":"1"}}'),
        }
        async with aiohttp.ClientSession() as session:
            url = f"http://{w.front.host}{path}"
            async with session.post(url, headers=headers, data='{"size":"9"}') as answer:
                assert (answer.status, await answer.json()) == (
                    401,
                    {"code": "400005", "msg": "Invalid KC-API-SIGN"},
                )
            async with session.post(url, data="{}") as answer:
                assert (await answer.json())["code"] == "400001"

    run(scenario)


def test_a_key_without_the_permission_may_read_and_not_trade() -> None:
    async def scenario(w: World) -> None:
        await w.rest.fetch_balance()
        with pytest.raises(ccxt.AuthenticationError, match="400007"):
            await w.rest.create_order("BTC/USDT", "market", "buy", 0.1)
        info = await w.rest.privateGetUserApiKey()
        assert info["data"]["permission"] == "General"

    run(scenario, key=ApiKey("k", "s", "p", "General"))


def test_a_clock_that_is_off_by_90_seconds_is_refused_until_it_is_set_right() -> None:
    async def scenario(w: World) -> None:
        w.fault("skew", ms=90_000)
        with pytest.raises(ccxt.InvalidNonce):
            await w.rest.fetch_balance()
        await w.rest.load_time_difference()
        assert (await w.rest.fetch_balance())["USDT"]["total"] == 10_000.0

    run(scenario)


def test_ccxt_finds_out_by_itself_what_kind_of_account_it_is() -> None:
    async def scenario(w: World) -> None:
        w.rest.options["hf"] = w.rest.options["uta"] = None
        await w.rest.load_markets(True)
        assert w.rest.options["hf"] is True
        assert await w.rest.is_uta_enabled() is False

    run(scenario)


def test_the_date_of_answers_is_the_markets() -> None:
    async def scenario(w: World) -> None:
        await w.rest.fetch_time()
        assert w.rest.last_response_headers["Date"] == "Tue, 14 Nov 2023 22:14:00 GMT"

    run(scenario)


def test_swaps_of_the_venue_are_not_shown_and_unknown_routes_are_refused() -> None:
    async def scenario(w: World) -> None:
        w.venue.listings["BTC/USDT:USDT"] = replace(BTC, symbol="BTC/USDT:USDT", market="swap")
        await w.rest.load_markets(True)
        assert set(w.rest.markets) == {BTC.symbol, ETH.symbol}
        with pytest.raises(ccxt.NotSupported, match="404000"):
            await w.rest.privateGetMarginBorrow()

    run(scenario)


def test_a_hand_placed_order_is_in_the_list_with_an_id_that_is_not_ours() -> None:
    async def scenario(w: World) -> None:
        w.venue.place(NewOrder("BTC/USDT", "buy", "limit", 0.01, 40_000.0))
        (listed,) = await w.rest.fetch_open_orders("BTC/USDT")
        assert not listed["clientOrderId"]

    run(scenario, make=kucoin)
