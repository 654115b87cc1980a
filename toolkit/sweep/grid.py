"""Parameter spaces: axes written as lists or ranges, and the points that a grid or a sample takes from them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from toolkit.errors import InputError, UnknownNameError
from toolkit.types import FloatArray, IntArray

MAX_AXIS_VALUES = 1_000_000
_RANGE_KEYS = ("from", "to", "step", "num", "log", "form")
_METHODS = ("random", "lhs")
_ALLOWED = "a value, a list of values, or a range such as {from = 10, to = 50, step = 10}"


@dataclass(frozen=True)
class Axis:
    """One parameter's values: a finite list, or (`values` empty) everything from `low` to `high`.

    Attributes
    ----------
    log : a continuous axis is uniform in its logarithm.
    integer : a continuous axis gives whole numbers.
    form : text around a continuous axis' number, "{}atr(14)"; empty gives the number itself.
    """

    name: str
    values: tuple[Any, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    integer: bool = False
    form: str = ""

    @property
    def finite(self) -> bool:
        return bool(self.values)

    def codes(self, unit: FloatArray) -> FloatArray:
        """float64[n]: numbers of [0, 1) as codes, a value's position or, on a continuous axis, the value."""
        low, high = (0, len(self.values) - 1) if self.finite else (self.low, self.high)
        whole = self.finite or self.integer
        # Each whole number has its own share of the interval, the last one included.
        top = high + 1 if whole else high
        spread = low * (top / low) ** unit if self.log and not self.finite else low + unit * (top - low)
        return np.asarray(np.clip(np.floor(spread), low, high) if whole else spread, dtype=np.float64)

    def value(self, code: float) -> Any:
        if self.finite:
            return self.values[int(code)]
        return _formed(int(code) if self.integer else float(code), self.form)


