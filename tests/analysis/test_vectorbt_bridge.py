"""The vectorbt portfolio of a run says what the run says: trades, fees, equity at every bar."""

import numpy as np
import pytest

from toolkit.analysis.vectorbt_bridge import order_records, to_vectorbt
from toolkit.bars.series import Bars, from_arrays
from toolkit.engine.market import first_t
from toolkit.engine.rules import Costs, TradeRules
from toolkit.engine.run import EngineRun, prepare, run
from toolkit.engine.types import LONG, SHORT, TRADE
from toolkit.errors import InputError
from toolkit.strategy import Signals
from toolkit.types import FloatArray, Records

NOTIONAL, CASH = 1_000.0, 10_000.0


def random_bars(seed: int, n: int = 3000, start: int = 1_640_995_200_000) -> Bars:
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 2e-3, n)))
    open_ = np.r_[100.0, close[:-1]] * (1.0 + rng.normal(0.0, 5e-4, n))
    high = np.maximum(open_, close) * (1.0 + np.abs(rng.normal(0.0, 1e-3, n)))
    low = np.minimum(open_, close) * (1.0 - np.abs(rng.normal(0.0, 1e-3, n)))
    ts = start + 60_000 * np.arange(n, dtype=np.int64)
    return from_arrays(ts, open_, high, low, close, np.ones(n), interval="1m")


def random_run(bars: Bars, seed: int, costs: Costs, p_enter: float = 0.05) -> EngineRun:
    rng = np.random.default_rng(seed)
    n = len(bars)
    flags = [rng.random(n) < p for p in (p_enter, p_enter, 0.02, 0.02)]
    stop, target = rng.uniform(0.1, 1.0, n), rng.uniform(0.1, 1.5, n)
    return run(prepare(bars, Signals(*flags, stop, target), TradeRules(max_hold="60m"), costs), NOTIONAL)


def trade_pnl(trades: Records) -> FloatArray:
    gross = trades["side"] * trades["qty"] * (trades["exit_price"] - trades["entry_price"])
    result: FloatArray = gross - trades["entry_fee"] - trades["exit_fee"] + trades["funding"]
    return result


def equity(bars: Bars, trades: Records) -> FloatArray:
    """Cash plus open positions at each close, one trade after the other (funding taken when the trade closes)."""
    value = np.full(len(bars), CASH)
    t0 = first_t(bars)
    for trade in trades:
        a, b, closed = trade["entry_t"] - t0, trade["exit_t"] - t0, trade["exit_reason"] != 0
        open_until = b if closed else len(bars)
        value[a:] -= trade["entry_fee"]
        value[a:open_until] += trade["side"] * trade["qty"] * (bars.close[a:open_until] - trade["entry_price"])
        if closed:
            value[b:] += trade["side"] * trade["qty"] * (trade["exit_price"] - trade["entry_price"])
            value[b:] += trade["funding"] - trade["exit_fee"]
        else:
            value[a:] += trade["funding"]
    return value


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "costs",
    [
        Costs(taker_rate=0.0, maker_rate=0.0, slippage_bps=0.0),
        Costs(taker_rate=0.0006, maker_rate=-0.0001, slippage_bps=3.0, funding_rate=1e-4, funding_interval="1h"),
    ],
    ids=["free", "costly"],
)
def test_trades_and_equity_equal_ours(seed: int, costs: Costs) -> None:
    bars = random_bars(seed)
    trades = random_run(bars, seed + 100, costs).trades
    assert len(trades) > 100
    portfolio = to_vectorbt(bars, trades, CASH)
    theirs = portfolio.trades.values
    ours = trades[np.lexsort((trades["entry_t"], -trades["side"]))]
    t0 = first_t(bars)
    np.testing.assert_array_equal(theirs["entry_idx"], ours["entry_t"] - t0)
    np.testing.assert_array_equal(theirs["exit_idx"], ours["exit_t"] - t0)
    np.testing.assert_array_equal(theirs["direction"] == 0, ours["side"] == LONG)
    np.testing.assert_array_equal(theirs["status"] == 0, ours["exit_reason"] == 0)
    np.testing.assert_allclose(theirs["pnl"], trade_pnl(ours), rtol=0, atol=1e-9)
    np.testing.assert_allclose(portfolio.value().to_numpy(), equity(bars, trades), rtol=0, atol=1e-9)
    assert portfolio.total_return() == pytest.approx(trade_pnl(trades).sum() / CASH, abs=1e-9)


