"""What the clock of retraining asks for now, from stored bars and the registry: `train_due`, for cron.

The same clock, paths and steps as in a backtest that retrains. The daemon that trades learns nothing itself: it
takes up a version when it sees one in the registry.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.bars.intervals import DAY_MS
from toolkit.bars.moments import Moment, to_ms
from toolkit.bars.series import utc
from toolkit.errors import InputError, LockstepError
from toolkit.models.backends.choices import backend
from toolkit.models.batches import batches_of
from toolkit.models.features import check_features, default_features
from toolkit.models.groups import ALL, STRATEGY, Group, groups_of
from toolkit.models.judging import Version, judge, resimulate
from toolkit.models.panel import make_panel
from toolkit.models.parts import Part
from toolkit.models.paths import begun, outcomes
from toolkit.models.pool import Task, run_tasks
from toolkit.models.retraining import RetrainPolicy, due_ms
from toolkit.models.store import ModelInfo, list_models, models_dir, read_info, read_model, save_model
from toolkit.models.stored import stored_span
from toolkit.models.walkforward import Reader
from toolkit.models.walking import Known, Learn
from toolkit.portfolio.loading import LoadedMember
from toolkit.sweep.local import default_jobs
from toolkit.types import IntArray

if TYPE_CHECKING:
    from toolkit.models.recipe import Recipe

TRAINED, DUE, NOT_DUE, NOT_LEARNED = "trained", "due", "not due", "not learned"
# What a version says of when it counts; one that says nothing counts from when it was saved.
HOLDS_FROM = "holds_from_ms"


@dataclass(frozen=True)
class Due:
    """What became of a group.

    Attributes
    ----------
    state : "trained", "due" (it was only to be looked), "not due", or "not learned". note : why it is not trained.
    known : outcomes that are known. since : of these, after the last cut-off. rows : learned from.
    cutoff_ms : the moment at which it came due. holds_from_ms : from then on the new version counts.
    version : `name@version` of what was saved. folder : its bundle.
    """

    group: str
    state: str
    note: str = ""
    known: int = 0
    since: int = 0
    rows: int = 0
    cutoff_ms: int | None = None
    holds_from_ms: int | None = None
    version: str | None = None
    folder: str | None = None


def train_due(
    source: Any,
    recipe: "Recipe | None" = None,
    retrain: RetrainPolicy | None = None,
    *,
    strategies: str = ALL,
    per: str = STRATEGY,
    start: Moment | None = None,
    at: Moment | None = None,
    models: Path | None = None,
    dry_run: bool = False,
    db: Path | None = None,
    root: Path | None = None,
    modules: Iterable[str] | None = None,
    accept_code: bool = False,
    jobs: int | None = None,
    progress: bool = False,
) -> list[Due]:
    """Train every group whose clock has come due, and save its model; a row a group, in the source's order.

    Parameters
    ----------
    source, strategies, per, root, modules, accept_code : whose models, see `groups.groups_of`.
    recipe, retrain : unless given, those that a group's newest version was made with (and the policy's defaults).
    start : where members' paths and the clock begin; unless given as the newest version's, else the first stored bar.
    at : now, unless given (UTC); nothing after it is looked at. models : folder of the registry.
    dry_run : look, and train nothing. jobs : processes, all cores unless given.

    Raises
    ------
    InputError and its kinds : no such source, no stored bars, or a group without a version and no recipe.
    """
    grouped = groups_of(source, strategies=strategies, per=per, root=root, modules=modules, accept_code=accept_code)
    registry, named = models or models_dir(), None if modules is None else tuple(modules)
    at_ms = None if at is None else to_ms(at, "at")
    began_ms = to_ms(start, "start") if start is not None else None
    orders = [_order(group, recipe, retrain, began_ms, registry) for group in grouped.groups]
    features = tuple(dict.fromkeys(name for order in orders for name in order.features))
    first_ms = stored_span(grouped.members, db)[0]
    work = _Work(tuple(orders), Reader(None, at_ms, features, db, named), registry, first_ms, at_ms, dry_run)
    workers = default_jobs() if jobs is None else jobs
    if workers == 1 or len(orders) == 1:
        tasks = [Task(number, group.name, group) for number, group in enumerate(grouped.groups)]
        return [Due(**work.make(task, work.load([task])).facts) for task in tasks]
    with TemporaryDirectory(prefix="lockstep-due-") as folder:
        batches = batches_of(grouped.groups, workers)
        parts = list(run_tasks(work, batches, Path(folder), jobs=workers, progress=progress))
    return [
        Due(group.name, NOT_LEARNED, part.error) if part.error else Due(**part.facts)
        for group, part in zip(grouped.groups, parts, strict=True)
    ]


@dataclass(frozen=True)
class _Order:
    """How one group is learned."""

    recipe: "Recipe"
    features: tuple[str, ...]
    retrain: RetrainPolicy
    start_ms: int | None

    def learner(self) -> Learn:
        from toolkit.models.relearning import RecipeLearner

        return RecipeLearner(self.recipe, self.features, reference=True)


def _order(
    group: Group, recipe: "Recipe | None", retrain: RetrainPolicy | None, start_ms: int | None, registry: Path
) -> _Order:
    infos = list_models(registry, group.name)
    facts: Mapping[str, Any] = infos[-1].facts if infos else {}
    if recipe is None:
        if "recipe" not in facts:
            raise InputError(
                f"no model of {group.name} says how it was made, so its first one needs a recipe; name a recipe.toml"
            )
        from toolkit.models.recipe import Recipe

        recipe = Recipe.from_table(facts["recipe"])
    backend(recipe.backend)  # where its environment is missing, that is said before anything runs
    policy = retrain or (RetrainPolicy(**facts["retrain"]) if "retrain" in facts else RetrainPolicy())
    intervals = sorted({member.interval for member in group.members})
    features = check_features(recipe.features or default_features(intervals), intervals)
    return _Order(recipe, features, policy, facts.get("start_ms") if start_ms is None else start_ms)


@dataclass(frozen=True)
class _Work:
    """A worker process' work on groups; `orders` are by the number of the group's task."""

    orders: tuple[_Order, ...]
    reader: Reader
    registry: Path
    first_ms: int
    at_ms: int | None
    dry_run: bool

    def load(self, tasks: Sequence[Task[Group]]) -> dict[str, list[LoadedMember]]:
        return self.reader.groups([task.item for task in tasks])

    def make(self, task: Task[Group], loaded: dict[str, list[LoadedMember]]) -> Part:
        order = self.orders[task.number]
        start_ms = self.first_ms if order.start_ms is None else order.start_ms
        members = [begun(one, start_ms) for one in loaded[task.name]]
        look = _Look(task.name, members, order, start_ms, _now_ms() if self.at_ms is None else self.at_ms)
        return Part(asdict(look.train(self.registry, self.at_ms, self.dry_run)))


class _Look:
    """One group, as far as its stored bars reach."""

    def __init__(self, name: str, members: Sequence[LoadedMember], order: _Order, start_ms: int, now_ms: int) -> None:
        self.name, self.members, self.order, self.start_ms = name, members, order, start_ms
        lasts = [int(one.bars.base.close_ts[-1]) for one in members]
        # A symbol that is not pulled yet is waited for, one that has ended is not.
        self.reach_ms = min(now_ms, *(ms for ms in lasts if ms >= max(lasts) - DAY_MS))

    def train(self, registry: Path, at_ms: int | None, dry_run: bool) -> Due:
        infos = [info for info in list_models(registry, self.name) if info.until_ms <= self.reach_ms]
        versions = [Version(info.id, holds_from(info), read_model(info.folder)) for info in infos]
        versions.sort(key=lambda version: version.from_ms)
        judged = {one.instance.id: judge(one, versions) for one in self.members}
        decided, known = self._outcomes(judged)
        last_ms = max((info.until_ms for info in infos), default=None)
        seen = Due(self.name, NOT_DUE, known=len(known), since=len(known) - _count(known, last_ms))
        cutoff_ms = self._cutoff(decided, known, last_ms)
        policy = self.order.retrain
        if cutoff_ms is None:
            return replace(seen, note=self._waiting(seen, last_ms))
        window = Known(policy.from_ms(cutoff_ms, self.start_ms), cutoff_ms)
        rows = int(((decided >= window.from_ms) & (known <= cutoff_ms)).sum())
        seen = replace(seen, cutoff_ms=cutoff_ms, rows=rows)
        if rows < policy.min_trades:
            short = f"{rows} outcomes are known in the training window, {policy.min_trades} are needed"
            return replace(seen, state=NOT_LEARNED, note=short)
        if dry_run:
            return replace(seen, state=DUE)
        panel = make_panel(self.members, self.order.features, (self.start_ms, cutoff_ms))
        try:
            trained = self.order.learner()(self.members, judged, window, panel)
        except LockstepError as error:
            return replace(seen, state=NOT_LEARNED, note=str(error))
        holds_ms = max(cutoff_ms + policy.latency_ms, _now_ms() if at_ms is None else at_ms)
        facts = {
            "group": self.name, "members": [one.instance.id for one in self.members], "start_ms": self.start_ms,
            "retrain": asdict(policy), HOLDS_FROM: holds_ms,
        }  # fmt: skip
        folder = save_model(trained, self.name, registry, facts=facts)
        version = read_info(folder).id
        return replace(seen, state=TRAINED, holds_from_ms=holds_ms, version=version, folder=str(folder))

    def _outcomes(self, judged: Mapping[str, Any]) -> tuple[IntArray, IntArray]:
        """When signals with a known outcome were decided and when it was known, by the latter."""
        decided, known = [], []
        for one in self.members:
            found = outcomes(one, resimulate(one, judged[one.instance.id]))
            seen = found.known <= self.reach_ms
            decided.append((found.signals["t"][seen] + 1) * one.bars.base.interval_ms)
            known.append(found.known[seen])
        order = np.argsort(np.concatenate(known), kind="stable")
        return np.concatenate(decided)[order], np.concatenate(known)[order]

    def _cutoff(self, decided: IntArray, known: IntArray, last_ms: int | None) -> int | None:
        """The last of the cut-offs that have come due: who was away for a week trains once."""
        found, due = None, due_ms(self.order.retrain, decided, known, self.start_ms, last_ms)
        while due is not None and due <= self.reach_ms:
            found, due = due, due_ms(self.order.retrain, decided, known, self.start_ms, due)
        return found

    def _waiting(self, seen: Due, last_ms: int | None) -> str:
        policy = self.order.retrain
        if policy.every_trades is None:
            nothing = np.empty(0, np.int64)
            tick = due_ms(policy, nothing, nothing, self.start_ms, last_ms)
            assert tick is not None
            return f"due {utc(tick)}, and the bars end {utc(self.reach_ms)}"
        needed = policy.min_trades if last_ms is None else policy.every_trades
        return f"{seen.since} of {needed} outcomes since {'the start' if last_ms is None else utc(last_ms)}"


def holds_from(info: ModelInfo) -> int:
    """The moment from which a version judges entries: what it says itself, else when it was saved."""
    return int(info.facts.get(HOLDS_FROM) or max(info.until_ms, info.saved_ms))


def _count(known: IntArray, last_ms: int | None) -> int:
    return 0 if last_ms is None else int(np.searchsorted(known, last_ms, side="right"))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
