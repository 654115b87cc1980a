"""Reconciliation over ccxt, against the local exchange."""

import asyncio
import math

import pytest

from executor.broker.base import Kind
from executor.broker.exchange import ExchangeGateway, Keys
from executor.broker.tickets import client_id
from executor.broker.venue import Ticket, Type
from executor.sandbox.book import Venue
from executor.sandbox.faults import Faults
from executor.sandbox.gate import GateFront, GateKey
from executor.sandbox.records import Listing, NewOrder
from tests.exchange.venues import START_MS, Clock

GATE = {
    "BTC/USDT": Listing("BTC/USDT", "spot", "BTC", "USDT", 0.1, 0.00001, 0.0001, 1.0),
    "BTC/USDT:USDT": Listing("BTC/USDT:USDT", "swap", "BTC", "USDT", 0.1, 1.0, 1.0, contract_size=0.0001),
}


@pytest.mark.parametrize(("symbol", "amount"), [("BTC/USDT", 0.01), ("BTC/USDT:USDT", 100.0)])
def test_orders_that_traded_at_gate_are_ours_or_not(symbol: str, amount: float) -> None:
    async def play() -> None:
        clock = Clock()
        venue = Venue([GATE[symbol]], {"USDT": 10_000.0}, clock=clock)
        venue.price(symbol, 50_000.0)
        async with GateFront(venue, Faults(clock), GateKey("key", "secret"), move_clock=clock.move) as front:
            gateway = ExchangeGateway("gate", Keys("key", "secret"), options=front.ccxt_options("gate"))
            await gateway.open([symbol])
            try:
                name = client_id("a-entry", 0)
                ours = Ticket(
                    name, "a-entry", "a", Kind.ENTRY, symbol, "buy", "long", Type.MARKET, 0.01, math.nan, math.nan,
                    False, START_MS,
                )  # fmt: skip
                await gateway.submit(ours)
                clock.move(1_000)
                hand = venue.place(NewOrder(symbol, "sell", "market", amount / 2, client_id="t-mine"))
                found = {one.side: one for one in await gateway.traded(symbol)}
                assert (found["buy"].client_id, found["buy"].filled) == (name, pytest.approx(0.01))
                sold = found["sell"]
                assert (sold.client_id, sold.venue_id, sold.symbol) == ("", hand.id, symbol)
                assert sold.filled == pytest.approx(0.005) and sold.price == pytest.approx(50_000.0, rel=0.01)
                assert sold.fees and set(sold.fees) == {"USDT"} and sold.ts_ms >= START_MS + 1_000
                (held,) = await gateway.held()
                assert held.qty == pytest.approx(0.005, rel=0.01)
            finally:
                await gateway.close()

    asyncio.run(play())
