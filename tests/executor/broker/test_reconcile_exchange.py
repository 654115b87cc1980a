"""Reconciliation over ccxt, against the local exchange."""

import asyncio
import math
from pathlib import Path

import pytest

from executor.broker.base import Kind
from executor.broker.exchange import ExchangeGateway, Keys
from executor.broker.reconciling import Reconciler
from executor.broker.tickets import client_id
from executor.broker.venue import Ticket, Type
from executor.sandbox.book import Venue
from executor.sandbox.faults import Faults
from executor.sandbox.gate import GateFront, GateKey
from executor.sandbox.records import Listing, NewOrder
from tests.exchange.venues import START_MS, Clock
from tests.executor.test_live_session import Session, run


def reconciler(s: Session) -> Reconciler:
    return Reconciler(s.ledger, s.broker, clock=s.clock, symbols=lambda: ["BTC/USDT"], again_secs=0.0)


def actions(s: Session) -> list[tuple[str, int]]:
    rows = s.ledger.rows("SELECT action, done FROM reconciliations WHERE action != '' ORDER BY id")
    return [tuple(row) for row in rows]


def test_a_trade_closed_by_hand_at_kucoin_ends_at_the_price_of_the_hand(tmp_path: Path) -> None:
    async def play(s: Session) -> None:
        async with s.trading():
            await s.bar(50_000.0, enter=True)
            await s.until(lambda: s.trade() and s.stops)
            s.clock.move(10_000)
            await reconciler(s).look("the clock")
            assert actions(s) == []
            hand = s.venue.place(NewOrder("BTC/USDT", "sell", "market", s.venue.balances()["BTC"].total))
            s.clock.move(10_000)
            await reconciler(s).look("the clock")
            await s.until(lambda: s.trade()["status"] == "CLOSED" and not s.venue.triggers("BTC/USDT"))
            assert actions(s) == [("short", 1)]
            assert s.trade()["exit_price"] == pytest.approx(hand.cost / hand.filled)
            (row,) = s.ledger.rows("SELECT venue_id FROM venue_orders WHERE client_id LIKE 'hand-%'")
            assert row["venue_id"] == hand.id
            cash = float(s.engine.account.ledger.money[0])
            assert cash == pytest.approx(s.venue.balances()["USDT"].total, abs=1e-6)
            s.clock.move(10_000)
            await reconciler(s).look("the clock")
            assert actions(s) == [("short", 1)]

    run(tmp_path, play)


def test_a_limit_order_by_hand_at_kucoin_stays(tmp_path: Path) -> None:
    async def play(s: Session) -> None:
        async with s.trading():
            await s.bar(50_000.0)
            hand = s.venue.place(NewOrder("BTC/USDT", "buy", "limit", 0.01, 40_000.0, client_id="mine"))
            await reconciler(s).look("start")
            assert actions(s) == [("foreign order", 0)]
            assert [one.id for one in s.venue.open_orders("BTC/USDT")] == [hand.id]

    run(tmp_path, play)


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
