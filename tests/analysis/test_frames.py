"""Tables against the records they are made of, and against each other."""

import numpy as np
import polars as pl
import pytest

from tests.analysis.cases import COSTS, RULES, bars, minutes, random_signals, result, signals_at
from toolkit.analysis.backtest import backtest_signals
from toolkit.analysis.frames import SIGNAL_COLUMNS, TRADE_COLUMNS
from toolkit.analysis.orders import ORDER_COLUMNS
from toolkit.engine.rules import Costs, TradeRules

FREE = Costs(taker_rate=0.0, maker_rate=0.0, slippage_bps=0.0)


@pytest.mark.parametrize("name", RULES)
def test_trades_say_what_the_records_say(name: str) -> None:
    r = result(name)
    frame, records = r.trades, r.records.trades
    assert tuple(frame.columns) == TRADE_COLUMNS
    assert len(frame) == len(records) > 5
    assert frame["trade_id"].n_unique() == len(frame)
    for row, record in zip(frame.iter_rows(named=True), records, strict=True):
        side = 1 if row["side"] == "long" else -1
        is_open = row["exit_reason"] == "open"
        assert (row["exit_ts"] is None) == (row["exit_price"] is None) == is_open
        leave = record["exit_price"] if is_open else row["exit_price"]
        gross = side * row["qty"] * (leave - row["entry_price"])
        assert row["gross_pnl"] == gross
        assert row["pnl"] == pytest.approx(gross - row["fees"] + row["funding"], rel=1e-12, abs=1e-9)
        assert row["return"] == pytest.approx(row["pnl"] / (row["qty"] * row["entry_price"]))
        if row["stop_price"] is None:
            assert row["r_multiple"] is None
        else:
            risk = row["qty"] * abs(row["entry_price"] - row["stop_price"])
            assert row["r_multiple"] == pytest.approx(row["pnl"] / risk)
        assert row["mae"] <= 0.0 <= row["mfe"]
        assert row["mae"] <= side * (leave / row["entry_price"] - 1.0) + 1e-12
        assert row["entry_ts"].timestamp() * 1000 == record["entry_t"] * 60_000
        assert row["signal_ts"] <= row["entry_ts"]
        assert row["bars_held"] == record["exit_t"] - record["entry_t"] + is_open


@pytest.mark.parametrize("name", RULES)
def test_every_trade_has_its_orders_and_no_order_outlives_it(name: str) -> None:
    r = result(name)
    orders, trades = r.orders, r.trades
    assert tuple(orders.columns) == ORDER_COLUMNS
    assert orders["order_id"].n_unique() == len(orders)
    filled = orders.filter(kind="entry", status="CLOSED").sort("trade_id")
    assert filled["trade_id"].equals(trades.sort("trade_id")["trade_id"])
    assert filled["price"].equals(trades.sort("trade_id")["entry_price"])
    closed = trades.filter(pl.col("exit_ts").is_not_null())
    exits = orders.filter((pl.col("kind") != "entry") & (pl.col("status") == "CLOSED"))
    assert exits["trade_id"].sort().equals(closed["trade_id"].sort())
    joined = orders.join(trades.select("trade_id", "exit_ts", "exit_reason", "stop_price"), on="trade_id", how="left")
    resting = joined.filter(pl.col("kind").is_in(["stop", "target"]))
    assert resting["closed_ts"].equals(resting["exit_ts"])
    assert resting.filter(pl.col("exit_reason") == "open")["status"].to_list().count("NEW") == len(
        resting.filter(pl.col("exit_reason") == "open")
    )
    assert orders.filter(kind="stop").height == trades["stop_price"].is_not_null().sum()
    kinds = {"stop": "stop", "trail": "stop", "target": "target"}
    for row in joined.filter((pl.col("kind") != "entry") & (pl.col("status") == "CLOSED")).iter_rows(named=True):
        assert row["kind"] == kinds.get(row["exit_reason"], "exit")
    assert (orders["created_ts"] <= orders["closed_ts"]).all()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("compound", [False, True])
