"""`toolkit model drift`: whether what models see, and what becomes of it, is still what they were trained on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli import model_options as options
from toolkit.cli.machine import aligned, json_text
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.models.drift import FeatureDrift
    from toolkit.models.drifting import DriftReport, ModelDrift

_SHOWN = 12


def drift(
    source: Annotated[
        str | None,
        typer.Argument(help="Deployment (file, id); with --model also a sweep or members.toml; default: latest."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="NAME, NAME@VERSION or folder; repeat for more.")
    ] = None,
    newest: Annotated[
        bool, typer.Option("--newest", help="The newest versions, as a daemon has them that follows the registry.")
    ] = False,
    last: Annotated[str | None, typer.Option(help="Only so long before the end: 30d; default: since training.")] = None,
    end: options.End = None,
    accept_code: options.AcceptCode = False,
    jobs: Annotated[int | None, typer.Option(help="Threads; default: every core.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the JSON there; default: drift/ID.json in the data folder.")
    ] = None,
    models: Annotated[Path | None, typer.Option(help="Folder of the registry; default: in the data folder.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 where a model has drifted.")] = False,
    db: options.Db = None,
    json_: options.Json = False,
) -> None:
    """Feature drift (PSI, KS) and outcome drift (ADWIN) of models against their training set.

    The signals since each model's training are made of the stored bars, with the model in the loop; those that it
    refused are told by the trade that they would have made. Nothing is trained. What is found of a deployment's models
    is written where the executor's dashboard shows it, so the command is one for cron.

    Example: toolkit model drift latest

    Example: toolkit model drift members.toml --model volatility_breakout --last 30d --check
    """
    from toolkit.bars.moments import to_ms
    from toolkit.engine.durations import time_ms
    from toolkit.models.drifting import drift_of, watched
    from toolkit.settings import data_dir

    last_ms, end_ms = None if last is None else time_ms("last", last), None if end is None else to_ms(end, "end")
    if last_ms == 0:
        raise InputError(f"--last must be longer than nothing, was {last}; leave it out for all since training")
    found = _candidates(source, accept_code)
    report = drift_of(
        watched(found, model or (), models, newest=newest),
        deployment=None if found.deployment is None else found.deployment.id,
        last_ms=last_ms,
        end_ms=end_ms,
        db=db, jobs=jobs, progress=True,
    )  # fmt: skip
    text = json_text(report.table())
    if out is None and report.deployment is not None and not model:
        out = data_dir() / "drift" / f"{report.deployment}.json"
    if out is not None:
        _write(out, text)
    if json_:
        print(text)
    else:
        _print(report)
        if out is not None:
            print(f"written: {out}")
    if check and report.drifted:
        raise typer.Exit(1)


def _candidates(source: str | None, accept_code: bool) -> Any:
    """A deployment by its id or as the latest; anything else as the other commands read it."""
    from toolkit.errors import UnknownNameError
    from toolkit.portfolio.candidates import candidates_of
    from toolkit.portfolio.deployment import LATEST, find_deployment

    name = LATEST if source is None else source
    try:
        return candidates_of(find_deployment(name), accept_code=accept_code)
    except UnknownNameError:
        if source is None or source == LATEST:
            raise
    return candidates_of(source, accept_code=accept_code)


def _write(path: Path, text: str) -> None:
    from toolkit.durable import durable
    from toolkit.errors import RunError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with durable(path) as file:
            file.write(f"{text}\n".encode())
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}; make room, or name another") from error


def _print(report: "DriftReport") -> None:
    for one in report.models:
        print(f"{one.name}@{one.version}, {len(one.instances)} instances: {one.drift.verdict}\n  {one.drift.text}")
        for line in _lines(one):
            print(f"  {line}")


def _lines(one: "ModelDrift") -> list[str]:
    from toolkit.bars.series import utc
    from toolkit.models.drift import STABLE

    found, said = one.drift, []
    if found.from_ms is not None and found.until_ms is not None:
        span = f"{utc(found.from_ms)} to {utc(found.until_ms)}"
        said.append(f"{found.rows:,} rows from {span}, {found.rows_before:,} in training")
    outcomes = found.outcomes
    if outcomes.predicted == outcomes.predicted:
        order = "" if outcomes.auc != outcomes.auc else f", AUC {outcomes.auc:.3f}"
        said.append(f"predicted {outcomes.predicted:.1%}, came true {outcomes.now:.1%}{order}")
    said += [
        f"{utc(change.ts_ms)}: the share of wins changed from {change.before:.1%} to {change.after:.1%}"
        for change in outcomes.changes
    ]
    shown = sorted((f for f in found.features if f.read and f.verdict != STABLE and f.psi == f.psi), key=_by_psi)
    if shown:
        cells = [(f.feature, *_figures(f), f.verdict) for f in shown[:_SHOWN]]
        said += aligned([("", "PSI", "by chance", "KS", "p", "missing then", "now", ""), *cells]).splitlines()
    if len(shown) > _SHOWN:
        said.append(f"and {len(shown) - _SHOWN} more: --json has them all")
    return said


def _figures(one: "FeatureDrift") -> tuple[str, ...]:
    figures = (f"{value:.3f}" for value in (one.psi, one.psi_chance, one.ks, one.ks_p))
    return (*figures, f"{one.missing_before:.1%}", f"{one.missing:.1%}")


def _by_psi(one: "FeatureDrift") -> float:
    return -one.psi
