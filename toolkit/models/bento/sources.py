"""Which of the toolkit's files a bento needs: what its service imports, and what a worker of its backend runs."""

import ast
from collections.abc import Iterator
from pathlib import Path

import toolkit
from toolkit.models.workers.libraries import LIBRARIES
from toolkit.models.workers.library import COMMON, HOST

ROOT = Path(toolkit.__file__).parents[1]
_BEGINNINGS = ("toolkit.models.bento.service", "toolkit.models.bento.proof")
# Only who trains and saves models computes features.
_LEFT_OUT = ("toolkit.models.features",)


def sources_of(backend: str) -> list[Path]:
    """Files that a model of a backend is served with, below `ROOT`; no other change of the toolkit changes a bento."""
    found = set(_imported())
    if backend in LIBRARIES:
        library = LIBRARIES[backend]
        # The state of its environment is told by its lock.
        found |= {HOST, *COMMON.glob("*.py"), library.script, library.lock}
        found |= {library.sources} if library.sources.exists() else set()
    return sorted(found)


def _imported() -> list[Path]:
    """Of the beginnings and of all that they import, at their heads or inside functions, directly or not."""
    known: dict[str, Path] = {}
    waiting = list(_BEGINNINGS)
    while waiting:
        parts = waiting.pop().split(".")
        for count in range(1, len(parts) + 1):
            name = ".".join(parts[:count])
            file = _file(name)
            if name not in known and file is not None:
                known[name] = file
                waiting += [one for one in _names(file) if one.startswith("toolkit.") and not one.startswith(_LEFT_OUT)]
    return list(known.values())


def _names(file: Path) -> Iterator[str]:
    """Modules, and names that may be modules, that a file imports; the toolkit imports nothing by a relative name."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def _file(module: str) -> Path | None:
    """None where the name is that of something in a module."""
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)
