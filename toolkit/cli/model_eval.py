"""`toolkit model eval`: what it is without a model, what with each way of applying one, and whether that is luck."""

from typing import Annotated

import typer

from toolkit.cli import model_options as options
from toolkit.cli.machine import print_json


def evaluate(
    source: options.Source = None,
    strategies: options.Strategies = None,
    per: options.Per = None,
    recipe: options.RecipeName = None,
    changes: options.Changes = None,
    methods: Annotated[str | None, typer.Option(help="veto,quantile,kelly,rank; default: all of them.")] = None,
    start: options.Start = None,
    end: options.End = None,
    test_from: Annotated[str | None, typer.Option(help="Where the judged blocks begin, UTC.")] = None,
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
    """Judge a recipe on every strategy, out of sample, before and after, for each way of applying it.

    Time is walked forward: each block is judged by models of what was known before it, and every entry that they refuse
    changes what comes after. Intervals are of resampled days, p-values of as many models on permuted labels as
    --permutations says (99), and the controls show what the same learning finds where there is nothing. Ctrl-C keeps
    what is done; --resume RUN goes on.

    Example: toolkit model eval latest --strategies all --recipe latest --start 2022-01-01 --end 2024-01-01

    Example: toolkit model eval members.toml --set backend=lightgbm --folds 6 --permutations 199 --jobs 4
    """
    from toolkit.models.evaluate_run import model_eval
    from toolkit.models.study import StudyInterrupted

    question = options.asked(
        {
            "source": source, "strategies": strategies, "per": per, "recipe": recipe, "set": changes, "start": start,
            "end": end, "seed": seed, "top": top, "by": by, "min_trades": min_trades, "accept_code": accept_code,
            "db": db,
        },
        resume, out,
    )  # fmt: skip
    how = {
        "methods": None if methods is None else tuple(name.strip() for name in methods.split(",") if name.strip()),
        "test_from_ms": _moment(test_from), "folds": folds, "permutations": permutations, "controls": controls,
        "slots": slots, "fit_secs": fit_secs, "fit_trials": fit_trials,
    }  # fmt: skip
    proof = options.proof_of(how, resume, **({} if seed is None else {"seed": seed}))
    try:
        result = model_eval(question, proof, resume=resume, jobs=jobs, root=out, progress=True)
    except StudyInterrupted as stopped:
        typer.echo(str(stopped), err=True)
        raise typer.Exit(130) from None
    if json_:
        print_json({"folder": str(result.folder), "files": options.files_of(result), **result.results})
        return
    options.print_comparison(result.results)
    options.print_end(result)


def _moment(text: str | None) -> int | None:
    from toolkit.bars.moments import to_ms

    return None if text is None else to_ms(text, "test_from")
