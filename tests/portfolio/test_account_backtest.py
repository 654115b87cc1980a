"""An account of one of the project's strategies is that strategy's own backtest, from bars to its table of trades."""

import pytest
from polars.testing import assert_frame_equal

import toolkit as tk
from toolkit.bars.synthetic import synthetic_bars
from toolkit.engine.rules import Costs, TradeRules
from toolkit.portfolio.frames import trades_table
from toolkit.portfolio.limits import Limits
from toolkit.portfolio.loading import load_members
from toolkit.portfolio.members import Member
from toolkit.portfolio.schedule import WeightSchedule
from toolkit.portfolio.simulate import simulate

NOTIONAL = 1_000.0
# An account knows a weight; the rest is whose run it was.
_OWN = ("weight", "deployment", "run_id")


@pytest.mark.xdist_group("engine")
@pytest.mark.parametrize("strategy", ["volatility_breakout", "open_range_breakout"])
@pytest.mark.parametrize("start", [None, "2023-01-08 13:00"])
def test_an_account_of_one_strategy_is_its_backtest(strategy: str, start: str | None) -> None:
    bars = synthetic_bars(("BTC/USDT",), "2023-01-01", 28)["BTC/USDT"]
    rules, costs = TradeRules(max_hold="12h", trail="3%"), Costs(funding_rate=1e-4, tick=0.1)
    alone = tk.backtest(strategy, bars, interval="5m", start=start, rules=rules, costs=costs, notional=NOTIONAL).trades
    member = Member(strategy, "BTC/USDT", "5m", {}, rules, costs)
    loaded = load_members([member], start=start, bars={"BTC/USDT": bars})
    name = loaded[0].instance.id
    limits = Limits(sizing="notional", notional_per_trade=NOTIONAL, price_buffer=0.0)
    run = simulate(loaded, WeightSchedule.static({name: 1.0}, [name]), limits, capital=1e6)
    account = trades_table(run)
    assert len(alone) > 10
    key = ["entry_ts", "side"]
    assert_frame_equal(
        account.drop(_OWN, strict=False).sort(key), alone.drop(_OWN, strict=False).sort(key), check_exact=True
    )
