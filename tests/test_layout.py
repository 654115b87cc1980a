"""The project's law: who may import whom, which third party lives in which room, how long a module may be."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(p for folder in ("toolkit", "executor", "research") for p in (ROOT / folder).rglob("*.py"))

# Third party -> the places that may import it (DESIGN section 1).
ROOMS = {
    "duckdb": ("toolkit/bars/store", "toolkit/analysis/runs"),
    "ccxt": ("toolkit/bars/download", "executor/broker/exchange", "executor/feed"),
    "vectorbt": ("toolkit/analysis/vectorbt_bridge",),
    "ray": ("toolkit/sweep/ray",),
    "skfolio": ("toolkit/portfolio/weights",),
    "pycaret": ("toolkit/models/workers/scripts",),
    "sklearn": (
        "toolkit/factors/engines",
        "toolkit/models/backends",
        "toolkit/models/selecting",
        "toolkit/models/workers/scripts",
        "toolkit/portfolio/weights",
    ),
    "lightgbm": ("toolkit/models/backends",),
    "joblib": ("toolkit/models/backends",),
    "river": ("toolkit/models/drift", "toolkit/models/shift", "toolkit/models/backends/online"),
    "tsfresh": ("toolkit/factors/engines",),
    "prophet": ("toolkit/factors/engines",),
    "hmmlearn": ("toolkit/factors/engines",),
    "cvxpy": ("toolkit/portfolio/weights",),
    "jinja2": ("toolkit/analysis/portfolio_report",),
    "jsonschema": ("toolkit/portfolio/deployment",),
    "playwright": (),
    "sqlite3": ("executor/ledger",),
    "fastapi": ("toolkit/models/serve",),
    "starlette": ("toolkit/models/serve", "toolkit/models/bento/service"),
    "uvicorn": ("toolkit/models/serve",),
    "bentoml": ("toolkit/models/bento/service",),
}


def imported(path: Path) -> set[str]:
    """Top-level names of every module that a file imports, at its head or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_import_law_holds() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", sorted(ROOMS))
def test_third_party_stays_in_its_room(package: str) -> None:
    users = [str(p.relative_to(ROOT)) for p in SOURCES if package in imported(p)]
    # What runs in another library's environment imports what is there.
    assert [u for u in users if not u.startswith((*ROOMS[package], "toolkit/models/workers/scripts"))] == []


def test_executor_start_carries_no_heavy_library() -> None:
    heavy = "{'vectorbt','plotly','pandas','sklearn','polars','duckdb','matplotlib','tsfresh','prophet','hmmlearn'}"
    code = f"import sys, executor.cli.main, toolkit.engine.hop; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_is_longer_than_500_lines() -> None:
    files = [*SOURCES, *(ROOT / "tests").rglob("*.py")]
    assert {str(p.relative_to(ROOT)): n for p in files if (n := len(p.read_text().splitlines())) > 500} == {}


def test_every_direct_dependency_has_its_reason_in_the_readme() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {d.split(">")[0].split("=")[0].split("[")[0].strip() for d in listed}
    readme = (ROOT / "README.md").read_text()
    assert {n for n in names if f"| `{n}` |" not in readme} == set()


def test_lock_has_hashes_and_names_no_registry() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert "://" not in lock
    assert "pycaret" not in lock
