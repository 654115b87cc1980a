"""What is held against look-ahead: a strategy with one set of parameters, or factors that share a lookback."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from numpy.random import Generator

from toolkit.bars.intervals import interval_ms
from toolkit.bars.series import Bars
from toolkit.errors import InputError, StrategyError
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


def strategy_subjects(strategy: Strategy, variations: int, rng: Generator) -> list[StrategySubject]:
    """The default parameters, then so many random sets near them that the strategy accepts."""
    default = strategy.params()
    found = [StrategySubject(strategy, default)]
    for _ in range(20 * variations):
        if len(found) > variations:
            break
        params = _varied(strategy, default, rng)
        if params not in [s.params for s in found] and _accepted(strategy, params):
            found.append(StrategySubject(strategy, params))
    return found


def _varied(strategy: Strategy, default: Any, rng: Generator) -> Any:
    """Each number times something from a half to one and a half; what is zero, a text or a switch is left alone."""
    hints = get_type_hints(strategy.params_type)
    values = {}
    for name, value in default._asdict().items():
        factor = float(rng.uniform(0.5, 1.5))
        if hints[name] is int and value:
            values[name] = max(1, round(value * factor))
        elif hints[name] is float:
            values[name] = round(value * factor, 6)
    return strategy.params(values)


def _accepted(strategy: Strategy, params: Any) -> bool:
    try:
        lookback_start(strategy.lookback(params), strategy.intervals[0], 0)
    except (InputError, StrategyError):
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
