"""Tickets as ccxt signs them: what leaves is looked at, not what was meant."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.broker.base import Kind
from executor.broker.exchange.markets import Market
from executor.broker.exchange.requests import needs_price, request_of
from executor.broker.venue import RefusedError, Ticket, Type
from tests.executor.broker.exchange.rows import known, market

SPOT, SWAP = market("gate", "ETH/USDT"), market("gate", "ETH/USDT:USDT")
KUCOIN = market("kucoin", "BTC/USDT")


def ticket(**changes) -> Ticket:
    plain = Ticket(
        client_id="ls-abcdefghij-1",
        order_id="o",
        trade_id="t",
        kind=Kind.ENTRY,
        symbol="ETH/USDT",
        side="buy",
        position="long",
        type=Type.MARKET,
        qty=0.25,
        price=math.nan,
        trigger_price=math.nan,
        reduce_only=False,
        created_ms=1_700_000_000_000,
    )
    return dataclasses.replace(plain, **changes)


def sent(one: Ticket, where: Market, last: float = 2_000.0) -> dict:
    request = request_of(one, where, last)
    exchange = known(where.quirks.venue, where)
    make = exchange.create_spot_order_request if where is KUCOIN else exchange.create_order_request
    return make(*request)


def test_a_market_buy_on_gate_spot_is_an_ioc_limit_of_the_exact_quantity():
    assert needs_price(ticket(), SPOT) and not needs_price(ticket(side="sell"), SPOT)
    body = sent(ticket(), SPOT)
    assert (body["type"], body["amount"], body["price"], body["time_in_force"]) == ("limit", "0.25", "2020", "ioc")
    assert (body["text"], body["account"], body["side"]) == ("t-ls-abcdefghij-1", "spot", "buy")


def test_a_market_sell_on_gate_spot_is_one():
    body = sent(ticket(side="sell"), SPOT)
    assert (body["type"], body["amount"]) == ("market", "0.25") and "price" not in body


def test_a_stop_on_gate_spot_is_a_limit_that_waits():
    body = sent(ticket(type=Type.STOP, side="sell", trigger_price=1900.04, price=1890.5), SPOT)
    assert body["trigger"] == {"price": "1900", "rule": "<=", "expiration": 86400, "text": "t-ls-abcdefghij-1"}
    assert (body["put"]["type"], body["put"]["price"], body["put"]["amount"]) == ("limit", "1890.5", "0.25")


def test_a_target_without_a_limit_gets_one_beyond_its_trigger():
    body = sent(ticket(type=Type.TARGET, side="sell", trigger_price=2100.0), SPOT)
    assert body["trigger"]["rule"] == ">=" and body["put"]["price"] == "2089.5"


def test_a_swap_order_is_in_signed_contracts():
    body = sent(ticket(symbol="ETH/USDT:USDT", side="sell", qty=0.3, reduce_only=True), SWAP)
    assert (body["size"], body["price"], body["tif"], body["reduce_only"]) == (-3000, "0", "ioc", True)


def test_a_stop_of_a_short_on_a_swap_buys_above_and_reduces():
    body = sent(
        ticket(
            symbol="ETH/USDT:USDT", side="buy", position="short", type=Type.STOP, trigger_price=2100, reduce_only=True
        ),
        SWAP,
    )
    assert body["trigger"]["rule"] == 1 and body["initial"]["size"] == 2500
    assert body["initial"]["reduce_only"] is True and body["initial"]["price"] == "0"
    assert body["initial"]["text"] == "t-ls-abcdefghij-1"


@pytest.mark.parametrize(
    ("side", "kind", "stop"), [("sell", Type.STOP, "loss"), ("sell", Type.TARGET, "entry"), ("buy", Type.STOP, "entry")]
)
def test_triggers_of_kucoin_are_market_orders(side, kind, stop):
    body = sent(ticket(symbol="BTC/USDT", side=side, type=kind, trigger_price=1900.0), KUCOIN)
    assert (body["stop"], body["stopPrice"], body["type"], body["size"]) == (stop, "1900", "market", "0.25")
    assert body["clientOid"] == "ls-abcdefghij-1"


def test_a_market_buy_of_kucoin_names_base_units():
    body = sent(ticket(symbol="BTC/USDT"), KUCOIN)
    assert (body["type"], body["size"]) == ("market", "0.25") and "funds" not in body


@pytest.mark.parametrize(("qty", "code"), [(0.0009, "min_qty"), (0.0, "min_qty")])
def test_too_little_is_refused_before_it_leaves(qty, code):
    with pytest.raises(RefusedError) as refused:
        request_of(ticket(qty=qty), SPOT, 2_000.0)
    assert refused.value.code == code


def test_too_little_money_is_refused_before_it_leaves():
    with pytest.raises(RefusedError) as refused:
        request_of(ticket(qty=0.001), SPOT, 500.0)
    assert refused.value.code == "min_notional"


@given(steps=st.integers(1, 10**7), size=st.sampled_from([1.0, 0.1, 0.01, 0.001, 0.0001]))
def test_multiples_of_the_lot_survive_floats(steps, size):
    one = market("gate", "ETH/USDT:USDT", contractSize=size)
    assert one.amount(steps * size) == steps
    assert one.qty(steps) == pytest.approx(steps * size, rel=1e-12)


@given(qty=st.floats(0.001, 1e6))
def test_amounts_are_cut_off_to_the_step(qty):
    amount = SPOT.amount(qty)
    assert amount <= qty * (1 + 1e-9) + 1e-9 and qty - amount < 0.001 + 1e-9
    assert abs(amount / 0.001 - round(amount / 0.001)) < 1e-6


def test_rules_are_in_base_units():
    rules = market("gate", "ETH/USDT:USDT", info={"taker_fee_rate": "0.00075", "maker_fee_rate": "-0.0001"}).rules()
    assert (rules.lot_step, rules.min_qty, rules.contract_size) == (0.0001, 0.0001, 0.0001)
    assert (rules.taker, rules.maker, rules.is_trading) == (0.00075, -0.0001, True)


@pytest.mark.parametrize(
    "changes", [{"active": False}, {"info": {"trade_status": "untradable"}}, {"info": {"in_delisting": True}}]
)
def test_a_market_that_is_halted_does_not_trade(changes):
    assert not market("gate", "ETH/USDT", **changes).rules().is_trading
