"""`toolkit deploy`: from a deployment that was backtested to a bundle, and into the executor's ledger."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli.machine import print_json
from toolkit.errors import InputError, LockstepError

if TYPE_CHECKING:
    from toolkit.analysis.runs import Run
    from toolkit.portfolio.bundle import Bundle
    from toolkit.portfolio.bundle_check import Checked
    from toolkit.portfolio.deployment import Deployment

_SHOWN = ("total_return", "annual_return", "sharpe", "max_drawdown", "trades", "win_rate")
_LOAD = "from executor.cli.main import main; main()"
_FOUND, _BAD = 1, 2


def deploy(
    deployment: Annotated[
        str | None, typer.Argument(help="deployment.json, its id, or latest. With --check: default all deployed.")
    ] = None,
    run: Annotated[str | None, typer.Option(help="The run that tested it; default: the newest that did.")] = None,
    backtest: Annotated[bool, typer.Option("--backtest", help="Test it now, on the bars from --start on.")] = False,
    start: Annotated[str | None, typer.Option(help="First moment that --backtest trades, UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="First moment that --backtest leaves out, UTC.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Run what is deployed on the bars since; for cron.")] = False,
    load: Annotated[bool, typer.Option("--load/--no-load", help="Load it into the executor's ledger.")] = True,
    ledger: Annotated[
        Path | None, typer.Option(help="The ledger; default: executor.sqlite in the data folder.")
    ] = None,
    capital: Annotated[float | None, typer.Option(help="Money of a new account; default: the deployment's.")] = None,
    runs: Annotated[Path | None, typer.Option(help="Folder of the runs; default: in the data folder.")] = None,
    db: Annotated[Path | None, typer.Option(help="Bars database; default: in the data folder.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Threads; default: every core.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Put a deployment that was backtested into an immutable bundle, and load it into the executor's ledger.

    The bundle holds the deployment, its strategies' sources, its backtest with the band that it predicts, and the bars
    to warm up with, each file under a checksum. A deployment without a backtest is refused.

    --check runs each deployed version, by its own sources, on the days since its backtest; exit code 1 where one left
    its band.

    Example: toolkit deploy deployment.json --backtest --start 2023-01-01

    Example: toolkit deploy --check --json
    """
    if check:
        _check(deployment, db, jobs, json_)
        return
    if deployment is None:
        raise InputError("a deployment must be named: its file, its id, or latest")
    from toolkit.portfolio.bundling import write_bundle
    from toolkit.portfolio.deployment import find_deployment, read_deployment

    one = read_deployment(find_deployment(deployment))
    period = {"start": start, "end": end}
    tested = None
    if one.off is None:
        tested = _tested(one, run, backtest, period, {"root": runs, "db": db, "jobs": jobs})
    bundle = write_bundle(one, tested, db=db)
    answer = _load(bundle, ledger, capital) if load else None
    if json_:
        _print_machine(bundle, answer)
    else:
        _print(bundle, one, answer)


def _tested(
    one: "Deployment", run: str | None, backtest: bool, period: dict[str, str | None], options: dict[str, Any]
) -> "Run":
    """The backtest: the one that is named, one that is made now, or the newest that is there."""
    from toolkit.analysis.runs import Run
    from toolkit.portfolio.bundle_backtest import find_backtest

    if backtest and run is not None:
        raise InputError(f"--run {run} names a backtest that is there, and --backtest makes one; leave one out")
    if not backtest:
        for name, value in period.items():
            if value is not None:
                raise InputError(f"--{name} says which days --backtest tests; add --backtest, or leave it out")
        return find_backtest(one, run, options["root"])
    if period["start"] is None:
        raise InputError("--backtest must be told from when it tests; add --start, such as --start 2023-01-01")
    from toolkit.portfolio.backtest import portfolio_backtest

    result = portfolio_backtest(
        one, start=period["start"], end=period["end"], db=options["db"], jobs=options["jobs"], progress=True
    )
    return Run(result.save(options["root"]))


