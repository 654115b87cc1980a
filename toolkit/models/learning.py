"""`model train`: each group's model of everything known at the end of the period, proven, and into the registry."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.models.backends.base import Budget
from toolkit.models.batches import Loading, batches_of, seed_of
from toolkit.models.dataset import Dataset
from toolkit.models.drift import reference_of
from toolkit.models.evaluating import tally_of
from toolkit.models.evaluation import Proof, evaluate
from toolkit.models.fitness import auc, log_likelihood
from toolkit.models.groups import Group
from toolkit.models.judgement import judged
from toolkit.models.judging import Predicted
from toolkit.models.parts import Part, Parts
from toolkit.models.pool import Task, run_tasks, workers_of
from toolkit.models.recipe import Recipe
from toolkit.models.store import read_info, save_model
from toolkit.models.tally import Tally
from toolkit.models.trained import Trained
from toolkit.models.training import fit_application, train
from toolkit.models.workbench import Workbench, workbenches
from toolkit.portfolio.loading import LoadedMember
from toolkit.types import FloatArray


@dataclass(frozen=True)
class Learning:
    """What the workers do with each group.

    Attributes
    ----------
    proof : how the recipe is judged beside the training (only the recipe's own method), None = not at all.
    trials : how many recipes were tried. models : folder of the registry. run_id : goes into the models' facts.
    """

    recipe: Recipe
    loading: Loading
    proof: Proof | None
    trials: int
    models: Path
    run_id: str

    def load(self, tasks: Sequence[Task[Group]]) -> dict[str, Workbench]:
        return workbenches(self.loading, [self.recipe], tasks)

    def make(self, task: Task[Group], loaded: dict[str, Workbench]) -> Part:
        bench, recipe = loaded.pop(task.name), self.recipe
        data = bench.data(recipe)
        proven, tally = self._prove(task.name, bench, data)
        from_ms, until_ms = bench.span_ms
        made = train(
            bench.members, data, recipe, from_ms=from_ms, until_ms=until_ms, budget=Budget(seed=recipe.seed),
            panel=bench.panel(recipe),
        )  # fmt: skip
        application = fit_application(bench.members, made.oof, recipe.method, recipe, bench.span_ms)
        scores = out_of_fold_scores(bench.members, data, made.oof)
        facts = {
            "window": {"from_ms": from_ms, "until_ms": until_ms},
            "dataset": data.fingerprint,
            "rows": len(data),
            "reference": reference_of(data),
            "recipe": dict(recipe.table()),
            "group": task.name,
            "members": [one.instance.id for one in bench.members],
            "scores": {**scores, **proven.get("scores", {})},
            "controls": proven.get("controls", {}),
            "verdict": proven.get("verdict", "not judged"),
            "trials": self.trials,
            "run": self.run_id,
        }
        trained = replace(made.trained, application=application)
        folder = save_model(trained, task.name, self.models, facts=facts)
        row = self._row(task, folder, trained, data, scores)
        part = tally.part() if tally is not None else Part({})
        told = {**part.facts, "data": bench.stored(), "model": row}
        return replace(part, facts=told)

    def _prove(self, name: str, bench: Workbench, data: Dataset) -> tuple[Mapping[str, Any], Tally | None]:
        """The recipe on this group, walking forward: scores, controls and a verdict, as the model's facts have them."""
        if self.proof is None:
            return {}, None
        proof = replace(self.proof, seed=seed_of(self.proof.seed, name), methods=(self.recipe.method,))
        found = evaluate(bench.members, data, self.recipe, bench.span_ms, proof)
        tally = tally_of(found, rows=len(data))
        said = judged(tally, self.recipe.method, trials=self.trials, seed=self.proof.seed)
        controls = {row["control"]: row["difference"] for row in said["controls"]}
        # A member alone cannot be ranked; then there is nothing to compare.
        scores = said["methods"].get(self.recipe.method, {})
        return {"scores": scores, "controls": controls, "verdict": said["verdict"]["text"]}, tally

    def _row(
        self, task: Task[Group], folder: Path, trained: Trained, data: Dataset, scores: Mapping[str, float | None]
    ) -> dict[str, Any]:
        """A row of the run's models table."""
        info = read_info(folder)
        return {
            "group": task.name, "name": info.name, "version": info.version, "folder": str(folder),
            "backend": info.backend, "rows": len(data), "wins": float(data.y.mean()),
            "members": len(task.item.members), "features": len(trained.chosen),
            "application": _words(asdict(trained.application)),
            **{f"score_{name}": value for name, value in scores.items()},
        }  # fmt: skip


def train_groups(
    groups: Sequence[Group], work: Learning, folder: Path, *, jobs: int | None = None, progress: bool = False
) -> Parts:
    """A part a group, in their order, with what became of its model; see `pool.run_tasks`."""
    workers = workers_of(jobs)
    batches = batches_of(groups, workers)
    if work.proof is not None:
        threads = max(1, workers // max(1, len(batches)))
        work = replace(work, proof=replace(work.proof, jobs=threads))
    return run_tasks(work, batches, folder, jobs=workers, progress=progress)


def out_of_fold_scores(
    members: Sequence[LoadedMember], data: Dataset, oof: Mapping[str, Mapping[int, Predicted]]
) -> dict[str, float | None]:
    """AUC and log loss of out-of-fold predictions at the dataset's rows; None where they are not defined."""
    predictions = predicted_rows(members, data, oof)
    known = ~np.isnan(predictions)
    p, y = predictions[known], data.y[known]
    found = {"auc": auc(p, y), "log_loss": -log_likelihood(p, y)}
    return {name: None if np.isnan(value) else float(value) for name, value in found.items()}


def predicted_rows(
    members: Sequence[LoadedMember], data: Dataset, oof: Mapping[str, Mapping[int, Predicted]]
) -> FloatArray:
    """float64[len(data)]: what was predicted of each row's entry, NaN where nothing was."""
    out = np.full(len(data), np.nan)
    by_id = {one.instance.id: one for one in members}
    rows = data.rows
    for number, name in enumerate(data.members):
        for side, said in oof.get(name, {}).items():
            mine = np.flatnonzero((rows["member"] == number) & (rows["side"] == side))
            entries = by_id[name].prepared.legs[side].entry_t
            out[mine] = said.predictions[np.searchsorted(entries, rows["t"][mine])]
    return out


def _words(application: Mapping[str, Any]) -> str:
    """An application in words: `veto from 0.53 on`."""
    method = str(application["method"])
    if method in ("veto", "quantile"):
        return f"{method} below {application['threshold']:.3f}"
    if method == "kelly":
        return f"kelly {application['fraction']:g}, cap {application['cap']:g}, payoff {application['payoff']:.2f}"
    return method
