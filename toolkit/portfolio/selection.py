"""Which instances are on: figures of their stand-alone records against a rule, best first, not two of one kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from toolkit.errors import InputError, UnknownNameError
from toolkit.portfolio.conditions import Condition, parse_conditions
from toolkit.portfolio.record_figures import FIGURES, record_figures
from toolkit.sweep.ranking import LESS_IS_BETTER
from toolkit.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from toolkit.portfolio.track import TrackRecord


NONE_BARRED: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class SelectionRule:
    """What an instance must have shown to be on.

    Attributes
    ----------
    conditions : "expectancy > 0 and sortino > 1" over `record_figures.FIGURES`; empty: none. A figure that is not
        defined fulfils no condition. Money is in units of the notional.
    min_trades : fewest closed trades.
    max_correlation : largest correlation of daily returns with any instance chosen before it; None = no limit.
    top : at most so many; None = all.
    by : the figure that ranks, best first (of `max_drawdown` the smallest).
    """

    conditions: str = ""
    min_trades: int = 1
    max_correlation: float | None = None
    top: int | None = None
    by: str = "sharpe"

    def __post_init__(self) -> None:
        self.parsed  # noqa: B018 - the text is checked when the rule is made
        _whole("min_trades", self.min_trades, 0)
        if self.top is not None:
            _whole("top", self.top, 1)
        if self.by not in FIGURES:
            raise UnknownNameError("figure to rank `by`", self.by, FIGURES)
        most: Any = self.max_correlation
        if most is not None and (isinstance(most, bool) or not isinstance(most, int | float) or not -1 <= most <= 1):
            raise InputError(f"`max_correlation` must be from -1 to 1, was {most!r}; leave it out for no limit")

    @cached_property
    def parsed(self) -> tuple[Condition, ...]:
        """The conditions that all have to hold."""
        return parse_conditions(self.conditions, FIGURES)

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures that the rule reads, each once."""
        read = [name for condition in self.parsed for name in condition.figures]
        return tuple(dict.fromkeys([*read, "trades", self.by]))

    def holds(self, columns: Mapping[str, FloatArray]) -> BoolArray:
        """bool[n]: conditions, fewest trades and a defined figure to rank by, for columns float64[n] by figure."""
        kept: BoolArray = (columns["trades"] >= self.min_trades) & np.isfinite(columns[self.by])
        for condition in self.parsed:
            kept = kept & condition.holds(columns)
        return kept


@dataclass(frozen=True)
class Selection:
    """What a rule chose.

    Attributes
    ----------
    instances : ids of those chosen, best first.
    left_out : for each other one, why, in the order of the track.
    figures : a row an instance, see `record_figures`.
    """

    instances: tuple[str, ...]
    left_out: Mapping[str, str]
    figures: pl.DataFrame = field(repr=False)


def choose(track: "TrackRecord", rule: SelectionRule, barred: Mapping[str, str] = NONE_BARRED) -> Selection:
    """Choose instances by what the whole of `track` shows; give it `track.known_at(...)` to choose as of a moment.

    Candidates that keep to the conditions are taken in the order of `rule.by` (equal ones by id); one whose daily
    returns correlate above `max_correlation` with one already taken is left out (Pearson, on the days that both have;
    where one of the two did not move, or they share fewer than two days, there is no correlation). `barred` are those
    that must not be chosen whatever they did, with the reason.
    """
    table = record_figures(track)
    columns = {name: table[name].to_numpy() for name in FIGURES}
    instances, days = table["instance"].to_list(), table["days"].to_numpy()
    free = np.array([name not in barred for name in instances], np.bool_)
    kept = rule.holds(columns) & (days > 0) & free
    reasons = {
        instances[k]: barred.get(instances[k])
        or _why_not({name: float(columns[name][k]) for name in FIGURES}, int(days[k]), rule)
        for k in np.flatnonzero(~kept)
    }
    better = 1.0 if rule.by in LESS_IS_BETTER else -1.0
    ranked = sorted(np.flatnonzero(kept), key=lambda k: (better * columns[rule.by][k], instances[k]))
    taken = _greedy([instances[k] for k in ranked], track.returns, rule, reasons)
    left_out = {name: reasons[name] for name in instances if name in reasons}
    return Selection(tuple(taken), left_out, table)


def _greedy(ranked: list[str], returns: pl.DataFrame, rule: SelectionRule, reasons: dict[str, str]) -> list[str]:
    """Those of `ranked` that are taken; why the others are not goes into `reasons`."""
    taken: list[str] = []
    series = returns.select(ranked).to_numpy().T
    chosen = np.empty_like(series)
    for name, own in zip(ranked, series, strict=True):
        if rule.top is not None and len(taken) == rule.top:
            reasons[name] = f"ranks behind the {rule.top} best by {rule.by}"
            continue
        if rule.max_correlation is not None and taken:
            found = correlations(own, chosen[: len(taken)])
            worst = int(np.argmax(found))
            if found[worst] > rule.max_correlation:
                reasons[name] = f"correlates {found[worst]:.3g} with {taken[worst]}, above {rule.max_correlation:g}"
                continue
        chosen[len(taken)] = own
        taken.append(name)
    return taken


def correlations(one: FloatArray, others: FloatArray) -> FloatArray:
    """float64[k]: Pearson correlation of a series float64[n] with each row of float64[k, n], on the days both have.

    0 where there is none: fewer than two days in common, or a series that is constant on them.
    """
    both = ~(np.isnan(one) | np.isnan(others))
    count = np.maximum(both.sum(axis=1, keepdims=True), 1)
    x, y = np.where(both, one, 0.0), np.where(both, others, 0.0)
    x = np.where(both, x - x.sum(axis=1, keepdims=True) / count, 0.0)
    y = np.where(both, y - y.sum(axis=1, keepdims=True) / count, 0.0)
    spread, other_spread = np.sqrt((x * x).sum(axis=1)), np.sqrt((y * y).sum(axis=1))
    # What is left of a constant series is rounding, in proportion to its size.
    least = [1e-12 * np.where(both, np.abs(v), 0.0).max(axis=1, initial=0.0) for v in (one, others)]
    moved = (spread > least[0]) & (other_spread > least[1])
    found: FloatArray = np.where(moved, (x * y).sum(axis=1) / np.where(moved, spread * other_spread, 1.0), 0.0)
    return np.clip(found, -1.0, 1.0)


def _why_not(figures: Mapping[str, float], days: int, rule: SelectionRule) -> str:
    if days == 0:
        return "has no day of record"
    if figures["trades"] < rule.min_trades:
        return f"{figures['trades']:.0f} closed trades, fewer than {rule.min_trades}"
    for condition in rule.parsed:
        if not condition.holds({name: np.array([value]) for name, value in figures.items()})[0]:
            return f"{condition.text} does not hold ({_shown(condition.figures, figures)})"
    return f"its {rule.by} is not defined"


def _shown(names: tuple[str, ...], figures: Mapping[str, float]) -> str:
    values = (f"{n} {figures[n]:.4g}" if np.isfinite(figures[n]) else f"{n} not defined" for n in names)
    return ", ".join(values)


def _whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"`{name}` must be a whole number of at least {least}, was {value!r}")
