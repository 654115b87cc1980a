"""The search of an experiment: every way of learning on every group, over inner folds, in worker processes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.models.applying import Application
from toolkit.models.backends.base import Budget
from toolkit.models.batches import Loading, batches_of, dealt
from toolkit.models.evaluation import RANK, Proof
from toolkit.models.folds import FoldPredictions, block_edges, fold_applications, predict_folds
from toolkit.models.grid import Space, Trial
from toolkit.models.groups import Group
from toolkit.models.outcome import Earned, Period, earned, earned_in_slots, period
from toolkit.models.parts import Part
from toolkit.models.pool import Task, run_tasks, workers_of
from toolkit.models.recipe import Recipe
from toolkit.models.tally import BEFORE, BEFORE_RANK, Tally
from toolkit.models.training import said_of
from toolkit.models.workbench import Workbench, workbenches


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
    loading : its period ends where the test begins, so that nothing of the test is in memory. proof : inner folds and
        slots; the rest of it is not used.
    """

    loading: Loading
    proof: Proof

    def load(self, tasks: Sequence[Task[Way]]) -> dict[str, Workbench]:
        groups = [Task(task.number, task.name, task.item.group) for task in tasks]
        return workbenches(self.loading, [task.item.recipe for task in tasks], groups)

    def make(self, task: Task[Way], loaded: dict[str, Workbench]) -> Part:
        way, bench = task.item, loaded[task.item.group.name]
        data, panel = bench.data(way.recipe), bench.panel(way.recipe)
        edges = block_edges(bench.span_ms, self.proof.folds)
        over = period(bench.members, int(edges[0]), int(edges[-1]))
        found = predict_folds(
            bench.members, data, way.recipe, bench.span_ms, edges, panel=panel, budget=Budget(seed=way.recipe.seed)
        )  # fmt: skip
        notes = [model.note for model in found.models if model.note]
        part = self._tally(way, bench, over, found, len(data), notes).part()
        return replace(part, facts={**part.facts, "data": bench.stored()})

    def _tally(
        self, way: Way, bench: Workbench, over: Period, found: FoldPredictions, rows: int, notes: Sequence[str]
    ) -> Tally:
        """Days before, and after each of the trials (by its number)."""
        before = earned(over)
        daily, trades = {BEFORE: before.pooled}, {BEFORE: before.trades}
        for trial in way.trials:
            method, slots = trial.recipe.method, self.proof.slots_of(len(bench.members), trial.recipe)
            if method == RANK and (key := before_ranked(trial.recipe)) not in daily:
                ranked = earned_in_slots(over, slots, by_prediction=False)
                daily[key], trades[key] = ranked.pooled, ranked.trades
            chosen = fold_applications(bench.members, found, method, trial.recipe)
            made = _after(over, found, method, chosen, slots)
            daily[str(trial.number)], trades[str(trial.number)] = made.pooled, made.trades
        facts: dict[str, Any] = {"notes": list(notes), "folds": len(found.models)}
        return Tally(over.day0, daily, trades=trades, members=len(bench.members), rows=rows, facts=facts)


def before_ranked(recipe: Recipe) -> str:
    """The name under which a tally has what a ranking recipe is compared with."""
    return f"{BEFORE_RANK} {recipe.options.get('slots', '')}"


def _after(
    over: Period, found: FoldPredictions, method: str, chosen: Sequence[Application], slots: int
) -> Earned:  # fmt: skip
    said = said_of(found.predicted, chosen)
    return earned_in_slots(over, slots, said) if method == RANK else earned(over, said)


def search_groups(
    groups: Sequence[Group],
    space: Space,
    loading: Loading,
    proof: Proof,
    folder: Path,
    *,
    jobs: int | None = None,
    progress: bool = False,
) -> dict[tuple[int, str], Part]:
    """By way of learning and group name, the tally of its trials, or why there is none; see `pool.run_tasks`."""
    workers = workers_of(jobs)
    ways, together = tasks_of(groups, space), batches_of(groups, workers)
    # Each process loads its groups' bars, so ways are only cut apart where there are fewer batches than processes.
    pieces = -(-workers // max(1, len(together)))
    batches = [batch for tasks in together for batch in dealt([w for t in tasks for w in ways[t.name]], pieces)]
    parts = run_tasks(
        Searching(loading, proof), batches, folder, jobs=workers, progress=progress, unit="ways of learning"
    )  # fmt: skip
    tasks = sorted((task for tasks in ways.values() for task in tasks), key=lambda task: task.number)
    return {
        (task.item.trials[0].learning, task.item.group.name): part for task, part in zip(tasks, parts, strict=True)
    }  # fmt: skip


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
