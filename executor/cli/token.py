"""`executor token`: the secret that opens the API and its page."""

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("token")(token)


def token(
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="Default: executor.sqlite in the data folder.")
    ] = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="Make a new one; the old one no longer opens it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Print the token of a ledger's API and page; it is made on first use, in a file that only you may read.

    Example: executor token --ledger data/executor.sqlite
    """
    from executor.api import token as tokens
    from executor.ledger.names import default_ledger

    path = ledger or default_ledger()
    secret = tokens.rotate(path) if rotate else tokens.current(path)
    typer.echo(json.dumps({"token": secret, "ledger": str(path)}) if as_json else secret)