def test_entry_and_stop_on_one_bar_then_entry_on_the_next() -> None:
    ts = 60_000 * np.arange(5, dtype=np.int64)
    bars = from_arrays(ts, *np.array([[100.0] * 5, [101.0] * 5, [95.0] * 5, [100.0] * 5]), interval="1m")
    n = len(bars)
    every, none = np.ones(n, np.bool_), np.zeros(n, np.bool_)
    signals = Signals(every, every, none, none, np.full(n, 2.0), np.full(n, np.nan))
    trades = run(prepare(bars, signals, TradeRules(), Costs()), NOTIONAL).trades
    longs = trades[trades["side"] == LONG]
    assert (longs["entry_t"] == longs["exit_t"]).all() and len(longs) == 4
    portfolio = to_vectorbt(bars, trades, CASH)
    assert portfolio.trades.count() == len(trades)
    assert portfolio.trades.values["pnl"].sum() == pytest.approx(trade_pnl(trades).sum(), abs=1e-9)
    assert portfolio.orders.count() == 2 * len(trades) - (trades["exit_reason"] == 0).sum()


def test_bars_of_a_higher_interval_give_a_portfolio_on_the_base() -> None:
    bars = random_bars(1)
    trades = random_run(bars, 2, Costs()).trades
    assert to_vectorbt(bars.to("5m"), trades, CASH).final_value() == to_vectorbt(bars, trades, CASH).final_value()


def test_statistics_and_plots_of_one_side() -> None:
    bars = random_bars(3, n=1000)
    trades = random_run(bars, 4, Costs()).trades
    shorts = trades[trades["side"] == SHORT]
    portfolio = to_vectorbt(bars, shorts, CASH)
    assert portfolio.wrapper.columns.tolist() == ["short"]
    stats = portfolio.stats()
    assert stats["Total Closed Trades"] == (shorts["exit_reason"] != 0).sum()
    assert stats["Total Fees Paid"] == pytest.approx((shorts["entry_fee"] + shorts["exit_fee"]).sum(), abs=1e-9)
    assert {"Buy", "Sell", "Value", "Benchmark"} <= {line.name for line in portfolio.plot().data}


def test_statistics_and_plots_of_both_sides() -> None:
    bars = random_bars(3, n=1000)
    trades = random_run(bars, 4, Costs()).trades
    portfolio = to_vectorbt(bars, trades, CASH)
    assert portfolio.stats()["Total Closed Trades"] == (trades["exit_reason"] != 0).sum()
    assert len(portfolio.plot(subplots=["value", "drawdowns", "underwater"]).data) > 3
    for column in ("long", "short"):
        assert "Buy" in {line.name for line in portfolio.orders.plot(column=column).data}
        assert len(portfolio.trades.plot(column=column).data) > 1


def test_no_trades_is_a_flat_account() -> None:
    bars = random_bars(5, n=100)
    portfolio = to_vectorbt(bars, np.empty(0, TRADE), CASH)
    assert portfolio.total_return() == 0.0 and portfolio.trades.count() == 0
    none = np.empty(0, np.int64)
    assert len(order_records(np.empty(0, TRADE), none, none, none)) == 0


def test_bad_input_is_refused() -> None:
    bars = random_bars(6, n=200)
    trades = random_run(bars, 7, Costs()).trades
    with pytest.raises(InputError, match="positive amount, was 0"):
        to_vectorbt(bars, trades, 0.0)
    with pytest.raises(InputError, match="must be TRADE records"):
        to_vectorbt(bars, np.zeros(3), CASH)
    with pytest.raises(InputError, match="must lie within the bars"):
        to_vectorbt(random_bars(6, n=200, start=1_672_531_200_000), trades, CASH)
