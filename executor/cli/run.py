"""`executor run`: the daemon under its supervisor."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from toolkit.errors import InputError, VenueError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    dry: Annotated[bool, typer.Option("--dry", help="Trade on paper: orders fill as the backtest fills them.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Trade money: orders go to the venue. Asks first.")] = False,
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="With --live, for a unit of systemd: do not ask.")
    ] = False,
    ledger: Annotated[
        Path | None,
        typer.Option("--ledger", help="Default: as configured, else executor.sqlite in the data folder."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Default: executor.toml of the project, where there is one.")
    ] = None,
    feed: Annotated[str | None, typer.Option("--feed", help="stream or poll.")] = None,
    api_port: Annotated[int | None, typer.Option("--api-port", help="Where the API and its page answer.")] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="The daemon itself, without a supervisor that starts it again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print how it ended as one JSON object.")] = False,
) -> None:
    """Trade the deployment of a ledger on live bars, until SIGTERM or SIGINT; the bar at hand is finished first.

    A daemon that ends otherwise is started again, after pauses that grow. Keys of the configuration: docs/executor.md
    and docs/live.md.

    Example: executor run --dry --ledger data/executor.sqlite
    """
    from executor.config import load_config

    if dry == live:
        raise InputError("say what is at stake: --dry trades on paper, --live trades money")
    if confirmed and not live:
        raise InputError("--confirmed answers the question that --live asks; leave it out with --dry")
    mode = "live" if live else "dry"
    settings = load_config(config, mode=mode, ledger=ledger, feed=feed, api_port=api_port)
    if not settings.ledger.exists():
        from executor.ledger import Ledger

        # Says what to do, before anything stands beside nothing.
        Ledger.open(settings.ledger)
    if live and not confirmed:
        from executor.cli.confirming import confirm

        confirm(settings)
    if foreground:
        from executor.daemon import run_daemon

        try:
            run_daemon(settings)
        except VenueError as error:
            # Not what was asked is wrong: a supervisor tries again.
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
        _say(as_json, settings.ledger, 0)
        return
    from executor.logs import logging_to
    from executor.supervisor import Supervisor, Watch

    watch = Watch(limit_secs=settings.heartbeat_limit_secs, start_secs=5 * settings.heartbeat_limit_secs)
    how = ("--live", "--confirmed") if live else ("--dry",)
    command = [sys.executable, "-m", "executor", "run", *how, "--foreground", *_flags(ledger, config, feed, api_port)]
    with logging_to(settings.logs, "supervisor", size_mb=settings.log_mb, count=settings.log_count):
        supervisor = Supervisor(command, settings.heartbeat, ping_url=settings.ping_url, watch=watch)
        code = supervisor.run()
    if code:
        raise typer.Exit(code)
    _say(as_json, settings.ledger, supervisor.restarts)


def _flags(ledger: Path | None, config: Path | None, feed: str | None, api_port: int | None) -> list[str]:
    given = {"--ledger": ledger, "--config": config, "--feed": feed, "--api-port": api_port}
    return [word for name, value in given.items() if value is not None for word in (name, str(value))]


def _say(as_json: bool, ledger: Path, restarts: int) -> None:
    import json

    if as_json:
        typer.echo(json.dumps({"ledger": str(ledger), "ended": "stopped", "restarts": restarts}))
