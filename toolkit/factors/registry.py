"""The registry of factors: names, parameters and how many closed bars each value depends on.

Rules that hold for every factor:

* One float64 a bar. The value at bar `t` depends on the `lookback` closed bars that end with `t`, and on absolute time;
  it is bit for bit the same for any loaded history that has those bars. It is known, and may be traded, at the close of
  bar `t`, so the earliest fill is the open of `t + 1`.
* NaN where history is too short. Ordinary factors: bars `0 .. lookback - 2`. Factors of the day (`day_state`): the bars
  of a day whose first bar is not loaded. `lookback` of those is a whole day; in a strategy's lookback `{"1d": 0}`, the
  day so far, is enough as well.
* NaN where the value is undefined (zero divided by zero), and where unknown (NaN) volume is in the window.
* Filled bars count as flat bars.
* A *sparse* factor costs too much for every bar (a model is fitted, a library called). Its function is given the bars
  that are asked for, and who reads features at entries asks there alone (`Bars.factor_at`); `Bars.factor` of one works
  and is slow.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars
from toolkit.errors import InputError, UnknownNameError
from toolkit.types import FloatArray, IntArray

FactorParam: TypeAlias = int | str
FactorFunction: TypeAlias = Callable[..., FloatArray]
FactorLookback: TypeAlias = Callable[..., int]


@dataclass(frozen=True)
class Param:
    """A factor's parameter; its type is that of the default. Whole numbers lie in `minimum .. maximum`.

    spelled : brings a text to its one spelling, or raises an `InputError`; None = any text will do.
    """

    name: str
    default: FactorParam
    minimum: int = 1
    maximum: int | None = None
    spelled: Callable[[str], str] | None = None


@dataclass(frozen=True)
class Factor:
    """A registered factor.

    Attributes
    ----------
    name : unique; what `Bars.factor` is asked for.
    function : `(bars, *params) -> float64[n]`; `compute` calls it, checks its parameters and sets early bars NaN. Of a
        sparse factor `(bars, indices, *params) -> float64[k]`, indices int64[k], ascending, each with its lookback.
    params : its parameters in order.
    lookback : `(interval_ms, *params) -> bars`; see `factor_lookback`.
    doc : text of the function; its first line says what the value is, and its unit.
    day_state : the value belongs to the UTC day so far, and is known as soon as the day's first bar is loaded.
    sparse : computed only at the bars that are asked for.
    packages : whose versions decide its values, besides numpy's.
    """

    name: str
    function: FactorFunction
    params: tuple[Param, ...]
    lookback: FactorLookback
    doc: str
    day_state: bool = False
    sparse: bool = False
    packages: tuple[str, ...] = ()

    @property
    def defaults(self) -> dict[str, FactorParam]:
        return {p.name: p.default for p in self.params}

    @property
    def signature(self) -> str:
        """Name and parameters with defaults, such as `atr(window=14)`."""
        inside = ", ".join(f"{p.name}={p.default}" for p in self.params)
        return f"{self.name}({inside})" if inside else self.name


_REGISTRY: dict[str, Factor] = {}


def factor(
    name: str,
    *,
    params: Iterable[Param] = (),
    lookback: FactorLookback,
    day_state: bool = False,
    sparse: bool = False,
    packages: tuple[str, ...] = (),
) -> Callable[[FactorFunction], FactorFunction]:
    """Register `(bars, *params) -> float64[n]` under a name; `lookback` is `(interval_ms, *params) -> bars`.

    A sparse one is `(bars, indices, *params) -> float64[k]`, see `Factor`. The function's text becomes the factor's
    documentation. A name that is taken by another function is an `InputError`.
    """

    def register(function: FactorFunction) -> FactorFunction:
        known = _REGISTRY.get(name)
        if known is not None and known.function.__module__ != function.__module__:
            raise InputError(
                f"factor name {name!r} is taken by {known.function.__module__}; rename the one in {function.__module__}"
            )
        doc = " ".join((function.__doc__ or "").split())
        _REGISTRY[name] = Factor(name, function, tuple(params), lookback, doc, day_state, sparse, packages)
        return function

    return register


@contextmanager
def factors_apart() -> Iterator[dict[str, Factor]]:
    """In this block there are the toolkit's factors and those that it registers, which are in its table afterwards."""
    before, apart = dict(_REGISTRY), dict[str, Factor]()
    toolkits = {name for name, one in before.items() if one.function.__module__.startswith("toolkit.")}
    for name in before.keys() - toolkits:
        del _REGISTRY[name]
    try:
        yield apart
    finally:
        apart |= {name: one for name, one in _REGISTRY.items() if name not in toolkits}
        _REGISTRY.clear()
        _REGISTRY.update(before)


def adopt_factor(one: Factor) -> None:
    """Register a factor that was made elsewhere; who calls it has seen to its name."""
    _REGISTRY[one.name] = one


def factor_names() -> list[str]:
    """Names of all registered factors, in order of the alphabet."""
    return sorted(_REGISTRY)


