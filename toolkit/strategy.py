"""The strategy contract and its registry.

A strategy is one file: a `Params` NamedTuple with defaults and one function from bars to `Signals`, decorated with
`@strategy`. The same function is called on years of history and, live, on a window of exactly its lookback.
"""

import contextlib
import importlib
import importlib.util
import inspect
import math
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, TypeAlias, Union, get_args, get_origin, get_type_hints

import numpy as np

from toolkit import kernel_cache, settings
from toolkit.bars.intervals import INTERVAL_MS, floor_ts, interval_ms
from toolkit.bars.series import Bars
from toolkit.callable_module import make_callable
from toolkit.errors import InputError, StrategyError, UnknownNameError
from toolkit.types import BoolArray, FloatArray

# Every strategy file imports this module before it decorates a kernel, so a strategy that is imported by hand keeps its
# compiled code under the hash of its package too.
kernel_cache.activate(settings.strategy_modules())


class Signals(NamedTuple):
    """What a strategy says, one element a bar of the main clock; each is known at that bar's close.

    enter_long, enter_short, exit_long, exit_short : bool[n], level-triggered. Enter and exit on one side: no entry.
    stop_distance, target_distance : float64[n], price units from the fill; NaN = none.
    """

    enter_long: BoolArray
    enter_short: BoolArray
    exit_long: BoolArray
    exit_short: BoolArray
    stop_distance: FloatArray
    target_distance: FloatArray


# Compiled code counts in int64, and a minute or a bar is 60,000 ms or more there: a larger number would wrap around
# unseen. An epoch in milliseconds is within.
LARGEST_INT = 10**13

# An int is a number of closed bars of the signal interval. A mapping names it per interval: {"signal": 240, "1d": 3}
# is 240 signal bars and three closed daily bars; "1d": 0 is the day so far.
Lookback: TypeAlias = int | Mapping[str, int]


@dataclass(frozen=True)
class Strategy:
    """A registered strategy.

    Attributes
    ----------
    name : the function's name; unique.
    function : `(Bars, Params) -> Signals`.
    params_type : NamedTuple class, every field with a default.
    intervals : signal intervals it is meant for.
    lookback : how much closed history its newest value depends on, from the parameters (see `Lookback`). It
        gives whole numbers of bars by interval, or raises `StrategyError` where the function given did otherwise.
    peers : symbols whose bars it reads besides its own.
    native : higher intervals that it reads with `source="native"`.
    code : hash of its code where it is known already: of a version whose sources stand elsewhere.
    """

    name: str
    function: Callable[[Bars, Any], Signals]
    params_type: type[Any]
    intervals: tuple[str, ...]
    lookback: Callable[[Any], Lookback]
    peers: tuple[str, ...] = ()
    native: tuple[str, ...] = ()
    doc: str = field(default="", compare=False)
    code: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lookback", _guarded(self, self.lookback))

    @property
    def source_file(self) -> Path:
        return Path(inspect.getfile(self.function))

    def params(self, values: Mapping[str, Any] | None = None) -> Any:
        """Params from a mapping over the defaults; unknown names and wrong types are `InputError`s."""
        given = dict(values or {})
        hints = get_type_hints(self.params_type)
        for name, value in given.items():
            if name not in hints:
                raise UnknownNameError(f"parameter of {self.name}", name, hints)
            given[name] = _as_type(self.name, name, value, hints[name])
        return self.params_type(**given)

    def signals(self, bars: Bars, params: Any) -> Signals:
        """Run the function and check what it returns.

        Raises
        ------
        StrategyError : it raised, or an array has the wrong length or dtype; names the strategy, array and value.
        """
        try:
            signals = self.function(bars, params)
        except InputError:
            raise
        except Exception as error:
            where = traceback_line(error, self.source_file)
            raise StrategyError(
                f"strategy {self.name} raised {type(error).__name__}: {error} ({where}; {bars.symbol} {bars.interval}, "
                f"{params})"
            ) from error
        return checked_signals(signals, len(bars), f"strategy {self.name}")

    def lookback_start(self, bars: Bars, index: int, params: Any) -> int:
        """Open time (epoch ms) of the earliest base bar that the value at `index` may depend on."""
        return lookback_start(self.lookback(params), bars.interval, int(bars.ts[index]))


def lookback_start(lookback: Lookback, interval: str, ts_ms: int) -> int:
    """Epoch ms at which history must begin for the bar of `interval` opening at `ts_ms` to have its exact value."""
    known_ms = ts_ms + interval_ms(interval)
    starts = [ts_ms]
    for name, bars in named_lookback(lookback).items():
        if name == "signal":
            starts.append(known_ms - bars * interval_ms(interval))
        else:
            step = interval_ms(name)
            # The day (week, hour) that this bar belongs to, and so many whole ones before it.
            starts.append(floor_ts(ts_ms, step) - bars * step)
    return min(starts)


