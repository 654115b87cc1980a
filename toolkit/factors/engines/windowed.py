"""Features of a window of bars as tsfresh computes them, over log returns of the close or over volume.

tsfresh's calculators are called on the window's numbers one by one, as its `extract_features` does (the oracle of the
tests), which gives the same numbers without a table for each window. A calculator may give several features at once
(one Fourier transform, 400 coefficients); it runs once a bar, whatever the number of its features that are asked for,
and calculators that nobody asked for do not run.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from toolkit.bars.series import Bars
from toolkit.errors import UnknownNameError
from toolkit.factors.elementwise import log_returns
from toolkit.factors.engines.libraries import library
from toolkit.factors.registry import Param, factor
from toolkit.factors.sets import Member, factor_set
from toolkit.types import BoolArray, FloatArray, IntArray

# What a calculator raises on a window that it was not made for (constant, too short): it has no such features.
_UNDEFINED = (ValueError, ZeroDivisionError, IndexError, FloatingPointError, np.linalg.LinAlgError)
# What calculators that name their own features are called on to see the names.
_PROBE = np.cos(np.arange(100.0) ** 2)
_LIBRARY = ("tsfresh", "tsfresh.feature_extraction.feature_calculators")
# With those that its calculators leave the work to.
_PACKAGES = ("tsfresh", "statsmodels", "scipy", "PyWavelets", "pandas")


@dataclass(frozen=True)
class Calculator:
    """One of tsfresh's feature calculators with the parameters of its efficient set.

    Attributes
    ----------
    columns : names of its features in their one spelling, see `spelled`. minimal : of the minimal set as well.
    """

    name: str
    function: Callable[..., Any]
    params: tuple[Mapping[str, Any], ...]
    columns: tuple[str, ...]
    minimal: bool

    def row(self, x: FloatArray) -> FloatArray:
        """float64[len(columns)]: the features of a window; NaN where one is undefined or infinite."""
        out = self.nothing()
        try:
            found = self._call(x)
        except _UNDEFINED:
            return out
        for column, name in enumerate(self.columns):
            value = found.get(name, np.nan)
            out[column] = value if np.isfinite(value) else np.nan
        return out

    def nothing(self) -> FloatArray:
        """float64[len(columns)]: NaN, the features of no window."""
        return np.full(len(self.columns), np.nan)

    def _call(self, x: FloatArray) -> dict[str, float]:
        given: Any = x
        if getattr(self.function, "input", None) == "pd.Series":
            import pandas as pd

            given = pd.Series(x)
        if self.function.fctype == "combiner":  # type: ignore[attr-defined]
            pairs = self.function(given, param=[dict(one) for one in self.params])
            return {_named(self.name, str(key)): float(value) for key, value in pairs}
        if not self.params:
            return {self.name: float(self.function(given))}
        if self.name == "change_quantiles":
            values: Iterable[float] = _change_quantiles(x, self.params)
        else:
            values = (self.function(given, **one) for one in self.params)
        return {name: float(value) for name, value in zip(self.columns, values, strict=True)}


def _change_quantiles(x: FloatArray, params: Iterable[Mapping[str, Any]]) -> Iterator[float]:
    """What tsfresh's function of that name gives for each of the 60 parameters, each of the 15 corridors cut once.

    Half of the whole set's time went into cutting them four times.
    """
    import pandas as pd

    changes = np.diff(x)
    corridors: dict[tuple[float, float], BoolArray | None] = {}
    for one in params:
        low, high = one["ql"], one["qh"]
        if (low, high) not in corridors:
            try:
                inside = pd.qcut(x, [low, high], labels=False) == 0 if low < high else None
            except ValueError:
                # Both quantiles are one value.
                inside = None
            corridors[low, high] = None if inside is None else inside[1:] & inside[:-1]
        both = corridors[low, high]
        if both is None or not both.any():
            yield 0.0
        else:
            yield getattr(np, one["f_agg"])((np.abs(changes) if one["isabs"] else changes)[both])


def _named(calculator: str, key: str) -> str:
    return _plain(f"{calculator}__{key}" if key else calculator)


def _plain(name: str) -> str:
    """tsfresh's name without what a list of factors cannot hold: quotes, brackets, commas and spaces."""
    for old, new in (('"', ""), ("'", ""), ("(", ""), (")", ""), (", ", "_"), (",", "_"), (" ", "")):
        name = name.replace(old, new)
    return name


def calculators() -> dict[str, Calculator]:
    """By name; `InputError` where tsfresh is not installed."""
    # The library's block costs more than what is known already.
    if _made.cache_info().currsize:
        return _made()
    with library(*_LIBRARY):
        return _made()


@lru_cache(maxsize=1)
def _made() -> dict[str, Calculator]:
    """Those of the efficient set (which holds the minimal one) that need no more than the window's numbers."""
    from tsfresh.feature_extraction import feature_calculators
    from tsfresh.feature_extraction.settings import EfficientFCParameters, MinimalFCParameters
    from tsfresh.utilities.string_manipulation import convert_to_output_format

    minimal = MinimalFCParameters()
    found = {}
    for name, params in EfficientFCParameters().items():
        function = getattr(feature_calculators, name)
        # One whose trend is over the clock's time wants an index of dates; the one over bars is there as well.
        if getattr(function, "index_type", None) is None:
            if function.fctype == "combiner":
                # It names its features itself.
                keys = [str(key) for key, _ in function(_PROBE, param=[dict(one) for one in params])]
            else:
                keys = [convert_to_output_format(one) for one in params or [{}]]
            columns = tuple(_named(name, key) for key in keys)
            found[name] = Calculator(name, function, tuple(params or ()), columns, name in minimal)
    return found


