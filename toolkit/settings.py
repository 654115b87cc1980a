"""What `pyproject.toml`'s `[tool.lockstep]` and the environment say: strategy modules and where data is kept."""

import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from toolkit.errors import InputError

DEFAULT_STRATEGY_MODULES = ("research.strategies",)


def project_root() -> Path:
    """Nearest folder at or above the working directory whose `pyproject.toml` has `[tool.lockstep]`, else the cwd."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if "lockstep" in _tool_table(folder):
            return folder
    return here


def strategy_modules() -> tuple[str, ...]:
    """Module names that hold strategies, from `[tool.lockstep] strategies`, default `research.strategies`."""
    named = _tool_table(project_root()).get("lockstep", {}).get("strategies", DEFAULT_STRATEGY_MODULES)
    if isinstance(named, str) or not all(isinstance(m, str) for m in named):
        raise InputError(f"[tool.lockstep] strategies must be a list of module names, was {named!r}")
    return tuple(named)


def data_dir() -> Path:
    """`LOCKSTEP_DATA`, else `data/` under the project root."""
    named = os.environ.get("LOCKSTEP_DATA")
    return Path(named) if named else project_root() / "data"


@cache
def _tool_table(folder: Path) -> dict[str, Any]:
    file = folder / "pyproject.toml"
    if not file.is_file():
        return {}
    try:
        table = tomllib.loads(file.read_text()).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{file} is not valid TOML: {error}; mend it, or run from another folder") from None
    return table if isinstance(table, dict) else {}
