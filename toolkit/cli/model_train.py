"""`toolkit model train`: a model for every strategy, into the registry."""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import model_options as options
from toolkit.cli.machine import print_json
from toolkit.cli.model_due import check_due, check_undue, train_what_is_due
from toolkit.cli.retrain import Every, Latency, Window
from toolkit.errors import InputError


def train(
    source: options.Source = None,
    strategies: options.Strategies = None,
    per: options.Per = None,
    recipe: options.RecipeName = None,
    changes: options.Changes = None,
    start: options.Start = None,
    end: options.End = None,
    prove: Annotated[bool, typer.Option(help="Judge the recipe on each group beside, walking forward.")] = True,
    folds: options.Folds = None,
    permutations: options.Permutations = None,
    controls: options.Controls = None,
    seed: options.Seed = None,
    top: options.Top = None,
    by: options.By = None,
    min_trades: options.MinTrades = None,
    accept_code: options.AcceptCode = False,
    models: Annotated[Path | None, typer.Option(help="Folder of the registry; default: in the data folder.")] = None,
    jobs: options.Jobs = None,
    resume: options.Resume = None,
    out: options.Out = None,
    db: options.Db = None,
    due: Annotated[
        bool, typer.Option("--due", help="Only what the clock of retraining asks for now; for cron.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --due: look, and train nothing.")] = False,
    retrain_every: Every = None,
    train_window: Window = None,
    train_latency: Latency = None,
    json_: options.Json = False,
) -> None:
    """Learn one model for each strategy (or instance, or all) from everything that is known at the end of the period.

    Models go into the registry with their training window, scores and controls; a version is never changed. What is
    learned goes into no judgement: scores are of models that had not seen what they predict.

    Example: toolkit model train latest --strategies all --recipe latest --end 2023-07-01

    Example: toolkit model train deployment.json --set backend=logistic --per instance --permutations 99

    Example: toolkit model train deployment.json --due --retrain-every 30trades --min-trades 100 --train-window 180d
    """
    if due:
        check_due({
            "--set": changes, "--seed": seed is not None, "--folds": folds, "--permutations": permutations is not None,
            "--controls": controls is not None, "--no-prove": not prove, "--top": top, "--by": by, "--resume": resume,
        })  # fmt: skip
        clock = (retrain_every, min_trades, train_window, train_latency)
        asked = {
            "strategies": strategies, "per": per, "start": start, "at": end, "models": models, "db": db, "jobs": jobs,
            "accept_code": accept_code,
        }  # fmt: skip
        train_what_is_due(source, recipe, clock, asked, dry_run=dry_run, out=out, as_json=json_)
        return
    check_undue({
        "--dry-run": dry_run, "--retrain-every": retrain_every, "--train-window": train_window,
        "--train-latency": train_latency,
    })  # fmt: skip
    from toolkit.models.study import StudyInterrupted
    from toolkit.models.train_run import PROOF, model_train

    question = options.asked(
        {
            "source": source, "strategies": strategies, "per": per, "recipe": recipe, "set": changes, "start": start,
            "end": end, "seed": seed, "top": top, "by": by, "min_trades": min_trades, "accept_code": accept_code,
            "db": db,
        },
        resume, out,
    )  # fmt: skip
    how = {"folds": folds, "permutations": permutations, "controls": controls}
    default = {"permutations": PROOF.permutations, **({} if seed is None else {"seed": seed})}
    judged_how = [name for name, value in how.items() if value is not None]
    if judged_how and not prove:
        raise InputError(
            f"--{judged_how[0]} says how a recipe is judged, and --no-prove that it is not; leave one of them out"
        )
    proof = options.proof_of(how, resume, **default) if prove else None
    try:
        result = model_train(question, proof, models=models, resume=resume, jobs=jobs, root=out, progress=True)
    except StudyInterrupted as stopped:
        typer.echo(str(stopped), err=True)
        raise typer.Exit(130) from None
    if json_:
        print_json({"folder": str(result.folder), "files": options.files_of(result), **result.results})
        return
    for row in result.results["models"]:
        scores = ", ".join(f"{name.removeprefix('score_')} {row[name]:.3f}" for name in row if _is_score(name, row))
        print(f"{row['name']}@{row['version']}: {row['rows']:,} signals, {row['application']}" + f"; {scores}")
    if "pooled" in result.results:
        print()
        options.print_comparison(result.results)
    options.print_end(result)


def _is_score(name: str, row: "dict[str, object]") -> bool:
    return name.startswith("score_") and row[name] is not None
