"""`toolkit model backends`: ways of learning that can be used here, and environments for those that need their own."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Name = Annotated[str, typer.Argument(help="A library with an environment of its own, such as pycaret.")]


@app.callback(invoke_without_command=True)
def backends(context: typer.Context, as_json: Json = False) -> None:
    """Ways of learning that can be used here, and environments for libraries that need their own.

    Example: toolkit model backends
    """
    if context.invoked_subcommand is None:
        ls(as_json=as_json)


@app.command("ls")
def ls(as_json: Json = False) -> None:
    """List the ways of learning, where each runs and whether it can be used.

    Example: toolkit model backends ls --json
    """
    from toolkit.cli.machine import print_json

    rows = [*_inside(), *_outside()]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['name']:<20}{row['runs']:<20}{_said(row)}")


@app.command("install")
def install(
    name: Name,
    python: Annotated[
        Path | None, typer.Option(help="Interpreter to make it with [default: the first that fits on PATH].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make (or make anew) a library's environment from its lock file, every file by its hash.

    Example: toolkit model backends install pycaret
    """
    from toolkit.cli.machine import print_json
    from toolkit.models.workers.install import install
    from toolkit.models.workers.libraries import find_library

    made = install(find_library(name), python, progress=lambda message: print(message, file=sys.stderr))
    row = _row(made)
    if as_json:
        print_json(row)
    else:
        print(f"{name}: {_said(row)} at {made.folder}, in {made.facts['secs']:g} s")


@app.command("check")
def check(name: Name, as_json: Json = False) -> None:
    """Start a library, fit a small pattern with it and find it again in another process; exit 1 where that fails.

    Example: toolkit model backends check pycaret
    """
    from dataclasses import asdict

    from toolkit.cli.machine import print_json
    from toolkit.models.backends.remote_check import check_library
    from toolkit.models.workers.libraries import find_library

    found = check_library(find_library(name))
    if as_json:
        print_json(asdict(found))
    elif found.problem is not None:
        print(found.problem)
    else:
        versions = ", ".join(f"{package} {version}" for package, version in found.versions.items())
        print(f"{name}: well; started in {found.start_secs:.1f} s, fitted in {found.fit_secs:.1f} s; {versions}")
    if found.problem is not None:
        raise typer.Exit(1)


def _inside() -> list[dict[str, Any]]:
    """Ways of learning of the main environment."""
    from toolkit.models.backends.choices import BACKENDS
    from toolkit.models.workers.libraries import LIBRARIES

    return [{"name": name, "runs": "here", "state": "ready"} for name in BACKENDS if name not in LIBRARIES]


def _outside() -> list[dict[str, Any]]:
    from toolkit.models.workers.environments import environment
    from toolkit.models.workers.libraries import LIBRARIES

    return [_row(environment(library)) for library in LIBRARIES.values()]


def _row(found: Any) -> dict[str, Any]:
    return {
        "name": found.library.name,
        "runs": "own environment",
        "state": found.state,
        "folder": str(found.folder),
        "versions": found.versions,
        "megabytes": found.facts.get("megabytes"),
        "about_megabytes": found.library.megabytes,
        "install": f"toolkit model backends install {found.library.name}",
    }


def _said(row: dict[str, Any]) -> str:
    if row["runs"] == "here":
        return "ready"
    if row["state"] == "ready":
        name = row["name"]
        return (
            f"ready, {name} {row['versions'].get(name)}, Python {row['versions'].get('python')}, {row['megabytes']} MB"
        )
    why = {
        "absent": "not installed",
        "outdated": "made from another lock file",
        "damaged": "damaged",
    }[row["state"]]
    return f"{why}: {row['install']} (about {row['about_megabytes']} MB)"
