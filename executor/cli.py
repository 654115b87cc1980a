"""The `executor` command."""

from importlib.metadata import version
from typing import Annotated

import typer

app = typer.Typer(
    name="executor",
    help="Trade a deployment bar by bar, live or dry. This version holds the engine that the daemon will run, not the "
    "daemon yet. Example: executor version",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback()
def root() -> None:
    """Keep `version` a subcommand: with one command alone typer would make it the root."""


@app.command("version")
def show_version(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Print the installed version. Example: executor version --json"""
    number = version("lockstep")
    typer.echo(f'{{"version": "{number}"}}' if as_json else number)


def main() -> None:
    app()
