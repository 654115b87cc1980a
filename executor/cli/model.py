"""`executor model`: a newer version of a model into the ledger."""

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("model")(model)


def model(
    name: Annotated[str, typer.Argument(help="A model's name (its newest version), name@version, or a bundle.")],
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="Default: executor.sqlite in the data folder.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="Folder of the models; default: models in the data folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Let another version of a model judge entries, from the next bar of the daemon on.

    The ledger's deployment must name the model, and the version must see no more than the one before it. Versions of
    `toolkit model train --due` are taken up without this command.

    Example: executor model volatility_breakout --ledger data/executor.sqlite
    """
    from executor.deployments.models import load_version
    from executor.ledger import Ledger
    from executor.ledger.names import default_ledger

    path = ledger or default_ledger()
    with Ledger.open(path, check=False) as book:
        found = load_version(book, name, root)
    said = {"model": found, "ledger": str(path)}
    typer.echo(json.dumps(said) if as_json else f"{path}: {found} judges from the daemon's next bar on")
