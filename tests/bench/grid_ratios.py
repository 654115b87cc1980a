"""Grids against vectorbt with its Rust engine, per combination, on one year of 1m bars.

First equality: on sampled combinations vectorbt must make the same number of trades and the same total return under
the same rules. Then time: ours for the whole grid on all cores; vectorbt for each sampled combination, one at a time,
the quicker of two runs, in the form that costs it least (one row a bar; exits by age handed to it for nothing). Both
sides make signals, simulate, and give return, drawdown, win rate, expectancy, Sharpe and Sortino.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from vectorbt._engine import is_rust_available

from tests.bench.channel_grid import (
    BASE_RULES,
    CORES,
    METRIC,
    NOTIONAL,
    Grid,
    Peer,
    engine_trades,
    one_backtest,
    peer_figures,
    rule_grid,
    sweep_grid,
)
from tests.bench.year import fresh, year
from toolkit.bars.series import Bars
from toolkit.sweep.run import sweep
from toolkit.types import FloatArray

RETURN_TOLERANCE = 1e-6
_STOPS = (0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04)
_TARGETS = (0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1)


@dataclass(frozen=True)
class Contest:
    """A grid, and the least ratio that it must reach on these cores."""

    name: str
    grid: Grid
    least: float
    # vectorbt trails by a share of the peak, the engine by a distance frozen at the signal: timed, not compared.
    equal_rules: bool = True


def contests(quick: bool = False) -> list[Contest]:
    """The four grids of 3,200 combinations; quick ones have fewer windows and rules."""
    holds = ("4h", "8h", "12h", "1d", "2d")
    windows: Sequence[int] = (240, 360, 480, 720, 960, 1440, 2160, 2880)
    rules = rule_grid(_STOPS, _TARGETS, holds)
    busy = rule_grid(_STOPS, _TARGETS, ("20m", "25m", "30m", "35m", "40m"))
    busy_windows: Sequence[int] = (4, 5, 6, 7, 8, 9, 10, 12)
    trails = np.linspace(0.005, 0.05, 80)
    trailing = [
        replace(BASE_RULES, stop=None, target=None, trail=float(t), trail_on="extreme", max_hold=h)
        for t in trails
        for h in holds
    ]
    distinct: Sequence[int] = range(30, 3230)
    if quick:
        windows, busy_windows, distinct = windows[:2], busy_windows[:2], distinct[::64]
        rules, busy, trailing = rules[::16], busy[::16], trailing[::16]
    return [
        Contest("8 windows x 8 stops x 10 targets x 5 holds", Grid(windows, rules), 1_000.0 if CORES >= 4 else 500.0),
        Contest("the same at high turnover", Grid(busy_windows, busy), 20.0),
        Contest("8 windows x 80 trailing stops x 5 holds", Grid(windows, trailing), 20.0, equal_rules=False),
        Contest("distinct signal parameters, one rule", Grid(distinct, rules[len(rules) // 2 :][:1]), 20.0),
    ]


def check_equal(bars: Bars, peer: Peer, grid: Grid, n: int) -> float:
    """Raise unless vectorbt makes the same trades on `n` sampled combinations; the largest difference in return."""
    largest = 0.0
    for window, rules in grid.sample(n):
        ours = engine_trades(bars, window, rules)
        theirs = peer.simulate_exactly(window, rules, peer.exits(ours))
        total = sweep_grid(bars, Grid([window], [rules]), threads=1)[0, 0, METRIC["total_return"]]
        assert theirs.trades.count() == len(ours), (window, rules, theirs.trades.count(), len(ours))
        # Returns of both on the notional of a trade.
        difference = abs(theirs.total_profit() / NOTIONAL - total)
        assert difference <= RETURN_TOLERANCE, (window, rules, difference)
        largest = max(largest, difference)
    return largest


def peer_seconds(bars: Bars, peer: Peer, grid: Grid, n: int) -> FloatArray:
    """Mean seconds a combination of vectorbt over `n` sampled ones: signals, simulation, figures."""
    assert is_rust_available()
    sampled = grid.sample(n)
    taken = []
    # The first is run once more before, for the sake of compiled code.
    for window, rules in [sampled[0], *sampled]:
        leave = peer.exits(engine_trades(bars, window, rules))
        runs = []
        for _ in range(2):
            began = time.perf_counter()
            entries = peer.entries(window)
            signalled = time.perf_counter()
            portfolio = peer.simulate(entries, rules, leave)
            simulated = time.perf_counter()
            peer_figures(portfolio)
            runs.append(np.diff([began, signalled, simulated, time.perf_counter()]))
        taken.append(min(runs, key=np.sum))
    mean: FloatArray = np.mean(taken[1:], axis=0)
    return mean


def run(quick: bool = False) -> list[dict[str, Any]]:
    bars = year()
    peer = Peer(bars)
    samples = 2 if quick else 10
    rows = []
    for contest in contests(quick):
        grid = contest.grid
        sweep_grid(bars, Grid(grid.windows[:1], grid.rules[:1]))
        equal = "rules not comparable"
        if contest.equal_rules:
            equal = f"return differs by {check_equal(bars, peer, grid, samples):.0e}"
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            figures = sweep_grid(bars, grid)
            seconds.append(time.perf_counter() - began)
        ours = min(seconds) / len(grid)
        parts = peer_seconds(bars, peer, grid, samples)
        theirs = float(parts.sum())
        split = " + ".join(f"{part * 1e3:.0f}" for part in parts)
        trades = figures[..., METRIC["trades"]].mean()
        said = f"{split}: signals, simulation, figures; {samples} sampled; {equal}"
        rows.append(
            {
                "what": f"grid of {len(grid):,}: {contest.name}; {trades:,.0f} trades a combination",
                "value": f"{ours * 1e6:.0f} us a combination, {min(seconds):.2f} s in all",
                "peer": f"vectorbt-rust {theirs * 1e3:.0f} ms ({said})",
                "ratio": theirs / ours,
                "bar": f">= {contest.least:,.0f}x",
            }
        )
    first = contests(quick)[0].grid
    return [_one_combination(bars, peer, first), *rows, _whole_sweep(bars, first)]


def _one_combination(bars: Bars, peer: Peer, grid: Grid) -> dict[str, Any]:
    """`tk.backtest` on bars with nothing made before, and its figures, against vectorbt on the same combination."""
    [(window, rules)] = grid.sample(3)[1:2]
    leave = peer.exits(engine_trades(bars, window, rules))
    ours, theirs = [], []
    for _ in range(12):
        began = time.perf_counter()
        metrics = one_backtest(bars, window, rules).metrics
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        peer_figures(peer.simulate(peer.entries(window), rules, leave))
        theirs.append(time.perf_counter() - began)
    exact = peer.simulate_exactly(window, rules, leave)
    assert abs(exact.total_profit() / NOTIONAL - metrics["total_return"]) <= RETURN_TOLERANCE
    mine, other = float(np.median(ours[2:])), float(np.median(theirs[2:]))
    return {
        "what": f"one backtest, one combination, nothing cached; {metrics['trades']:.0f} trades",
        "value": f"{mine * 1e3:.1f} ms",
        "peer": f"vectorbt-rust {other * 1e3:.0f} ms",
        "ratio": other / mine,
        "bar": ">= 10x",
    }


def _whole_sweep(bars: Bars, grid: Grid) -> dict[str, Any]:
    """The first grid as a user sweeps it: plan, Parquet, the best ones' trades and the report."""
    rules = {name: list(dict.fromkeys(getattr(r, name) for r in grid.rules)) for name in ("stop", "target", "max_hold")}
    seconds = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            result = sweep(
                bars={"BTC/USDT": fresh(bars)},
                root=Path(folder),
                intervals=["1m"],
                strategies=[{"name": "bench_channel", "params": {"window": list(grid.windows)}}],
                rules={**rules, "side": "long"},
            )
            seconds.append(time.perf_counter() - began)
            combinations = result.combinations_tried
    return {
        "what": f"{combinations:,} combinations through tk.sweep: tables, the best ones' trades, report",
        "value": f"{min(seconds):.2f} s, {min(seconds) / combinations * 1e6:.0f} us a combination",
        "peer": "",
        "ratio": None,
        "bar": "reported",
    }
