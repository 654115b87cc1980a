"""Which weights a backtest runs with, what stands beside them, and which days they were learned from."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toolkit.bars.intervals import DAY_MS
from toolkit.bars.moments import Moment, check_range, to_ms
from toolkit.bars.series import utc
from toolkit.errors import InputError, UnknownNameError
from toolkit.portfolio.loading import LoadedMember
from toolkit.portfolio.origin import UNKNOWN, Origin
from toolkit.portfolio.rebalance import RebalancePolicy, decisions, schedule_of
from toolkit.portfolio.schedule import WeightSchedule
from toolkit.portfolio.standalone import track_of
from toolkit.portfolio.track import TrackRecord
from toolkit.portfolio.weights import METHODS, weigh
from toolkit.portfolio.weights_caps import Caps

# How much history before the start weights are learned from, where neither a sweep nor a policy says.
LEARN_MS = 365 * DAY_MS
EQUAL, WINNERS, STATIC = "equal", "winners", "static"


@dataclass(frozen=True)
class Wish:
    """The arguments of a backtest that decide its period and weights; see `backtest.portfolio_backtest`."""

    start: Moment | None
    end: Moment | None
    weights: Mapping[str, float] | str | None
    policy: RebalancePolicy | None
    caps: Caps
    learn_from: Moment | None
    beside: bool


@dataclass(frozen=True)
class Schedules:
    """The weights of the portfolio, those of its variants, and the stand-alone record that they were learned from."""

    own: WeightSchedule
    others: Mapping[str, WeightSchedule]
    track: TrackRecord | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A backtest's period, and the first moment (`load_ms`) of the history that its weights are learned from.

    None is open: the first bar, or the last.
    """

    wish: Wish
    start_ms: int | None
    end_ms: int | None
    load_ms: int | None

    @property
    def method(self) -> str | None:
        """The method that static weights come from, None where they are given."""
        if self.wish.weights is None:
            return EQUAL
        return self.wish.weights if isinstance(self.wish.weights, str) else None

    def table(self) -> dict[str, Any]:
        """As JSON can hold it; `learned_from` is of weights that a method made once."""
        wish = self.wish
        learned = None
        by_method = wish.policy is None and self.learns
        if by_method and self.start_ms is not None and self.load_ms is not None and self.load_ms < self.start_ms:
            learned = {"start": utc(self.load_ms), "end": utc(self.start_ms)}
        return {
            "weights": self.method or "given",
            "caps": asdict(wish.caps),
            "policy": None if wish.policy is None else asdict(wish.policy),
            "learned_from": learned,
        }

    def schedules(self, loaded: Sequence[LoadedMember], *, jobs: int | None, progress: bool) -> Schedules:
        """Every schedule of the backtest; only days before the start teach static weights."""
        self._check_reached(loaded)
        ids = sorted(one.instance.id for one in loaded)
        track = None
        if self.wish.beside or self.learns:
            if progress:
                print(f"{len(ids):,} instances alone, for their weights", file=sys.stderr)
            track = track_of(loaded, jobs=jobs)
        notes: list[str] = []
        static = WeightSchedule.static(self._static(ids, track), ids) if self._needs_static else None
        if self.wish.policy is None:
            assert static is not None
            own = static
        else:
            assert track is not None and self.start_ms is not None
            made = decisions(track, self.start_ms, self._last_ms(loaded), self.wish.policy)
            own = schedule_of(made, ids)
            notes += [f"{utc(one.moment_ms)}: everything is off, {one.note}" for one in made if one.note]
            static = static or WeightSchedule.static(made[0].weights, ids)
        others = self._beside(ids, track, notes) if self.wish.beside else {}
        if self.wish.policy is not None and self.wish.beside:
            others[STATIC] = static
        return Schedules(own, others, track, tuple(notes))

    @property
    def learns(self) -> bool:
        """Whether the portfolio's own weights come from days before the start."""
        plain = self.method in (None, EQUAL) and self.wish.caps == Caps()
        return self.wish.policy is not None or not plain

    @property
    def _needs_static(self) -> bool:
        return self.wish.policy is None or self.wish.weights is not None

    def _static(self, ids: Sequence[str], track: TrackRecord | None) -> dict[str, float]:
        if self.method is None:
            assert isinstance(self.wish.weights, Mapping)
            return dict(self.wish.weights)
        if self.method == EQUAL and self.wish.caps == Caps():
            return dict.fromkeys(ids, 1.0 / len(ids))
        assert track is not None
        return weigh(self._before(track), self.method, self.wish.caps)

    def _before(self, track: TrackRecord) -> TrackRecord:
        """What was known at the start."""
        if self.start_ms is None:
            raise InputError(
                f"weights by {self.method!r} are learned from days before the start; name a `start` that has history "
                f"before it, give weights, or take 'equal'"
            )
        return track.known_at(self.start_ms)

    def _beside(self, ids: Sequence[str], track: TrackRecord | None, notes: list[str]) -> dict[str, WeightSchedule]:
        assert track is not None
        found = {EQUAL: WeightSchedule.static(dict.fromkeys(ids, 1.0 / len(ids)), ids)}
        try:
            if self.start_ms is None:
                raise InputError("the test begins with the first bar")
            found[WINNERS] = WeightSchedule.static(weigh(track.known_at(self.start_ms), WINNERS), ids)
        except InputError as error:
            notes.append(f"no variant of winners only (1/0), it is learned from days before the start: {error}")
        return found

    def _check_reached(self, loaded: Sequence[LoadedMember]) -> None:
        for one in loaded:
            last_ms = int(one.bars.base.close_ts[-1])
            if self.start_ms is not None and last_ms <= self.start_ms:
                raise InputError(
                    f"{one.instance.id} has no bars from the start {utc(self.start_ms)} on, they end {utc(last_ms)}; "
                    f"leave it out, start earlier, or pull newer bars"
                )

    def _last_ms(self, loaded: Sequence[LoadedMember]) -> int:
        last = max(int(one.bars.base.close_ts[-1]) for one in loaded)
        return last if self.end_ms is None else min(last, self.end_ms)


