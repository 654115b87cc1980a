"""What groups earned day by day, before and after: kept group by group, added up over groups, and judged."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from toolkit.models.parts import Part
from toolkit.types import FloatArray

BEFORE, BEFORE_RANK, RANK = "before", "before_rank", "rank"
_DAILY, _PERMUTED, _CONTROL = "daily", "permuted", "control"
# Between the words of an array's name; no method or control has it.
_SEP = ":"


@dataclass(frozen=True, eq=False)
class Tally:
    """Daily profits of a group's members together, each on a notional of 1 a trade, out of sample.

    Attributes
    ----------
    day0 : absolute number of the first UTC day.
    daily : float64[n_days] by "before", "before_rank" (what rank is compared with) and method.
    permuted : float64[N, n_days] by method, after, by models that learned from permuted labels.
    controls : float64[k, n_days] by control and method, after, each time that the control was run.
    trades : closed trades by "before" and method. members, rows : how many instances and entry signals.
    facts : what else is told of the group, as JSON can hold it.
    """

    day0: int
    daily: Mapping[str, FloatArray]
    permuted: Mapping[str, FloatArray] = field(default_factory=dict)
    controls: Mapping[str, Mapping[str, FloatArray]] = field(default_factory=dict)
    trades: Mapping[str, int] = field(default_factory=dict)
    members: int = 0
    rows: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(name for name in self.daily if name not in (BEFORE, BEFORE_RANK))

    def before(self, method: str) -> FloatArray:
        """What a method is compared with: the same account without a model."""
        return self.daily[BEFORE_RANK if method == RANK and BEFORE_RANK in self.daily else BEFORE]

    def trades_before(self, method: str) -> int | None:
        return self.trades.get(BEFORE_RANK if method == RANK and BEFORE_RANK in self.trades else BEFORE)

    def part(self) -> Part:
        """As the pool keeps it."""
        arrays = {f"{_DAILY}{_SEP}{name}": values for name, values in self.daily.items()}
        arrays |= {f"{_PERMUTED}{_SEP}{name}": values for name, values in self.permuted.items()}
        for control, by_method in self.controls.items():
            arrays |= {f"{_CONTROL}{_SEP}{control}{_SEP}{name}": values for name, values in by_method.items()}
        told = {"day0": self.day0, "trades": dict(self.trades), "members": self.members, "rows": self.rows}
        return Part({**told, "facts": dict(self.facts)}, arrays)

    @classmethod
    def of(cls, part: Part) -> "Tally":
        """The tally that a part was made of."""
        daily, permuted = dict[str, FloatArray](), dict[str, FloatArray]()
        controls = dict[str, dict[str, FloatArray]]()
        for name, values in part.arrays.items():
            kind, *words = name.split(_SEP)
            if kind == _CONTROL:
                controls.setdefault(words[0], {})[words[1]] = values
            else:
                (daily if kind == _DAILY else permuted)[words[0]] = values
        told = part.facts
        return cls(
            told["day0"], daily, permuted, controls, told["trades"], told["members"], told["rows"], told["facts"]
        )


def added(tallies: Iterable[Tally]) -> Tally:
    """All groups together on the days of any of them; a method, control or test that one of them lacks is left out.

    The k-th permutation of each is added up, and so is the k-th run of a control: those are as many histories without
    anything to learn as one group has. One tally at a time is looked at.
    """
    return reduce(_both, tallies)


def _both(one: Tally, other: Tally) -> Tally:
    day0 = min(one.day0, other.day0)
    n_days = max(tally.day0 - day0 + len(tally.daily[BEFORE]) for tally in (one, other))
    places = (one.day0 - day0, other.day0 - day0, n_days)
    shared = _common(one.controls, other.controls)
    return Tally(
        day0,
        _sum(one.daily, other.daily, places),
        _sum(one.permuted, other.permuted, places),
        {name: _sum(one.controls[name], other.controls[name], places) for name in shared},
        {name: one.trades[name] + other.trades[name] for name in _common(one.trades, other.trades)},
        one.members + other.members,
        one.rows + other.rows,
    )


def _sum(
    one: Mapping[str, FloatArray], other: Mapping[str, FloatArray], places: tuple[int, int, int]
) -> dict[str, FloatArray]:
    first, second, n_days = places
    found = {}
    for name in _common(one, other):
        a, b = one[name], other[name]
        total = np.zeros((*a.shape[:-1], n_days))
        total[..., first : first + a.shape[-1]] += a
        total[..., second : second + b.shape[-1]] += b
        found[name] = total
    return found


def _common(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Names that both have, in the order of the first."""
    return [name for name in one if name in other]
