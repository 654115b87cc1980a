"""`executor load`: a deployment's bundle into the ledger."""

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("load")(load)


def load(
    deployment: Annotated[str, typer.Argument(help="Folder of a bundle, its deployment.json, its id, or latest.")],
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="Default: executor.sqlite in the data folder.")
    ] = None,
    capital: Annotated[float | None, typer.Option(help="Money of a new account; default: the deployment's.")] = None,
    live: Annotated[bool, typer.Option("--live", help="A new ledger trades money.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check a deployed bundle, every file and the code of its strategies, and load it into a ledger.

    A ledger that is not there is made, as a dry account with its capital, or with --live as a live one. A daemon that
    runs takes the deployment over at its next bar; its weights count from `effective_from` on, or from now where that
    has passed.

    Example: executor load latest --ledger data/executor.sqlite
    """
    from executor.deployments.bundles import load_bundle
    from executor.ledger.names import default_ledger
    from toolkit.portfolio.bundle import find_bundle
    from toolkit.portfolio.deployment import iso

    done = load_bundle(find_bundle(deployment), ledger or default_ledger(), capital=capital, live=live)
    effective = iso(done.effective_from_ms)
    if as_json:
        facts = {
            "deployment": done.deployment, "ledger": str(done.ledger), "effective_from": effective, "state": done.state,
            "instances": done.instances, "bars": done.bars, "backup": None if done.backup is None else str(done.backup),
        }  # fmt: skip
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"{done.ledger} trades {done.deployment}: {done.instances:,} instances, from {effective} on")
    typer.echo(f"{done.bars:,} bars to warm up with were new to it", err=True)
    if done.backup is not None:
        typer.echo(f"what it was before is kept as {done.backup}", err=True)
