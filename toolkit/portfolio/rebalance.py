"""Which instances are on and with what weight, decided again and again from what was known at each moment.

`decide` is the one function: a backtest calls it at every moment of its schedule, `toolkit portfolio rebalance` calls
it once, from cron.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import utc
from toolkit.engine.durations import time_ms
from toolkit.errors import InputError, UnknownNameError
from toolkit.portfolio.schedule import WeightSchedule
from toolkit.portfolio.selection import Selection, SelectionRule, choose
from toolkit.portfolio.weights import METHODS, weigh
from toolkit.portfolio.weights_caps import Caps

if TYPE_CHECKING:
    from toolkit.portfolio.track import TrackRecord

_SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*s")


@dataclass(frozen=True)
class RebalancePolicy:
    """How a portfolio is chosen and weighed anew.

    Attributes
    ----------
    every : time from one rebalance to the next, whole days. lookback : how far back it looks, whole days.
    rule : which instances are on. method, caps : how they are weighed, see `weights.weigh`.
    latency : time from the moment that a rebalance looks back from to the moment that its weights count ("0s", "5m").
    """

    every: str = "7d"
    lookback: str = "90d"
    rule: SelectionRule = field(default_factory=SelectionRule)
    method: str = "equal"
    caps: Caps = field(default_factory=Caps)
    latency: str = "0s"

    def __post_init__(self) -> None:
        for name in ("every", "lookback"):
            value = getattr(self, name)
            span = time_ms(name, value)
            if span <= 0 or span % DAY_MS:
                raise InputError(f"`{name}` must be whole days such as '7d' (records are daily), was {value!r}")
        if self.method not in METHODS:
            raise UnknownNameError("weights `method`", self.method, METHODS)
        if self.latency_ms >= self.every_ms:
            raise InputError(
                f"`latency` {self.latency!r} must be shorter than `every` {self.every!r}, or the next rebalance is due "
                f"before its weights count"
            )

    @property
    def every_ms(self) -> int:
        return time_ms("every", self.every)

    @property
    def lookback_ms(self) -> int:
        return time_ms("lookback", self.lookback)

    @property
    def latency_ms(self) -> int:
        found = _SECONDS.fullmatch(self.latency.strip()) if isinstance(self.latency, str) else None
        return round(float(found[1]) * 1000) if found else time_ms("latency", self.latency)


@dataclass(frozen=True)
class Decision:
    """What one rebalance decided.

    Attributes
    ----------
    moment_ms : nothing after it was looked at. effective_ms : from then on its weights count.
    selection : which instances, and why not the others.
    weights : of those chosen, best first; empty where nothing is on.
    note : why nothing is on; "" where something is.
    """

    moment_ms: int
    effective_ms: int
    selection: Selection = field(repr=False)
    weights: dict[str, float]
    note: str


def rebalance(track: "TrackRecord", moment_ms: int, policy: RebalancePolicy) -> dict[str, float]:
    """Weights by instance as of a moment (epoch ms); see `decide`. An instance without one is off."""
    return decide(track, moment_ms, policy).weights


def decide(track: "TrackRecord", moment_ms: int, policy: RebalancePolicy) -> Decision:
    """Choose and weigh from `track.known_at(moment_ms, lookback)`, and from nothing else.

    An instance without bars on the last day before the moment is off: its symbol ended, or is no longer followed. Where
    no instance keeps to the rule, or those that do cannot be weighed, everything is off and `note` says why.

    Raises
    ------
    InputError : the track does not cover the whole lookback before the moment.
    """
    _check_covered(track, moment_ms, policy)
    known = track.known_at(moment_ms, policy.lookback_ms)
    selection = choose(known, policy.rule, _ended(known))
    weights, note = {}, ""
    if not selection.instances:
        note = f"none of {len(selection.left_out)} instances keeps to the rule"
    else:
        try:
            weights = weigh(known.only(selection.instances), policy.method, policy.caps)
        except InputError as error:
            note = f"{len(selection.instances)} chosen, and they cannot be weighed: {error}"
    ordered = {name: weights[name] for name in selection.instances if name in weights}
    if weights and not any(ordered.values()):
        ordered, note = {}, f"{len(selection.instances)} chosen, and {policy.method} gives none of them a weight"
    return Decision(moment_ms, moment_ms + policy.latency_ms, selection, ordered, note)


def _ended(known: "TrackRecord") -> dict[str, str]:
    """Why those that had a record and are not there on its last day cannot be on."""
    last = known.returns.row(-1, named=True) if known.returns.height else {}
    seen = known.returns.select("date", *(name for name in known.instances if last.get(name) is None))
    return {
        name: f"has no bars since {days[-1]}"
        for name in seen.columns[1:]
        if len(days := seen.filter(pl.col(name).is_not_null())["date"])
    }


def moments(start_ms: int, end_ms: int, policy: RebalancePolicy) -> list[int]:
    """When a backtest rebalances (epoch ms): at its start, then every so many days from the start's 00:00 UTC."""
    later = range(start_ms // DAY_MS * DAY_MS + policy.every_ms, end_ms, policy.every_ms)
    return [start_ms, *later]


def decisions(track: "TrackRecord", start_ms: int, end_ms: int, policy: RebalancePolicy) -> list[Decision]:
    """`decide` at each of `moments`. The track must begin `lookback` before the start.

    Raises
    ------
    InputError : it begins later, or ends before the last moment.
    """
    return [decide(track, moment, policy) for moment in moments(start_ms, end_ms, policy)]


def schedule_of(made: Sequence[Decision], instances: Sequence[str]) -> WeightSchedule:
    """The weights that decisions in order of time give over time, a column an instance."""
    rows = [[decision.weights.get(name, 0.0) for name in instances] for decision in made]
    effective = np.array([decision.effective_ms for decision in made], np.int64)
    return WeightSchedule(tuple(instances), effective, np.array(rows, np.float64).reshape(len(made), len(instances)))


def walk_forward(track: "TrackRecord", start_ms: int, end_ms: int, policy: RebalancePolicy) -> WeightSchedule:
    """The schedule of a backtest from `start_ms` to `end_ms`: each row from what was known at its rebalance.

    A row counts from its rebalance plus `latency`; before the first one everything is off. A rebalance that chooses
    nothing turns everything off (`decisions` says which and why).
    """
    return schedule_of(decisions(track, start_ms, end_ms, policy), track.instances)


def _check_covered(track: "TrackRecord", moment_ms: int, policy: RebalancePolicy) -> None:
    dates = track.returns["date"].cast(pl.Int32).cast(pl.Int64) * DAY_MS
    if not len(dates):
        raise InputError("the track record has no day; a rebalance needs the days before it")
    first, after = int(dates[0]), int(dates[-1]) + DAY_MS
    wanted = (moment_ms - policy.lookback_ms) // DAY_MS * DAY_MS
    if first > wanted:
        days = (first - wanted) // DAY_MS
        raise InputError(
            f"a rebalance at {utc(moment_ms)} looks back {policy.lookback} to {utc(wanted)}, and the records begin "
            f"{days} day{'s' if days > 1 else ''} later, {utc(first)}; begin them earlier, start later, or shorten the "
            f"lookback"
        )
    if after < moment_ms // DAY_MS * DAY_MS:
        raise InputError(
            f"a rebalance at {utc(moment_ms)} needs every day before it, and the records end {utc(after)}; pull newer "
            f"bars, or choose an earlier moment"
        )
