"""`tk.model_experiment`: many recipes on inner folds, and the best of them once on days that none of them has seen."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from toolkit.bars.series import utc
from toolkit.errors import InputError
from toolkit.models.comparison import comparison
from toolkit.models.evaluate_run import Gathered, ModelRun, gather, results_of, write_tables
from toolkit.models.evaluating import evaluate_groups
from toolkit.models.evaluation import Proof
from toolkit.models.fitness import DAILY
from toolkit.models.grid import SMALL, Space, backends_grid, space_of
from toolkit.models.leaderboard import best, failed_groups, leaderboard
from toolkit.models.question import Question
from toolkit.models.recipe_file import RecipeFile
from toolkit.models.reproducing import reproducing
from toolkit.models.searching import search_groups
from toolkit.models.study import Study, kept_config, study

KIND = "model-experiment"
SEARCH, FINAL = "search", "final"


@dataclass(frozen=True)
class Search:
    """How an experiment looks for the best recipe.

    Attributes
    ----------
    grid : axes over the recipe's fields, see `grid.space_of`. budget : most ways of learning, drawn with `seed`.
    holdout : share of the period, its end, that only the chosen recipe is judged on, once.
    folds : inner folds of the search. by : the figure whose difference ranks the trials, "sortino" or "sharpe".
    backends : ways of learning that are compared, each by every way of applying and with controls, in place of a grid.
    """

    grid: Mapping[str, Any] | None = None
    backends: tuple[str, ...] = ()
    budget: int | None = None
    holdout: float = 0.3
    folds: int = 3
    by: str = "sortino"
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.holdout, bool) or not 0.05 <= self.holdout <= 0.9:
            raise InputError(f"`holdout` must be a share of the period from 0.05 to 0.9, was {self.holdout!r}")
        if self.by not in DAILY:
            raise InputError(f"`by` must be one of {', '.join(sorted(DAILY))}, was {self.by!r}")

        if self.backends and self.grid is not None:
            raise InputError("`backends` and `grid` both say what is tried; name one of them")

    def space(self, asked: Question) -> Space:
        grid = backends_grid(self.backends) if self.backends else SMALL if self.grid is None else self.grid
        return space_of(grid, asked.recipe, budget=self.budget, seed=self.seed)

    def test_from_ms(self, asked: Question) -> int:
        start_ms, end_ms = asked.loading.start_ms, asked.loading.end_ms
        return end_ms - int(self.holdout * (end_ms - start_ms))


def model_experiment(
    question: Question | None = None,
    search: Search | None = None,
    proof: Proof | None = None,
    *,
    resume: str | None = None,
    jobs: int | None = None,
    root: Path | None = None,
    progress: bool = False,
) -> ModelRun:
    """Search ways of learning and applying, and prove the best one.

    Every trial is scored on walk-forward folds of the period's first part, all groups together. The best goes on to the
    rest of the period, once, with every model learned only from what came before; how many were tried counts in its
    deflated Sharpe ratio.

    Parameters
    ----------
    question : see `question.ask`; its recipe says what no axis of the grid does.
    proof : how the chosen one is judged; methods and where the test begins are the experiment's.
    resume, jobs : as in `evaluate_run.model_eval`.

    Raises
    ------
    InputError and its kinds, RunError, StudyInterrupted : as `model_eval` does.
    """
    if resume is not None:
        config = kept_config(resume, KIND, root)
        question = Question.of(config)
        search = Search(**{**config["search"], "backends": tuple(config["search"]["backends"])})
        proof = Proof(**{**config["proof"], "methods": tuple(config["proof"]["methods"])})
    assert question is not None
    search, proof = search or Search(), proof or Proof()
    # A grid that cannot be run is told before anything is.
    space = search.space(question)
    config = {**question.config(), "search": asdict(search), "proof": asdict(proof)}
    with study(KIND, config, root=root, resume=resume) as run:
        job = _Experiment(run, question, search, proof, space)
        return job.run_all(jobs, progress)


class _Experiment:
    """One experiment: the search, then the proof."""

    def __init__(self, run: Study, asked: Question, search: Search, proof: Proof, space: Space) -> None:
        self.run, self.asked, self.search, self.proof, self.space = run, asked, search, proof, space
        self.test_from_ms = search.test_from_ms(asked)

    def run_all(self, jobs: int | None, progress: bool) -> ModelRun:
        asked = self.asked
        inner = replace(asked.loading, end_ms=self.test_from_ms)
        found = search_groups(
            asked.groups, self.space, inner, replace(self.proof, folds=self.search.folds), self.run.parts / SEARCH,
            controls=self.proof.controls and bool(self.search.backends), jobs=jobs, progress=progress,
        )  # fmt: skip
        board = leaderboard(self.space, found, self.search.by)
        chosen = best(self.space, board)
        failed = failed_groups(self.space, found)
        kept = tuple(group for group in asked.groups if group.name not in failed)
        found_by = RecipeFile(chosen.recipe, len(self.space.trials), self.run.run_id)
        final = asked.with_recipe(found_by).only(kept)
        proof = replace(self.proof, methods=(chosen.recipe.method,), test_from_ms=self.test_from_ms)
        parts = evaluate_groups(
            final.groups, final.recipe, proof, final.loading, self.run.parts / FINAL, jobs=jobs, progress=progress
        )  # fmt: skip
        tables = {"leaderboard": board}
        if self.search.backends:
            tables["comparison"] = comparison(self.space, found, self.search.by, proof.seed)
        return self._finish(final, proof, gather(final, parts, proof.seed), tables, failed)

    def _finish(
        self, final: Question, proof: Proof, found: Gathered, tables: Mapping[str, pl.DataFrame],
        failed: Mapping[str, str],
    ) -> ModelRun:  # fmt: skip
        run = self.run
        results = results_of(run, final, proof, found)
        code = reproducing(run.run_id, final, proof)
        results |= {
            "groups": len(self.asked.groups),
            "members": len(self.asked.grouped.members),
            "failures": [{"group": name, "error": error} for name, error in failed.items()] + results["failures"],
            "search": {**asdict(self.search), "trials": len(self.space.trials), "ways": len(self.space.learning),
                       "until": utc(self.test_from_ms)},
            "best": tables["leaderboard"].row(0, named=True),
            "code": code,
        }  # fmt: skip
        write_tables(run, final, found, results)
        for name, frame in tables.items():
            run.writer.write_frame(name, frame, csv=True)
        run.writer.write_text("reproduce.py", code)
        return ModelRun(run.finish(results, found.data), results)
