"""`tk.model_eval`: a recipe on every group, before and after, as a run folder."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from toolkit.analysis.runs import Run
from toolkit.bars.series import utc
from toolkit.errors import RunError
from toolkit.models.evaluating import evaluate_groups
from toolkit.models.evaluation import Proof
from toolkit.models.judgement import daily_frame, fold_frame, group_frame, judged, member_frame, permutation_frame
from toolkit.models.members_file import members_text
from toolkit.models.parts import Part
from toolkit.models.question import Question
from toolkit.models.recipe_file import RECIPE_FILE
from toolkit.models.study import StoredSeries, Study, kept_config, study
from toolkit.models.tally import Tally, added

KIND = "model-eval"


@dataclass(frozen=True)
class ModelRun:
    """A finished model run and what its `results.json` says."""

    run: Run
    results: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        return self.run.folder


def model_eval(
    question: Question | None = None,
    proof: Proof | None = None,
    *,
    resume: str | None = None,
    jobs: int | None = None,
    root: Path | None = None,
    progress: bool = False,
) -> ModelRun:
    """Before and after for each group and all of them together, with intervals, p-values, controls and a verdict.

    Parameters
    ----------
    question : see `question.ask`; nothing where a run is resumed, whose own stands. proof : see `evaluation.Proof`.
    resume : id of an interrupted run to go on with. jobs : worker processes, all cores unless given; results do not
        depend on it.

    Raises
    ------
    InputError and its kinds : what cannot be run, before anything is. RunError : no group has a result, or the run
    cannot be written or resumed. StudyInterrupted : Ctrl-C; what is finished is kept for `resume`.
    """
    asked, how = _begun(question, proof, resume, root)
    config = {**asked.config(), "proof": asdict(how)}
    with study(KIND, config, root=root, resume=resume) as run:
        parts = evaluate_groups(
            asked.groups, asked.recipe, how, asked.loading, run.parts, jobs=jobs, progress=progress
        )  # fmt: skip
        found = gather(asked, parts, how.seed)
        results = results_of(run, asked, how, found)
        write_tables(run, asked, found, results)
        return ModelRun(run.finish(results, found.data), results)


def _begun(
    question: Question | None, proof: Proof | None, resume: str | None, root: Path | None
) -> tuple[Question, Proof]:
    if resume is not None:
        config = kept_config(resume, KIND, root)
        return Question.of(config), Proof(**{**config["proof"], "methods": tuple(config["proof"]["methods"])})
    assert question is not None
    return question, proof or Proof()


@dataclass(frozen=True)
class Gathered:
    """The parts of an evaluation, looked at one by one.

    Attributes
    ----------
    total : all groups with a result together. by_group : each as `results.json` has it. facts : of each group's tally.
    failures : groups without a result, each with its sentence. data : the stored series that all rests on.
    """

    total: Tally
    by_group: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Mapping[str, Any]]
    failures: Sequence[Mapping[str, str]]
    data: Sequence[Mapping[str, Any]]


def gather(asked: Question, parts: Iterable[Part], seed: int) -> Gathered:
    """Judge every group and add all of them up; `RunError` with the first group's reason where none has a result."""
    by_group, facts, failures = [], dict[str, Mapping[str, Any]](), []
    data = StoredSeries()
    chosen, trials = asked.recipe.method, asked.tried

    def tallies() -> Iterator[Tally]:
        for group, part in zip(asked.groups, parts, strict=True):
            if part.error:
                failures.append({"group": group.name, "error": part.error})
                continue
            data.add(part)
            one = Tally.of(part)
            facts[group.name] = one.facts
            told = {"group": group.name, "members": one.members, "rows": one.rows, "slots": one.facts["slots"]}
            by_group.append({**told, **judged(one, chosen, trials=trials, seed=seed)})
            yield one

    every = tallies()
    first = next(every, None)
    if first is None:
        raise no_result(failures)
    return Gathered(added(chain([first], every)), by_group, facts, failures, data.rows)


def no_result(failures: Sequence[Mapping[str, str]]) -> RunError:
    """What is told where no group has a result."""
    more = f" (and {len(failures) - 1:,} more groups have no result)" if len(failures) > 1 else ""
    return RunError(f"{failures[0]['error']}{more}")


def results_of(run: Study, asked: Question, proof: Proof, found: Gathered) -> dict[str, Any]:
    """What `results.json` says of an evaluation."""
    end_ms = asked.loading.end_ms
    test_from = min(fold["from_ms"] for told in found.facts.values() for fold in told["folds"])
    return {
        **told_of(run, asked, found.data),
        "period": {"start": utc(asked.loading.start_ms), "end": utc(end_ms), "test_from": utc(test_from)},
        "in_sample": asked.grouped.origin.seen(test_from, end_ms),
        "rows": found.total.rows,
        "proof": asdict(proof),
        "pooled": judged(found.total, asked.recipe.method, trials=asked.tried, seed=proof.seed),
        "by_group": list(found.by_group),
        "failures": list(found.failures),
    }


def told_of(run: Study, asked: Question, data: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What every model run tells."""
    loading = asked.loading
    return {
        "run": run.run_id,
        "kind": run.writer.info["kind"],
        "period": {"start": utc(loading.start_ms), "end": utc(loading.end_ms), "test_from": None},
        "synthetic": any(row["exchange"] == "synthetic" for row in data),
        "in_sample": None,
        "selected_from": asked.grouped.origin.table(),
        "groups": len(asked.groups),
        "members": len(asked.grouped.members),
        "per": asked.grouped.per,
        "recipe": dict(asked.recipe.table()),
        "recipe_text": asked.recipe_file.text,
        "proof": None,
        "trials": asked.tried,
        "chosen": asked.recipe.method,
    }


def write_tables(run: Study, asked: Question, found: Gathered, results: Mapping[str, Any]) -> None:
    """The tables of an evaluation, its recipe, and its members."""
    writer, total = run.writer, found.total
    frames: dict[str, pl.DataFrame | None] = {
        "daily": daily_frame(total),
        "groups": group_frame(results["by_group"]),
        "pooled": group_frame([{"group": "pooled", "members": total.members, "rows": total.rows, **results["pooled"]}]),
        "controls": pl.DataFrame(results["pooled"]["controls"], infer_schema_length=None),
        "permutations": permutation_frame(total),
        "folds": fold_frame(found.facts),
        "members": member_frame(found.facts),
    }
    for name, frame in frames.items():
        if frame is not None and frame.width:
            writer.write_frame(name, frame, csv=True)
    write_recipe(run, asked)


def write_recipe(run: Study, asked: Question) -> None:
    """recipe.toml, and members.toml that is a source of the same members."""
    run.writer.write_text(RECIPE_FILE, asked.recipe_file.text)
    run.writer.write_text("members.toml", members_text(asked.grouped.members))
