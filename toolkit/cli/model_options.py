"""Options that the model commands share, and what they come to."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli.model_backends import usable
from toolkit.cli.pairs import pairs
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.models.evaluate_run import ModelRun
    from toolkit.models.evaluation import Proof
    from toolkit.models.question import Question

Source = Annotated[
    str | None,
    typer.Argument(help="Sweep run (id, folder, latest), deployment.json, or members.toml; default: the newest sweep."),
]
Strategies = Annotated[
    str | None, typer.Option(help="all, how many of the best (5), or names with commas; default: all.")
]
Per = Annotated[str | None, typer.Option(help="Who shares a model: strategy, instance or all; default: strategy.")]
RecipeName = Annotated[
    str | None, typer.Option("--recipe", "--model", help="recipe.toml, or an experiment (run id, folder, latest).")
]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="Field of the recipe: backend=lightgbm; repeat for more.")
]
Start = Annotated[str | None, typer.Option(help="First moment of the period, UTC; default: the first bar.")]
End = Annotated[str | None, typer.Option(help="First moment left out, UTC; default: after the last bar.")]
Folds = Annotated[int | None, typer.Option(help="Judged blocks of time, each with a model of its own; default: 4.")]
Permutations = Annotated[int | None, typer.Option(help="Models on permuted labels for the p-value; 0: none.")]
Controls = Annotated[bool | None, typer.Option(help="Run the negative controls; default: yes.")]
Slots = Annotated[int | None, typer.Option(help="Trades at a time when entries are ranked; default: a third.")]
FitSecs = Annotated[float | None, typer.Option(help="Seconds after which a library's fit is ended; default: 3600.")]
FitTrials = Annotated[
    int | None, typer.Option(help="Most trials of a library's own search; default: its setting `trials`.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random; default: the recipe's, else 0.")]
Top = Annotated[int | None, typer.Option(help="How many of the sweep's best rows are taken.")]
By = Annotated[str | None, typer.Option(help="Metric that says which are the sweep's best.")]
MinTrades = Annotated[int | None, typer.Option(help="Fewest closed trades of a sweep's best.")]
AcceptCode = Annotated[
    bool, typer.Option("--accept-code", help="Also a deployment whose strategies' code has changed.")
]
Jobs = Annotated[int | None, typer.Option(help="Worker processes; default: every core. Results do not depend on it.")]
Resume = Annotated[str | None, typer.Option(help="Go on with this interrupted run.")]
Out = Annotated[Path | None, typer.Option(help="Folder of the runs; default: in the data folder.")]
Db = Annotated[Path | None, typer.Option(help="Bars database; default: in the data folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_LISTED = 20


def asked(given: Mapping[str, Any], resume: str | None, out: Path | None) -> "Question | None":
    """The question that the options describe; nothing where a resumed run's own stands.

    given : options by name, None where not given; `recipe`, `set` and `seed` among them.
    """
    told = {name: value for name, value in given.items() if value is not None and value is not False and value != []}
    if resume is not None:
        if told:
            option = "SOURCE" if "source" in told else "--" + next(iter(told)).replace("_", "-")
            raise InputError(
                f"run {resume} goes on as it was asked when it began; leave {option} out, or start a new run without "
                f"--resume"
            )
        return None
    from toolkit.models.question import LATEST, ask

    changes = pairs("--set", told.pop("set", []))
    if "seed" in told:
        changes["seed"] = told.pop("seed")
    source, recipe = told.pop("source", LATEST), told.pop("recipe", None)
    question = ask(source, recipe, changes=changes or None, root=out, **told)
    usable(question.recipe.backend)
    return question


def proof_of(given: Mapping[str, Any], resume: str | None, **default: Any) -> "Proof | None":
    """How a recipe is judged: the options over the defaults; nothing where a resumed run's own stands."""
    from toolkit.models.evaluation import Proof

    told = {name: value for name, value in given.items() if value is not None}
    if resume is not None:
        if told:
            raise InputError(
                f"run {resume} goes on as it was asked when it began; leave --{next(iter(told))} out, or start a new "
                f"run without --resume"
            )
        return None
    return Proof(**{**default, **told})


def files_of(result: "ModelRun") -> list[str]:
    return sorted(str(f.relative_to(result.folder)) for f in result.folder.rglob("*") if f.is_file())


def print_comparison(results: Mapping[str, Any]) -> None:
    """The table of all groups and of all of them together, before and after, and the verdict in words."""
    every = results.get("by_group", [])
    groups = [*every[:_LISTED], {**results["pooled"], "group": "all together"}]
    head = ("", "applied by", "Sortino before", "after", "difference", "95 % interval", "p-value", "trades", "after")
    rows = [[*head]]
    for one in groups:
        for place, (method, row) in enumerate(one["methods"].items()):
            rows.append([one["group"] if not place else "", method, *_cells(row)])
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    for cells in rows:
        left = [text.ljust(width) for text, width in zip(cells[:2], widths[:2], strict=True)]
        right = [text.rjust(width) for text, width in zip(cells[2:], widths[2:], strict=True)]
        print("  ".join([*left, *right]).rstrip())
    if len(every) > _LISTED:
        print(f"... and {len(every) - _LISTED:,} more groups, in groups.csv")
    print()
    for row in results["pooled"]["controls"]:
        if row["method"] == results["pooled"]["verdict"]["method"]:
            print(f"control, {row['control']}: {_number(row['difference'], '+')} ({row['expected']})")
    print(f"\n{results['pooled']['verdict']['text']}")


def print_end(result: "ModelRun") -> None:
    """What has to be said of how far all of it can be believed, and where it is."""
    results = result.results
    for failure in results["failures"][:_LISTED]:
        print(f"no result: {failure['error']}")
    if len(results["failures"]) > _LISTED:
        print(f"... and {len(results['failures']) - _LISTED:,} more without a result, in results.json")
    if results["in_sample"]:
        print("IN SAMPLE: the strategies were chosen on days that they are judged on here; before is flattered by it")
    print(f"run: {result.folder}\nreport: {result.folder / 'report.html'}")


def _cells(row: Mapping[str, Any]) -> list[str]:
    interval = "-" if row["low"] is None else f"{row['low']:+.2f} to {row['high']:+.2f}"
    chance = "-" if row["p_value"] is None else f"{row['p_value']:.3f} of {row['permutations']}"
    return [
        _number(row["sortino_before"]), _number(row["sortino_after"]), _number(row["difference"], "+"), interval,
        chance, f"{row['trades_before']:,}", f"{row['trades_after']:,}",
    ]  # fmt: skip


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.2f}"