def test_equity_adds_up_to_the_trades_and_agrees_with_the_figures(name: str, compound: bool) -> None:
    r = result(name, compound=compound)
    equity, metrics = r.equity, r.metrics
    assert equity["equity"][-1] / r.notional - 1.0 == pytest.approx(metrics["total_return"], rel=1e-12, abs=1e-12)
    assert -equity["drawdown"].min() == pytest.approx(metrics["max_drawdown"])
    if not compound:
        assert equity["equity"][-1] - r.notional == pytest.approx(r.trades["pnl"].sum())
        assert equity["pnl"].sum() == pytest.approx(r.trades["pnl"].sum())
    assert equity["ts"].is_sorted() and equity["ts"].n_unique() == len(equity)
    assert (equity["ts"].dt.truncate("1d") == equity["ts"]).all()
    open_trades = r.trades.filter(pl.col("exit_ts").is_null())
    assert equity["open_trades"][-1] == len(open_trades)
    for row in equity.head(len(equity) - 1).iter_rows(named=True):
        there = r.trades.filter(
            (pl.col("entry_ts") < row["ts"]) & ((pl.col("exit_ts") >= row["ts"]) | pl.col("exit_ts").is_null())
        )
        close = r.bars.base.close[np.searchsorted(r.bars.base.ts, int(row["ts"].timestamp() * 1000)) - 1]
        assert row["open_trades"] == len(there)
        assert row["gross_exposure"] == pytest.approx((there["qty"] * close).sum())


def test_signals_say_how_they_closed() -> None:
    series = bars()
    signals = random_signals(len(series), 4, 0.05)
    verdicts = np.random.default_rng(1).integers(1, 4, len(series)).astype(np.uint8)
    predictions = np.linspace(0.0, 1.0, len(series))
    rules = TradeRules(stop=0.004, target=0.004, signal_timeout="1h")
    r = backtest_signals(series, signals, rules, COSTS, verdicts=verdicts, predictions=predictions)
    frame = r.signals
    assert tuple(frame.columns) == SIGNAL_COLUMNS
    assert set(frame["decision"]) == {"accepted", "vetoed", "rejected"}
    assert {"trade_closed", "timed_out"} <= set(frame["reason"].drop_nulls())
    assert frame["ignored_entries"].sum() > 0
    timed_out = frame.filter(reason="timed_out")
    assert (timed_out["closed_ts"] == timed_out["expires_ts"]).all()
    assert (timed_out["expires_ts"] - timed_out["ts"]).dt.total_minutes().unique().to_list() == [60]
    traded = r.trades.join(frame, left_on="signal_ts", right_on="ts", suffix="_signal").filter(
        pl.col("side") == pl.col("side_signal")
    )
    assert len(traded) == len(r.trades)
    assert (traded["decision"] == "accepted").all()
    assert (traded["prediction"] == traded["prediction_signal"]).all()
    index = np.searchsorted(series.close_ts, frame["ts"].dt.epoch("ms").to_numpy())
    assert np.array_equal(frame["prediction"].to_numpy(), predictions[index])


def test_entries_that_never_fill_are_cancelled_or_wait() -> None:
    flat = [(100.0, 101.0, 99.0, 100.0)] * 12
    volume = [1.0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 1, 0]
    at = signals_at(12, enter_long=[2, 7, 10], exit_long=[8])
    r = backtest_signals(minutes(flat, volume), at, TradeRules(stop=None, target=None, entry_ttl="2bars"), FREE)
    found = r.orders.select("kind", "status", "price", "closed_ts").rows()
    times = [None if row[3] is None else row[3].minute for row in found]
    assert [row[:3] for row in found] == [
        ("entry", "CANCELLED", None), ("entry", "CANCELLED", None), ("entry", "NEW", None),
    ]  # fmt: skip
    assert times == [4, 9, None]
    assert r.signals["reason"].to_list() == ["expired", "exit_signal", None]
    assert r.orders["qty"].to_list() == [100.0] * 3
    assert r.trades.is_empty()


def test_a_pending_exit_of_an_open_trade_is_new() -> None:
    flat = [(100.0, 101.0, 99.0, 100.0)] * 6
    at = signals_at(6, enter_short=[1], exit_short=[4])
    r = backtest_signals(minutes(flat, [1.0, 1, 1, 1, 1, 0]), at, TradeRules(stop=0.05, target=None), FREE)
    assert r.orders.select("kind", "side", "status").rows() == [
        ("entry", "sell", "CLOSED"), ("stop", "buy", "NEW"), ("exit", "buy", "NEW"),
    ]  # fmt: skip
    assert r.trades["exit_reason"].to_list() == ["open"]


def test_no_signals_give_empty_tables_of_the_same_columns() -> None:
    r = result(signals=random_signals(len(bars()), 1, 0.0))
    assert r.trades.is_empty() and tuple(r.trades.columns) == TRADE_COLUMNS
    assert r.trades.schema == result().trades.schema
    assert r.orders.schema == result().orders.schema
    assert r.signals.schema == result().signals.schema
    assert (r.equity["equity"] == r.notional).all()
