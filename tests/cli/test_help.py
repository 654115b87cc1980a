"""Every command explains itself with an example, and the help answers without loading what it does not need."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from toolkit.cli.main import app

HEAVY = ("numba", "numpy", "polars", "duckdb", "pandas", "pyarrow", "ccxt", "vectorbt", "plotly", "scipy")
LISTS_LOADED_MODULES = """
import sys
from toolkit.cli.main import main
sys.argv = ["toolkit", "--help"]
try:
    main()
except SystemExit as stop:
    print(stop.code, *(name for name in sys.argv_heavy if name in sys.modules), file=sys.stderr)
"""


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, (*path, name))


COMMANDS = dict(_commands(get_command(app)))
# A group that does nothing by itself has nothing to give an example of: its help lists its commands.
GROUPS = [path for path, c in COMMANDS.items() if getattr(c, "commands", {}) and not c.invoke_without_command]
RUNNABLE = [path for path in COMMANDS if path not in GROUPS]


def help_of(path: tuple[str, ...]) -> list[str]:
    """Lines of `toolkit PATH --help` without the usage line."""
    result = CliRunner().invoke(app, [*path, "--help"], prog_name="toolkit")
    assert result.exit_code == 0
    return [line for line in result.stdout.splitlines() if not line.lstrip().startswith("Usage:")]


@pytest.mark.parametrize("path", RUNNABLE, ids=" ".join)
def test_help_of_a_command_has_an_example(path: tuple[str, ...]) -> None:
    command = " ".join(("toolkit", *path))
    assert any(command in line for line in help_of(path)), f"`{command} --help` shows no example of `{command}`"


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_help_of_a_group_says_what_each_of_its_commands_does(path: tuple[str, ...]) -> None:
    lines = help_of(path)
    for name in COMMANDS[path].commands:
        assert any(line.split()[:1] == [name] and len(line.split()) > 2 for line in lines), name


@pytest.mark.parametrize("path", RUNNABLE, ids=" ".join)
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    for parameter in COMMANDS[path].params:
        assert getattr(parameter, "help", None), f"{' '.join(('toolkit', *path))}: {parameter.name} has no help"


def test_every_design_command_is_there() -> None:
    wanted = {"demo", "data", "strategies", "backtest", "sweep", "verify", "factors"}
    assert wanted <= {path[0] for path in COMMANDS if path}


def test_help_loads_no_heavy_library() -> None:
    script = LISTS_LOADED_MODULES.replace("sys.argv_heavy", repr(HEAVY))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Usage: toolkit" in done.stdout
    assert done.stderr.split() == ["0"]
