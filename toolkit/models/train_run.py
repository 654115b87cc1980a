"""`tk.model_train`: a model for every group into the registry, and a run folder that tells of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from toolkit.models.evaluate_run import ModelRun, gather, no_result, results_of, told_of, write_recipe, write_tables
from toolkit.models.evaluation import Proof
from toolkit.models.learning import Learning, train_groups
from toolkit.models.parts import Part
from toolkit.models.question import Question
from toolkit.models.store import models_dir
from toolkit.models.study import StoredSeries, Study, kept_config, study

KIND = "model-train"
# Beside a training the recipe's own method is judged, and controls show whether it can be believed; the permutation
# test, which learns a hundred times, is `model eval`'s unless it is asked for.
PROOF = Proof(permutations=0)


def model_train(
    question: Question | None = None,
    proof: Proof | None = PROOF,
    *,
    models: Path | None = None,
    resume: str | None = None,
    jobs: int | None = None,
    root: Path | None = None,
    progress: bool = False,
) -> ModelRun:
    """Learn one model a group from everything that was known at the end of the period, and store it.

    Parameters
    ----------
    question, resume, jobs : as in `model_eval`. models : folder of the registry.
    proof : how the recipe is judged on each group, walking forward through the same period; None = not at all.

    Raises
    ------
    InputError and its kinds, RunError, StudyInterrupted : as `model_eval` does; models of finished groups are stored
    already then.
    """
    if resume is not None:
        config = kept_config(resume, KIND, root)
        question = Question.of(config)
        kept = config["proof"]
        proof = None if kept is None else Proof(**{**kept, "methods": tuple(kept["methods"])})
        models = Path(config["models"])
    assert question is not None
    registry = (models or models_dir()).resolve()
    config = {**question.config(), "proof": None if proof is None else asdict(proof), "models": str(registry)}
    with study(KIND, config, root=root, resume=resume) as run:
        work = Learning(question.recipe, question.loading, proof, question.tried, registry, run.run_id)
        parts = train_groups(question.groups, work, run.parts, jobs=jobs, progress=progress)
        results, data = _results(run, question, proof, parts)
        return ModelRun(run.finish(results, data), results)


def _results(
    run: Study, asked: Question, proof: Proof | None, parts: Sequence[Part]
) -> tuple[dict[str, Any], Sequence[Mapping[str, Any]]]:
    """What `results.json` says, and the stored series; the tables are written."""
    if proof is not None:
        found = gather(asked, parts, proof.seed)
        results, data = results_of(run, asked, proof, found), found.data
        write_tables(run, asked, found, results)
    else:
        results, data = _plain(run, asked, parts)
        write_recipe(run, asked)
    made = [part.facts["model"] for part in parts if not part.error]
    run.writer.write_frame("models", pl.DataFrame(made, infer_schema_length=None), csv=True)
    return {**results, "models": made}, data


def _plain(run: Study, asked: Question, parts: Sequence[Part]) -> tuple[dict[str, Any], Sequence[Mapping[str, Any]]]:
    """What is told of a training that was not judged."""
    series, rows, failures = StoredSeries(), 0, list[dict[str, str]]()
    for group, part in zip(asked.groups, parts, strict=True):
        if part.error:
            failures.append({"group": group.name, "error": part.error})
        else:
            series.add(part)
            rows += part.facts["model"]["rows"]
    if len(failures) == len(asked.groups):
        raise no_result(failures)
    return {**told_of(run, asked, series.rows), "rows": rows, "failures": failures}, series.rows
