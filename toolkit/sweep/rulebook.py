"""All trade rules of a study as the kernel's table, made field by field: a million rules cost what their values do."""

from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np

from toolkit.bars.series import Bars
from toolkit.engine.identity import canonical_json
from toolkit.engine.rules import Columns, TradeRules, compile_rules
from toolkit.engine.signals import distance_columns, gate_bits, leg_signals
from toolkit.engine.types import LONG, SHORT, LegSignals, Rules
from toolkit.strategy import Signals
from toolkit.sweep.grid import Axis, Space
from toolkit.types import FloatArray, IntArray

# Which numbers of `Rules` a field of `TradeRules` decides; `exits` also has its own rows.
_NUMBERS = {
    "stop": ("stop_mode", "stop_k", "stop_col"),
    "target": ("target_mode", "target_k", "target_col"),
    "trail": ("trail_mode", "trail_k", "trail_col"),
    "trail_on": ("trail_on_extreme",),
    "max_hold": ("max_hold",),
    "signal_timeout": ("signal_timeout",),
    "entry_ttl": ("entry_ttl",),
    "one_entry_per": ("period_ms", "period_origin_ms"),
    "one_entry_scope": ("period_shared",),
    "exits": ("watch_from",),
    "policy": ("policy",),
    "target_fill": ("target_fill",),
}
_POSITION = {name: k for k, name in enumerate(Rules._fields)}
_NEVER = (0.0, np.inf, 0.0, 0.0, 0.0, 0.0)


class RuleBook:
    """The rules of one space for signals on one series.

    `side` is no part of it: the kernel runs every side of a rule at once.
    """

    def __init__(self, space: Space, bars: Bars) -> None:
        self.space = space
        self.bars = bars
        self.columns = Columns()
        default = compile_rules(TradeRules(), bars, self.columns)
        self._default = np.array([float(x) for x in default[:-1]])
        self._default_exits = default.exit_rules
        self._known = [_distinct(space, k) for k in range(len(space.axes))]
        compiled = [self._compile(axis, codes) for axis, codes in zip(space.axes, self._known, strict=True)]
        self._numbers = [np.array([row for row, _ in axis]) for axis in compiled]
        exit_axes = [k for k, axis in enumerate(space.axes) if axis.name == "exits"]
        self._exits = {k: [rows for _, rows in compiled[k]] for k in exit_axes}
        self._depth = max((len(r) for rows in self._exits.values() for r in rows), default=len(self._default_exits))
        self._json_default = {name: _fragment(name, value) for name, value in asdict(TradeRules()).items()}
        self._json = [
            [_fragment(axis.name, _plain(axis, code)) for code in codes]
            for axis, codes in zip(space.axes, self._known, strict=True)
        ]

    def _compile(self, axis: Axis, codes: FloatArray) -> list[tuple[list[float], FloatArray]]:
        # `one_entry_scope` means something only with a period; `table` takes it back where there is none.
        start = TradeRules(one_entry_per="1d") if axis.name == "one_entry_scope" else TradeRules()
        out = []
        for code in codes:
            rules = compile_rules(replace(start, **{axis.name: axis.value(code)}), self.bars, self.columns)
            out.append(([float(getattr(rules, name)) for name in _NUMBERS[axis.name]], rules.exit_rules))
        return out

    def rules(self, number: int, side: str) -> TradeRules:
        """The trade rules of one point."""
        return TradeRules(**self.space.point(number), side=side)

    def table(self, numbers: IntArray) -> tuple[FloatArray, FloatArray]:
        """`rule_table` of the rule points of these numbers."""
        out = np.tile(self._default, (len(numbers), 1))
        exits = np.tile(np.array(_NEVER), (len(numbers), self._depth, 1))
        if not self._exits:
            exits[:, : len(self._default_exits)] = self._default_exits
        for k, places in enumerate(self._places(numbers)):
            columns = [_POSITION[name] for name in _NUMBERS[self.space.axes[k].name]]
            out[:, columns] = self._numbers[k][places]
            if k in self._exits:
                padded = np.tile(np.array(_NEVER), (len(self._exits[k]), self._depth, 1))
                for row, given in zip(padded, self._exits[k], strict=True):
                    row[: len(given)] = given
                exits[:] = padded[places]
        shared, period = _POSITION["period_shared"], _POSITION["period_ms"]
        out[:, shared] *= out[:, period] > 0
        return out, exits

    def canonical(self, numbers: IntArray, side: str) -> list[str]:
        """Canonical JSON of the trade rules of these points, as an instance's digest has it."""
        parts: list[Any] = [{**self._json_default, "side": _fragment("side", side)}[n] for n in sorted(_FIELD_NAMES)]
        order = {name: k for k, name in enumerate(sorted(_FIELD_NAMES))}
        places = self._places(numbers)
        varying = [(order[axis.name], self._json[k], places[k]) for k, axis in enumerate(self.space.axes)]
        out = []
        for i in range(len(numbers)):
            for position, texts, place in varying:
                parts[position] = texts[place[i]]
            out.append("{" + ",".join(parts) + "}")
        return out

    def legs(self, signals: Signals) -> tuple[LegSignals, LegSignals]:
        """Both sides' events of one set of signals, with every factor column that any of the rules reads."""
        distances, gates = distance_columns(self.bars, signals, self.columns), gate_bits(self.bars, self.columns)
        return tuple(leg_signals(self.bars, signals, s, distances, gates) for s in (LONG, SHORT))  # type: ignore[return-value]

    def _places(self, numbers: IntArray) -> list[IntArray]:
        codes = self.space.codes(numbers)
        return [np.searchsorted(known, codes[:, k]) for k, known in enumerate(self._known)]


_FIELD_NAMES = tuple(f.name for f in fields(TradeRules))


def _distinct(space: Space, k: int) -> FloatArray:
    """float64, ascending: the codes that occur on axis `k`."""
    axis = space.axes[k]
    if axis.finite:
        return np.arange(len(axis.values), dtype=np.float64)
    return np.unique(space.codes(np.arange(len(space)))[:, k])


def _plain(axis: Axis, code: float) -> Any:
    return asdict(TradeRules(**{axis.name: axis.value(code)}))[axis.name]


def _fragment(name: str, value: Any) -> str:
    return f"{canonical_json(name)}:{canonical_json(value)}"
