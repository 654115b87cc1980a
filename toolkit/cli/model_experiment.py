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
_PRINTED = (("sortino_before", ""), ("sortino_after", ""), ("difference", "+"))


def experiment(
    source: options.Source = None,
    strategies: options.Strategies = None,
    per: options.Per = None,
    recipe: options.RecipeName = None,
    changes: options.Changes = None,
    grid: Annotated[Path | None, typer.Option(help="Axes over the recipe's fields (TOML).")] = None,
    backends: Annotated[
        str | None, typer.Option(help="Compare these ways of learning, names with commas or all, in place of a grid.")
    ] = None,
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
    fit_secs: options.FitSecs = None,
    fit_trials: options.FitTrials = None,
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

    --backends compares libraries instead: the recipe with each of them, by every way of applying, for each strategy and
    all together, with controls. `all` are those of this process and those whose environment is installed.

    Example: toolkit model experiment --strategies 5

    Example: toolkit model experiment members.toml --backends all --fit-secs 120

    Example: toolkit model experiment members.toml --grid grid.toml --budget 20 --start 2022-01-01 --end 2024-01-01
    """
    from toolkit.models.controls import LEAST_PERMUTATIONS
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
        {
            "grid": grid, "backends": backends, "budget": budget, "by": score, "holdout": holdout,
            "folds": inner_folds, "seed": seed,
        },
        resume,
    )  # fmt: skip
    if backends is not None and permutations is None:
        # A library's fits take their time; with fewer no p-value can be as low as it has to be.
        permutations = LEAST_PERMUTATIONS
    how = {
        "folds": folds, "permutations": permutations, "controls": controls, "slots": slots, "fit_secs": fit_secs,
        "fit_trials": fit_trials,
    }  # fmt: skip
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
    if "backends" in told:
        told["backends"] = _backends(told["backends"])
    return Search(**told)


def _backends(text: str) -> tuple[str, ...]:
    """The ways of learning that are named; `all` leaves out the constant, and says which libraries are not there."""
    from toolkit.cli.model_backends import usable
    from toolkit.models.backends.choices import BACKENDS
    from toolkit.models.workers.libraries import LIBRARIES

    if text.strip() != "all":
        names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        if not names:
            raise InputError(f"--backends must be `all` or names with commas such as lightgbm,flaml; was {text!r}")
        for name in names:
            usable(name)
        return names
    found = [name for name in BACKENDS if name != "constant"]
    missing = [name for name in LIBRARIES if not usable(name)]
    if missing:
        typer.echo(
            f"left out, not installed: {', '.join(missing)} (toolkit model backends install NAME)", err=True
        )  # fmt: skip
    return (*found, *(name for name in LIBRARIES if name not in missing))


def _print(result: "ModelRun") -> None:
    results = result.results
    board = result.run.frame("leaderboard")
    if "comparison" in result.run.tables:
        _print_comparison(result)
        return
    axes = [name for name in board.columns if board[name].n_unique() > 1 and name not in _FIGURES]
    print(f"{results['trials']:,} trials of {results['search']['ways']:,} ways of learning; the first of them:\n")
    for row in board.head(_SHOWN).iter_rows(named=True):
        point = ", ".join(f"{name} {row[name]}" for name in axes if row[name] is not None)
        score = "-" if row["score"] is None else f"{row['score']:+.3f}"
        print(f"{row['rank']:>4}  {score:>8}  {point}")
    _print_best(result)


def _print_comparison(result: "ModelRun") -> None:
    """Each way of learning over all groups together, by its best way of applying."""
    from toolkit.models.comparison import CONTROL_COLUMNS, TOGETHER

    frame = result.run.frame("comparison")
    print(
        f"{'':<34}{'applied by':<11}{'before':>8}{'after':>8}{'diff.':>8}  {'95 % interval':<17}{'trades':>7}  "
        f"{'permuted':>8}{'noise':>8}{'past':>8}{'future':>8}{'secs':>8}{'MB':>7}"
    )
    rows = {row["trial"]: row for row in frame.iter_rows(named=True) if row["group"] == TOGETHER}
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for trial in result.run.frame("leaderboard")["trial"]:
        if trial in rows:
            best.setdefault((rows[trial]["backend"], rows[trial]["settings"]), rows[trial])
    for (name, settings), row in best.items():
        span = "-" if row["low"] is None else f"{row['low']:+.2f} to {row['high']:+.2f}"
        figures = "".join(f"{_figure(row[k], sign):>8}" for k, sign in _PRINTED)
        controls = "".join(f"{_figure(row[column], '+'):>8}" for column in CONTROL_COLUMNS.values())
        peak = "-" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
        print(
            f"{name + (f' ({settings})' if settings else ''):<34}{row['method']:<11}{figures}  {span:<17}"
            f"{row['trades_after']:>7,}  {controls}{row['secs']:>8.0f}{peak:>7}"
        )
    errors = {(row["backend"], row["group"]): row["error"] for row in frame.iter_rows(named=True) if row["error"]}
    for (name, group), error in errors.items():
        if group != TOGETHER:
            print(f"no result: {name}, {group}: {error}")
    _print_best(result)


def _figure(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.2f}"


def _print_best(result: "ModelRun") -> None:
    results = result.results
    named = ", ".join(str(results["recipe"][name]) for name in ("backend", "method"))
    print(f"\nthe best ({named}), judged once from {results['period']['test_from']} on:\n")
    options.print_comparison(results)
    options.print_end(result)
    print(f"recipe: {result.folder / 'recipe.toml'}\ncode: {result.folder / 'reproduce.py'}")


_FIGURES = {"rank", "trial", "score", "sortino_before", "sortino_after", "trades_before", "trades_after", "error"}
