"""Random bars, signals, rules and costs that reach every corner of the trade lifecycle."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.random import Generator

from toolkit.bars.intervals import DAY_MS, interval_ms
from toolkit.bars.series import Bars, from_arrays
from toolkit.engine.rules import Costs, ExitRule, TradeRules
from toolkit.engine.types import LONG, SHORT
from toolkit.strategy import Signals
from toolkit.types import ByteArray

_START_MS = 19_000 * DAY_MS
_BASE, _FINER = "5m", "1m"
_SIGNAL_INTERVALS = ("5m", "5m", "15m", "1h")
_LONG_INTERVALS = ("5m", "1h", "1d", "1w")
_POLICIES = ("pessimistic", "optimistic", "ohlc", "adaptive", "finer")


@dataclass(frozen=True)
class Case:
    """One instance for the engine; the names are those of `toolkit.engine.run.prepare`."""

    seed: int
    bars: Bars
    signals: Signals
    rules: TradeRules
    costs: Costs
    verdicts: dict[int, ByteArray]
    finer: Bars | None
    start_ms: int | None

    def __str__(self) -> str:
        default = TradeRules()
        chosen = [
            f"{f.name}={getattr(self.rules, f.name)!r}"
            for f in fields(TradeRules)
            if getattr(self.rules, f.name) != getattr(default, f.name)
        ]
        return f"seed {self.seed}: {self.bars.interval} signals on {len(self.bars.base)} bars, {', '.join(chosen)}"


def random_case(seed: int) -> Case:
    """The case of a seed; equal seeds give equal cases."""
    rng = np.random.default_rng(seed)
    # Some are long enough for blocks of 4,096 bars to be passed in one look, with few events to stop at.
    long = rng.random() < 0.04
    n = int(rng.integers(9_000, 14_000)) if long else int(rng.integers(30, 400))
    finer = random_bars(rng, n * (interval_ms(_BASE) // interval_ms(_FINER)), _FINER)
    base = _stored_base(finer)
    bars = base.to(str(rng.choice(_LONG_INTERVALS if long else _SIGNAL_INTERVALS)))
    rate = (0.002 if bars.interval == "5m" else 0.3) if long else float(rng.choice([0.02, 0.1, 0.4]))
    policy = str(rng.choice(_POLICIES))
    return Case(
        seed,
        bars,
        random_signals(rng, bars, rate),
        random_rules(rng, policy, wide=long),
        random_costs(rng),
        {side: random_verdicts(rng, len(bars)) for side in (LONG, SHORT) if rng.random() < 0.5},
        finer if policy == "finer" else None,
        int(rng.choice(base.ts)) if rng.random() < 0.15 else None,
    )


def random_bars(rng: Generator, n: int, interval: str) -> Bars:
    """A walk on a coarse price grid (ties), with jumps, missing bars, runs of zero volume and unknown volume."""
    tick = float(rng.choice([0.01, 0.1, 0.5]))
    moves = rng.normal(0, 0.1, n) + np.where(rng.random(n) < 0.01, rng.normal(0, 2.0, n), 0.0)
    close = 100.0 + np.abs(np.cumsum(moves))
    gap = np.where(rng.random(n) < 0.2, rng.normal(0, 0.2, n), 0.0)
    open_ = np.concatenate(([close[0]], close[:-1])) + gap
    wick = np.abs(rng.normal(0, 0.1, (2, n))) * (rng.random((2, n)) < 0.8)
    o, c = np.round(open_ / tick) * tick, np.round(close / tick) * tick
    h, lo = np.maximum(o, c) + np.round(wick[0] / tick) * tick, np.minimum(o, c) - np.round(wick[1] / tick) * tick
    volume = rng.uniform(1, 2, n)
    volume[rng.random(n) < 0.02] = np.nan
    for start in np.flatnonzero(rng.random(n) < 0.01):
        volume[start : start + rng.integers(1, 25)] = 0.0
    kept = np.ones(n, np.bool_)
    for start in np.flatnonzero(rng.random(n) < 0.003):
        kept[start : start + rng.integers(1, 40)] = False
    kept[[0, -1]] = True
    ts = _START_MS + int(rng.integers(0, 2000)) * interval_ms(_BASE)
    opens = ts + interval_ms(interval) * np.arange(n, dtype=np.int64)
    return from_arrays(opens[kept], o[kept], h[kept], lo[kept], c[kept], volume[kept], interval=interval)


def random_signals(rng: Generator, bars: Bars, rate: float) -> Signals:
    """Entries and exits in single bars and in runs, both at once included; distances with NaN, zero and negative."""

    def flags(share: float) -> Any:
        hit = rng.random(len(bars)) < share
        return hit | (np.roll(hit, 1) & (rng.random(len(bars)) < 0.7))

    def distances(scale: float) -> Any:
        values = np.round(rng.lognormal(0, 0.6, len(bars)) * scale, 2)
        values[rng.random(len(bars)) < 0.1] = np.nan
        values[rng.random(len(bars)) < 0.02] = 0.0
        values[rng.random(len(bars)) < 0.02] = -1.0
        return values

    leave = rate * float(rng.choice([0.0, 0.3, 1.0]))
    return Signals(flags(rate), flags(rate), flags(leave), flags(leave), distances(0.6), distances(0.8))


def random_verdicts(rng: Generator, n: int) -> ByteArray:
    """Accepted, vetoed and rejected in mixed shares."""
    return rng.choice(np.array([1, 2, 3], np.uint8), n, p=rng.dirichlet([2, 1, 1]))


def random_costs(rng: Generator) -> Costs:
    """Fees, slippage, funding of either sign and ticks, each on in about half of the cases."""
    funded = rng.random() < 0.5
    return Costs(
        taker_rate=float(rng.choice([0.0, 0.0005, 0.001])),
        maker_rate=float(rng.choice([-0.0001, 0.0, 0.0002])),
        slippage_bps=float(rng.choice([0.0, 1.0, 7.5])),
        funding_rate=float(rng.normal(0, 1e-4)) if funded else 0.0,
        funding_interval=str(rng.choice(["30m", "1h", "8h"])),
        tick=float(rng.choice([0.0, 0.0, 0.05, 0.25])),
    )


def random_rules(rng: Generator, policy: str, *, wide: bool = False) -> TradeRules:
    """Rules drawn one by one; `wide`: distances that a trade may live between for thousands of bars."""

    def one(*choices: Any) -> Any:
        return choices[int(rng.integers(len(choices)))]

    stop: Any = one("20%", None) if wide else one("signal", "signal", "0.5%", "1.5signal", "2atr(5)", None)
    target: Any = one("30%", None) if wide else one("signal", "signal", "0.6%", "3atr(5)", "1.5R", None)
    trail: Any = None if wide else one(None, None, None, "0.4%", "1.5atr(5)", "signal")
    if target == "1.5R" and stop is None and trail is None:
        target = "signal"
    return TradeRules(
        stop=stop,
        target=target,
        trail=trail,
        trail_on=one("close", "extreme"),
        max_hold=one(None, None, "1bars", "5bars", "2h", "30m") if not wide else None,
        signal_timeout=one(None, "1bars", "4bars", "90m"),
        entry_ttl=one(None, "5m", "15m", "3bars"),
        one_entry_per=one(None, None, "1h", "4h", "1d"),
        one_entry_scope=one("leg", "instance"),
        exits=_random_exits(rng),
        side=one("both", "both", "both", "long", "short"),
        policy=policy,
        target_fill=one("touch", "through", "market"),
    )


_EXITS = (
    (ExitRule(),),
    (ExitRule(max_profit="1R"),),
    (ExitRule(min_profit=0.001), ExitRule(on="time", after="2h", max_profit=0.0)),
    (ExitRule(when="roc(3) < 0"), ExitRule(on="time", after="3bars", when="rsi(5) > 60")),
    (ExitRule(on="time", min_profit="2R"), ExitRule(on="time", after="1h")),
    (),
)


def _random_exits(rng: Generator) -> tuple[ExitRule, ...]:
    return _EXITS[int(rng.integers(len(_EXITS)))]


def _stored_base(finer: Bars) -> Bars:
    """The base interval as a stored series of its own: the engine must not find the finer bars through it."""
    b = finer.to(_BASE)
    kept = ~b.filled
    if not kept.any():
        kept[0] = True
    return from_arrays(
        b.ts[kept], b.open[kept], b.high[kept], b.low[kept], b.close[kept], b.volume[kept], interval=_BASE
    )
