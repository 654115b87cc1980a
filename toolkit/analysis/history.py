"""The bars that one strategy instance needs: its range, the history before it, and a finer series where asked for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.bars.intervals import floor_ts, interval_ms
from toolkit.bars.load import load_bars
from toolkit.bars.moments import EARLIEST_MS, Moment, check_range, to_ms
from toolkit.bars.series import Bars, utc
from toolkit.bars.store import Store
from toolkit.bars.symbols import canonical_symbol
from toolkit.engine.rules import TradeRules, parse_distance, parse_when
from toolkit.errors import InputError
from toolkit.factors.table import parse_spec
from toolkit.strategy import Lookback, Strategy, lookback_start


@dataclass(frozen=True)
class Span:
    """Which bars of the store are traded.

    Attributes
    ----------
    start, end : first moment that is traded, and the first that is left out; None = all that is stored.
    exchange, base : where several hold the symbol, and the stored interval that orders fill on (default: the finest).
    db : the database, `bars.duckdb` in the data folder unless named.
    """

    start: Moment | None = None
    end: Moment | None = None
    exchange: str | None = None
    base: str | None = None
    db: Path | str | None = field(default=None)

    def __post_init__(self) -> None:
        check_range(self.start_ms, None if self.end is None else to_ms(self.end, "end"))

    @property
    def start_ms(self) -> int | None:
        return None if self.start is None else to_ms(self.start, "start")


def load_history(strategy: Strategy, params: Any, rules: TradeRules, symbol: str, interval: str, span: Span) -> Bars:
    """Bars of `interval` from as far before `span.start` as the strategy and the rules look back, where that is stored.

    Raises
    ------
    InputError, UnknownNameError, StoreError : see `load_bars`; also where no bar opens from `span.start` on.
    """
    check_interval(strategy, interval)
    start_ms = span.start_ms
    warmup = 0 if start_ms is None else start_ms - history_start(strategy, params, rules, interval, start_ms)
    bars = load_bars(
        symbol, interval, span.start, span.end,
        exchange=span.exchange, base=span.base, native=strategy.native,
        peers=[p for p in strategy.peers if canonical_symbol(p) != canonical_symbol(symbol)],
        warmup_ms=warmup, db=span.db,
    )  # fmt: skip
    require_traded(bars, start_ms)
    return bars


def check_interval(strategy: Strategy, interval: str) -> None:
    """`InputError` for an interval that the strategy does not declare."""
    interval_ms(interval)
    if interval not in strategy.intervals:
        raise InputError(
            f"strategy {strategy.name} is not meant for interval {interval!r}; "
            f"it declares {', '.join(strategy.intervals)}"
        )


def require_traded(bars: Bars, start_ms: int | None) -> None:
    """`InputError` where no bar of the interval is complete, or no base bar opens at or after `start_ms`."""
    base = bars.base
    if len(base) and not len(bars):
        raise InputError(
            f"{base.exchange} {base.symbol} {base.interval} holds no complete bar of {bars.interval} between "
            f"{utc(int(base.ts[0]))} and {utc(int(base.ts[-1]) + base.interval_ms)}; widen the range, or choose a "
            f"lower interval"
        )
    if not len(bars) or (start_ms is not None and int(base.ts[-1]) < start_ms):
        last = f"the last bar is {utc(int(base.ts[-1]))}" if len(base) else "the series is empty"
        since = "" if start_ms is None else f" from {utc(start_ms)} on"
        raise InputError(
            f"no bars of {base.exchange} {base.symbol} {base.interval}{since}: {last}; choose another range"
        )


def history_start(strategy: Strategy, params: Any, rules: TradeRules, interval: str, start_ms: int) -> int:
    """Epoch ms from which history decides the signals, distances and exit conditions of the bar at `start_ms`."""
    first = floor_ts(start_ms, interval_ms(interval))
    specs = [parse_when(rule.when)[0] for rule in rules.exits if rule.when is not None]
    specs += [parse_distance(name, getattr(rules, name)).column for name in ("stop", "target", "trail")]
    starts = [factor_start(spec, interval, first) for spec in specs if spec]
    return min(start_ms, signal_start(strategy.name, strategy.lookback(params), interval, first), *starts)


def signal_start(strategy: str, lookback: Lookback, interval: str, bar_ms: int) -> int:
    """Epoch ms from which history decides the signals of the bar of `interval` that opens at `bar_ms`."""
    return _within_calendar(
        lookback_start(lookback, interval, bar_ms),
        bar_ms,
        f"the lookback of strategy {strategy} on {interval}",
        lookback,
    )


def factor_start(spec: str, interval: str, bar_ms: int) -> int:
    """Epoch ms from which history decides the value of a rule's factor on the bar that opens at `bar_ms`."""
    warmup_ms = parse_spec(spec).warmup_ms(interval)
    return _within_calendar(bar_ms - warmup_ms, bar_ms, "the lookback of a rule's factor", spec)


def _within_calendar(history_ms: int, bar_ms: int, what: str, lookback: object) -> int:
    if history_ms < EARLIEST_MS:
        raise InputError(
            f"{what} must not reach back from {utc(bar_ms)} beyond the year 1, was {lookback}; choose a shorter window"
        )
    return history_ms


def load_finer(bars: Bars, db: Path | str | None) -> Bars | None:
    """The finest stored series of the same symbol that divides the base interval of `bars`; None: there is none."""
    base = bars.base
    keys = [k for k in Store(Path(db) if db is not None else None).series_keys() if k.origin == "official"]
    finer = [
        k.interval
        for k in keys
        if (k.exchange, k.symbol) == (base.exchange, base.symbol)
        and interval_ms(k.interval) < base.interval_ms
        and base.interval_ms % interval_ms(k.interval) == 0
    ]
    if not finer:
        return None
    name = min(finer, key=interval_ms)
    end_ms = int(base.ts[-1]) + base.interval_ms
    return load_bars(base.symbol, name, int(base.ts[0]), end_ms, exchange=base.exchange, base=name, db=db)
