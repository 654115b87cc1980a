"""Frames of the venues' documentation, parsed by ccxt, become words."""

import math

import pytest

from executor.broker.exchange.words import fired_word, listed, order_word, trade_fees, trades_word, trigger_word
from executor.broker.venue import Seen, Type
from tests.executor.broker.exchange.rows import known, market

SPOT, SWAP = market("gate", "ETH/USDT"), market("gate", "ETH/USDT:USDT")
KUCOIN = market("kucoin", "BTC/USDT")

GATE_ORDER = {
    # https://www.gate.com/docs/developers/apiv4/en/#create-an-order
    "id": "1852454420",
    "text": "t-ls-abc123-1",
    "create_time": "1710488334",
    "update_time": "1710488334",
    "create_time_ms": 1710488334073,
    "update_time_ms": 1710488334074,
    "status": "closed",
    "currency_pair": "ETH_USDT",
    "type": "limit",
    "account": "spot",
    "side": "buy",
    "amount": "0.003",
    "price": "4000",
    "time_in_force": "ioc",
    "left": "0",
    "filled_amount": "0.003",
    "fill_price": "11.4",
    "filled_total": "11.4",
    "avg_deal_price": "3800",
    "fee": "0.000006",
    "fee_currency": "ETH",
    "point_fee": "0",
    "gt_fee": "0",
    "rebated_fee": "0",
    "rebated_fee_currency": "USDT",
    "finish_as": "filled",
}


def test_a_filled_order_of_gate_spot_with_its_fee_in_base():
    word = order_word(known("gate", SPOT).parse_order(GATE_ORDER), SPOT)
    assert (word.client_id, word.seen, word.filled, word.price) == ("ls-abc123-1", Seen.FILLED, 0.003, 3800.0)
    assert word.fees == {"ETH": 0.000006}
    assert (word.ts_ms, word.venue_id) == (1710488334074, "1852454420")


@pytest.mark.parametrize(
    ("changes", "fees"),
    [
        ({"fee": "0", "gt_fee": "0.01"}, {"GT": 0.01}),
        ({"fee": "0", "point_fee": "0.02"}, {"GATEPOINT": 0.02}),
        ({"rebated_fee": "0.001"}, {"ETH": 0.000006, "USDT": -0.001}),
        ({"fee": "0"}, {}),
    ],
)
def test_fees_of_gate_spot_by_currency(changes, fees):
    word = order_word(known("gate", SPOT).parse_order(GATE_ORDER | changes), SPOT)
    assert word.fees == fees


def test_an_ioc_order_that_found_too_little_is_cancelled_part_filled():
    row = GATE_ORDER | {"status": "cancelled", "finish_as": "ioc", "left": "0.002", "filled_amount": "0.001"}
    word = order_word(known("gate", SPOT).parse_order(row | {"filled_total": "3.8"}), SPOT)
    assert (word.seen, word.filled, word.reason) == (Seen.CANCELLED, 0.001, "ioc")


def test_names_of_others_are_not_ours():
    word = order_word(known("gate", SPOT).parse_order(GATE_ORDER | {"text": "apiv4"}), SPOT)
    assert word.client_id == ""


def test_an_unknown_way_to_end_is_an_end():
    row = GATE_ORDER | {"status": "cancelled", "finish_as": "stp", "left": "0.003", "filled_total": "0", "fee": "0"}
    word = order_word(known("gate", SPOT).parse_order(row | {"avg_deal_price": "0"}), SPOT)
    assert (word.seen, word.filled, word.fees) == (Seen.CANCELLED, 0.0, {})


def test_a_swap_order_is_in_base_units_and_says_no_fee():
    row = {
        # https://www.gate.com/docs/developers/apiv4/en/#create-a-futures-order
        "id": 15675394,
        "user": 100000,
        "contract": "ETH_USDT",
        "create_time": 1546569968.5,
        "finish_time": 1546569969.5,
        "finish_as": "filled",
        "status": "finished",
        "size": -6024,
        "left": 0,
        "price": "0",
        "tif": "ioc",
        "text": "t-ls-q-2",
        "is_reduce_only": True,
        "fill_price": "3765",
        "tkfr": "0.0005",
        "mkfr": "-0.00025",
    }
    word = order_word(known("gate", SWAP).parse_order(row), SWAP)
    assert (word.client_id, word.seen, word.price, word.fees) == ("ls-q-2", Seen.FILLED, 3765.0, None)
    assert word.filled == pytest.approx(0.6024, abs=1e-12)


TRIGGER = {
    # https://www.gate.com/docs/developers/apiv4/en/#query-single-auto-order-details
    "market": "ETH_USDT",
    "user": 10001,
    "trigger": {"price": "3600", "rule": "<=", "expiration": 3600, "text": "t-ls-stop-1"},
    "put": {"type": "limit", "side": "sell", "price": "3580", "amount": "0.002", "account": "normal"},
    "id": 1283293,
    "ctime": 1616397800,
    "ftime": 1616397801,
    "fired_order_id": 0,
    "status": "open",
    "reason": "",
}


@pytest.mark.parametrize(
    ("changes", "seen", "fired_id"),
    [
        ({}, Seen.OPEN, ""),
        ({"status": "finish", "fired_order_id": 123}, Seen.FIRED, "123"),
        ({"status": "failed", "reason": "balance not enough"}, Seen.CANCELLED, ""),
        ({"status": "cancelled"}, Seen.CANCELLED, ""),
        ({"status": "canceled"}, Seen.CANCELLED, ""),
        ({"status": "expired"}, Seen.CANCELLED, ""),
    ],
)
def test_triggers_of_gate_spot(changes, seen, fired_id):
    word = trigger_word(known("gate", SPOT).parse_order(TRIGGER | changes), SPOT)
    assert (word.client_id, word.seen, word.fired_id, word.filled) == ("ls-stop-1", seen, fired_id, 0.0)
    assert bool(word.reason) == (seen is Seen.CANCELLED)