def named_lookback(lookback: Lookback) -> dict[str, int]:
    """A lookback by interval ("signal" for the strategy's own); `InputError` for what is no whole number of bars."""
    named = lookback if isinstance(lookback, Mapping) else {"signal": lookback}
    found = {}
    for name, bars in named.items():
        number = isinstance(bars, int | float | np.integer) and not isinstance(bars, bool)
        if not number or not 0 <= bars < math.inf or int(bars) != bars:
            raise InputError(f"lookback of {name!r} must be a whole number of bars from 0, was {bars!r}")
        if name != "signal" and name not in INTERVAL_MS:
            raise UnknownNameError("interval of a lookback", name, ("signal", *INTERVAL_MS))
        found[name] = int(bars)
    return found


def _guarded(strategy: Strategy, lookback: Callable[[Any], Lookback]) -> Callable[[Any], Lookback]:
    """`lookback`, with one sentence for what it raises or returns against the contract."""

    def checked(params: Any) -> Lookback:
        try:
            return named_lookback(lookback(params))
        except InputError as error:
            raise StrategyError(f"strategy {strategy.name}: {error} ({params})") from None
        except Exception as error:
            where = traceback_line(error, strategy.source_file)
            raise StrategyError(
                f"lookback of strategy {strategy.name} raised {type(error).__name__}: {error} ({where}; {params})"
            ) from error

    return checked


def checked_signals(signals: Any, n: int, who: str) -> Signals:
    """`signals` with every array contiguous, or a `StrategyError` that names the array that breaks the contract."""
    if not isinstance(signals, Signals):
        raise StrategyError(f"{who} must return Signals, returned {type(signals).__name__}")
    for name, array in zip(Signals._fields, signals, strict=True):
        wanted: Any = np.float64 if name.endswith("_distance") else np.bool_
        if not isinstance(array, np.ndarray):
            raise StrategyError(f"{who}: {name} must be a numpy array, was {type(array).__name__}")
        if array.shape != (n,):
            raise StrategyError(f"{who}: {name} must have shape ({n},), one value a bar, was {array.shape}")
        if array.dtype != wanted:
            raise StrategyError(f"{who}: {name} must have dtype {np.dtype(wanted)}, was {array.dtype}")
    return Signals._make(np.ascontiguousarray(array) for array in signals)


def traceback_line(error: BaseException, file: Path) -> str:
    """`file.py:12` of the innermost frame in `file`, for a message without a traceback."""
    line, tb = 0, error.__traceback__
    while tb is not None:
        if Path(tb.tb_frame.f_code.co_filename) == file:
            line = tb.tb_lineno
        tb = tb.tb_next
    return f"{file.name}:{line}" if line else file.name


def _as_type(strategy: str, name: str, value: Any, wanted: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"parameter {name!r} of {strategy} must be a finite number, was {value!r}")
    kinds = get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,)
    largest = LARGEST_INT if int in kinds else sys.float_info.max
    if isinstance(value, int | float) and abs(value) > largest and not (type(value) is float and float in kinds):
        text = repr(value) if abs(value) < 10**40 else "far beyond"
        raise InputError(f"parameter {name!r} of {strategy} must be from {-largest:g} to {largest:g}, was {text}")
    if type(value) in kinds:
        return value
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if int in kinds and isinstance(value, float) and value.is_integer():
        return int(value)
    # TOML and flags have no null: "none" says it.
    if type(None) in kinds and value == "none" and str not in kinds:
        return None
    if all(kind in (int, float, bool, str, type(None)) for kind in kinds):
        raise InputError(
            f"parameter {name!r} of {strategy} must be {type_name(wanted)}, was {value!r} ({type(value).__name__})"
        )
    return value


def type_name(wanted: Any) -> str:
    """A parameter's type as a person writes it: `int`, `int | None`."""
    if get_origin(wanted) in (Union, UnionType):
        return " | ".join(type_name(kind) for kind in get_args(wanted))
    return "None" if wanted is type(None) else str(getattr(wanted, "__name__", wanted))


_REGISTRY: dict[str, Strategy] = {}
# Tables that stand before the registry for a while; the last one counts.
_APART: list[dict[str, Strategy]] = []
# Modules that were loaded -> those of their files that cannot be imported.
_BROKEN: dict[tuple[str, ...], dict[str, StrategyError]] = {}


class _NameTakenError(StrategyError):
    def __init__(self, name: str, by: Path, file: Path) -> None:
        super().__init__(f"strategy name {name!r} is taken by {by}; rename the one in {file}")
        self.name = name


SignalFunction: TypeAlias = Callable[[Bars, Any], Signals]


