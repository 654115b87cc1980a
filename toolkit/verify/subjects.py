"""What is held against look-ahead: a strategy with one set of parameters, or factors that share a lookback."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

import numpy as np
from numpy.random import Generator

from toolkit.bars.intervals import interval_ms
from toolkit.bars.series import Bars
from toolkit.errors import InputError
from toolkit.factors import Param, factor_lookback, factor_names, get_factor
from toolkit.factors.registry import FactorParam
from toolkit.factors.table import FactorSpec
from toolkit.strategy import Lookback, Strategy, lookback_start
from toolkit.types import BoolArray, FloatArray, IntArray

Arrays = Mapping[str, BoolArray | FloatArray]


@dataclass(frozen=True)
class StrategySubject:
    """The signal arrays of a strategy with one set of parameters."""

    strategy: Strategy
    params: Any

    @property
    def name(self) -> str:
        return self.strategy.name

    @property
    def params_text(self) -> str:
        return ", ".join(f"{k}={v}" for k, v in self.params._asdict().items())

    @property
    def lookback(self) -> Lookback:
        return self.strategy.lookback(self.params)

    def arrays(self, bars: Bars) -> Arrays:
        return self.strategy.signals(bars, self.params)._asdict()


@dataclass(frozen=True)
class FactorSubject:
    """Factors whose lookback, in the contract's form, is the same; those that are sparse apart from the others.

    asked : closes (epoch ms, ascending) of the bars at which sparse ones are computed, NaN elsewhere; None = every bar.
    """

    specs: tuple[FactorSpec, ...]
    lookback: Lookback
    name: str = "factors"
    params_text: str = ""
    asked: tuple[int, ...] | None = None

    @property
    def sparse(self) -> bool:
        return any(get_factor(spec.name).sparse for spec in self.specs)

    def arrays(self, bars: Bars) -> Arrays:
        if self.asked is None:
            return {spec.text: spec.values(bars) for spec in self.specs}
        at = np.searchsorted(bars.close_ts, self.asked)
        there = at[(at < len(bars)) & np.isin(self.asked, bars.close_ts)]
        return {spec.text: _at_alone(spec, bars, there) for spec in self.specs}

    def asked_at(self, closes: Iterable[int]) -> "FactorSubject":
        """The same, computed at these closes alone where it is sparse."""
        return replace(self, asked=tuple(closes)) if self.sparse else self


def _at_alone(spec: FactorSpec, bars: Bars, indices: IntArray) -> FloatArray:
    values = np.full(len(bars), np.nan)
    values[indices] = spec.values_at(bars, indices)
    return values


Subject = StrategySubject | FactorSubject


def until(subject: Subject, known_ms: int, last: bool = False) -> Subject:
    """The subject without what is asked of it after a moment; with `last` what it says at that moment alone."""
    if isinstance(subject, StrategySubject) or subject.asked is None:
        return subject
    return subject.asked_at(close for close in subject.asked if close == known_ms or (not last and close < known_ms))


def start_of(subject: Subject, interval: str, ts_ms: int) -> int:
    """Epoch ms from which on history is declared to decide the value of the bar of `interval` opening at `ts_ms`."""
    return lookback_start(subject.lookback, interval, ts_ms)


def longest_ms(subject: Subject, interval: str) -> int:
    """The declared lookback as a time, at the bar where it reaches back the farthest."""
    lookback = subject.lookback
    named = lookback if isinstance(lookback, Mapping) else {"signal": lookback}
    own = interval_ms(interval)
    return max(n * own if name == "signal" else (n + 1) * interval_ms(name) for name, n in named.items()) + own


def strategy_subjects(
    strategy: Strategy, variations: int, rng: Generator, pinned: Mapping[str, Any] | None = None
) -> list[StrategySubject]:
    """The default parameters, then so many random sets near them whose lookback can be told.

    In the first random set every number and switch is another one than by default; in the later ones every number
    that is not zero is, and the others are in half of the cases. `pinned` values are the same in all sets.
    """
    given = dict(pinned or {})
    default = strategy.params(given)
    found = [StrategySubject(strategy, default)]
    free = [name for name in variable(strategy) if name not in given]
    for _ in range(20 * variations if free else 0):
        if len(found) > variations:
            break
        chosen = [n for n in free if len(found) == 1 or not _is_off(getattr(default, n)) or rng.random() < 0.5]
        params = _varied(strategy, default, chosen, rng)
        if params not in [s.params for s in found] and _accepted(strategy, params):
            found.append(StrategySubject(strategy, params))
    return found


def one_varied(strategy: Strategy, default: Any, name: str, rng: Generator) -> StrategySubject | None:
    """The default parameters with another value of `name` alone; None where the lookback cannot be told from it."""
    params = _varied(strategy, default, [name], rng)
    return StrategySubject(strategy, params) if _accepted(strategy, params) else None


def variable(strategy: Strategy) -> list[str]:
    """Parameters that can be drawn at random: numbers and switches, not texts."""
    hints = get_type_hints(strategy.params_type)
    return [name for name in strategy.params_type._fields if hints[name] in (bool, int, float)]


def differing_names(params: Any, other: Any) -> set[str]:
    """Parameters that do not have the same value in both."""
    return {name for name, value in params._asdict().items() if value != getattr(other, name)}


def _varied(strategy: Strategy, default: Any, names: Iterable[str], rng: Generator) -> Any:
    hints = get_type_hints(strategy.params_type)
    values = {name: _another(getattr(default, name), hints[name], rng) for name in names}
    return strategy.params(default._asdict() | values)


def _another(value: Any, kind: type, rng: Generator) -> bool | int | float:
    """The other switch; of a number something from a half to one and a half times it; of a zero a small number."""
    if kind is bool:
        return not value
    if _is_off(value):
        return int(rng.integers(1, 3)) if kind is int else float(rng.choice((0.5, 1.0, 2.0)))
    scaled = abs(value) * float(rng.uniform(0.5, 1.5))
    if kind is float:
        number = float(f"{scaled:.6g}")
        return math.copysign(number if number != abs(value) else 1.25 * abs(value), value)
    whole = max(1, round(scaled))
    return int(math.copysign(whole if whole != abs(value) else whole + 1, value))


def _is_off(value: Any) -> bool:
    return isinstance(value, bool) or not value or not math.isfinite(value)


def _accepted(strategy: Strategy, params: Any) -> bool:
    try:
        lookback_start(strategy.lookback(params), strategy.intervals[0], 0)
    except Exception:
        # The strategy's own code, on values its author did not choose.
        return False
    return True


def factor_subjects(interval: str, peers: Iterable[str]) -> list[FactorSubject]:
    """Every registered factor with its defaults and with small and odd windows, on the interval itself and, below a
    day, on daily bars; factors that share a lookback together. Those that read a peer are asked of each of `peers`."""
    grouped: dict[tuple[bool, tuple[tuple[str, int], ...]], list[FactorSpec]] = {}
    for name in factor_names():
        for params in _representative(name, tuple(peers)):
            for on in (None, "1d") if interval_ms(interval) < interval_ms("1d") else (None,):
                spec = FactorSpec(name, params, on)
                lookback = _spec_lookback(spec, interval)
                if lookback is not None:
                    key = (get_factor(name).sparse, tuple(lookback.items()))
                    grouped.setdefault(key, []).append(spec)
    return [FactorSubject(tuple(specs), dict(lookback)) for (_, lookback), specs in grouped.items()]


def _representative(name: str, peers: tuple[str, ...]) -> list[tuple[Any, ...]]:
    sets: list[tuple[Any, ...]] = [()]
    found = get_factor(name)
    if found.sparse:
        # Each value may be a fit: the defaults, and the least of every number.
        return list(dict.fromkeys((tuple(p.default for p in found.params), tuple(_least(p) for p in found.params))))
    for param in found.params:
        if isinstance(param.default, str):
            sets = [(*s, peer) for s in sets for peer in peers]
        else:
            low, high = param.minimum, param.maximum or 10**6
            numbers = {min(high, max(low, n)) for n in (param.default, 7)}
            sets = [(*s, n) for s in sets for n in sorted(numbers)]
    return sets


def _least(param: Param) -> FactorParam:
    return param.default if isinstance(param.default, str) else param.minimum


def _spec_lookback(spec: FactorSpec, interval: str) -> dict[str, int] | None:
    """The factor's lookback in a strategy's form; None where the factor is not for bars of this length."""
    step = interval_ms(spec.interval or interval)
    try:
        bars = factor_lookback(spec.name, step, *spec.params)
    except InputError:
        return None
    return {"signal": bars} if spec.interval is None else {spec.interval: bars}
