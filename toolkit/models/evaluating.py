"""`model eval`: every group before and after, out of sample, in worker processes; added up, and judged."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.models.backends.base import Budget
from toolkit.models.batches import Loading, batches_of, seed_of
from toolkit.models.controls import PERMUTED
from toolkit.models.evaluation import Evaluation, Proof, evaluate
from toolkit.models.groups import Group
from toolkit.models.parts import Part, Parts
from toolkit.models.pool import Task, run_tasks, workers_of
from toolkit.models.recipe import Recipe
from toolkit.models.tally import BEFORE, BEFORE_RANK, Tally
from toolkit.models.workbench import Workbench, workbenches


@dataclass(frozen=True)
class Evaluating:
    """What the workers do with each group: a dataset, then the proof."""

    recipe: Recipe
    loading: Loading
    proof: Proof

    def load(self, tasks: Sequence[Task[Group]]) -> dict[str, Workbench]:
        return workbenches(self.loading, [self.recipe], tasks)

    def make(self, task: Task[Group], loaded: dict[str, Workbench]) -> Part:
        bench = loaded.pop(task.name)
        data = bench.data(self.recipe)
        proof = replace(self.proof, seed=seed_of(self.proof.seed, task.name))
        found = evaluate(bench.members, data, self.recipe, bench.span_ms, proof, Budget(seed=self.recipe.seed))
        part = tally_of(found, rows=len(data)).part()
        return replace(part, facts={**part.facts, "data": bench.stored()})


def evaluate_groups(
    groups: Sequence[Group],
    recipe: Recipe,
    proof: Proof,
    loading: Loading,
    folder: Path,
    *,
    jobs: int | None = None,
    progress: bool = False,
) -> Parts:
    """A part a group, in their order: its `Tally`, or why there is none; see `pool.run_tasks`."""
    workers = workers_of(jobs)
    batches = batches_of(groups, workers)
    # Fewer batches than cores leave threads for the permutations; any number of them gives the same result.
    threads = max(1, workers // max(1, len(batches)))
    work = Evaluating(recipe, loading, replace(proof, jobs=threads))
    return run_tasks(work, batches, folder, jobs=workers, progress=progress)


def tally_of(found: Evaluation, rows: int) -> Tally:
    """An evaluation's days, members added up."""
    daily = {BEFORE: found.before.pooled}
    trades = {BEFORE: found.before.trades}
    if found.before_slots is not None:
        daily[BEFORE_RANK], trades[BEFORE_RANK] = found.before_slots.pooled, found.before_slots.trades
    for method, made in found.after.items():
        daily[method], trades[method] = made.pooled, made.trades
    facts = {"slots": found.slots, "folds": list(_folds(found)), "by_member": _by_member(found)}
    # The permuted labels are in the controls once more.
    controls = {name: made for name, made in found.controls.items() if name != PERMUTED or not found.permuted}
    return Tally(found.before.day0, daily, found.permuted, controls, trades, len(found.members), rows, facts)


def _folds(found: Evaluation) -> Iterator[Mapping[str, Any]]:
    """Each judged block: when, from how many rows, what was chosen, and why it has no model."""
    for fold in found.folds:
        applied = {method: asdict(application) for method, application in fold.applications.items()}
        yield {"from_ms": fold.from_ms, "to_ms": fold.to_ms, "rows": fold.rows, "applied": applied, "note": fold.note}


def _by_member(found: Evaluation) -> list[dict[str, Any]]:
    """Profit and trades of each member, before and after."""
    rows = []
    every = {BEFORE: found.before, **found.after}
    for number, (name, strategy) in enumerate(zip(found.members, found.strategies, strict=True)):
        row: dict[str, Any] = {"instance": name, "strategy": strategy}
        for how, made in every.items():
            row[f"profit_{how}"] = float(made.daily[number].sum())
            row[f"trades_{how}"] = int(np.count_nonzero(made.member == number))
        rows.append(row)
    return rows
