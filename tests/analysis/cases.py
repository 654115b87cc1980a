"""Bars, signals and rules that reach every corner of a result."""

from functools import cache
from typing import Any

import numpy as np

from toolkit.analysis.backtest import backtest_signals
from toolkit.analysis.result import BacktestResult
from toolkit.bars.series import Bars, from_arrays
from toolkit.bars.synthetic import synthetic_bars
from toolkit.engine.rules import Costs, ExitRule, TradeRules
from toolkit.strategy import Signals

MINUTE = 60_000
COSTS = Costs(taker_rate=0.0004, maker_rate=0.0002, slippage_bps=2.0, funding_rate=0.0001)

# Stop and target, a trail, time rules, refused periods, a pending exit: each with what the others lack.
RULES = {
    "stop and target": TradeRules(stop=0.003, target=0.004, exits=()),
    "exit signal": TradeRules(stop=None, target=None),
    "trail": TradeRules(stop=0.01, target=None, trail=0.004, trail_on="extreme", max_hold="2h"),
    "profit rule": TradeRules(stop="2%", target="3R", exits=(ExitRule("time", after="1h", min_profit=0.0),)),
    "one a day": TradeRules(stop=0.005, target=0.02, one_entry_per="1d", one_entry_scope="instance"),
    "market target": TradeRules(stop=0.003, target=0.003, target_fill="market", max_hold="20bars"),
}


@cache
def bars(interval: str = "5m", days: int = 12, symbol: str = "SOL/USDT") -> Bars:
    """Synthetic minutes with a halt and minutes without trades, resampled; they begin at noon."""
    minutes = synthetic_bars([symbol], days=days, seed=5)[symbol]
    return minutes.window(int(minutes.ts[720]), int(minutes.close_ts[-1])).to(interval)


def random_signals(n: int, seed: int, share: float = 0.02) -> Signals:
    """Entries and exits on both sides at random, without distances of their own."""
    rng = np.random.default_rng(seed)
    raw = [rng.random(n) < share for _ in range(4)]
    return Signals(*raw, np.full(n, np.nan), np.full(n, np.nan))


def result(rules: str = "stop and target", seed: int = 1, **options: Any) -> BacktestResult:
    series = options.pop("series", bars())
    signals = options.pop("signals", random_signals(len(series), seed))
    return backtest_signals(series, signals, RULES[rules], options.pop("costs", COSTS), **options)


def minutes(rows: list[tuple[float, float, float, float]], volume: list[float] | None = None) -> Bars:
    """1m bars of open, high, low, close from midnight on 2023-01-01."""
    o, h, lo, c = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    ts = 1_672_531_200_000 + MINUTE * np.arange(len(rows), dtype=np.int64)
    return from_arrays(ts, o, h, lo, c, None if volume is None else np.array(volume), interval="1m", symbol="X/USDT")


def signals_at(n: int, **at: list[int]) -> Signals:
    """Signals that are true at the given bars: `enter_long=[3]`."""
    arrays = {name: np.isin(np.arange(n), at.get(name, [])) for name in Signals._fields[:4]}
    return Signals(**arrays, stop_distance=np.full(n, np.nan), target_distance=np.full(n, np.nan))
