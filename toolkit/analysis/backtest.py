"""`tk.backtest` and `tk.backtest_signals`: one instance over one series."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.analysis.history import Span, load_finer, load_history, require_traded
from toolkit.analysis.result import BacktestResult
from toolkit.bars.moments import Moment, to_ms
from toolkit.bars.series import Bars
from toolkit.engine.identity import Instance, code_hash
from toolkit.engine.lookback import check_interval
from toolkit.engine.rules import Costs, TradeRules, costs_from, rules_from
from toolkit.engine.run import prepare, run
from toolkit.engine.signals import verdicts_by_side
from toolkit.errors import InputError
from toolkit.strategy import Signals, Strategy, checked_signals, get_strategy, registered
from toolkit.types import ByteArray, FloatArray

Verdicts = ByteArray | Mapping[int | str, ByteArray] | None


def backtest(
    strategy: str | Strategy | Callable[..., Signals],
    bars: Bars | str,
    *,
    interval: str | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    params: Mapping[str, Any] | None = None,
    rules: TradeRules | Mapping[str, Any] | None = None,
    costs: Costs | Mapping[str, Any] | None = None,
    notional: float = 10_000.0,
    compound: bool = False,
    verdicts: Verdicts = None,
    predictions: FloatArray | None = None,
    finer: Bars | str | None = "auto",
    exchange: str | None = None,
    base: str | None = None,
    db: Path | str | None = None,
    strategies: Iterable[str] | None = None,
) -> BacktestResult:
    """Run one strategy over one series.

    Parameters
    ----------
    strategy : its name, or the decorated function itself.
    bars : `Bars` on the signal interval, or a stored symbol ("BTC/USDT") with `interval`; then the history that the
        strategy looks back on is loaded before `start` too.
    start, end : first moment that is traded, and the first that is left out (UTC); None = all. Bars before `start` only
        feed the strategy.
    params, rules, costs : over the strategy's, `TradeRules`' and `Costs`' defaults; mappings as in TOML are read too.
    notional : money of every trade, and the capital that returns are measured on.
    compound : days earn on the equity of their beginning (figures and equity; trades keep their fixed notional).
    verdicts : uint8, one a signal bar, for both sides or by side ("long" and "short", or LONG and SHORT): 1 accepts, 2
        vetoes, 3 rejects an entry proposed there.
    predictions : float64, one a signal bar: a model's value, carried into `signals` and `trades`.
    finer : the series that `policy="finer"` reads; "auto" looks in the store for a finer one than the base.
    exchange, base, db : see `load_bars`. strategies : modules that hold strategies, default as in pyproject.toml.

    Raises
    ------
    InputError and its kinds : unknown names, values that break a rule, a range without bars, a strategy that raises or
    returns wrong arrays. StoreError : the database cannot be used.
    """
    chosen = _resolve(strategy, strategies)
    values = chosen.params(params)
    trade_rules = rules if isinstance(rules, TradeRules) else rules_from(rules or {})
    span = Span(start, end, exchange, base, db)
    if isinstance(bars, str):
        if interval is None:
            raise InputError(
                f"`interval` must be named with a symbol; {chosen.name} is for {', '.join(chosen.intervals)}"
            )
        series = load_history(chosen, values, trade_rules, bars, interval, span)
    else:
        series = _given(bars, interval, span)
        check_interval(chosen, series.interval)
    instance = Instance(
        chosen.name, values._asdict(), trade_rules, series.symbol, series.interval, code_hash(chosen)
    )  # fmt: skip
    return _simulate(
        instance, series, chosen.signals(series, values), costs,
        start_ms=span.start_ms, notional=notional, compound=compound, verdicts=verdicts, predictions=predictions,
        finer=_finer(series, trade_rules, finer, db),
    )  # fmt: skip


def backtest_signals(
    bars: Bars,
    signals: Signals,
    rules: TradeRules | Mapping[str, Any] | None = None,
    costs: Costs | Mapping[str, Any] | None = None,
    *,
    name: str = "signals",
    start: Moment | None = None,
    notional: float = 10_000.0,
    compound: bool = False,
    verdicts: Verdicts = None,
    predictions: FloatArray | None = None,
    finer: Bars | None = None,
) -> BacktestResult:
    """Run raw signal arrays, one element a bar of `bars`; everything else is as in `backtest`.

    The arrays stand for the code in the instance's identity: equal arrays give equal ids.
    """
    trade_rules = rules if isinstance(rules, TradeRules) else rules_from(rules or {})
    arrays = checked_signals(signals, len(bars), name)
    require_traded(bars, None)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()
    instance = Instance(name, {}, trade_rules, bars.symbol, bars.interval, digest)
    start_ms = None if start is None else to_ms(start, "start")
    require_traded(bars, start_ms)
    return _simulate(
        instance, bars, arrays, costs,
        start_ms=start_ms, notional=notional, compound=compound, verdicts=verdicts, predictions=predictions,
        finer=finer,
    )  # fmt: skip


def _resolve(strategy: str | Strategy | Callable[..., Signals], modules: Iterable[str] | None) -> Strategy:
    if isinstance(strategy, Strategy):
        return strategy
    if isinstance(strategy, str):
        return get_strategy(strategy, modules)
    for known in registered().values():
        if known.function is strategy:
            return known
    raise InputError(
        f"{getattr(strategy, '__name__', strategy)!r} is no registered strategy; decorate it with @tk.strategy(...), "
        f"or pass its arrays to tk.backtest_signals"
    )


def _given(bars: Bars, interval: str | None, span: Span) -> Bars:
    """Bars from the caller on the interval and up to the end asked for."""
    series = bars if interval is None else bars.to(interval)
    if span.end is not None and len(series.base):
        series = series.window(int(series.base.ts[0]), to_ms(span.end, "end"))
    require_traded(series, span.start_ms)
    return series


def _finer(bars: Bars, rules: TradeRules, finer: Bars | str | None, db: Path | str | None) -> Bars | None:
    if isinstance(finer, Bars):
        return finer
    if finer not in (None, "auto"):
        raise InputError(f"`finer` must be Bars, 'auto' or None, was {finer!r}")
    return load_finer(bars, db) if finer == "auto" and rules.policy == "finer" else None


def _simulate(
    instance: Instance,
    bars: Bars,
    signals: Signals,
    costs: Costs | Mapping[str, Any] | None,
    *,
    start_ms: int | None,
    notional: float,
    compound: bool,
    verdicts: Verdicts,
    predictions: FloatArray | None,
    finer: Bars | None,
) -> BacktestResult:
    if isinstance(notional, bool) or not isinstance(notional, int | float) or not 0 < notional < math.inf:
        raise InputError(f"`notional` must be a positive amount of money, was {notional!r}")
    if predictions is not None:
        _check_predictions(predictions, len(bars))
    if finer is not None and instance.rules.policy != "finer":
        raise InputError(f"finer bars are read by policy 'finer' alone, the policy was {instance.rules.policy!r}")
    charged = costs if isinstance(costs, Costs) else costs_from(costs or {})
    prepared = prepare(
        bars, signals, instance.rules, charged, verdicts=verdicts_by_side(verdicts), finer=finer, start_ms=start_ms
    )  # fmt: skip
    return BacktestResult(
        instance=instance, bars=bars, signals_in=signals, prepared=prepared, records=run(prepared, float(notional)),
        costs=charged, notional=float(notional), compound=compound, predictions=predictions, finer=finer,
    )  # fmt: skip


def _check_predictions(predictions: FloatArray, n: int) -> None:
    if not isinstance(predictions, np.ndarray):
        raise InputError(f"predictions must be float64[{n}], one a signal bar, were a {type(predictions).__name__}")
    if predictions.shape != (n,) or predictions.dtype != np.float64:
        given = f"{predictions.dtype}{list(predictions.shape)}"
        raise InputError(f"predictions must be float64[{n}], one a signal bar, were {given}")
