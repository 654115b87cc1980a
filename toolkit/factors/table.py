"""Factor values at chosen bars, from specifications written as text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from toolkit.bars.intervals import DAY_MS, interval_ms
from toolkit.bars.series import Bars
from toolkit.bars.symbols import canonical_symbol
from toolkit.errors import InputError, UnknownNameError
from toolkit.factors.registry import FactorParam, checked_params, factor_lookback, factor_names, get_factor
from toolkit.factors.sets import get_set, members_of, set_names
from toolkit.types import FloatArray, IntArray

GRAMMAR = 'a factor is written as name, name(number, ...) or interval:name(...), such as "atr(14)" or "1d:range(10)"'
_SPEC = re.compile(r"(?:(?P<interval>\w+)\s*:\s*)?(?P<name>[A-Za-z_]\w*)\s*(?:\((?P<params>[^()]*)\))?")
_BETWEEN = re.compile(r",(?![^()]*\))")

_WINDOWS = (10, 20, 30, 50, 100)
_OVER_WINDOWS = (
    "range", "range_pct", "efficiency_ratio", "adx", "r_squared", "slope_pct", "natr", "realised_volatility",
    "parkinson_volatility", "zscore", "rsi", "roc", "volume_ratio", "bars_since_max", "bars_since_min",
)  # fmt: skip
_LEVELS = ("support(5, 5, 100)", "resistance(5, 5, 100)")
_OF_CLOCK = ("minutes_since_midnight", "weekday")
_OF_DAY = ("opening_range_high(60)", "opening_range_low(60)", "day_range", "day_position", "gap")
_DAILY = (
    "range(10)",
    "range_pct(10)",
    "efficiency_ratio(10)",
    "r_squared(10)",
    "slope_pct(10)",
    "natr(14)",
    "rsi(14)",
    "gap",
)


@dataclass(frozen=True)
class FactorSpec:
    """A factor with its parameters in full, on the series' own interval (`interval` None) or on a higher one."""

    name: str
    params: tuple[FactorParam, ...] = ()
    interval: str | None = None

    @property
    def text(self) -> str:
        """The specification as it is written, and the name of its column."""
        inside = f"({', '.join(str(p) for p in self.params)})" if self.params else ""
        return f"{self.interval}:{self.name}{inside}" if self.interval else f"{self.name}{inside}"

    def named_params(self) -> list[tuple[str, FactorParam]]:
        """Names of the factor's parameters, in order, with their values."""
        return [(p.name, value) for p, value in zip(get_factor(self.name).params, self.params, strict=True)]

    def values(self, bars: Bars) -> FloatArray:
        """float64[n]: the factor as known at the close of each bar of `bars`."""
        if self.interval is None or self.interval == bars.interval:
            return bars.factor(self.name, *self.params)
        return bars.at(self.interval).factor(self.name, *self.params)

    def values_at(self, bars: Bars, indices: IntArray) -> FloatArray:
        """float64[k]: the same at chosen bars of `bars`; a sparse factor is computed there alone."""
        if self.interval is None or self.interval == bars.interval:
            return bars.factor_at(indices, self.name, *self.params)
        return bars.at(self.interval).factor_at(indices, self.name, *self.params)

    def warmup_ms(self, interval: str) -> int:
        """How long before a bar of `interval` opens history must begin for its value to be covered."""
        step = interval_ms(self.interval or interval)
        # One bar more where the higher bar that is open at that time has to be waited out.
        waiting = 0 if step == interval_ms(interval) else 1
        return (factor_lookback(self.name, step, *self.params) + waiting) * step


def parse_spec(text: str) -> FactorSpec:
    """`FactorSpec` of a text such as `atr(14)`, `day_position`, `correlation(60, ETH/USDT)` or `1d:range(10)`.

    Raises
    ------
    InputError, UnknownNameError : the text does not follow the grammar, or names a set of factors; the factor, interval
        or a parameter is wrong.
    """
    name, words, interval = _parts(text)
    if get_set(name) is not None:
        raise InputError(f"{name} is a set of factors, one is asked for here; name one of them, was {text!r}")
    return _spec(name, words, interval)


