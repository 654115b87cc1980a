"""An experiment: what a sweep runs, written in TOML or given as keywords, checked before anything is run."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from toolkit.analysis.metrics import METRICS
from toolkit.bars.intervals import interval_ms
from toolkit.bars.moments import check_range, to_ms
from toolkit.bars.symbols import canonical_symbol
from toolkit.engine.rules import SIDES, Costs, TradeRules, costs_from, needs_stop, rules_from
from toolkit.errors import InputError, UnknownNameError
from toolkit.strategy import Strategy, get_strategy, load_strategies
from toolkit.sweep.grid import Axis, Sample, Space, parse_axis
from toolkit.toml_file import read_toml

_RULE_NAMES = tuple(f.name for f in fields(TradeRules))


@dataclass(frozen=True)
class StrategySpec:
    """One strategy of an experiment: its axes as written, its own rules over the experiment's, and its samples.

    Attributes
    ----------
    intervals : its own intervals instead of the experiment's; each must be one that the strategy is meant for.
    sample, rules_sample : points drawn from its parameters, and from its trade rules, instead of every combination.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)
    intervals: tuple[str, ...] = ()
    sample: Sample | None = None
    rules_sample: Sample | None = None


@dataclass(frozen=True)
class Experiment:
    """Symbols x intervals x strategies x parameters x trade rules over one range of time.

    Attributes
    ----------
    start, end : first moment that is traded, and the first that is left out; None = all that is stored.
    base : stored interval that orders fill on, instead of the finest.
    rules : trade rules of every strategy; each field a value, a list or a range. `side` as an axis costs next to
        nothing: its sides share their simulated legs.
    notional : money of every trade; also the capital that returns are measured on.
    compound : days earn on the equity of their beginning.
    top, by, min_trades : how many best combinations get their trades, by which metric, with how many closed trades.
    """

    symbols: tuple[str, ...]
    intervals: tuple[str, ...]
    strategies: tuple[StrategySpec, ...]
    name: str = "sweep"
    start: str | None = None
    end: str | None = None
    exchange: str | None = None
    base: str | None = None
    rules: Mapping[str, Any] = field(default_factory=dict)
    rules_sample: Sample | None = None
    costs: Costs = field(default_factory=Costs)
    notional: float = 10_000.0
    compound: bool = False
    top: int = 20
    by: str = "sharpe"
    min_trades: int = 1

    def __post_init__(self) -> None:
        for name in ("symbols", "intervals", "strategies"):
            if not getattr(self, name):
                raise InputError(f"`{name}` of an experiment must name at least one, was empty")
        for name in ("name", "exchange", "base"):
            text = getattr(self, name)
            if not isinstance(text, str) and (text is not None or name == "name"):
                raise InputError(f"`{name}` must be a text, was {text!r}")
        if not isinstance(self.costs, Costs):
            raise InputError(f"`costs` must be Costs, was {self.costs!r}")
        for interval in (*self.intervals, *([self.base] if self.base else [])):
            interval_ms(interval)
        for name in ("symbols", "intervals"):
            _once(name, getattr(self, name))
        check_range(*(None if m is None else to_ms(m, what) for what, m in (("start", self.start), ("end", self.end))))
        money = self.notional
        if isinstance(money, bool) or not isinstance(money, int | float) or not 0 < money < math.inf:
            raise InputError(f"`notional` must be a positive amount of money, was {money!r}")
        object.__setattr__(self, "notional", float(money))
        for name, least in (("top", 0), ("min_trades", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"`{name}` must be a whole number from {least}, was {value!r}")
        if not isinstance(self.compound, bool):
            raise InputError(f"`compound` must be true or false, was {self.compound!r}")
        if not isinstance(self.by, str) or self.by not in METRICS:
            raise UnknownNameError("metric", self.by, METRICS)

    @classmethod
    def from_file(cls, path: Path | str, changes: Mapping[str, Any] | None = None) -> "Experiment":
        """An experiment file with `changes` over its keys; a wrong key, value or TOML error names the file."""
        file = Path(path)
        table = read_toml(file, "experiment file")
        try:
            return cls.from_table({"name": file.stem, **table, **(changes or {})})
        except UnknownNameError as error:
            error.args = (f"{file}: {error}",)
            raise
        except InputError as error:
            raise InputError(f"{file}: {error}") from None

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Experiment":
        """An experiment from a table of TOML, JSON or keywords; `strategies` are names, "all", or tables."""
        given = dict(table)
        # `[[strategy]]` reads better in a file than `[[strategies]]`.
        known = {f.name for f in fields(cls)} | {"strategy"}
        for key in given:
            if key not in known:
                raise UnknownNameError("key of an experiment", str(key), known)
        specs = [one for key in ("strategies", "strategy") for one in _specs(key, given.pop(key, ()))]
        given["strategies"] = tuple(spec for one in specs for spec in _strategy_specs(one))
        given["symbols"] = tuple(canonical_symbol(s) for s in _names("symbols", given.get("symbols", ())))
        given["intervals"] = _names("intervals", given.get("intervals", ()))
        for moment in ("start", "end"):
            if isinstance(given.get(moment), date):
                given[moment] = given[moment].isoformat()
        if "rules" in given:
            given["rules"] = _table("rules", given["rules"])
        given["rules_sample"] = _sample(given.get("rules_sample"))
        if not isinstance(given.get("costs"), Costs):
            given["costs"] = costs_from(_table("costs", given.get("costs") or {}))
        return cls(**given)

    def table(self) -> dict[str, Any]:
        """The experiment as JSON can hold it; `from_table` of it is an equal experiment."""
        return asdict(self)


@dataclass(frozen=True)
class Resolved:
    """A strategy of an experiment with its spaces; `rules` holds every trade rule but the side."""

    spec: StrategySpec
    strategy: Strategy
    params: Space
    rules: Space
    sides: tuple[str, ...]


def resolve(experiment: Experiment) -> list[Resolved]:
    """The experiment's strategies with every axis read and every value checked; errors name the strategy and axis."""
    resolved = [_resolve(experiment, spec) for spec in experiment.strategies]
    seen = set()
    for what in resolved:
        intervals = sorted(what.spec.intervals or experiment.intervals)
        same = repr((what.strategy.name, intervals, what.params, what.rules, sorted(what.sides)))
        if same in seen:
            raise InputError(f"strategy {what.strategy.name} is there twice with the same settings; leave one out")
        seen.add(same)
    return resolved


def _resolve(experiment: Experiment, spec: StrategySpec) -> Resolved:
    strategy = get_strategy(spec.name)
    hints = get_type_hints(strategy.params_type)
    axes = []
    for name, given in spec.params.items():
        if name not in hints:
            raise UnknownNameError(f"parameter of {strategy.name}", name, hints)
        axes.append(_param_axis(strategy, parse_axis(name, given, integer=hints[name] is int)))
    rules = {**experiment.rules, **spec.rules}
    sides = parse_axis("side", rules.pop("side", "both"))
    for side in sides.values:
        if side not in SIDES:
            raise UnknownNameError("`side`", str(side), SIDES)
    space = Space(
        tuple(_rule_axis(name, given) for name, given in rules.items()), spec.rules_sample or experiment.rules_sample
    )
    _check_stops(strategy.name, space)
    return Resolved(spec, strategy, Space(tuple(axes), spec.sample), space, sides.values)


def _check_stops(strategy: str, space: Space) -> None:
    """`InputError` where any point has a target in R without a stop or a trail."""
    at = {axis.name: k for k, axis in enumerate(space.axes)}
    if not {"stop", "target"} <= at.keys():
        return
    distances = [space.axes[at[name]] for name in ("stop", "trail") if name in at]
    if not all(None in axis.values for axis in distances):
        return
    target = space.axes[at["target"]]
    if space.sample is None:
        found = np.arange(len(target.values), dtype=np.float64)
    else:
        codes = space.codes(np.arange(len(space)))
        without = np.all([codes[:, at[axis.name]] == axis.values.index(None) for axis in distances], axis=0)
        found = np.unique(codes[without, at["target"]])
    for value in map(target.value, found):
        if needs_stop(None, value, None):
            raise InputError(
                f"rules of {strategy} combine stop=none with target={value}, multiples of the stop distance, and no "
                f"trail; give every `stop` a distance, or no `target` in R"
            )


def _param_axis(strategy: Strategy, axis: Axis) -> Axis:
    if not axis.finite:
        strategy.params({axis.name: axis.value(axis.low)})
        return axis
    values = [getattr(strategy.params({axis.name: v}), axis.name) for v in axis.values]
    return parse_axis(axis.name, values)


def _rule_axis(name: str, given: Any) -> Axis:
    if name not in _RULE_NAMES:
        raise UnknownNameError("trade rule", name, _RULE_NAMES)
    if name == "exits":
        # A list of tables is one set of exit rules; an axis is a list of such lists.
        several = isinstance(given, list | tuple) and given and all(isinstance(v, list | tuple | str) for v in given)
        axis = parse_axis(name, given if several else [given])
    else:
        axis = parse_axis(name, given)
    if not axis.finite:
        rules_from({name: axis.value(axis.low)})
        return axis
    return parse_axis(name, [getattr(rules_from({name: value}), name) for value in axis.values])


def _strategy_specs(given: Any) -> Iterable[StrategySpec]:
    if isinstance(given, StrategySpec):
        return [given]
    if isinstance(given, str):
        return [StrategySpec(name) for name in (load_strategies() if given == "all" else [given])]
    table = dict(_table("strategy", given))
    known = {f.name for f in fields(StrategySpec)}
    for key in table:
        if key not in known:
            raise UnknownNameError("key of a strategy table", str(key), known)
    if not isinstance(table.get("name"), str):
        raise InputError(f"a strategy table needs its `name`, was {table.get('name')!r}")
    for key in ("params", "rules"):
        table[key] = _table(f"strategy.{key}", table.get(key, {}))
    table["intervals"] = _names("strategy.intervals", table.get("intervals", ()))
    for key in ("sample", "rules_sample"):
        table[key] = _sample(table.get(key))
    return [StrategySpec(**table)]


def _sample(given: Any) -> Sample | None:
    if given is None or isinstance(given, Sample):
        return given
    table = _table("sample", given)
    known = {f.name for f in fields(Sample)}
    for key in table:
        if key not in known:
            raise UnknownNameError("key of a sample", str(key), known)
    if "n" not in table:
        raise InputError('a sample needs `n`, how many points: {method = "lhs", n = 100, seed = 1}')
    return Sample(**{"method": "random", **table})


def _table(name: str, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise InputError(f"`{name}` must be a table of names and values, was {given!r}")
    return given


def _specs(key: str, given: Any) -> Sequence[Any]:
    """Names and tables of strategies; a single one needs no list."""
    if isinstance(given, str | Mapping | StrategySpec):
        return [given]
    if not isinstance(given, Sequence):
        raise InputError(f"`{key}` must be a name, a table, or a list of them, was {given!r}")
    return given


def _names(key: str, given: Any) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise InputError(f"`{key}` must be a name or a list of names, was {given!r}")
    return tuple(names)


def _once(name: str, values: Sequence[str]) -> None:
    twice = sorted({v for v in values if values.count(v) > 1})
    if twice:
        raise InputError(f"`{name}` must name each once, {twice[0]!r} is there twice")
