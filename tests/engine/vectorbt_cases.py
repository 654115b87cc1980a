"""Random cases that the engine and vectorbt's `from_signals` both define, and vectorbt's answer to them.

vectorbt allows one order a bar and looks at no stop on the bar of the entry. Here each bar is two of its rows: an even
row is the bar itself, on which only a stop or target can fill, and the odd row after it is its close, on which signals
are read and fill at the next open. So a trade may enter and be stopped on one bar, and be stopped and signal on one.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import vectorbt as vbt

from toolkit.engine.rules import Costs, TradeRules
from toolkit.types import BoolArray, FloatArray, IntArray, Records

NOTIONAL = 1_000.0
N_BARS = 120


@dataclass(frozen=True)
class Kind:
    """What a family of cases has: which exits, how targets fill, and which costs vectorbt can express with them."""

    name: str
    stop: bool = False
    target: bool = False
    exits: bool = False
    hold: int = 0
    market_target: bool = False
    taker: float = 0.0
    maker: float = 0.0
    slippage_bps: float = 0.0

    def rules(self, side: int) -> TradeRules:
        return TradeRules(
            max_hold=self.hold or None,
            side="long" if side > 0 else "short",
            target_fill="market" if self.market_target else "touch",
        )

    def costs(self) -> Costs:
        return Costs(taker_rate=self.taker, maker_rate=self.maker, slippage_bps=self.slippage_bps)


# vectorbt has one slippage switch for stops and targets together: with both on, either targets are market orders too
# or nothing slips.
KINDS = (
    Kind("signal exits", exits=True, taker=0.001, maker=0.001, slippage_bps=5),
    Kind("stop", stop=True, taker=0.0006, slippage_bps=3),
    Kind("stop and exits", stop=True, exits=True, taker=0.0006, slippage_bps=3),
    Kind("resting target", target=True, taker=0.001, maker=0.0002, slippage_bps=5),
    Kind("resting target and exits", target=True, exits=True, taker=0.001, maker=-0.0001, slippage_bps=5),
    Kind("stop and resting target", stop=True, target=True, taker=0.001, maker=0.001),
    Kind("stop and market target", True, True, market_target=True, taker=0.001, slippage_bps=2),
    Kind("all but time", True, True, True, market_target=True, taker=0.001, slippage_bps=2),
    Kind("time", hold=9, taker=0.001, slippage_bps=2),
    Kind("all", True, True, True, hold=6, market_target=True, taker=0.001, slippage_bps=2),
)


class Cases(NamedTuple):
    """float64 or bool [N_BARS, n], a column a case; `stop` and `target` are fractions of the fill, NaN = none.

    `side` : int64[n]. `fill` : the price of an entry decided on the bar. `stop_level`, `target_level` : where the
    orders of that entry lie, computed as vectorbt computes them.
    """

    side: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    enter: BoolArray
    exit: BoolArray
    stop: FloatArray
    target: FloatArray
    fill: FloatArray
    stop_level: FloatArray
    target_level: FloatArray


def make_cases(kind: Kind, n: int, seed: int) -> Cases:
    """`n` cases, long and short in turn. Prices are on a coarse grid so that they repeat; a fifth of the bars open
    with a gap, a tenth are wide enough for a stop and a target, and a third touch a level exactly."""
    rng = np.random.default_rng(seed)
    shape = (N_BARS, n)
    side = np.where(np.arange(n) % 2 == 0, 1, -1).astype(np.int64)
    stop = np.where(rng.random(shape) < (0.9 if kind.stop else 0.0), rng.uniform(0.001, 0.02, shape), np.nan)
    target = np.where(rng.random(shape) < (0.9 if kind.target else 0.0), rng.uniform(0.001, 0.03, shape), np.nan)
    open_, high, low, close = (np.empty(shape) for _ in range(4))
    fill, stop_level, target_level = (np.full(shape, np.nan) for _ in range(3))
    slip = 1.0 + side * (kind.slippage_bps / 1e4)
    columns = np.arange(n)
    last = np.full(n, 100.0)
    for k in range(N_BARS):
        gap = np.where(rng.random(n) < 0.2, rng.normal(0.0, 0.015, n), 0.0)
        opens = _grid(last * (1.0 + gap))
        # The level of an entry decided up to eight bars ago, this bar's own included (decided one bar ago).
        decided = np.maximum(k - rng.integers(1, 9, n), 0)
        levels = stop_level if rng.random() < 0.5 else target_level
        at_level = (rng.random(n) < 0.05) & (decided < k - 1)
        opens = np.where(at_level & np.isfinite(levels[decided, columns]), levels[decided, columns], opens)
        open_[k] = opens
        if k > 0:
            fill[k - 1] = opens * slip
            stop_level[k - 1] = fill[k - 1] * (1.0 - side * stop[k - 1])
            target_level[k - 1] = fill[k - 1] * (1.0 + side * target[k - 1])
        wide = np.where(rng.random(n) < 0.1, 0.03, 0.004)
        close[k] = _grid(opens * (1.0 + rng.normal(0.0, 0.5, n) * wide))
        top, bottom = np.maximum(opens, close[k]), np.minimum(opens, close[k])
        high[k] = np.maximum(_grid(top * (1.0 + rng.exponential(0.5, n) * wide)), top)
        low[k] = np.minimum(_grid(bottom * (1.0 - rng.exponential(0.5, n) * wide)), bottom)
        touched = np.where(rng.random(n) < 0.35, levels[decided, columns], np.nan)
        high[k] = np.where(touched > top, touched, high[k])
        low[k] = np.where(touched < bottom, touched, low[k])
        last = close[k]
    enter = rng.random(shape) < rng.choice([0.1, 0.4, 1.0], n)
    leave = rng.random(shape) < (rng.choice([0.05, 0.2], n) if kind.exits else 0.0)
    return Cases(side, open_, high, low, close, enter, leave, stop, target, fill, stop_level, target_level)


def _grid(price: FloatArray) -> FloatArray:
    rounded: FloatArray = np.round(price * 8.0) / 8.0
    return rounded


def vectorbt_trades(kind: Kind, cases: Cases) -> Records:
    """vectorbt's exit-trade records, sorted by case and entry. A holding time is turned into exit signals: vectorbt is
    run, the first trade of each case that is held too long gets an exit, and again until none is."""
    leave = np.repeat(cases.exit, 2, axis=0)
    trades = _from_signals(kind, cases, leave).trades.values
    pending = np.arange(len(cases.side))
    while kind.hold:
        due = trades["entry_idx"] + 2 * kind.hold
        # The close of the last bar has no next open to leave at.
        late = np.flatnonzero((trades["exit_idx"] > due) & (due < 2 * N_BARS - 1))
        if not len(late):
            break
        columns, first = np.unique(trades["col"][late], return_index=True)
        leave[due[late[first]], columns] = True
        pending = columns
        some = Cases(*(a[pending] if a.ndim == 1 else a[:, pending] for a in cases))
        anew = _from_signals(kind, some, leave[:, pending]).trades.values
        anew["col"] = pending[anew["col"]]
        trades = np.concatenate([trades[~np.isin(trades["col"], pending)], anew])
        trades = trades[np.lexsort((trades["entry_idx"], trades["col"]))]
    ordered: Records = trades
    return ordered


def _from_signals(kind: Kind, cases: Cases, leave: BoolArray) -> Any:
    rows = 2 * N_BARS
    at_close = (np.arange(rows) % 2 == 1)[:, None]
    signals = at_close & (np.arange(rows) < rows - 1)[:, None]

    def twice(values: Any) -> Any:
        return np.repeat(values, 2, axis=0)

    close = twice(cases.close)
    next_open = np.vstack([cases.open[1:], cases.close[-1:]])
    return vbt.Portfolio.from_signals(
        close,
        entries=twice(cases.enter) & signals,
        exits=leave & signals,
        direction=np.where(cases.side > 0, 0, 1)[None, :],
        price=twice(next_open),
        open=np.where(at_close, close, twice(cases.open)),
        high=np.where(at_close, close, twice(cases.high)),
        low=np.where(at_close, close, twice(cases.low)),
        size=NOTIONAL / close,
        # Only stops and targets fill on even rows, so a maker rate there is the targets' own where there is no stop.
        fees=np.where(at_close | kind.stop, kind.taker, kind.taker if kind.market_target else kind.maker),
        slippage=kind.slippage_bps / 1e4,
        sl_stop=twice(cases.stop),
        tp_stop=twice(cases.target),
        stop_entry_price="FillPrice",
        stop_exit_price="StopMarket" if kind.market_target or not kind.target else "StopLimit",
        upon_long_conflict="Exit",
        upon_short_conflict="Exit",
        init_cash=1e9,
        engine="rust",
    )
