"""`toolkit model data`: what models would learn from, looked at before anything is fitted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli import model_options as options
from toolkit.cli.machine import aligned, print_json

if TYPE_CHECKING:
    from toolkit.models.profile import Classes, FeatureProfile, Profile


def data(
    source: options.Source = None,
    strategies: options.Strategies = None,
    recipe: options.RecipeName = None,
    changes: options.Changes = None,
    start: options.Start = None,
    end: options.End = None,
    last: Annotated[
        float, typer.Option(help="Share of the rows, by time, that the first ones are held against.")
    ] = 0.5,
    top: options.Top = None,
    by: options.By = None,
    min_trades: options.MinTrades = None,
    accept_code: options.AcceptCode = False,
    jobs: Annotated[int | None, typer.Option(help="Threads; default: every core.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the features' table as CSV, and the classes' as NAME.classes.csv.")
    ] = None,
    rows: Annotated[Path | None, typer.Option(help="Write every row with its features, .csv or .parquet.")] = None,
    runs: Annotated[Path | None, typer.Option(help="Folder of the runs; default: in the data folder.")] = None,
    db: options.Db = None,
    json_: options.Json = False,
) -> None:
    """Class balance, distributions, missing values and drift of each feature of the entry signals to learn from.

    A row is a signal whose outcome is known, accepted or refused; its features are as known when it was decided, and
    its label is told by the trade that it made, or would have made. PSI and KS compare the last part of the rows with
    the first one.

    Example: toolkit model data latest --strategies all --end 2023-07-01

    Example: toolkit model data deployment.json --set label=r --out features.csv --rows signals.parquet
    """
    from toolkit.errors import InputError
    from toolkit.models.data_run import model_data, write_profile
    from toolkit.models.rows_file import check_kind, rows_frame, write_frame

    if not 0 < last < 1:
        raise InputError(f"--last must be a share between 0 and 1, was {last}")
    if out is not None and out.suffix != ".csv":
        raise InputError(f"--out must be a file that ends in .csv, was {out.name!r}")
    if rows is not None:
        check_kind(rows)
    given = {
        "source": source, "strategies": strategies, "recipe": recipe, "set": changes, "start": start, "end": end,
        "top": top, "by": by, "min_trades": min_trades, "accept_code": accept_code, "db": db,
    }  # fmt: skip
    question = options.asked(given, None, runs)
    assert question is not None
    made, found = model_data(question, last=last, jobs=jobs, progress=True)
    files = [] if out is None else [str(file) for file in write_profile(found, out)]
    if rows is not None:
        write_frame(rows_frame(made), rows)
        files.append(str(rows))
    if json_:
        print_json({"fingerprint": made.fingerprint, **_table(found), "files": files})
        return
    _print(found)
    for file in files:
        print(f"written: {file}")


def _table(found: "Profile") -> dict[str, Any]:
    from dataclasses import asdict

    features = [{**asdict(one), "shift": one.shift._asdict()} for one in found.features]
    return {**asdict(found), "features": features, "warnings": found.warnings}


def _print(found: "Profile") -> None:
    from toolkit.bars.series import utc

    print(f"label: {found.label}")
    head = ("", "instances", "rows", "refused", "distinct", "wins", "first", "last", "return", "R", "from", "known by")
    print(aligned([head, *map(_class_cells, found.classes)]))
    for why, count in found.left_out.items():
        print(f"left out: {count:,} {why}")
    if found.split_ms is not None:
        print(f"\nfeatures; PSI and KS of the rows from {utc(found.split_ms)} on against those before")
    columns = ("", "missing", "mean", "5 %", "median", "95 %", "with label", "PSI", "by chance", "KS", "p")
    print(aligned([columns, *map(_feature_cells, found.features)]))
    for text in found.warnings:
        print(f"note: {text}")


def _class_cells(one: "Classes") -> tuple[str, ...]:
    from toolkit.bars.series import utc

    return (
        one.strategy, f"{one.instances:,}", f"{one.rows:,}", f"{one.refused:,}", f"{one.distinct:,.0f}",
        *(_cell(value, ".1%") for value in (one.wins, one.wins_first, one.wins_last)),
        _cell(one.mean_return, "+.3%"), _cell(one.mean_r, "+.3f"),
        *("-" if ms is None else utc(ms)[:10] for ms in (one.from_ms, one.until_ms)),
    )  # fmt: skip


def _feature_cells(one: "FeatureProfile") -> tuple[str, ...]:
    from toolkit.models.profile import QUANTILES

    at = {level: one.quantiles[k] for k, level in enumerate(QUANTILES)}
    return (
        one.feature, _cell(one.missing, ".1%"), *(_cell(v, ".4g") for v in (one.mean, at[0.05], at[0.5], at[0.95])),
        _cell(one.correlation, "+.3f"),
        *(_cell(v, ".3f") for v in (one.shift.psi, one.shift.psi_chance, one.shift.ks, one.shift.ks_p)),
    )  # fmt: skip


def _cell(value: float, how: str) -> str:
    return "-" if value != value else format(value, how)