@dataclass(frozen=True)
class Sample:
    """`n` points instead of the whole grid, the same for the same seed.

    "random": of a finite grid distinct points, else independent ones. "lhs": a latin hypercube, each axis covered
    evenly. Points that fall together (whole numbers, lists) are kept once, so there may be fewer than `n`.
    """

    method: str
    n: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise UnknownNameError("sample method", str(self.method), _METHODS)
        for name, least in (("n", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"`sample.{name}` must be a whole number from {least}, was {value!r}")


@dataclass(frozen=True)
class Space:
    """The points of some axes: every combination (the last axis turns fastest), or a sample of them."""

    axes: tuple[Axis, ...]
    sample: Sample | None = None

    def __post_init__(self) -> None:
        for axis in self.axes:
            if not axis.finite and self.sample is None:
                raise InputError(
                    f"range of {axis.name!r} has neither `step` nor `num`; give one, or a `sample` to draw from it"
                )

    @cached_property
    def _drawn(self) -> FloatArray | None:
        return None if self.sample is None else _draw(self.axes, self.sample)

    @cached_property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(len(axis.values) for axis in self.axes)

    def __len__(self) -> int:
        return math.prod(self._sizes) if self._drawn is None else len(self._drawn)

    def codes(self, numbers: IntArray) -> FloatArray:
        """float64[n, n_axes]: codes of the points of these numbers; see `Axis.codes`."""
        if self._drawn is not None:
            return self._drawn[numbers]
        out = np.empty((len(numbers), len(self.axes)))
        rest = numbers
        for position in range(len(self.axes) - 1, -1, -1):
            rest, out[:, position] = np.divmod(rest, self._sizes[position])
        return out

    def point(self, number: int) -> dict[str, Any]:
        """The values of one point by axis name."""
        codes = self.codes(np.array([number]))[0]
        return {axis.name: axis.value(code) for axis, code in zip(self.axes, codes, strict=True)}


def parse_axis(name: str, given: Any, *, integer: bool = False) -> Axis:
    """An axis as written in TOML or JSON.

    Parameters
    ----------
    given : a value, a list, or a table with `from`, `to` (inclusive) and `step` or `num`, and where wanted `log` (even
        in the logarithm) and `form` (text around the number, "{}atr(14)"). Without step and num it is continuous.
    integer : the parameter takes whole numbers: `num` values and continuous ones are rounded.

    Raises
    ------
    InputError : an empty axis, a value given twice, a range that is none; names the axis.
    """
    if isinstance(given, Mapping):
        return _parse_range(name, given, integer)
    values = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    if not values:
        raise InputError(f"axis {name!r} has no values; give {_ALLOWED}, or leave it out for the default")
    seen: set[str] = set()
    for value in values:
        if repr(value) in seen:
            raise InputError(f"axis {name!r} has the value {value!r} twice; each combination is run once")
        seen.add(repr(value))
    return Axis(name, values)


def _parse_range(name: str, table: Mapping[str, Any], integer: bool) -> Axis:
    for key in table:
        if key not in _RANGE_KEYS:
            raise UnknownNameError(f"key in the range of {name!r}", str(key), _RANGE_KEYS)
    low, high = _number(name, table, "from"), _number(name, table, "to")
    log, form = table.get("log", False), str(table.get("form", ""))
    if not isinstance(log, bool):
        raise InputError(f"`log` of {name!r} must be true or false, was {log!r}")
    if high < low:
        raise InputError(f"range of {name!r} must have `from` at or below `to`, was {low!r} to {high!r}")
    if log and low <= 0:
        raise InputError(f"a log range must begin above 0, that of {name!r} begins at {low!r}")
    if form and "{}" not in form:
        raise InputError(f"`form` of {name!r} must hold {{}} where the number goes, was {form!r}")
    if "step" in table and "num" in table:
        raise InputError(f"range of {name!r} must have `step` or `num`, not both")
    whole = integer or ("num" not in table and all(isinstance(table.get(k, 0), int) for k in ("from", "to", "step")))
    if "step" not in table and "num" not in table:
        return Axis(name, (), low, high, log, whole, form)
    if "step" in table:
        numbers = _stepped(name, low, high, _number(name, table, "step"), log)
    else:
        numbers = _spaced(name, low, high, table["num"], log)
    rounded = [round(x) if whole else float(f"{x:.12g}") for x in numbers]
    return parse_axis(name, [_formed(x, form) for x in dict.fromkeys(rounded)])


def _stepped(name: str, low: float, high: float, step: float, log: bool) -> list[float]:
    if log:
        raise InputError(f"a log range takes `num`, that of {name!r} has `step`")
    if step <= 0:
        raise InputError(f"`step` of {name!r} must be above 0, was {step!r}")
    count = math.floor((high - low) / step + 1e-9) + 1
    _check_count(name, count)
    return [low + i * step for i in range(count)]


def _spaced(name: str, low: float, high: float, num: Any, log: bool) -> list[float]:
    if isinstance(num, bool) or not isinstance(num, int) or num < 1:
        raise InputError(f"`num` of {name!r} must be a whole number from 1, was {num!r}")
    _check_count(name, num)
    space = np.geomspace if log else np.linspace
    return [float(x) for x in space(low, high, num)]


def _check_count(name: str, count: int) -> None:
    if count > MAX_AXIS_VALUES:
        raise InputError(f"axis {name!r} would have {count:,} values, at most {MAX_AXIS_VALUES:,} fit; widen its step")


def _number(name: str, table: Mapping[str, Any], key: str) -> float:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        hint = ', text goes in `form`: {from = 1, to = 4, step = 1, form = "{}h"}' if isinstance(value, str) else ""
        raise InputError(f"range of {name!r} needs a number for `{key}`, was {value!r}{hint}")
    return value


def _formed(number: float, form: str) -> Any:
    return form.replace("{}", f"{number:.12g}") if form else number


def _draw(axes: tuple[Axis, ...], sample: Sample) -> FloatArray:
    """float64[n, n_axes]: codes of the sampled points, each once, in the order drawn."""
    if not axes:
        return np.empty((1, 0))
    if sample.method == "random":
        rng = np.random.default_rng(sample.seed)
        if all(axis.finite for axis in axes):
            grid = Space(axes)
            size = len(grid)
            return grid.codes(np.sort(rng.choice(size, min(sample.n, size), replace=False, shuffle=False)))
        unit = rng.random((sample.n, len(axes)))
    else:
        from scipy.stats import qmc

        unit = qmc.LatinHypercube(d=len(axes), rng=sample.seed).random(sample.n)
    codes = np.stack([axis.codes(unit[:, k]) for k, axis in enumerate(axes)], axis=1)
    _, first = np.unique(codes, axis=0, return_index=True)
    return codes[np.sort(first)]
