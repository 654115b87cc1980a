"""The local Gate's USDT futures through ccxt: positions, leverage, position mode, funding."""

import ccxt
import pytest

from executor.sandbox.script import Point
from tests.exchange.test_gate import GATE, SWAPPED
from tests.exchange.venues import START_MS, SWAP, World, run

HOUR_MS = 3_600_000


def test_a_position_opens_turns_and_closes_in_one_way_mode() -> None:
    async def scenario(w: World) -> None:
        await w.rest.create_order(SWAPPED, "market", "buy", 100.0)
        (held,) = await w.rest.fetch_positions([SWAPPED])
        assert (held["side"], held["contracts"], held["entryPrice"]) == ("long", 100.0, 50_000.0)
        assert held["info"]["mode"] == "single"
        assert (held["contractSize"], held["notional"]) == (0.001, 5_000.0)
        w.venue.price(SWAPPED, 51_000.0)
        assert (await w.rest.fetch_position(SWAPPED))["unrealizedPnl"] == 100.0
        await w.rest.create_order(SWAPPED, "market", "sell", 150.0)
        (held,) = await w.rest.fetch_positions([SWAPPED])
        assert (held["side"], held["contracts"], held["entryPrice"]) == ("short", 50.0, 51_000.0)
        await w.rest.create_order(SWAPPED, "market", "buy", 80.0, None, {"reduceOnly": True})
        assert w.venue.position(SWAPPED, "both").qty == 0.0
        assert w.venue.fills()[-1].qty == 50.0
        fees = sum(fill.fee for fill in w.venue.fills())
        assert fees == pytest.approx((5_000.0 + 150 * 51.0 + 50 * 51.0) * SWAP.taker)
        assert (await w.rest.fetch_balance({"type": "swap"}))["USDT"]["total"] == pytest.approx(10_100.0 - fees)
        trades = await w.rest.fetch_my_trades(SWAPPED)
        assert sum(trade["fee"]["cost"] for trade in trades) == pytest.approx(fees)

    run(scenario, **GATE)


def test_contracts_are_whole() -> None:
    async def scenario(w: World) -> None:
        await w.rest.create_order(SWAPPED, "market", "buy", 1.9)
        assert w.venue.fills()[-1].qty == 1.0
        with pytest.raises(ccxt.InvalidOrder):
            await w.rest.create_order(SWAPPED, "market", "buy", 0.5)

    run(scenario, **GATE)


def test_leverage_binds_less_margin_and_0_is_cross() -> None:
    async def scenario(w: World) -> None:
        await w.rest.set_leverage(5, SWAPPED)
        await w.rest.create_order(SWAPPED, "market", "buy", 500.0)
        money = (await w.rest.fetch_balance({"type": "swap"}))["USDT"]
        assert money["used"] == pytest.approx(25_000.0 / 5)
        (held,) = await w.rest.fetch_positions([SWAPPED])
        assert (held["leverage"], held["marginMode"]) == (5.0, "isolated")
        await w.rest.set_leverage(3, SWAPPED, {"marginMode": "cross"})
        assert (w.venue.position(SWAPPED, "both").leverage, w.venue.position(SWAPPED, "both").margin_mode) == (
            3.0, "cross",
        )  # fmt: skip
        with pytest.raises(ccxt.BadRequest):
            await w.rest.set_leverage(101, SWAPPED)

    run(scenario, **GATE)


def test_hedge_mode_holds_both_sides_and_changes_only_while_nothing_is_held() -> None:
    async def scenario(w: World) -> None:
        await w.rest.set_position_mode(True, SWAPPED)
        with pytest.raises(ccxt.ExchangeError, match="NO_CHANGE"):
            await w.rest.set_position_mode(True, SWAPPED)
        for side in ("buy", "sell"):
            await w.rest.create_order(SWAPPED, "market", side, 50.0)
        rows = await w.rest.fetch_positions([SWAPPED])
        assert {(row["side"], row["contracts"], row["info"]["mode"]) for row in rows} == {
            ("long", 50.0, "dual_long"), ("short", 50.0, "dual_short"),
        }  # fmt: skip
        with pytest.raises(ccxt.ExchangeError, match="POSITION_HOLDING"):
            await w.rest.set_position_mode(False, SWAPPED)
        for side in ("buy", "sell"):
            await w.rest.create_order(SWAPPED, "market", side, 50.0, None, {"reduceOnly": True})
        assert [row.qty for row in w.venue.positions()] == [0.0, 0.0]
        await w.rest.set_position_mode(False, SWAPPED)
        assert w.venue.hedge is False

    run(scenario, **GATE)


def test_an_order_that_may_only_reduce_goes_with_its_position() -> None:
    async def scenario(w: World) -> None:
        await w.rest.create_order(SWAPPED, "market", "buy", 100.0)
        target = await w.rest.create_order(SWAPPED, "limit", "sell", 100.0, 52_000.0, {"reduceOnly": True})
        await w.rest.create_order(SWAPPED, "market", "sell", 100.0, None, {"reduceOnly": True})
        order = await w.rest.fetch_order(target["id"], SWAPPED)
        # A word of the venue that ccxt gives as it is.
        assert (order["status"], order["filled"]) == ("reduce_only", 0.0)

    run(scenario, **GATE)


def test_funding_is_paid_at_its_stamps() -> None:
    async def scenario(w: World) -> None:
        w.venue.funding(SWAPPED, 0.0001)
        await w.rest.create_order(SWAPPED, "market", "buy", 100.0)
        before = w.venue.balances("swap")["USDT"].total
        w.venue.script(SWAPPED, [Point(START_MS + hour * HOUR_MS, 50_000.0, 1.0) for hour in range(1, 18)])
        w.clock.move(17 * HOUR_MS)
        await w.venue.advance(w.clock())
        # Begun at 22:14 UTC: 0 and 8 o'clock have passed.
        assert w.venue.balances("swap")["USDT"].total == pytest.approx(before - 2 * 5_000.0 * 0.0001)
        rows = await w.rest.fetch_ledger("USDT", None, None, {"type": "swap"})
        paid = [row for row in rows if row["info"]["type"] == "fund"]
        assert [(row["amount"], row["direction"]) for row in paid] == [(0.5, "out")] * 2
        assert (await w.rest.fetch_funding_rate(SWAPPED))["fundingRate"] == 0.0001

    run(scenario, **GATE)