def strategy(
    *,
    intervals: Iterable[str],
    lookback: Callable[[Any], Lookback],
    peers: Iterable[str] = (),
    native: Iterable[str] = (),
) -> Callable[[SignalFunction], SignalFunction]:
    """Register a signal function; its second parameter is annotated with a NamedTuple of defaults."""

    def register(function: SignalFunction) -> SignalFunction:
        name = function.__name__
        hints = get_type_hints(function)
        names = list(inspect.signature(function).parameters)
        params_type = hints.get(names[1]) if len(names) == 2 else None
        if not (isinstance(params_type, type) and issubclass(params_type, tuple) and hasattr(params_type, "_fields")):
            raise StrategyError(f"strategy {name} must be `def {name}(bars: Bars, p: Params)` with a NamedTuple Params")
        missing = set(params_type._fields) - set(params_type._field_defaults)  # type: ignore[attr-defined]
        if missing:
            raise StrategyError(f"strategy {name}: every parameter needs a default, {sorted(missing)} have none")
        for interval in intervals:
            interval_ms(interval)
        table = _APART[-1] if _APART else _REGISTRY
        known, file = table.get(name), Path(inspect.getfile(function))
        if known is not None and known.source_file != file:
            raise _NameTakenError(name, known.source_file, file)
        table[name] = Strategy(
            name, function, params_type, tuple(intervals), lookback, tuple(peers), tuple(native),
            inspect.getdoc(function) or "",
        )  # fmt: skip
        return function

    return register


@contextlib.contextmanager
def registering_apart(known: Mapping[str, Strategy] | None = None) -> Iterator[dict[str, Strategy]]:
    """Strategies imported in this block are registered in the table that it gives, and nowhere else.

    known : what is in that table to begin with; in the block a name of it means that strategy.
    """
    table: dict[str, Strategy] = dict(known or {})
    _APART.append(table)
    try:
        yield table
    finally:
        _APART.pop()


def load_strategies(modules: Iterable[str] | None = None) -> dict[str, Strategy]:
    """Import the strategy modules (packages with all their submodules) and return the registry, by name.

    `modules` defaults to `[tool.lockstep] strategies` of the nearest `pyproject.toml`. Compiled code is cached under a
    hash of their sources. A file that cannot be imported is left out, and said by `broken_strategies`; it is tried
    again by the next call. A named module that cannot be found is a `StrategyError`.
    """
    names = _module_names(modules)
    return _load(names, again=bool(_BROKEN.get(names)))


def broken_strategies(modules: Iterable[str] | None = None) -> dict[str, StrategyError]:
    """Modules that `load_strategies` left out as they cannot be imported, each with its error in one sentence."""
    names = _module_names(modules)
    _load(names)
    return dict(_BROKEN[names])


def registered() -> dict[str, Strategy]:
    """The strategies known so far, by name; nothing is imported."""
    return _REGISTRY | (_APART[-1] if _APART else {})


def get_strategy(name: str, modules: Iterable[str] | None = None) -> Strategy:
    """The strategy of that name; `UnknownNameError` with the nearest names, and with the files that are broken.

    Raises
    ------
    StrategyError : a second file holds a strategy of this name.
    """
    if _APART and name in _APART[-1]:
        return _APART[-1][name]
    names = _module_names(modules)
    known = _load(names)
    if name not in known:
        # Its file may be newer than what a notebook loaded at its start.
        importlib.invalidate_caches()
        known = _load(names, again=True)
    broken = _BROKEN[names].values()
    for error in broken:
        if isinstance(error, _NameTakenError) and error.name == name:
            raise error
    if name not in known:
        remedy = f"({'; '.join(str(error) for error in broken)})" if broken else ""
        raise UnknownNameError("strategy", name, known, remedy)
    return known[name]


def _module_names(modules: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(modules) if modules is not None else settings.strategy_modules()


def _load(names: tuple[str, ...], again: bool = False) -> dict[str, Strategy]:
    if names in _BROKEN and not again:
        return dict(_REGISTRY)
    root = str(settings.project_root())
    if root not in sys.path:
        sys.path.insert(0, root)
    kernel_cache.activate(names)
    broken: dict[str, StrategyError] = {}
    for name in names:
        _import_tree(name, broken)
    _BROKEN[names] = broken
    return dict(_REGISTRY)


def _import_tree(name: str, broken: dict[str, StrategyError]) -> None:
    """Import a module with its submodules; one that raises is added to `broken`, and its strategies are forgotten."""
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        for known in [s for s in _REGISTRY.values() if s.function.__module__ == name]:
            del _REGISTRY[known.name]
        broken[name] = _import_error(name, error)
        return
    for info in pkgutil.iter_modules(getattr(module, "__path__", [])):
        if not info.name.startswith("_"):
            _import_tree(f"{name}.{info.name}", broken)


def _import_error(name: str, error: BaseException) -> StrategyError:
    if isinstance(error, StrategyError):
        return error
    if isinstance(error, ModuleNotFoundError):
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise StrategyError(
                f"strategy module {name!r} cannot be found; name an importable module with --strategies or in "
                f"pyproject.toml's [tool.lockstep] strategies"
            ) from None
        return StrategyError(f"strategy module {name!r} needs {error.name!r}, which is not installed")
    where = ""
    with contextlib.suppress(ImportError):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None and not isinstance(error, SyntaxError):
            where = f" ({traceback_line(error, Path(spec.origin))})"
    text = " ".join(str(error).split())
    return StrategyError(f"strategy module {name!r} raised {type(error).__name__}: {text}{where}")


# `@tk.strategy(...)`
make_callable(__name__, __name__)
