"""Reconciliation over ccxt, against the local exchange."""

from pathlib import Path

import pytest

from executor.broker.reconciling import Reconciler
from executor.sandbox.records import NewOrder
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
