"""The `metrics` table of a sweep: a row a combination, its columns the same in every part."""

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, get_type_hints

import numpy as np
import polars as pl

from toolkit.analysis.metrics import METRICS
from toolkit.analysis.reference import REFERENCE
from toolkit.engine.identity import Instance, canonical_json
from toolkit.engine.rules import TradeRules
from toolkit.sweep.experiment import Resolved
from toolkit.sweep.plan import Plan, Unit
from toolkit.sweep.room import Bench
from toolkit.types import FloatArray

PARAM, RULE = "param_", "rule_"
_TYPES: dict[Any, Any] = {bool: pl.Boolean, int: pl.Int64, float: pl.Float64, str: pl.String}


class RowMaker:
    """Turns a unit's figures into rows.

    Columns: combination (its number, from 0), strategy, symbol, interval, side, instance, `param_<name>` for every
    parameter of the sweep's strategies (null where a strategy has no such parameter), `rule_<name>` for every trade
    rule that the experiment names (null is "none"), then `METRICS` (null where one is not defined) and `REFERENCE`.
    """

    def __init__(self, plan: Plan) -> None:
        self.tried = float(plan.rows)
        resolved = list({id(s.what): s.what for s in plan.studies}.values())
        self.params = _param_types(resolved)
        self.rules = _rule_types(resolved)

    def frame(self, unit: Unit, bench: Bench, figures: FloatArray) -> pl.DataFrame:
        """Rows of a unit; `figures` : float64[n_params, n_rules, n_sides, N_METRICS]."""
        study, n = unit.study, unit.rows
        sides = study.what.sides
        columns: dict[str, Any] = {
            "combination": pl.Series(np.arange(unit.first, unit.first + n)),
            "strategy": _same(study.what.strategy.name, n),
            "symbol": _same(study.symbol, n),
            "interval": _same(study.interval, n),
            "side": pl.Series(list(sides), dtype=pl.String).gather(np.arange(n) % len(sides)),
            "instance": pl.Series(_instances(unit, bench), dtype=pl.String),
        }
        per_param = (unit.rules[1] - unit.rules[0]) * len(sides)
        points = [bench.params(k)._asdict() for k in range(*unit.params)]
        for name, dtype in self.params.items():
            values = pl.Series([_fit(point.get(name), dtype) for point in points], dtype=dtype)
            columns[PARAM + name] = values.gather(np.arange(n) // per_param)
        rules = self._rule_columns(unit)
        for name, column in rules.items():
            columns[RULE + name] = column.gather(np.arange(n) % per_param // len(sides))
        flat = figures.reshape(n, len(METRICS))
        columns |= {name: pl.Series(flat[:, k]).fill_nan(None) for k, name in enumerate(METRICS)}
        beside = {**bench.reference, "combinations_tried": self.tried}
        columns |= {name: pl.repeat(beside[name], n, eager=True).fill_nan(None) for name in REFERENCE}
        return pl.DataFrame(columns)

    def _rule_columns(self, unit: Unit) -> dict[str, pl.Series]:
        """One value a rule point of the unit."""
        space = unit.study.what.rules
        codes = space.codes(np.arange(*unit.rules))
        out = {}
        for name, dtype in self.rules.items():
            position = next((k for k, axis in enumerate(space.axes) if axis.name == name), None)
            if position is None:
                values = [getattr(TradeRules(), name)] * len(codes)
            else:
                values = [space.axes[position].value(code) for code in codes[:, position]]
            out[name] = pl.Series([_fit(value, dtype) for value in values], dtype=dtype)
        return out


def _instances(unit: Unit, bench: Bench) -> list[str]:
    """`Instance.id` of every row, the canonical text put together from its parts."""
    study = unit.study
    name, sides = study.what.strategy.name, study.what.sides
    numbers = np.arange(*unit.rules)
    rules = [bench.book.canonical(numbers, side) for side in sides]
    tail = f",{canonical_json(study.symbol)},{canonical_json(study.interval)},{canonical_json(bench.code)}]".encode()
    out = []
    for k in range(*unit.params):
        params = bench.params(k)._asdict()
        example = Instance(name, params, TradeRules(), study.symbol, study.interval, bench.code).id
        readable = example[: example.rindex("-") + 1]
        digits = len(example) - len(readable)
        head = hashlib.sha256(f"[{canonical_json(name)},{canonical_json(params)},".encode())
        for i in range(len(numbers)):
            for texts in rules:
                whole = head.copy()
                whole.update(texts[i].encode() + tail)
                out.append(readable + whole.hexdigest()[:digits])
    return out


def _param_types(resolved: Sequence[Resolved]) -> dict[str, Any]:
    found: dict[str, set[Any]] = {}
    for what in resolved:
        for name, hint in get_type_hints(what.strategy.params_type).items():
            found.setdefault(name, set()).add(_TYPES.get(hint, pl.String))
    return {name: _common(types) for name, types in found.items()}


def _rule_types(resolved: Sequence[Resolved]) -> dict[str, Any]:
    found: dict[str, set[Any]] = {}
    for what in resolved:
        for axis in what.rules.axes:
            values = axis.values if axis.finite else (axis.value(axis.low),)
            types = {_TYPES.get(type(v), pl.String) for v in values if v is not None}
            found.setdefault(axis.name, set()).update(types)
    for what in resolved:
        for name in set(found) - {axis.name for axis in what.rules.axes}:
            default = getattr(TradeRules(), name)
            if default is not None:
                found[name].add(_TYPES.get(type(default), pl.String))
    order = [f.name for f in fields(TradeRules)]
    return {name: _common(found[name]) for name in sorted(found, key=order.index)}


def _common(types: set[Any]) -> Any:
    if len(types) == 1:
        return next(iter(types))
    return pl.Float64 if types == {pl.Int64, pl.Float64} else pl.String


def _fit(value: Any, dtype: Any) -> Any:
    if value is None or dtype == pl.Boolean or dtype == pl.Int64:
        return value
    if dtype == pl.Float64:
        return float(value)
    return value if isinstance(value, str) else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return canonical_json([{f.name: getattr(rule, f.name) for f in fields(rule)} for rule in value])
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _same(value: str, n: int) -> pl.Series:
    return pl.repeat(value, n, dtype=pl.String, eager=True)
