"""The grid that is timed: channel windows x stops x targets x holds, through the engine and through vectorbt."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from os import cpu_count
from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt

from tests.bench.channel_strategy import Params, bench_channel
from tests.bench.year import fresh
from toolkit.analysis.backtest import backtest
from toolkit.analysis.metrics import METRICS, make_calendar
from toolkit.analysis.result import BacktestResult
from toolkit.bars.series import Bars
from toolkit.engine.market import first_t, prepare_market
from toolkit.engine.rule_table import rule_table
from toolkit.engine.rules import Columns, Costs, TradeRules, compile_rules
from toolkit.engine.run import Prepared, prepare, run
from toolkit.engine.types import LONG, ExitReason
from toolkit.sweep.kernel import LONG_SIDE, figures
from toolkit.types import BoolArray, FloatArray, Records

COSTS = Costs(taker_rate=0.0005, maker_rate=0.0005, slippage_bps=1.0)
NOTIONAL = 10_000.0
CORES = cpu_count() or 1
METRIC = {name: position for position, name in enumerate(METRICS)}
# Targets as market orders: with a stop beside it, it is the one kind of target that vectorbt slips alike.
BASE_RULES = TradeRules(stop=0.01, target=0.02, exits=(), side="long", target_fill="market")


@dataclass(frozen=True)
class Grid:
    """Every window with every one of `rules`."""

    windows: Sequence[int]
    rules: Sequence[TradeRules]

    def __len__(self) -> int:
        return len(self.windows) * len(self.rules)

    def sample(self, n: int) -> list[tuple[int, TradeRules]]:
        """`n` combinations spread over the grid."""
        picked = np.linspace(0, len(self) - 1, n).round().astype(int)
        return [(self.windows[k // len(self.rules)], self.rules[k % len(self.rules)]) for k in picked]


def rule_grid(stops: Sequence[float], targets: Sequence[float], holds: Sequence[str]) -> list[TradeRules]:
    return [replace(BASE_RULES, stop=s, target=t, max_hold=h) for s in stops for t in targets for h in holds]


def prepared(bars: Bars, window: int, rules: TradeRules) -> Prepared:
    """Signals of one window and all that a simulation reads; factors stay on a view that is dropped."""
    view = fresh(bars)
    signals = bench_channel(view, Params(window))
    return prepare(bars, signals, rules, COSTS)


def sweep_grid(bars: Bars, grid: Grid, threads: int = CORES) -> FloatArray:
    """float64[n_windows, n_rules, N_METRICS]: the whole grid on `threads` threads, nothing cached before."""
    bars = fresh(bars)
    table = rule_table([compile_rules(r, bars, Columns()) for r in grid.rules])
    slices = max(1, min(len(grid.rules), 4 * threads // len(grid.windows)))
    cuts = np.linspace(0, len(grid.rules), slices + 1).astype(int)
    # Memoised on the bars before threads share them.
    prepare_market(bars)
    days = make_calendar(bars, first_t(bars))

    def work(window: int) -> list[FloatArray]:
        p = prepared(bars, window, grid.rules[0])
        legs = (p.legs[LONG], p.legs[LONG])
        costs = (p.rates, NOTIONAL, False)
        return [
            figures((table[0][a:b], table[1][a:b]), p.market, legs, costs, days, np.array([LONG_SIDE]))[:, 0]
            for a, b in pairwise(cuts)
        ]

    with ThreadPoolExecutor(threads) as pool:
        return np.stack([np.concatenate(parts) for parts in pool.map(work, grid.windows)])


def one_backtest(bars: Bars, window: int, rules: TradeRules) -> BacktestResult:
    """One combination as a user runs it, on bars with nothing made before; figures are asked of the result."""
    return backtest(bench_channel, fresh(bars), params={"window": window}, rules=rules, costs=COSTS, notional=NOTIONAL)


def engine_trades(bars: Bars, window: int, rules: TradeRules) -> Records:
    return run(prepared(bars, window, rules), NOTIONAL).trades


class Peer:
    """vectorbt on the same bars: pandas where it is quickest (rolling extremes), the Rust engine for the rest."""

    def __init__(self, bars: Bars) -> None:
        index = pd.date_range(pd.Timestamp(bars.ts[0], unit="ms"), periods=len(bars), freq="min")
        self.bars = bars
        self.high, self.close = pd.Series(bars.high, index=index), pd.Series(bars.close, index=index)
        self.next_open = np.r_[bars.open[1:], bars.close[-1]]
        self.size = NOTIONAL / bars.close
        # vectorbt's distances are shares of the fill, the engine's of the close that decided.
        self.close_to_fill = bars.close / (self.next_open * (1.0 + COSTS.slippage_bps / 1e4))

    def entries(self, window: int) -> "pd.Series[bool]":
        signals = self.close > self.high.rolling(window).max().shift(1)
        signals.iloc[-1] = False
        return signals

    def exits(self, trades: Records) -> BoolArray:
        """Closes at which the engine's trades were left for their age: vectorbt has no holding time of its own."""
        held = trades["exit_reason"] == ExitReason.MAX_HOLD
        leave = np.zeros(len(self.bars), np.bool_)
        leave[trades["exit_order_t"][held] - int(self.bars.ts[0]) // self.bars.interval_ms] = True
        return leave

    def simulate(self, entries: "pd.Series[bool]", rules: TradeRules, leave: BoolArray) -> Any:
        """One combination on vectorbt's own clock: signals at a close fill at the next open, and stops are looked at
        from the bar of that fill on. A stop and a new signal on one bar is one order: the new signal is lost."""
        bars = self.bars
        return _from_signals(
            rules, self.close, entries, leave, self.next_open, self.size,
            (bars.open, bars.high, bars.low), 1.0,
        )  # fmt: skip

    def simulate_exactly(self, window: int, rules: TradeRules, leave: BoolArray) -> Any:
        """The same on two rows a bar (see `tests.engine.vectorbt_cases`), which loses nothing."""
        bars, at_close = self.bars, np.arange(2 * len(self.bars)) % 2 == 1
        close = np.repeat(bars.close, 2)
        ohl = tuple(np.where(at_close, close, np.repeat(a, 2)) for a in (bars.open, bars.high, bars.low))
        entries = np.repeat(self.entries(window).to_numpy(), 2) & at_close
        index = pd.date_range(self.close.index[0], periods=len(close), freq="30s")
        return _from_signals(
            rules, pd.Series(close, index=index), entries, np.repeat(leave, 2) & at_close,
            np.repeat(self.next_open, 2), np.repeat(self.size, 2), ohl, np.repeat(self.close_to_fill, 2),
        )  # fmt: skip


def _from_signals(
    rules: TradeRules, close: "pd.Series[float]", entries: Any, leave: Any, price: Any, size: Any, ohl: Any, share: Any
) -> Any:
    opens, high, low = ohl
    stop, target, trail = (np.nan if d is None else float(d) for d in (rules.stop, rules.target, rules.trail))
    return vbt.Portfolio.from_signals(
        close, entries, leave, direction="longonly", price=price, size=size, open=opens, high=high, low=low,
        sl_stop=(trail if np.isnan(stop) else stop) * share, sl_trail=rules.trail is not None, tp_stop=target * share,
        stop_entry_price="FillPrice", stop_exit_price="StopMarket", upon_long_conflict="Exit",
        fees=COSTS.taker_rate, slippage=COSTS.slippage_bps / 1e4, init_cash=100 * NOTIONAL, engine="rust",
    )  # fmt: skip


def peer_figures(portfolio: Any) -> tuple[float, ...]:
    """Return, drawdown, win rate, expectancy, Sharpe, Sortino."""
    trades = portfolio.trades
    return (
        portfolio.total_return(), portfolio.max_drawdown(), trades.win_rate(), trades.expectancy(),
        portfolio.sharpe_ratio(), portfolio.sortino_ratio(),
    )  # fmt: skip
