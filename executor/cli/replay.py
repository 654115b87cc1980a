"""`executor replay`, `export` and `recheck`: the daemon's path over stored bars, and ledgers as run folders."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def replay(
    deployment: Annotated[str, typer.Argument(help="deployment.json, its id, `latest`, or a bundle's folder.")],
    from_: Annotated[str, typer.Option("--from", help="First moment that is traded, UTC.")],
    to: Annotated[str, typer.Option("--to", help="First moment that is left out, UTC.")],
    ledger: Annotated[
        Path | None, typer.Option(help="Ledger of the replay; one that is there goes on. Default: a new one.")
    ] = None,
    db: Annotated[Path | None, typer.Option(help="Bars database; default: in the data folder.")] = None,
    capital: Annotated[float | None, typer.Option(help="Money of the account; default: the deployment's.")] = None,
    accept_code: Annotated[bool, typer.Option(help="Run it with today's code where that has changed.")] = False,
    stop_after: Annotated[
        int | None, typer.Option(help="Stop after so many events, as a stopped daemon would.")
    ] = None,
    export_: Annotated[bool, typer.Option("--export/--no-export", help="Write the run folder at the end.")] = True,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run the daemon over stored bars, one closed bar at a time, on windows of exactly each strategy's lookback.

    The run folder at its end has the tables of a backtest: `toolkit parity` compares them bit for bit.

    Example: executor replay deployment.json --from 2023-01-01 --to 2023-04-01
    """
    from executor.replay import Replayed, run_replay

    def shown(done: int, moment: str) -> None:
        print(f"\r{done:,} events, {moment}", end="", file=sys.stderr, flush=True)

    found: Replayed = run_replay(
        deployment,
        (from_, to),
        ledger,
        db=db,
        capital=capital,
        accept_code=accept_code,
        stop_after=stop_after,
        progress=shown if sys.stderr.isatty() else None,
    )
    run = _exported(found.ledger) if export_ and found.finished else None
    facts: dict[str, Any] = {
        "ledger": str(found.ledger), "run": None if run is None else str(run), "events": found.events,
        "seconds": round(found.seconds, 3), "finished": found.finished, "trades": found.trades,
        "signals": found.signals, "equity": found.equity,
    }  # fmt: skip
    if json_:
        typer.echo(json.dumps(facts))
        return
    per = 1e3 * found.seconds / max(1, found.events)
    typer.echo(f"{found.events:,} events in {found.seconds:.1f} s, {per:.2f} ms each")
    typer.echo(f"{found.signals:,} signals, {found.trades:,} trades, equity {found.equity:,.2f}")
    typer.echo(f"ledger: {found.ledger}")
    if run is not None:
        typer.echo(f"run: {run}")
        typer.echo(f"next: toolkit parity BACKTEST_RUN {run.name}")


def export(
    ledger: Annotated[Path, typer.Argument(help="Ledger to write as a run folder.")],
    out: Annotated[Path | None, typer.Option(help="Folder for it; default: the runs of the data folder.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a ledger as a run folder: trades, orders, signals, audit, equity and the bars that were decided on.

    Example: executor export data/executor.sqlite
    """
    run = _exported(ledger, out)
    typer.echo(json.dumps({"run": str(run)}) if json_ else f"run: {run}")


def recheck(
    ledger: Annotated[Path, typer.Argument(help="Ledger of a session.")],
    out: Annotated[Path | None, typer.Option(help="Folder for it; default: the runs of the data folder.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Backtest a session on the bars, weights and acts that it recorded, and write that as a run folder.

    `toolkit parity` compares it with the session itself.

    Example: executor recheck data/executor.sqlite
    """
    from executor.engine.recheck import recheck as write

    run = write(ledger, out)
    typer.echo(json.dumps({"run": str(run)}) if json_ else f"run: {run}")


def _exported(ledger: Path, out: Path | None = None) -> Path:
    from executor.engine.export import export as write

    return write(ledger, out)


def register(app: typer.Typer) -> None:
    app.command("replay")(replay)
    app.command("export")(export)
    app.command("recheck")(recheck)
