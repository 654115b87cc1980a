"""The engine's view of a series: finer bars of the right series, weekly bars refused."""

import gc

import numpy as np
import pytest

from toolkit.analysis.backtest import backtest_signals
from toolkit.bars.intervals import DAY_MS, INTERVAL_MS
from toolkit.bars.series import Bars, from_arrays
from toolkit.engine.rules import Costs, TradeRules
from toolkit.errors import InputError
from toolkit.strategy import Signals

MONDAY_MS = 4 * DAY_MS
FREE = Costs(taker_rate=0.0, maker_rate=0.0, slippage_bps=0.0)


def bars(interval: str, opens: list[float], highs: list[float], lows: list[float], start_ms: int = MONDAY_MS) -> Bars:
    n = len(opens)
    ts = start_ms + INTERVAL_MS[interval] * np.arange(n)
    o = np.array(opens)
    return from_arrays(ts, o, np.array(highs), np.array(lows), o, np.ones(n), interval=interval)


def enter_first(n: int) -> Signals:
    """A long entry at the first close, stop and target two away."""
    no, two = np.zeros(n, np.bool_), np.full(n, 2.0)
    return Signals(np.arange(n) == 0, no, no, no, two, two)


def base() -> Bars:
    """Entered at 100 on bar 1, whose range reaches the stop at 98 and the target at 102."""
    return bars("3m", [100.0] * 3, [100.0, 103.0, 100.0], [100.0, 97.0, 100.0])


def minutes(first_up: bool) -> Bars:
    high, low = np.full(9, 100.0), np.full(9, 100.0)
    high[3 if first_up else 5] = 103.0
    low[5 if first_up else 3] = 97.0
    return bars("1m", [100.0] * 9, list(high), list(low))


def test_each_run_asks_its_own_finer_series() -> None:
    series = base()
    for k in range(20):
        finer = minutes(first_up=bool(k % 2))
        r = backtest_signals(series, enter_first(3), TradeRules(policy="finer"), FREE, finer=finer)
        assert r.trades["exit_reason"].to_list() == ["target" if k % 2 else "stop"]
        assert r.metrics["ambiguous_trades"] == 0
        # Finer bars have decided: nothing is left to hang on.
        assert r.ambiguity["best_pnl"] == r.ambiguity["worst_pnl"] == r.ambiguity["pnl"]
        del finer, r
        gc.collect()


def test_a_bar_that_the_finer_bars_leave_open_hangs_on_the_order() -> None:
    both = bars("1m", [100.0] * 9, [100.0] * 3 + [103.0] + [100.0] * 5, [100.0] * 3 + [97.0] + [100.0] * 5)
    r = backtest_signals(base(), enter_first(3), TradeRules(policy="finer"), FREE, finer=both)
    assert r.metrics["ambiguous_trades"] == 1
    assert (r.ambiguity["worst_pnl"], r.ambiguity["best_pnl"]) == (-200.0, 200.0)
    assert r.ambiguity["pnl"] == -200.0


@pytest.mark.parametrize(("policy", "undecided"), [("pessimistic", 1), ("optimistic", 0), ("ohlc", 0), ("adaptive", 0)])
def test_an_open_at_the_target_decides_for_all_but_the_pessimist(policy: str, undecided: int) -> None:
    series = bars("1m", [100.0, 100.0, 103.0, 100.0], [100.0, 100.0, 104.0, 100.0], [100.0, 100.0, 97.0, 100.0])
    r = backtest_signals(series, enter_first(4), TradeRules(policy=policy), FREE)
    assert r.metrics["ambiguous_trades"] == undecided
    assert r.trades["exit_price"].to_list() == [98.0 if undecided else 103.0]


@pytest.mark.parametrize(("side", "stop"), [("long", 100.0), ("short", 100.1)])
def test_a_stop_closer_than_a_tick_is_the_next_tick_away(side: str, stop: float) -> None:
    n, price = 3, 100.03 if side == "long" else 100.07
    series = bars("1m", [price] * n, [price] * n, [price] * n)
    no, near, none = np.zeros(n, np.bool_), np.full(n, 0.01), np.full(n, np.nan)
    first = np.arange(n) == 0
    signals = Signals(first, first, no, no, near, none)
    free = Costs(taker_rate=0.0, maker_rate=0.0, slippage_bps=0.0, tick=0.1)
    r = backtest_signals(series, signals, TradeRules(side=side), free)
    assert r.trades["stop_price"].to_list() == pytest.approx([stop])
    assert r.trades["exit_reason"].to_list() == ["open"]


def test_weekly_bars_are_no_base() -> None:
    weekly = bars("1w", [100.0] * 3, [100.0] * 3, [100.0] * 3)
    with pytest.raises(InputError, match="orders cannot fill on weekly bars"):
        backtest_signals(weekly, enter_first(3), TradeRules(), FREE)
