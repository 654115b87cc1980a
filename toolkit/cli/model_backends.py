"""`toolkit model backends`: ways of learning that can be used here, and environments for those that need their own."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.models.backends.remote_check import RemoteCheck
    from toolkit.models.workers.library import Library

app = typer.Typer(rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Named = Annotated[str | None, typer.Argument(help="A library with an environment of its own, such as pycaret.")]
Every = Annotated[bool, typer.Option("--all", help="All of these libraries.")]


@app.callback(invoke_without_command=True)
def backends(context: typer.Context, as_json: Json = False) -> None:
    """Ways of learning that can be used here, and environments for libraries that need their own.

    Example: toolkit model backends
    """
    if context.invoked_subcommand is None:
        ls(as_json=as_json)


@app.command("ls")
def ls(as_json: Json = False) -> None:
    """List the ways of learning, where each runs and whether it can be used, and what serves their models.

    Example: toolkit model backends ls --json
    """
    from toolkit.cli.machine import print_json

    rows = [*_inside(), *_outside(), *_tools()]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['name']:<20}{row['runs']:<20}{_said(row)}")


@app.command("install")
def install(
    name: Named = None,
    every: Every = False,
    python: Annotated[
        Path | None, typer.Option(help="Interpreter to make it with [default: the first that fits on PATH].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make (or make anew) a library's environment from its lock file, every file by its hash; --all makes those that
    cannot be used yet. That of BentoML, which packs and serves models, is made by its name or with all.

    Example: toolkit model backends install pycaret

    Example: toolkit model backends install --all
    """
    from toolkit.cli.machine import print_json
    from toolkit.models.workers.environments import environment
    from toolkit.models.workers.install import install
    from toolkit.models.workers.tools import TOOLS

    rows = []
    tools = [tool for tool in TOOLS.values() if every or tool.name == name]
    learners = _asked(name, every=every) if every or not tools else []
    for library in [*learners, *tools]:
        if every and environment(library).state == "ready":
            continue
        made = install(library, python, progress=lambda message: print(message, file=sys.stderr))
        rows.append(_row(made))
        if not as_json:
            print(f"{library.name}: {_said(rows[-1])} at {made.folder}, in {made.facts['secs']:g} s", flush=True)
    if as_json:
        print_json(rows if every else rows[0])


def _asked(name: str | None, *, every: bool) -> "list[Library]":
    """The library that is named, or all of them."""
    from toolkit.models.workers.libraries import LIBRARIES, find_library

    if (name is None) != every:
        raise InputError(f"name one library ({', '.join(LIBRARIES)}), or --all")
    return list(LIBRARIES.values()) if name is None else [find_library(name)]


@app.command("check")
def check(
    name: Named = None,
    every: Every = False,
    as_json: Json = False,
) -> None:
    """Fit a small pattern with a library, read the model in another process, make it again from its code; exit 1 where
    any of that fails.

    Example: toolkit model backends check pycaret

    Example: toolkit model backends check --all
    """
    from dataclasses import asdict

    from toolkit.cli.machine import print_json
    from toolkit.models.backends.remote_check import RemoteCheck, check_library
    from toolkit.models.workers.resident import close_residents

    checks: list[RemoteCheck] = []
    for library in _asked(name, every=every):
        checks.append(check_library(library))
        close_residents()
        if not as_json:
            print(_checked(checks[-1]), flush=True)
    if as_json:
        print_json([asdict(one) for one in checks] if every else asdict(checks[0]))
    if any(one.problem is not None for one in checks):
        raise typer.Exit(1)


def _checked(found: "RemoteCheck") -> str:
    if found.problem is not None:
        return f"{found.library + ':':<12}{found.problem}"
    versions = ", ".join(f"{package} {version}" for package, version in list(found.versions.items())[:2])
    return (
        f"{found.library + ':':<12}well; reloads equal; its code {found.again}; starts in {found.start_secs:.1f} s, "
        f"fits in {found.fit_secs:.1f} s, {found.row_ms:.1f} ms a row; {found.peak_mb:.0f} MB at most, "
        f"{found.megabytes} MB on disk; {versions}"
    )


def usable(name: str) -> bool:
    """Whether a way of learning can be used; a library that is not installed is offered to a person."""
    from toolkit.models.workers.environments import environment
    from toolkit.models.workers.libraries import LIBRARIES

    if name not in LIBRARIES or environment(LIBRARIES[name]).state == "ready":
        return True
    library = LIBRARIES[name]
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    what = f"{library.title} ({library.licence}) needs an environment of its own, about {library.megabytes} MB"
    if not typer.confirm(f"{what}; make it now?", default=False, err=True):
        return False
    install(name)
    return True


def _inside() -> list[dict[str, Any]]:
    """Ways of learning of the main environment."""
    from toolkit.models.backends.choices import BACKENDS
    from toolkit.models.workers.libraries import LIBRARIES

    return [{"name": name, "runs": "here", "state": "ready"} for name in BACKENDS if name not in LIBRARIES]


def _outside() -> list[dict[str, Any]]:
    from toolkit.models.workers.environments import environment
    from toolkit.models.workers.libraries import LIBRARIES

    return [_row(environment(library)) for library in LIBRARIES.values()]


def _tools() -> list[dict[str, Any]]:
    from toolkit.models.workers.environments import environment
    from toolkit.models.workers.tools import TOOLS

    return [{**_row(environment(tool)), "runs": "serves"} for tool in TOOLS.values()]


def _row(found: Any) -> dict[str, Any]:
    return {
        "name": found.library.name,
        "package": found.library.packages[0],
        "runs": "own environment",
        "state": found.state,
        "folder": str(found.folder),
        "licence": found.library.licence,
        "versions": found.versions,
        "megabytes": found.facts.get("megabytes"),
        "about_megabytes": found.library.megabytes,
        "install": f"toolkit model backends install {found.library.name}",
    }


def _said(row: dict[str, Any]) -> str:
    if row["runs"] == "here":
        return "ready"
    if row["state"] == "ready":
        return (
            f"ready, {row['package']} {row['versions'].get(row['package'])}, Python {row['versions'].get('python')}, "
            f"{row['megabytes']} MB, {row['licence']}"
        )
    why = {
        "absent": "not installed",
        "outdated": "made from another lock file",
        "damaged": "damaged",
    }[row["state"]]
    return f"{why}: {row['install']} (about {row['about_megabytes']} MB, {row['licence']})"
