"""`toolkit model use`: the next deployment, whose entries models judge."""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.machine import print_json


def use(
    deployment: Annotated[str, typer.Argument(help="deployment.json, the id of a kept deployment, or latest.")],
    models: Annotated[list[str], typer.Argument(help="Models: NAME (the newest version) or NAME@VERSION.")],
    out: Annotated[Path, typer.Option(help="File of the next deployment.")] = Path("judged.json"),
    accept_code: Annotated[
        bool, typer.Option("--accept-code", help="Also a deployment whose strategies' code has changed.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write the next deployment: the same instances, weights and limits, with models that judge their entries.

    A model judges the instances that it was learned from, else those of the strategy that bears its name. Test what
    comes of it with `toolkit portfolio backtest`, then deploy it.

    Example: toolkit model use deployment.json volatility_breakout trend_day --out judged.json
    """
    from toolkit.models.deployed import use_models
    from toolkit.portfolio.deployment import find_deployment, read_deployment, write_deployment

    last = read_deployment(find_deployment(deployment), accept_code=accept_code)
    following = use_models(last, models)
    write_deployment(out, following)
    if json_:
        uses = [
            {"name": one.name, "version": one.version, "checksum": one.checksum, "instances": list(one.instances)}
            for one in following.models
        ]
        print_json({"deployment": following.id, "previous": last.id, "file": str(out), "models": uses})
        return
    for one in following.models:
        print(f"{one.name}@{one.version}: judges {len(one.instances)} of {len(following.members)} instances")
    print(f"deployment {following.id}: {out}")
