"""The `executor` command's root, and errors turned into one sentence.

Modules of this package import typer, the standard library and `toolkit.errors` at the top, and everything else inside
the command that needs it. Each has a `register(app)` that adds its commands.
"""

import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer

from toolkit.errors import LockstepError

app = typer.Typer(
    name="executor",
    help="Trade a deployment bar by bar, live, dry or replayed. Example: executor replay DEPLOYMENT --from 2023-01-01",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
COMMANDS: tuple[str, ...] = (
    "control",
    "load",
    "model",
    "reconcile",
    "replay",
    "restore",
    "run",
    "sandbox",
    "status",
    "token",
    "venues",
)


@app.callback()
def root() -> None:
    """Keep commands subcommands: with one command alone typer would make it the root."""


@app.command("version")
def show_version(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Print the installed version. Example: executor version --json"""
    number = version("lockstep")
    typer.echo(f'{{"version": "{number}"}}' if as_json else number)


for _name in COMMANDS:
    import_module(f"executor.cli.{_name}").register(app)


def main() -> None:
    """Entry point: a `LockstepError` is one sentence on stderr and exit code 2, without a traceback."""
    try:
        app()
    except LockstepError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: what was finished is kept", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
