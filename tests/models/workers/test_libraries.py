"""Every library's row, lock and worker module: what all of them must be."""

import ast
import re
import sys
from pathlib import Path

import pytest

from toolkit.errors import UnknownNameError
from toolkit.models.backends.remote import check_settings
from toolkit.models.workers.libraries import LIBRARIES, find_library
from toolkit.models.workers.library import CONTRACT, HOST, Library, Tool
from toolkit.models.workers.scripts import host
from toolkit.models.workers.tools import BENTOML, TOOLS

ROWS = list(LIBRARIES.values())
SCRIPTS = sorted(path for path in HOST.parent.glob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("library", [*ROWS, *TOOLS.values()], ids=lambda library: library.name)
def test_a_lock_has_hashes_and_names_no_registry(library: Tool) -> None:
    text = "".join(path.read_text() for path in (library.lock, library.sources) if path.exists())
    pins = [line for line in text.splitlines() if "==" in line and not line.startswith(("#", " "))]
    assert len(pins) > 10
    assert text.count("--hash=sha256:") >= len(pins)
    assert "://" not in text and "--index" not in text
    assert [line for line in pins if line.startswith("nvidia-nccl")] == []
    named = {line.partition("==")[0] for line in pins}
    assert set(library.packages) <= named | {"python"}


def test_what_serves_models_reads_them_with_the_versions_that_made_them() -> None:
    def pins(path: Path) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for name, version in re.findall(r"^([a-z0-9._-]+)==(\S+)", path.read_text(), re.MULTILINE):
            found.setdefault(name, set()).add(version)
        return found

    here = pins(Path(__file__).parents[3] / "requirements.lock")
    asked, there = pins(BENTOML.lock.with_name("bentoml.in.txt")), pins(BENTOML.lock)
    assert set(BENTOML.packages) <= set(asked)
    for name in {"narwhals", "threadpoolctl", *asked} - {"bentoml"}:
        # Lockstep's own lock has others for other versions of Python too.
        assert there[name] <= here[name], name


@pytest.mark.parametrize("library", ROWS, ids=lambda library: library.name)
def test_a_row_fits_itself(library: Library) -> None:
    assert library.script in SCRIPTS
    check_settings(library, library.settings)
    check_settings(library, {**library.settings, **library.quick})
    assert set(library.choices) | set(library.least) == set(library.settings)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_what_runs_elsewhere_imports_nothing_of_lockstep_and_reads_by_python_3_9(script: Path) -> None:
    tree = ast.parse(script.read_text(), feature_version=(3, 9))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} & {"toolkit", "executor", "research", "tests", ""} == set()


def test_the_host_needs_nothing_but_the_standard_library_to_begin() -> None:
    tops = {
        n for node in ast.parse(HOST.read_text()).body if isinstance(node, ast.Import) for n in [node.names[0].name]
    }
    assert {name.partition(".")[0] for name in tops} <= sys.stdlib_module_names


def test_both_sides_speak_of_one_contract() -> None:
    assert host.CONTRACT == CONTRACT


def test_a_library_that_nobody_knows_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'pycaret'"):
        find_library("pycarett")
