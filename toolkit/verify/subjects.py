"""What is held against look-ahead: a strategy with one set of parameters, or factors that share a lookback."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from numpy.random import Generator

from toolkit.bars.intervals import interval_ms
from toolkit.bars.series import Bars
from toolkit.factors import factor_lookback, factor_names, get_factor
from toolkit.factors.table import FactorSpec
from toolkit.strategy import Lookback, Strategy, lookback_start
from toolkit.types import BoolArray, FloatArray

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
    """Factors whose lookback, in the contract's form, is the same."""

    specs: tuple[FactorSpec, ...]
    lookback: Lookback
    name: str = "factors"
    params_text: str = ""

    def arrays(self, bars: Bars) -> Arrays:
        return {spec.text: spec.values(bars) for spec in self.specs}


Subject = StrategySubject | FactorSubject


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
    grouped: dict[tuple[tuple[str, int], ...], list[FactorSpec]] = {}
    for name in factor_names():
        for params in _representative(name, tuple(peers)):
            for on in (None, "1d") if interval_ms(interval) < interval_ms("1d") else (None,):
                spec = FactorSpec(name, params, on)
                lookback = _spec_lookback(spec, interval)
                if lookback is not None:
                    grouped.setdefault(tuple(lookback.items()), []).append(spec)
    return [FactorSubject(tuple(specs), dict(lookback)) for lookback, specs in grouped.items()]


def _representative(name: str, peers: tuple[str, ...]) -> list[tuple[Any, ...]]:
    sets: list[tuple[Any, ...]] = [()]
    for param in get_factor(name).params:
        if isinstance(param.default, str):
            sets = [(*s, peer) for s in sets for peer in peers]
        else:
            low, high = param.minimum, param.maximum or 10**6
            numbers = {min(high, max(low, n)) for n in (param.default, 7)}
            sets = [(*s, n) for s in sets for n in sorted(numbers)]
    return sets


def _spec_lookback(spec: FactorSpec, interval: str) -> dict[str, int] | None:
    """The factor's lookback in a strategy's form; None where the factor is not for bars of this length."""
    step = interval_ms(spec.interval or interval)
    if get_factor(spec.name).day_state and step > interval_ms("1d"):
        return None
    bars = factor_lookback(spec.name, step, *spec.params)
    return {"signal": bars} if spec.interval is None else {spec.interval: bars}