SWAP_TRIGGER = {
    # https://www.gate.com/docs/developers/apiv4/en/#query-single-auto-order-details-2
    "user": 6320300,
    "trigger": {"strategy_type": 0, "price_type": 0, "price": "1.03", "rule": 2, "expiration": 0},
    "initial": {"contract": "ETH_USDT", "size": -7, "price": "0", "tif": "ioc", "text": "t-ls-stop-2"},
    "id": 126393906,
    "trade_id": 0,
    "status": "open",
    "reason": "",
    "create_time": 1643953482,
    "finish_time": 1643953482,
}


@pytest.mark.parametrize(
    ("changes", "seen", "fired_id"),
    [
        ({}, Seen.OPEN, ""),
        ({"status": "finished", "finish_as": "succeeded", "trade_id": 99}, Seen.FIRED, "99"),
        ({"status": "finished", "finish_as": "failed", "reason": "x"}, Seen.CANCELLED, ""),
        ({"status": "finished", "finish_as": "cancelled"}, Seen.CANCELLED, ""),
        ({"status": "finished", "finish_as": "expired"}, Seen.CANCELLED, ""),
    ],
)
def test_triggers_of_gate_swap(changes, seen, fired_id):
    word = trigger_word(known("gate", SWAP).parse_order(SWAP_TRIGGER | changes), SWAP)
    assert (word.client_id, word.seen, word.fired_id) == ("ls-stop-2", seen, fired_id)


def test_a_fired_trigger_carries_the_fills_of_its_order():
    trigger = trigger_word(known("gate", SPOT).parse_order(TRIGGER | {"fired_order_id": 1852454420}), SPOT)
    order = order_word(known("gate", SPOT).parse_order(GATE_ORDER | {"text": "web", "side": "sell"}), SPOT)
    word = fired_word(trigger, order)
    assert (word.client_id, word.venue_id, word.fired_id) == ("ls-stop-1", "1283293", "1852454420")
    assert (word.seen, word.filled) == (Seen.FILLED, 0.003)
    waits = fired_word(trigger, order_word(known("gate", SPOT).parse_order(GATE_ORDER | {"finish_as": "open"}), SPOT))
    assert waits.seen is Seen.FIRED


@pytest.mark.parametrize(("rule", "side", "type_"), [("<=", "sell", Type.STOP), (">=", "sell", Type.TARGET)])
def test_listed_triggers_say_what_they_would_do(rule, side, type_):
    row = TRIGGER | {"trigger": TRIGGER["trigger"] | {"rule": rule}}
    found = listed(known("gate", SPOT).parse_order(row), SPOT, is_trigger=True)
    assert (found.type, found.side, found.qty) == (type_, side, 0.002)
    assert (found.trigger_price, found.limit_price) == (3600.0, 3580.0)


KUCOIN_ORDER = {
    # https://www.kucoin.com/docs-new/rest/spot-trading/orders/get-order-by-orderld
    "id": "6717422bd51c29000775ea03",
    "clientOid": "ls-k-1",
    "symbol": "BTC-USDT",
    "opType": "DEAL",
    "type": "market",
    "side": "sell",
    "price": "0",
    "size": "0.002",
    "funds": "0",
    "dealSize": "0.002",
    "dealFunds": "134.8",
    "remainSize": "0",
    "cancelledSize": "0",
    "fee": "0.1348",
    "feeCurrency": "USDT",
    "active": False,
    "cancelExist": False,
    "inOrderBook": False,
    "createdAt": 1729577515444,
    "lastUpdatedAt": 1729577515481,
}


def test_a_filled_order_of_kucoin():
    word = order_word(known("kucoin", KUCOIN).parse_order(KUCOIN_ORDER), KUCOIN)
    assert (word.client_id, word.seen, word.filled, word.price) == ("ls-k-1", Seen.FILLED, 0.002, 67_400.0)
    assert (word.fees, word.ts_ms) == ({"USDT": 0.1348}, 1729577515481)


def test_an_answer_of_kucoin_is_an_id_alone():
    word = order_word(known("kucoin", KUCOIN).parse_order({"orderId": "6717"}), KUCOIN)
    assert (word.seen, word.filled, word.venue_id, word.fees) == (Seen.OPEN, 0.0, "6717", {})


def test_trades_give_mean_price_and_fees():
    rows = [
        {"id": "1", "size": 3, "order_id": "9", "create_time": 1645465199.5, "contract": "ETH_USDT", "price": "10"},
        {"id": "2", "size": 1, "order_id": "9", "create_time": 1645465200.5, "contract": "ETH_USDT", "price": "14"},
    ]
    trades = [
        known("gate", SWAP).parse_trade(row | {"fee": fee}) for row, fee in zip(rows, ("0.3", "-0.1"), strict=True)
    ]
    word = trades_word("9", "ls-x-1", trades, SWAP)
    assert word.filled == pytest.approx(4e-4)
    assert word.price == pytest.approx(11.0)
    assert word.fees == {"USDT": pytest.approx(0.2)}
    assert (word.ts_ms, word.venue_id) == (1645465200500, "9")
    assert trade_fees([]) == {} and math.isnan(trades_word("9", "", [], SWAP).price)
