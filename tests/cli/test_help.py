"""Every command explains itself with an example, and the help answers without loading what it does not need."""

import subprocess
import sys
from collections.abc import Iterator

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


def _paths(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from _paths(child, (*path, name))


PATHS = sorted(_paths(get_command(app)))


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_help_of_every_command_has_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"], prog_name="toolkit")
    assert result.exit_code == 0
    usage, _, rest = result.stdout.partition("\n")
    assert usage or rest
    examples = [line for line in rest.splitlines() if " ".join(("toolkit", *path)) in line and "Usage:" not in line]
    assert examples, f"`{' '.join(('toolkit', *path))} --help` shows no example line"


def test_every_design_command_is_there() -> None:
    wanted = {"demo", "data", "strategies", "backtest", "sweep", "verify", "factors"}
    assert wanted <= {path[0] for path in PATHS if path}


def test_help_loads_no_heavy_library() -> None:
    script = LISTS_LOADED_MODULES.replace("sys.argv_heavy", repr(HEAVY))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Usage: toolkit" in done.stdout
    assert done.stderr.split() == ["0"]