def expand_spec(text: str) -> list[FactorSpec]:
    """The factor of a text, or every factor of a set such as `tsfresh_minimal(100)`; errors as of `parse_spec`."""
    name, words, interval = _parts(text)
    found = get_set(name)
    if found is None:
        return [_spec(name, words, interval)]
    return [_spec(member, params, interval) for member, params in members_of(found, words)]


def spec_packages(text: str) -> tuple[str, ...]:
    """Packages whose versions decide the values of a text's factor; none where it names none, or a set, whose factors
    are to be asked for one by one. Nothing is imported.
    """
    match = _SPEC.fullmatch(text.strip())
    name = "" if match is None else match["name"]
    return get_factor(name).packages if name in factor_names() else ()


def _parts(text: str) -> tuple[str, tuple[float | str, ...], str | None]:
    match = _SPEC.fullmatch(text.strip())
    if match is None:
        raise InputError(f"{GRAMMAR}; was {text!r}")
    interval = match["interval"]
    if interval is not None:
        interval_ms(interval)
    words = [w.strip() for w in match["params"].split(",")] if (match["params"] or "").strip() else []
    return match["name"], tuple(_value(w) for w in words), interval


def _spec(name: str, words: tuple[float | str, ...], interval: str | None) -> FactorSpec:
    if name not in factor_names():
        raise UnknownNameError("factor", name, [*factor_names(), *set_names()])
    found = get_factor(name)
    params = checked_params(found, words)
    # Peers are attached under the one spelling of their symbol.
    spelled = (canonical_symbol(str(v)) if p.name == "symbol" else v for p, v in zip(found.params, params, strict=True))
    spec = FactorSpec(found.name, tuple(spelled), interval)
    if interval is not None:
        factor_lookback(spec.name, interval_ms(interval), *spec.params)
    return spec


def parse_specs(text: str) -> list[FactorSpec]:
    """The specifications of a list such as `atr(14), 1d:range(10)`; commas inside brackets belong to the factor.

    A set of factors gives all of its own.
    """
    specs = [spec for part in _BETWEEN.split(text) for spec in expand_spec(part)]
    names = [spec.text for spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"each factor makes one column, {', '.join(twice)} is named twice; leave the second one out")
    return specs


def default_specs(interval: str) -> list[FactorSpec]:
    """A set to begin with on bars of `interval`: ranges, trend and size over 10, 20, 30, 50 and 100 bars, the day, and
    the same on daily bars; on bars longer than a day without the last two. Ratios rather than prices, so that rows of
    different symbols compare; ranges and levels (support, resistance, opening range) in price units as well.
    """
    texts = [f"{name}({window})" for name in _OVER_WINDOWS for window in _WINDOWS] + [*_LEVELS, *_OF_CLOCK]
    if interval_ms(interval) <= DAY_MS:
        texts += [*_OF_DAY, *(f"1d:{name}" for name in _DAILY)]
    return [parse_spec(text) for text in texts]


def factor_table(bars: Bars, indices: IntArray, specs: Iterable[FactorSpec | str]) -> dict[str, FloatArray]:
    """Values of several factors at chosen bars.

    Parameters
    ----------
    bars : the series on whose clock the values are read.
    indices : int64[k], bar numbers in `0 .. len(bars) - 1`, in any order.
    specs : factors, as `FactorSpec` or text; a set's text gives all of its columns.

    Returns
    -------
    dict of column name (the specification's text) to float64[k], in the order given; NaN where history is too short.
    """
    chosen = np.asarray(indices, dtype=np.int64)
    parsed = [one for spec in specs for one in (expand_spec(spec) if isinstance(spec, str) else [spec])]
    return {spec.text: spec.values_at(bars, chosen) for spec in parsed}


def _value(word: str) -> float | str:
    quoted = re.fullmatch(r"(['\"])(.*)\1", word)
    if quoted:
        return quoted[2]
    try:
        return int(word)
    except ValueError:
        pass
    try:
        return float(word)
    except ValueError:
        return word
