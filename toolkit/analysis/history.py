"""The bars that one strategy instance needs: its range, the history before it, and a finer series where asked for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.bars.intervals import interval_ms
from toolkit.bars.load import load_bars
from toolkit.bars.moments import Moment, check_range, to_ms
from toolkit.bars.series import Bars, utc
from toolkit.bars.store import Store
from toolkit.bars.symbols import canonical_symbol
from toolkit.engine.lookback import check_interval, history_start
from toolkit.engine.rules import TradeRules
from toolkit.errors import InputError
from toolkit.strategy import Strategy


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