def _load(bundle: "Bundle", ledger: Path | None, capital: float | None) -> str:
    """What `executor load` says of it, as JSON; the executor is a program of its own, which is not imported here."""
    words = ["load", str(bundle.folder), "--json"]
    words += ["--ledger", str(ledger)] if ledger is not None else []
    words += ["--capital", str(capital)] if capital is not None else []
    done = subprocess.run([sys.executable, "-c", _LOAD, *words], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        print(f"the bundle is written, and not loaded: {bundle.folder}", file=sys.stderr)
        raise typer.Exit(done.returncode)
    return done.stdout


def _print_machine(bundle: "Bundle", answer: str | None) -> None:
    import json

    backtest = {name: value for name, value in bundle.backtest.items() if name != "band"}
    print_json({
        "deployment": bundle.id, "folder": str(bundle.folder), "backtest": backtest,
        "seeds": [file.name for file in bundle.seeds], "loaded": None if answer is None else json.loads(answer),
    })  # fmt: skip


def _print(bundle: "Bundle", one: "Deployment", answer: str | None) -> None:
    import json

    from toolkit.analysis.texts import figure, label

    said = bundle.backtest
    print(f"deployment {bundle.id}: {len(one.members):,} instances")
    if said["run"] is None:
        print(f"it is off ({one.off}): it opens nothing, and what is open runs to its end")
    else:
        print(f"tested by {said['run']}, {said['period']['start']} to {said['period']['end']}")
        values = {name: float("nan") if said["figures"][name] is None else said["figures"][name] for name in _SHOWN}
        print("  " + ", ".join(f"{label(name).lower()} {figure(name, value)}" for name, value in values.items()))
        band = said["band"]
        if band is not None:
            low, high = band["p05"][-1] - 1.0, band["p95"][-1] - 1.0
            print(f"expected after {band['ts'][-1]} days: {low:+.1%} to {high:+.1%} (nine of ten)")
        if said["in_sample"]:
            print("IN SAMPLE: it was chosen on days that this backtest tests; expect less", file=sys.stderr)
    print(f"bundle: {bundle.folder}")
    if answer is not None:
        loaded = json.loads(answer)
        print(f"ledger: {loaded['ledger']}, its weights count from {loaded['effective_from']}")


def _check(deployment: str | None, db: Path | None, jobs: int | None, json_: bool) -> None:
    """Every deployed version, or the one that is named, on the days since its backtest."""
    from toolkit.portfolio.bundle import find_bundle, read_bundle
    from toolkit.portfolio.bundle_check import check_bundle
    from toolkit.portfolio.bundling import deployed

    folders = deployed() if deployment is None else [find_bundle(deployment)]
    found, failed = [], {}
    for folder in folders:
        # One that cannot be run must not keep the others from being looked at.
        try:
            found.append(check_bundle(read_bundle(folder), db=db, jobs=jobs))
        except LockstepError as error:
            failed[folder.name] = str(error)
            print(f"error: {folder.name}: {error}", file=sys.stderr)
    left = [one.deployment for one in found if one.left]
    if json_:
        print_json({"deployments": [one.table() for one in found], "left": left, "failed": failed})
    else:
        for one in found:
            print(_line(one))
        print(f"{len(found)} deployed, {len(left)} left the band of their backtest")
    if failed or left:
        raise typer.Exit(_BAD if failed else _FOUND)


def _line(one: "Checked") -> str:
    note = f" ({one.note})" if one.note else ""
    if one.growth is None:
        return f"{one.deployment}: nothing to compare{note}"
    seen = f"{one.deployment}: {one.start} to {one.end}, {one.trades:,} trades, seen {one.growth - 1.0:+.2%}"
    if one.p05 is None or one.p50 is None or one.p95 is None:
        return f"{seen}, nothing to compare with{note}"
    lines = f"{one.p50 - 1.0:+.2%} ({one.p05 - 1.0:+.2%} to {one.p95 - 1.0:+.2%})"
    return f"{seen}, expected {lines}: {one.where}{note}"