@lru_cache(maxsize=1)
def _places() -> dict[str, tuple[Calculator, int]]:
    return {name: (one, k) for one in calculators().values() for k, name in enumerate(one.columns)}


def spelled(text: str) -> str:
    """A feature's one spelling, `fft_coefficient__attr_abs__coeff_1` for tsfresh's own with its quotes as well.

    Raises
    ------
    UnknownNameError : tsfresh's efficient set has no such feature. InputError : tsfresh is not installed.
    """
    name = _plain(text.removeprefix("value__"))
    known = _places()
    if name not in known:
        raise UnknownNameError("tsfresh feature", text, known)
    return name


class _Extracted:
    """What a calculator gave at bars of a series. It stays with the bars: it is little beside what it cost.

    rows : int64[k], those bars, ascending; float64[k, columns]. Another pair takes its place whole.
    """

    def __init__(self, columns: int) -> None:
        self.rows: tuple[IntArray, FloatArray] = (np.empty(0, np.int64), np.empty((0, columns)))

    def add(self, at: IntArray, values: list[FloatArray]) -> None:
        """Rows of bars that were not there; none where `at` is empty."""
        if len(at):
            both = np.concatenate((self.rows[0], at))
            order = np.argsort(both)
            self.rows = both[order], np.concatenate((self.rows[1], values))[order]


def _values(bars: Bars, indices: IntArray, source: tuple[str, FloatArray], window: int, feature: str) -> FloatArray:
    """float64[k]: the feature of the last `window` values of a series at each index; NaN where one of them is."""
    name, series = source
    calculator, column = _places()[feature]
    kept = bars.memo(("extracted", name, window, calculator.name), lambda: _Extracted(len(calculator.columns)))
    if len(np.setdiff1d(indices, kept.rows[0], assume_unique=True)):
        with library(*_LIBRARY):
            # Another thread may have been here meanwhile, for another feature of the same calculator.
            missing = np.setdiff1d(indices, kept.rows[0], assume_unique=True)
            windows = (_scaled(name, series[i - window + 1 : i + 1]) for i in missing.tolist())
            kept.add(missing, [calculator.nothing() if x is None else calculator.row(x) for x in windows])
    at, values = kept.rows
    out: FloatArray = values[np.searchsorted(at, indices), column]
    return out


def _scaled(source: str, x: FloatArray) -> FloatArray | None:
    """A copy of the window, of volume in units of its mean; None where a value is missing or nothing was traded."""
    if np.isnan(x).any():
        return None
    if source == "returns":
        return x.copy()
    mean = float(x.mean())
    return x / mean if mean > 0.0 else None


_WINDOW = Param("window", 100, minimum=10, maximum=5000)
_FEATURE = Param("feature", "standard_deviation", spelled=spelled)


@factor(
    "tsfresh",
    params=[_WINDOW, _FEATURE],
    lookback=lambda interval_ms, window, feature: window + 1,
    sparse=True,
    packages=_PACKAGES,
)
def tsfresh(bars: Bars, indices: IntArray, window: int, feature: str) -> FloatArray:
    """A feature of tsfresh's efficient set over the last `window` log returns of the close."""
    returns = bars.memo("log_returns", lambda: log_returns(bars.close))
    return _values(bars, indices, ("returns", returns), window, feature)


@factor(
    "tsfresh_volume",
    params=[_WINDOW, _FEATURE],
    lookback=lambda interval_ms, window, feature: window,
    sparse=True,
    packages=_PACKAGES,
)
def tsfresh_volume(bars: Bars, indices: IntArray, window: int, feature: str) -> FloatArray:
    """A feature of tsfresh's efficient set over the last `window` volumes, in units of their mean; NaN if all are 0."""
    return _values(bars, indices, ("volume", bars.volume), window, feature)


def _members(factor_name: str, window: int, minimal: bool) -> list[Member]:
    return [
        (factor_name, (window, name))
        for one in calculators().values()
        if one.minimal or not minimal
        for name in one.columns
    ]


@factor_set("tsfresh_minimal", params=[_WINDOW])
def tsfresh_minimal(window: int) -> list[Member]:
    """`tsfresh` for each of the 10 features of tsfresh's minimal set."""
    return _members("tsfresh", window, True)


@factor_set("tsfresh_efficient", params=[_WINDOW])
def tsfresh_efficient(window: int) -> list[Member]:
    """`tsfresh` for each of the 777 features of tsfresh's efficient set."""
    return _members("tsfresh", window, False)


@factor_set("tsfresh_volume_minimal", params=[_WINDOW])
def tsfresh_volume_minimal(window: int) -> list[Member]:
    """`tsfresh_volume` for each of the 10 features of tsfresh's minimal set."""
    return _members("tsfresh_volume", window, True)


@factor_set("tsfresh_volume_efficient", params=[_WINDOW])
def tsfresh_volume_efficient(window: int) -> list[Member]:
    """`tsfresh_volume` for each of the 777 features of tsfresh's efficient set."""
    return _members("tsfresh_volume", window, False)