def make_plan(origin: Origin, wish: Wish) -> Plan:
    """The period, checked, before anything is loaded."""
    if isinstance(wish.weights, str) and wish.weights not in METHODS:
        raise UnknownNameError("weights method", wish.weights, METHODS)
    if wish.policy is None and wish.caps != Caps() and isinstance(wish.weights, Mapping):
        raise InputError(
            "caps shape weights that a method makes, and these are given; name a method, or leave the caps out"
        )
    start_ms = to_ms(wish.start, "start") if wish.start is not None else origin.tests_from_ms
    end_ms = None if wish.end is None else to_ms(wish.end, "end")
    check_range(start_ms, end_ms)
    plan = Plan(wish, start_ms, end_ms, start_ms)
    if start_ms is None:
        if wish.policy is not None:
            raise InputError("a rebalance looks at days before the `start`; name one that has history before it")
        return plan
    learn_ms = start_ms
    if wish.learn_from is not None:
        learn_ms = to_ms(wish.learn_from, "learn_from")
        if learn_ms >= start_ms:
            raise InputError(
                f"`learn_from` must be before the start {utc(start_ms)}, was {utc(learn_ms)}: weights are learned from "
                f"days that are not tested"
            )
    elif plan.learns or wish.beside:
        began = origin.selected.start_ms
        known = origin.selected is not UNKNOWN and began is not None and began < start_ms
        learn_ms = began if known and began is not None else start_ms - LEARN_MS
    if wish.policy is not None:
        # Twice the lookback, as `rebalance` from cron: trades open where a lookback begins are in their places.
        learn_ms = min(learn_ms, start_ms - 2 * wish.policy.lookback_ms)
    return Plan(wish, start_ms, end_ms, learn_ms)
