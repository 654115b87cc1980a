"""One group's models over time: learned, held, learned anew, each from what was known on the path it had made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from toolkit.bars.intervals import DAY_MS
from toolkit.engine.types import Judged
from toolkit.errors import InputError
from toolkit.models.judging import Version
from toolkit.models.panel import Panel, make_panel
from toolkit.models.paths import MemberPath, begun
from toolkit.models.retraining import RetrainPolicy, due_ms
from toolkit.models.trained import Trained
from toolkit.portfolio.loading import LoadedMember
from toolkit.types import IntArray

# How far a path is first taken in search of the next cut-off of a clock that counts outcomes.
_FIRST_STRETCH_MS = 7 * DAY_MS


@dataclass(frozen=True)
class Known:
    """What a training may look at: rows decided from `from_ms` on whose outcome was known by `until_ms` (epoch ms)."""

    from_ms: int
    until_ms: int


class Learn(Protocol):
    """How a version is learned; `features` are what it is given of each raw entry."""

    @property
    def features(self) -> tuple[str, ...]: ...

    def __call__(
        self,
        loaded: Sequence[LoadedMember],
        judged: Mapping[str, Mapping[int, Judged]],
        known: Known,
        panel: Panel,
    ) -> Trained:
        """A model of the members' own path, `judged` being what the models that held on it said.

        `panel` has the features of every raw entry. Bars, signals and entries after `known.until_ms` are there and must
        not be looked at. `InputError` where nothing can be learned (one class only, too few rows): the version
        before goes on.
        """
        ...


@dataclass(frozen=True)
class Training:
    """One cut-off of a group's clock and what came of it.

    Attributes
    ----------
    group, version : the version's id depends on the group and the cut-off alone; "" where nothing was learned.
    from_ms : the version holds for entries decided then or later, until the next one does.
    trained_from_ms, trained_until_ms : the training window; the end of it is the cut-off.
    rows : outcomes that were known in it. facts : of the trained model. note : why nothing was learned, "" otherwise.
    secs : time that learning took.
    """

    group: str
    version: str
    from_ms: int
    trained_from_ms: int
    trained_until_ms: int
    rows: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    secs: float = 0.0


@dataclass(frozen=True, eq=False)
class GroupWalk:
    """What became of a group: every cut-off, and what the versions say of each member's raw entries.

    `Judged.versions` are positions among the trainings that made a version.
    """

    trainings: tuple[Training, ...]
    versions: tuple[Version, ...]
    judged: Mapping[str, Mapping[int, Judged]]


def version_id(group: str, cutoff_ms: int) -> str:
    """`volatility_breakout@20220304T050600`: the same whatever comes later."""
    return f"{group}@{datetime.fromtimestamp(cutoff_ms / 1000, UTC):%Y%m%dT%H%M%S}"


def walk_group(
    name: str, loaded: Sequence[LoadedMember], policy: RetrainPolicy, learn: Learn, span_ms: tuple[int, int]
) -> GroupWalk:
    """From nothing to the end of the period: every signal is taken until the first version holds.

    Parameters
    ----------
    loaded : the group's members, with the history that features need before the period.
    span_ms : first moment, and the last close. A version that would hold from the end on is not learned, so a run to a
        later end makes the same versions, predictions and paths up to this one, bit for bit.
    """
    return _Walk(name, loaded, policy, learn, span_ms).run()


class _Walk:
    def __init__(
        self, name: str, loaded: Sequence[LoadedMember], policy: RetrainPolicy, learn: Learn, span_ms: tuple[int, int]
    ) -> None:
        self.name, self.policy, self.learn = name, policy, learn
        self.start_ms, self.end_ms = span_ms
        self.members = [begun(one, self.start_ms) for one in loaded]
        self.panel = make_panel(self.members, learn.features, span_ms)
        self.paths = [
            MemberPath(one, [leg for leg in self.panel.legs if leg.instance == one.instance.id]) for one in self.members
        ]
        self.versions: list[Version] = []
        self.trainings: list[Training] = []
        self._stretch_ms = _FIRST_STRETCH_MS

    def run(self) -> GroupWalk:
        while True:
            cutoff_ms = self._next()
            if cutoff_ms is None or cutoff_ms + self.policy.latency_ms >= self.end_ms:
                break
            self.trainings.append(self._train(cutoff_ms))
        judged = self._judged(self.end_ms)
        return GroupWalk(tuple(self.trainings), tuple(self.versions), judged)

    def _next(self) -> int | None:
        """The next cut-off before the end, from a path that is taken only as far as the answer lies."""
        last_ms = self.trainings[-1].trained_until_ms if self.trainings else None
        if self.policy.every_trades is None:
            nothing = np.empty(0, np.int64)
            due = due_ms(self.policy, nothing, nothing, self.start_ms, last_ms)
            return due if due is not None and due < self.end_ms else None
        began_ms = until_ms = self.start_ms if last_ms is None else last_ms
        while until_ms < self.end_ms:
            until_ms = min(self.end_ms, until_ms + self._stretch_ms)
            due = due_ms(self.policy, *self._known(until_ms), self.start_ms, last_ms)
            if due is not None:
                # The next one is likely as far again.
                self._stretch_ms = max(DAY_MS, due - began_ms)
                return due
            self._stretch_ms *= 2
        return None

    def _train(self, cutoff_ms: int) -> Training:
        known = Known(self.policy.from_ms(cutoff_ms, self.start_ms), cutoff_ms)
        decided, _ = self._known(cutoff_ms)
        rows, least = int((decided >= known.from_ms).sum()), self.policy.min_trades
        holds_ms = cutoff_ms + self.policy.latency_ms
        made = Training(self.name, "", holds_ms, known.from_ms, cutoff_ms, rows)
        if rows < least:
            return replace(made, note=f"{rows} outcomes are known in the training window, {least} are needed")
        began = perf_counter()
        try:
            trained = self.learn(self.members, self._judged(cutoff_ms), known, self.panel)
        except InputError as error:
            return replace(made, note=str(error), secs=perf_counter() - began)
        made = replace(
            made, version=version_id(self.name, cutoff_ms), facts=json.loads(json.dumps(dict(trained.facts)))
        )
        self.versions.append(Version(made.version, holds_ms, trained))
        return replace(made, secs=perf_counter() - began)

    def _judged(self, until_ms: int) -> dict[str, dict[int, Judged]]:
        for path in self.paths:
            path.predict(self.versions, until_ms)
        return {path.one.instance.id: path.judged(self.versions) for path in self.paths}

    def _known(self, until_ms: int) -> tuple[IntArray, IntArray]:
        """When the signals whose outcome is known by `until_ms` were decided, and, ascending, when it became known."""
        judged = self._judged(until_ms)
        decided, known = [], []
        for path in self.paths:
            found = path.outcomes(judged[path.one.instance.id], until_ms)
            seen = found.known <= until_ms
            decided.append((found.signals["t"][seen] + 1) * path.one.bars.base.interval_ms)
            known.append(found.known[seen])
        order = np.argsort(np.concatenate(known), kind="stable")
        return np.concatenate(decided)[order], np.concatenate(known)[order]
