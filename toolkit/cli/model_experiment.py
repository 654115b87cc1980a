"""`toolkit model experiment`: search ways of learning and applying, and judge the best one once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli import model_options as options
from toolkit.cli.machine import print_json
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.models.evaluate_run import ModelRun
    from toolkit.models.experiment import Search

_SHOWN = 10


def experiment(
    source: options.Source = None,
    strategies: options.Strategies = None,
    per: options.Per = None,
    recipe: options.RecipeName = None,
    changes: options.Changes = None,
    grid: Annotated[Path | None, typer.Option(help="Axes over the recipe's fields (TOML).")] = None,
    budget: Annotated[int | None, typer.Option(help="Most ways of learning; more are drawn by --seed.")] = None,
    score: Annotated[str | None, typer.Option(help="What ranks the trials: sortino or sharpe.")] = None,
    holdout: Annotated[float | None, typer.Option(help="Share of the period kept for the best one; 0.3.")] = None,
    inner_folds: Annotated[int | None, typer.Option(help="Blocks that the search walks through; default: 3.")] = None,
    start: options.Start = None,
    end: options.End = None,
    folds: options.Folds = None,
    permutations: options.Permutations = None,
    controls: options.Controls = None,
    slots: options.Slots = None,
    seed: options.Seed = None,
    top: options.Top = None,
    by: options.By = None,
    min_trades: options.MinTrades = None,
    accept_code: options.AcceptCode = False,
    jobs: options.Jobs = None,
    resume: options.Resume = None,
    out: options.Out = None,
    db: options.Db = None,
    json_: options.Json = False,
) -> None:
    """Try backends x features x fitness x application on several strategies, and return the best with its code.

    Every trial is scored on inner walk-forward folds of the period's first part. The best is judged once on the rest,
    with p-value, interval and controls; how many were tried counts. The run's folder has recipe.toml (for `model
    train`, `model eval` and `portfolio backtest --model`), reproduce.py, the leaderboard and the report.

    Example: toolkit model experiment --strategies 5

    Example: toolkit model experiment members.toml --grid grid.toml --budget 20 --start 2022-01-01 --end 2024-01-01
    """
    from toolkit.models.experiment import model_experiment
    from toolkit.models.study import StudyInterrupted

    question = options.asked(
        {
            "source": source, "strategies": strategies, "per": per, "recipe": recipe, "set": changes, "start": start,
            "end": end, "seed": seed, "top": top, "by": by, "min_trades": min_trades, "accept_code": accept_code,
            "db": db,
        },
        resume, out,
    )  # fmt: skip
    search = _search(
        {"grid": grid, "budget": budget, "by": score, "holdout": holdout, "folds": inner_folds, "seed": seed}, resume
    )  # fmt: skip
    how = {"folds": folds, "permutations": permutations, "controls": controls, "slots": slots}
    proof = options.proof_of(how, resume, **({} if seed is None else {"seed": seed}))
    try:
        result = model_experiment(question, search, proof, resume=resume, jobs=jobs, root=out, progress=True)
    except StudyInterrupted as stopped:
        typer.echo(str(stopped), err=True)
        raise typer.Exit(130) from None
    if json_:
        print_json({"folder": str(result.folder), "files": options.files_of(result), **result.results})
    else:
        _print(result)


def _search(given: dict[str, Any], resume: str | None) -> "Search | None":
    from toolkit.models.experiment import Search
    from toolkit.models.grid import read_grid

    told = {name: value for name, value in given.items() if value is not None}
    if resume is not None:
        if told:
            raise InputError(
                f"run {resume} goes on as it was asked when it began; leave --{next(iter(told))} out, or start a new "
                f"run without --resume"
            )
        return None
    if "grid" in told:
        told["grid"] = read_grid(told["grid"])
    return Search(**told)


def _print(result: "ModelRun") -> None:
    results = result.results
    board = result.run.frame("leaderboard")
    axes = [name for name in board.columns if board[name].n_unique() > 1 and name not in _FIGURES]
    print(f"{results['trials']:,} trials of {results['search']['ways']:,} ways of learning; the first of them:\n")
    for row in board.head(_SHOWN).iter_rows(named=True):
        point = ", ".join(f"{name} {row[name]}" for name in axes if row[name] is not None)
        score = "-" if row["score"] is None else f"{row['score']:+.3f}"
        print(f"{row['rank']:>4}  {score:>8}  {point}")
    print(f"\nthe best, judged once from {results['period']['test_from']} on:\n")
    options.print_comparison(results)
    options.print_end(result)
    print(f"recipe: {result.folder / 'recipe.toml'}\ncode: {result.folder / 'reproduce.py'}")


_FIGURES = {"rank", "trial", "score", "sortino_before", "sortino_after", "trades_before", "trades_after", "error"}
