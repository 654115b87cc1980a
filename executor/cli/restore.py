"""`executor backup` and `executor restore`: copies of a ledger, and putting one back."""

import json
from pathlib import Path
from typing import Annotated

import typer

LedgerPath = Annotated[Path | None, typer.Option("--ledger", help="Default: executor.sqlite in the data folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    ledger: LedgerPath = None,
    to: Annotated[Path | None, typer.Option(help="Folder; default: backups/ beside the ledger.")] = None,
    as_json: Json = False,
) -> None:
    """Copy a ledger, whole and checked, while a daemon may work on it; the folder keeps the newest 14.

    Example: executor backup --ledger data/executor.sqlite --to /mnt/backups
    """
    from executor.ledger import Ledger
    from executor.ledger.names import default_ledger

    with Ledger.open(ledger or default_ledger(), readonly=True) as source:
        made = source.backup(to)
    typer.echo(json.dumps({"backup": str(made)}) if as_json else str(made))


def restore(
    backup: Annotated[Path | None, typer.Argument(help="File of a backup; default: the newest beside it.")] = None,
    ledger: LedgerPath = None,
    as_json: Json = False,
) -> None:
    """Put a backup in a ledger's place; what was there is kept beside it, as `NAME.damaged-TIME.sqlite`.

    It is refused while a daemon works on the ledger, and for a backup that is damaged itself.

    Example: executor restore data/backups/executor-20230324T000000.000Z.sqlite --ledger data/executor.sqlite
    """
    from executor.ledger.backup import restore as put_back
    from executor.ledger.names import default_ledger

    done = put_back(ledger or default_ledger(), backup)
    if as_json:
        kept = None if done.kept is None else str(done.kept)
        typer.echo(json.dumps({"ledger": str(done.ledger), "backup": str(done.backup), "kept": kept}))
        return
    typer.echo(f"{done.ledger} is {done.backup}")
    if done.kept is not None:
        typer.echo(f"what it replaced is kept as {done.kept}", err=True)