def get_factor(name: str) -> Factor:
    """The factor of that name, or `UnknownNameError` with the nearest names."""
    if name not in _REGISTRY:
        raise UnknownNameError("factor", name, _REGISTRY)
    return _REGISTRY[name]


def factor_lookback(name: str, interval_ms: int, *params: float | str) -> int:
    """Number of closed bars of the series, the current one included, that the value at a bar depends on.

    Parameters
    ----------
    name : a registered factor.
    interval_ms : length of the series' bars; only factors of the day depend on it.
    params : as for `Bars.factor`; those left out have their defaults.

    Raises
    ------
    UnknownNameError, InputError : no such factor; wrong number, type or size of parameters; a factor of the day on bars
        longer than a day.
    """
    found = get_factor(name)
    return _lookback(found, interval_ms, checked_params(found, params))


def compute(name: str, bars: Bars, params: tuple[float | str, ...] = ()) -> FloatArray:
    """float64[n]: the named factor at every bar, NaN where its lookback is not covered (rules: this module's text).

    Read-only. Not memoised; `Bars.factor` is, and calls this.

    Raises
    ------
    UnknownNameError, InputError : as for `factor_lookback`.
    """
    found = get_factor(name)
    checked = checked_params(found, params)
    lookback = _lookback(found, bars.interval_ms, checked)
    if found.sparse:
        values = _sparse(found, bars, np.arange(len(bars), dtype=np.int64), checked, lookback)
        values.setflags(write=False)
        return values
    if len(bars) == 0 or (lookback > len(bars) and not found.day_state):
        return np.full(len(bars), np.nan)
    values = found.function(bars, *checked)
    if not found.day_state:
        values = values if values.flags.writeable else values.copy()
        values[: lookback - 1] = np.nan
    # The two sides of a day's range are memoised together: what is handed out must not be written to.
    values.setflags(write=False)
    return values


def compute_at(name: str, bars: Bars, indices: IntArray, params: tuple[float | str, ...] = ()) -> FloatArray:
    """float64[k]: the named factor at chosen bars (`0 .. len(bars) - 1`, any order), the values that `compute` gives.

    A sparse factor is computed there alone; any other over all bars, once (`Bars.factor`).

    Raises
    ------
    UnknownNameError, InputError : as for `factor_lookback`.
    """
    found = get_factor(name)
    if not found.sparse:
        return bars.factor(name, *params)[indices]
    checked = checked_params(found, params)
    lookback = _lookback(found, bars.interval_ms, checked)
    chosen, places = np.unique(np.asarray(indices, dtype=np.int64), return_inverse=True)
    return _sparse(found, bars, chosen, checked, lookback)[places]


def _sparse(found: Factor, bars: Bars, indices: IntArray, params: tuple[FactorParam, ...], lookback: int) -> FloatArray:
    values = np.full(len(indices), np.nan)
    covered = indices >= lookback - 1
    if covered.any():
        values[covered] = found.function(bars, indices[covered], *params)
    return values


def checked_params(found: Factor, params: tuple[float | str, ...]) -> tuple[FactorParam, ...]:
    """Parameters in full: defaults for those left out, whole numbers as `int`; an `InputError` says what is wrong."""
    if len(params) > len(found.params):
        takes = f"({', '.join(p.name for p in found.params)})" if found.params else "no parameters"
        raise InputError(f"factor {found.name} takes {takes}, was given {len(params)} values: {params!r}")
    given = params + tuple(p.default for p in found.params[len(params) :])
    return tuple(_checked(found.name, spec, value) for spec, value in zip(found.params, given, strict=True))


def _checked(name: str, spec: Param, value: object) -> FactorParam:
    if isinstance(spec.default, str):
        if not isinstance(value, str) or not value:
            raise InputError(f"{spec.name} of factor {name} must be a text such as {spec.default!r}, was {value!r}")
        # The default is spelled as it should be, and to know other spellings may take a library.
        return value if spec.spelled is None or value == spec.default else spec.spelled(value)
    return checked_number(name, spec, value)


def checked_number(name: str, spec: Param, value: object) -> int:
    """A parameter that is a whole number in its range; otherwise an `InputError` says what is wrong."""
    # A grid made with numpy, or read from TOML, may say 20.0.
    if not isinstance(value, int | float | np.integer) or isinstance(value, bool) or value != value // 1:
        raise InputError(f"{spec.name} of factor {name} must be a whole number, was {value!r}")
    whole = int(value)
    if whole < spec.minimum:
        raise InputError(f"{spec.name} of factor {name} must be at least {spec.minimum}, was {whole}")
    if spec.maximum is not None and whole > spec.maximum:
        raise InputError(f"{spec.name} of factor {name} must be at most {spec.maximum}, was {whole}")
    return whole


def _lookback(found: Factor, interval_ms: int, params: tuple[FactorParam, ...]) -> int:
    if found.day_state and interval_ms > DAY_MS:
        raise InputError(
            f"factor {found.name} is a state of the day and needs bars of at most 1d, "
            f"was asked of bars of {interval_ms // DAY_MS} days; ask it of bars.at('1d')"
        )
    return int(found.lookback(interval_ms, *params))
