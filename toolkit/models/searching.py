"""The search of an experiment: every way of learning on every group, over inner folds, in worker processes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.models.batches import Loading, batches_of, dealt, seed_of
from toolkit.models.controls import PERMUTED
from toolkit.models.dataset import Dataset
from toolkit.models.evaluation import RANK, Proof, control_panels
from toolkit.models.folds import FoldPredictions, block_edges, fold_applications, predict_folds
from toolkit.models.grid import Space, Trial
from toolkit.models.groups import Group
from toolkit.models.outcome import Earned, Period, earned, earned_in_slots, period
from toolkit.models.panel import Panel
from toolkit.models.parts import Part
from toolkit.models.pool import Task, run_tasks, workers_of
from toolkit.models.recipe import Recipe
from toolkit.models.tally import BEFORE, BEFORE_RANK, Tally
from toolkit.models.training import said_of
from toolkit.models.workbench import Workbench, workbenches
from toolkit.models.workers.libraries import LIBRARIES
from toolkit.models.workers.resident import close_residents
from toolkit.types import FloatArray, IntArray

# Of a process with the bars, signals and features of a group.
_PROCESS_MB = 700


@dataclass(frozen=True)
class Way:
    """One way of learning on one group, and the trials that share its models."""

    group: Group
    recipe: Recipe
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Searching:
    """What the workers do with a way of learning on a group.

    Attributes
    ----------
    loading : its period ends where the test begins, so that nothing of the test is in memory. proof : inner folds,
        slots, the limits of a fit, and the seed and shift of controls. controls : whether every way is also let to
        learn where there is nothing, once for each control.
    """

    loading: Loading
    proof: Proof
    controls: bool = False

    def load(self, tasks: Sequence[Task[Way]]) -> dict[str, Workbench]:
        groups = [Task(task.number, task.name, task.item.group) for task in tasks]
        return workbenches(self.loading, [task.item.recipe for task in tasks], groups)

    def make(self, task: Task[Way], loaded: dict[str, Workbench]) -> Part:
        try:
            return self._made(task.item, loaded[task.item.group.name])
        finally:
            # The next way of learning may need another library's worker; this one's memory is given back.
            close_residents()

    def _made(self, way: Way, bench: Workbench) -> Part:
        started = time.monotonic()
        data, panel = bench.data(way.recipe), bench.panel(way.recipe)
        edges = block_edges(bench.span_ms, self.proof.folds)
        over = period(bench.members, int(edges[0]), int(edges[-1]))
        found = self._learned(way, bench, edges, panel, data)
        facts: dict[str, Any] = {
            "notes": [model.note for model in found.models if model.note], "folds": len(found.models),
            "secs": time.monotonic() - started, "peak_mb": _peak_mb(found),
        }  # fmt: skip
        tally = self._tally(way, bench, over, found, len(data), facts)
        if self.controls:
            tally = replace(tally, controls=self._controlled(way, bench, over, edges, panel, data))
        part = tally.part()
        return replace(part, facts={**part.facts, "data": bench.stored()})

    def _learned(
        self, way: Way, bench: Workbench, edges: IntArray, panel: Panel, data: Dataset,
        shuffle: tuple[int, ...] | None = None,
    ) -> FoldPredictions:  # fmt: skip
        return predict_folds(
            bench.members, data, way.recipe, bench.span_ms, edges, panel=panel, budget=self.proof.budget(way.recipe),
            shuffle=shuffle,
        )  # fmt: skip

    def _tally(
        self, way: Way, bench: Workbench, over: Period, found: FoldPredictions, rows: int, facts: Mapping[str, Any]
    ) -> Tally:
        """Days before, and after each of the trials (by its number)."""
        before = earned(over)
        daily, trades = {BEFORE: before.pooled}, {BEFORE: before.trades}
        for trial in way.trials:
            if trial.recipe.method == RANK and (key := before_ranked(trial.recipe)) not in daily:
                ranked = earned_in_slots(over, self._slots(bench, trial), by_prediction=False)
                daily[key], trades[key] = ranked.pooled, ranked.trades
            made = self._after(bench, over, found, trial)
            daily[str(trial.number)], trades[str(trial.number)] = made.pooled, made.trades
        return Tally(over.day0, daily, trades=trades, members=len(bench.members), rows=rows, facts=facts)

    def _controlled(
        self, way: Way, bench: Workbench, over: Period, edges: IntArray, panel: Panel, data: Dataset
    ) -> dict[str, dict[str, FloatArray]]:
        """By control, days after each of the trials: float64[1, n_days]."""
        seed = seed_of(self.proof.seed, way.group.name)
        runs = {PERMUTED: self._learned(way, bench, edges, panel, data, (seed, 0))}
        for name, (other,) in control_panels(bench.members, panel, replace(self.proof, seed=seed), 1).items():
            runs[name] = self._learned(way, bench, edges, other, replace(data, x=other.at_rows(data)))
        return {
            name: {str(trial.number): self._after(bench, over, found, trial).pooled[None] for trial in way.trials}
            for name, found in runs.items()
        }

    def _after(self, bench: Workbench, over: Period, found: FoldPredictions, trial: Trial) -> Earned:
        method = trial.recipe.method
        said = said_of(found.predicted, fold_applications(bench.members, found, method, trial.recipe))
        return earned_in_slots(over, self._slots(bench, trial), said) if method == RANK else earned(over, said)

    def _slots(self, bench: Workbench, trial: Trial) -> int:
        return self.proof.slots_of(len(bench.members), trial.recipe)


def before_ranked(recipe: Recipe) -> str:
    """The name under which a tally has what a ranking recipe is compared with."""
    return f"{BEFORE_RANK} {recipe.options.get('slots', '')}"


def _peak_mb(found: FoldPredictions) -> float | None:
    """The most memory that a fit of a library's worker took; None where no model is a library's."""
    timings = [getattr(model.trained.model, "timings", {}) for model in found.models if model.trained is not None]
    return max((one["peak_mb"] for one in timings if one.get("peak_mb")), default=None)


def search_groups(
    groups: Sequence[Group],
    space: Space,
    loading: Loading,
    proof: Proof,
    folder: Path,
    *,
    controls: bool = False,
    jobs: int | None = None,
    progress: bool = False,
) -> dict[tuple[int, str], Part]:
    """By way of learning and group name, the tally of its trials, or why there is none; see `pool.run_tasks`."""
    workers = workers_of(jobs)
    ways, together = tasks_of(groups, space), batches_of(groups, workers)
    # Each process loads its groups' bars, so ways are only cut apart where there are fewer batches than processes; a
    # library's fits take so much longer than that, that each is a process of its own.
    pieces = -(-workers // max(1, len(together)))
    batches: list[list[Task[Way]]] = []
    for alike in together:
        mine = [way for task in alike for way in ways[task.name]]
        inside = [way for way in mine if way.item.recipe.backend not in LIBRARIES]
        batches += [[way] for way in mine if way.item.recipe.backend in LIBRARIES] + dealt(inside, pieces)
    parts = run_tasks(
        Searching(loading, proof, controls), batches, folder, megabytes=[_megabytes(batch) for batch in batches],
        jobs=workers, progress=progress, unit="ways of learning",
    )  # fmt: skip
    every = sorted((way for mine in ways.values() for way in mine), key=lambda way: way.number)
    return {(way.item.trials[0].learning, way.item.group.name): part for way, part in zip(every, parts, strict=True)}


def _megabytes(batch: Sequence[Task[Way]]) -> int:
    """What a batch's process takes with the worker that fits for it, about."""
    libraries = [LIBRARIES[way.item.recipe.backend] for way in batch if way.item.recipe.backend in LIBRARIES]
    return _PROCESS_MB + max((library.peak_mb for library in libraries), default=0)


def tasks_of(groups: Sequence[Group], space: Space) -> dict[str, list[Task[Way]]]:
    """By group, a task a way of learning."""
    found: dict[str, list[Task[Way]]] = {}
    for place, group in enumerate(groups):
        for number, recipe in enumerate(space.learning):
            mine = tuple(trial for trial in space.trials if trial.learning == number)
            name = f"{group.name}, {recipe.backend}"
            task = Task(number * len(groups) + place, name, Way(group, recipe, mine))
            found.setdefault(group.name, []).append(task)
    return found
