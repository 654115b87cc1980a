"""`model eval`: every group before and after, out of sample, in worker processes; added up, and judged."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from toolkit.models.batches import Loading, batches_of, dealt, seed_of
from toolkit.models.controls import PERMUTED
from toolkit.models.evaluation import Evaluation, Proof, evaluate
from toolkit.models.groups import Group
from toolkit.models.parts import Part
from toolkit.models.pool import Task, run_tasks, workers_of
from toolkit.models.recipe import Recipe
from toolkit.models.tally import BEFORE, BEFORE_RANK, Tally
from toolkit.models.workbench import Workbench, workbenches

# So many permutations are one piece of work: few enough that processes share those of one group, enough that what the
# pieces of a group all begin with costs little. It does not depend on the number of processes, as resumed runs need.
PIECE = 25


@dataclass(frozen=True)
class Piece:
    """A group, and which of its permutations; the first piece has the controls."""

    group: Group
    first: int
    permutations: int


@dataclass(frozen=True)
class Evaluating:
    """What the workers do with each piece: a dataset, then the proof."""

    recipe: Recipe
    loading: Loading
    proof: Proof

    def load(self, tasks: Sequence[Task[Piece]]) -> dict[str, Workbench]:
        return workbenches(self.loading, [self.recipe], [Task(t.number, t.name, t.item.group) for t in tasks])

    def make(self, task: Task[Piece], loaded: dict[str, Workbench]) -> Part:
        piece, name = task.item, task.item.group.name
        for other in loaded.keys() - {name}:
            loaded[other].forget()
        bench = loaded[name]
        data = bench.data(self.recipe)
        proof = replace(
            self.proof, seed=seed_of(self.proof.seed, name), permutations=piece.permutations,
            first_permutation=piece.first, controls=self.proof.controls and piece.first == 0,
        )  # fmt: skip
        found = evaluate(bench.members, data, self.recipe, bench.span_ms, proof)
        part = tally_of(found, rows=len(data)).part()
        return replace(part, facts={**part.facts, "data": bench.stored()})


class Joined(Sequence[Part]):
    """The parts of groups, each put together from its pieces when it is asked for."""

    def __init__(self, pieces: Sequence[Part], each: int) -> None:
        self._pieces, self._each = pieces, each

    def __len__(self) -> int:
        return len(self._pieces) // self._each

    @overload
    def __getitem__(self, place: int) -> Part: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Part]: ...
    def __getitem__(self, place: int | slice) -> Part | Sequence[Part]:
        if isinstance(place, slice):
            return [self[k] for k in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        first = place % len(self) * self._each
        return joined([self._pieces[first + k] for k in range(self._each)])


def joined(pieces: Sequence[Part]) -> Part:
    """A group's part: the first piece with the permutations of all, or the first failure among them."""
    failed = next((piece for piece in pieces if piece.error), None)
    if failed is not None or len(pieces) == 1:
        return failed or pieces[0]
    tallies = [Tally.of(piece) for piece in pieces]
    permuted = {
        method: np.concatenate([one.permuted[method] for one in tallies]) for method in tallies[0].permuted
    }  # fmt: skip
    part = replace(tallies[0], permuted=permuted).part()
    return replace(part, facts={**part.facts, "data": pieces[0].facts["data"]})


def pieces_of(permutations: int) -> list[tuple[int, int]]:
    """First and number of each piece's permutations; one piece where there are none."""
    return [(k, min(PIECE, permutations - k)) for k in range(0, permutations, PIECE)] or [(0, 0)]


def evaluate_groups(
    groups: Sequence[Group],
    recipe: Recipe,
    proof: Proof,
    loading: Loading,
    folder: Path,
    *,
    jobs: int | None = None,
    progress: bool = False,
) -> Sequence[Part]:
    """A part a group, in their order: its `Tally`, or why there is none; see `pool.run_tasks`."""
    workers, each = workers_of(jobs), pieces_of(proof.permutations)
    together = batches_of(groups, workers)
    # Each process loads its groups' bars, so pieces are only dealt out where there are fewer batches than processes.
    hands = -(-workers // max(1, len(together)))
    batches = [
        batch for tasks in together for batch in dealt([p for task in tasks for p in _pieces(task, each)], hands)
    ]  # fmt: skip
    # What processes leave idle, threads use; any number of them gives the same result.
    threads = max(1, workers // max(1, len(batches)))
    work = Evaluating(recipe, loading, replace(proof, jobs=threads))
    unit = "groups" if len(each) == 1 else "pieces of groups"
    return Joined(run_tasks(work, batches, folder, jobs=workers, progress=progress, unit=unit), len(each))


def _pieces(task: Task[Group], each: Sequence[tuple[int, int]]) -> list[Task[Piece]]:
    return [
        Task(task.number * len(each) + k, task.name, Piece(task.item, first, count))
        for k, (first, count) in enumerate(each)
    ]  # fmt: skip


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
