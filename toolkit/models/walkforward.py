"""Every group of an account over time, in worker processes: what models say of each raw entry, and their versions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np

from toolkit.bars.moments import Moment
from toolkit.bars.series import Bars, utc
from toolkit.engine.types import Judged
from toolkit.errors import InputError
from toolkit.models.batches import batches_of
from toolkit.models.groups import Group, grouped
from toolkit.models.judging import Version, judge
from toolkit.models.parts import Part
from toolkit.models.paths import begun
from toolkit.models.pool import Task, run_tasks
from toolkit.models.retraining import RetrainPolicy
from toolkit.models.said import Said
from toolkit.models.walking import GroupWalk, Learn, Training, walk_group
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.portfolio.members import Member
from toolkit.sweep.local import default_jobs

_FIELDS = Judged._fields
# Trainings of a group, and what its versions say by instance id and side.
_Found: TypeAlias = tuple[tuple[Training, ...], Mapping[str, Mapping[int, Judged]]]


@dataclass(frozen=True)
class Walk:
    """Models of an account over time.

    Attributes
    ----------
    said : what they say of every raw entry. trainings : every cut-off of every group's clock, by group.
    group_of : the group of each instance.
    """

    said: Said
    trainings: tuple[Training, ...]
    group_of: Mapping[str, str]

    @property
    def learning_secs(self) -> float:
        """Time that learning took, summed over workers."""
        return sum(one.secs for one in self.trainings)

    def notes(self, start_ms: int) -> list[str]:
        """Sentences that a reader must know: groups that never had a version, and versions that judge the very days
        that they were learned from."""
        last: dict[str, Training] = {}
        for one in self.trainings:
            if one.version or not last.get(one.group, one).version:
                last[one.group] = one
        silent = [name for name in dict.fromkeys(self.group_of.values()) if name not in last or not last[name].version]
        said = [
            f"no model of {name} was learned, all its signals are taken: {self._why(last.get(name))}" for name in silent
        ]
        seen = [one for one in self.trainings if one.version and max(one.from_ms, start_ms) < one.trained_until_ms]
        return said + [
            f"IN SAMPLE: model {one.version} was learned from outcomes up to {utc(one.trained_until_ms)}, days that it "
            f"judges here"
            for one in seen
        ]

    @staticmethod
    def _why(last: Training | None) -> str:
        return last.note if last is not None else "its clock never came due"


@dataclass(frozen=True)
class Reader:
    """How a worker process reads a group's members: sending it their arrays would cost more.

    Fields as in `load_members`; `bars` in memory are sent as they are.
    """

    start: Moment | None
    end: Moment | None
    features: tuple[str, ...] = ()
    db: Path | None = None
    strategies: tuple[str, ...] | None = None
    bars: Mapping[str, Bars] | None = None

    def load(
        self, members: Sequence[Member], *, jobs: int | None = None, progress: bool = False
    ) -> list[LoadedMember]:  # fmt: skip
        """The members in their order; see `load_members`."""
        return load_members(
            members, start=self.start, end=self.end, db=self.db, strategies=self.strategies, bars=self.bars,
            features=self.features, jobs=jobs, progress=progress,
        )  # fmt: skip

    def groups(self, groups: Sequence[Group]) -> dict[str, list[LoadedMember]]:
        """The members of each group, by its name, in a worker process."""
        loaded = iter(self.light().load([member for group in groups for member in group.members], jobs=1))
        return {group.name: [next(loaded) for _ in group.members] for group in groups}

    def light(self) -> "Reader":
        """The same with bars in memory as they were given: nothing memoised on them, and read-only."""
        bars = None if self.bars is None else {name: _whole(one) for name, one in self.bars.items()}
        return Reader(self.start, self.end, self.features, self.db, self.strategies, bars)


def _whole(bars: Bars) -> Bars:
    """A new view of the same bars, read-only again: arrays that were sent to another process are not."""
    base = bars.base
    return base.window(int(base.ts[0]), int(base.ts[-1]) + 1) if len(base) else base


def walk_forward(
    loaded: Sequence[LoadedMember],
    policy: RetrainPolicy,
    learn: Learn,
    span_ms: tuple[int, int],
    *,
    per: str = "strategy",
    reader: Reader | None = None,
    jobs: int | None = None,
    progress: bool = False,
) -> Walk:
    """Each group from nothing to the end of the period; see `walking.walk_group`.

    Parameters
    ----------
    per : what shares a model, see `groups.grouped`.
    reader : with it groups run in `jobs` worker processes (all cores unless given); else, and where there is one group
        or one job, here. Results are the same.

    Raises
    ------
    InputError : a group's process died. What cannot be learned is no error, it is a training's `note`.
    """
    groups = grouped([one.member for one in loaded], per)
    by_id = {one.instance.id: one for one in loaded}
    ids = [[member.instance.id for member in group.members] for group in groups]
    workers = default_jobs() if jobs is None else jobs
    if reader is None or workers == 1 or len(groups) == 1:
        found = [
            walk_group(group.name, [by_id[name] for name in names], policy, learn, span_ms)
            for group, names in zip(groups, ids, strict=True)
        ]
        walks = [(one.trainings, one.judged) for one in found]
    else:
        walks = _in_processes(groups, _Work(reader.light(), policy, learn, span_ms), workers, progress)
    group_of = {name: group.name for group, names in zip(groups, ids, strict=True) for name in names}
    return Walk(_joined(walks), tuple(one for trainings, _ in walks for one in trainings), group_of)


def judged_by(loaded: Sequence[LoadedMember], versions: Mapping[str, Sequence[Version]], start_ms: int) -> Walk:
    """What versions that are there say, `versions` by the name of a strategy or an instance, ascending by `from_ms`.

    Raises
    ------
    InputError : a name that no member has, or versions that are not in order.
    """
    walks: list[_Found] = []
    group_of: dict[str, str] = {}
    for name, mine in versions.items():
        members = [one for one in loaded if name in (one.instance.id, one.instance.strategy)]
        if not members:
            known = ", ".join(sorted({one.instance.strategy for one in loaded}))
            raise InputError(f"models are given for {name!r}, which is no strategy or instance here ({known})")
        if any(a.from_ms >= b.from_ms for a, b in pairwise(mine)):
            raise InputError(f"the versions of {name!r} must be given in order of the moments they hold from")
        for one in members:
            if group_of.setdefault(one.instance.id, name) != name:
                raise InputError(
                    f"{one.instance.id} is given models twice, by {group_of[one.instance.id]!r} and {name!r}"
                )
        judged = {one.instance.id: judge(begun(one, start_ms), mine) for one in members}
        walks.append((tuple(_given(name, version) for version in mine), judged))
    return Walk(_joined(walks), tuple(one for trainings, _ in walks for one in trainings), group_of)


def _given(name: str, version: Version) -> Training:
    facts = version.trained.facts
    window = facts.get("window") or {}
    from_ms, until_ms = (int(window.get(key, version.from_ms)) for key in ("from_ms", "until_ms"))
    return Training(name, version.id, version.from_ms, from_ms, until_ms, int(facts.get("rows") or 0), dict(facts))


def _joined(walks: Sequence[_Found]) -> Said:
    """All groups together: versions are numbered through."""
    judged: dict[str, dict[int, Judged]] = {}
    names: list[str] = []
    for trainings, mine in walks:
        for name, legs in mine.items():
            judged[name] = {
                side: says._replace(versions=np.where(says.versions >= 0, says.versions + len(names), -1))
                for side, says in legs.items()
            }
        names += [one.version for one in trainings if one.version]
    return Said(judged, tuple(names))


@dataclass(frozen=True)
class _Work:
    """What a worker process does."""

    reader: Reader
    policy: RetrainPolicy
    learn: Learn
    span_ms: tuple[int, int]

    def load(self, tasks: Sequence[Task[Group]]) -> dict[str, list[LoadedMember]]:
        return self.reader.groups([task.item for task in tasks])

    def make(self, task: Task[Group], loaded: dict[str, list[LoadedMember]]) -> Part:
        return _part(walk_group(task.name, loaded[task.name], self.policy, self.learn, self.span_ms))


def _in_processes(groups: Sequence[Group], work: _Work, workers: int, progress: bool) -> list[_Found]:
    with TemporaryDirectory(prefix="lockstep-models-") as folder:
        batches = batches_of(groups, workers)
        tasks = run_tasks(work, batches, Path(folder), jobs=workers, progress=progress, unit="groups of models")
        parts = list(tasks)
    for part in parts:
        if part.error:
            raise InputError(part.error)
    return [_of_part(part) for part in parts]


def _part(walk: GroupWalk) -> Part:
    arrays = {
        f"{k}|{side}|{name}": getattr(says, name)
        for k, legs in enumerate(walk.judged.values())
        for side, says in legs.items()
        for name in _FIELDS
    }
    return Part({"trainings": [asdict(one) for one in walk.trainings], "members": list(walk.judged)}, arrays)


def _of_part(part: Part) -> _Found:
    judged: dict[str, dict[int, Judged]] = {name: {} for name in part.facts["members"]}
    names = list(judged)
    for key in part.arrays:
        number, side, name = key.split("|")
        if name == _FIELDS[0]:
            says = Judged(*(part.arrays[f"{number}|{side}|{field}"] for field in _FIELDS))
            judged[names[int(number)]][int(side)] = says
    return tuple(Training(**one) for one in part.facts["trainings"]), judged
