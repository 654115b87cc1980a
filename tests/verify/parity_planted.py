"""A small portfolio whose inputs can be changed one at a time, and its runs as `compare` takes them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from toolkit.bars.series import Bars, from_arrays
from toolkit.bars.synthetic import synthetic_bars
from toolkit.engine.account import ACT
from toolkit.engine.rules import Costs, TradeRules
from toolkit.engine.types import ACCEPTED
from toolkit.portfolio.backtest import portfolio_backtest
from toolkit.portfolio.limits import Limits
from toolkit.portfolio.loading import LoadedMember
from toolkit.portfolio.members import Member
from toolkit.portfolio.result import PortfolioResult
from toolkit.portfolio.simulate import PortfolioRun, simulate
from toolkit.types import Records
from toolkit.verify.parity_tables import RunTables

SYMBOLS = ("BTC/USDT", "ETH/USDT")
DAYS = 12
COSTS = Costs(taker_rate=0.0005, slippage_bps=2.0)
LIMITS = Limits(max_open=3, max_gross=0.9)
_COLUMNS = ("ts", "open", "high", "low", "close", "volume")


@cache
def minutes() -> Mapping[str, Bars]:
    return synthetic_bars(list(SYMBOLS), days=DAYS, seed=21)


def members() -> list[Member]:
    """Breakouts on both symbols and both sides, refused entries blocking for an hour."""
    rules = TradeRules(side="both", stop=0.006, target=0.009, max_hold="3h", signal_timeout="1h")
    return [
        Member("volatility_breakout", symbol, "5m", {"window": window}, rules, COSTS)
        for symbol in SYMBOLS
        for window in (12, 30)
    ]


@cache
def plain() -> PortfolioResult:
    return made(minutes())


def made(bars: Mapping[str, Bars]) -> PortfolioResult:
    """The portfolio on these bars, from the third day on."""
    start = int(minutes()["BTC/USDT"].ts[0]) + 2 * 86_400_000
    return portfolio_backtest(members(), bars=bars, start=start, limits=LIMITS, beside=False)


def altered(change: Callable[[LoadedMember], LoadedMember], instance: str) -> PortfolioResult:
    """The portfolio with one instance prepared otherwise, under its own name."""
    loaded = [change(one) if one.instance.id == instance else one for one in plain().run.members]
    return again(loaded=loaded)


def again(
    loaded: Sequence[LoadedMember] | None = None, acts: Sequence[tuple[int, int, int, float]] = (), **over: Any
) -> PortfolioResult:
    """The portfolio simulated once more with something changed."""
    result = plain()
    run, limits = result.run, over.get("limits", result.limits)
    records: Records | None = np.array(list(acts), ACT) if acts else None
    capital = over.get("capital", run.capital)
    new = simulate(
        loaded or run.members, over.get("schedule", result.schedule), limits, capital=capital,
        start_ms=run.start_ms, end_ms=run.end_ms, acts=records,
    )  # fmt: skip
    return replace(result, run=new, limits=limits)


def with_verdict(one: LoadedMember, side: int, t: int, verdict: int) -> LoadedMember:
    """The member with one entry of a side decided by the caller."""
    legs = dict(one.prepared.legs)
    signals = legs[side]
    verdicts = np.full(len(signals.entry_t), ACCEPTED, np.uint8)
    verdicts[np.searchsorted(signals.entry_t, t)] = verdict
    legs[side] = signals._replace(verdicts=verdicts)
    return replace(one, prepared=replace(one.prepared, legs=legs))


def without_entry(one: LoadedMember, side: int, t: int) -> LoadedMember:
    """The member without one raw entry of a side."""
    legs = dict(one.prepared.legs)
    signals = legs[side]
    kept = signals.entry_t != t
    legs[side] = signals._replace(entry_t=signals.entry_t[kept], distances=signals.distances[:, kept])
    return replace(one, prepared=replace(one.prepared, legs=legs))


def with_bars(symbol: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Mapping[str, Bars]:
    """The series with the stored columns of one symbol changed."""
    base = minutes()[symbol]
    kept = ~base.filled
    columns = change({name: np.array(getattr(base, name)[kept]) for name in _COLUMNS})
    new = from_arrays(*columns.values(), interval="1m", symbol=symbol, exchange=base.exchange)
    return {**minutes(), symbol: new}


def tables_of(result: PortfolioResult, name: str = "A", acts: Sequence[Mapping[str, Any]] = ()) -> RunTables:
    """What `read_tables` finds in the folders of a backtest and of a session: bars are both's."""
    run: PortfolioRun = result.run
    tables = {n: getattr(result, n) for n in ("signals", "audit", "orders", "trades", "equity")}
    series = {m.instance.id: (m.bars.base.exchange, m.instance.symbol, m.bars.base.interval) for m in run.members}
    return RunTables(
        name, "portfolio", tables, run.start_ms, run.end_ms, bars_of(result), series, tuple(acts), run.capital
    )  # fmt: skip


def bars_of(result: PortfolioResult) -> pl.DataFrame:
    parts = []
    for bars in result.bases():
        base = bars.base
        columns = {name: getattr(base, name) for name in (*_COLUMNS, "filled")}
        keys = {"exchange": base.exchange, "symbol": base.symbol, "base": base.interval}
        parts.append(pl.DataFrame(columns).select(*(pl.lit(v).alias(k) for k, v in keys.items()), pl.all()))
    return pl.concat(parts)
