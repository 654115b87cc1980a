"""Strategies from the sources that a bundle carries, beside those of the project and of other bundles.

A bundle's modules are imported under their own names and then taken out of `sys.modules` again, so two versions of one
strategy can run side by side, each with the code of the files that it was deployed with.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

from toolkit import kernel_cache
from toolkit.engine.identity import code_hash
from toolkit.errors import StrategyError
from toolkit.strategy import Strategy, registering_apart

SOURCES = "sources"


@cache
def bundle_strategies(folder: Path) -> Mapping[str, tuple[Strategy, str]]:
    """Every strategy of a bundle, by its name, with the hash of its code.

    Raises
    ------
    StrategyError : a source cannot be imported.
    """
    root = folder / SOURCES
    files = sorted(root.rglob("*.py"))
    cache_dir = kernel_cache.cache_root() / f"strategies-{kernel_cache.source_hash([*_toolkit(), *files])}"
    with _only(root, {file.relative_to(root).parts[0].removesuffix(".py") for file in files}):
        with kernel_cache.located(cache_dir), registering_apart() as table:
            for file in files:
                _import(root, file)
        return {name: (strategy, code_hash(strategy)) for name, strategy in table.items()}


def _toolkit() -> list[Path]:
    return kernel_cache.toolkit_files()


def _import(root: Path, file: Path) -> None:
    parts = file.relative_to(root).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    try:
        importlib.import_module(name)
    except Exception as error:
        raise StrategyError(f"{file} of a deployment cannot be imported: {type(error).__name__}: {error}") from error


@contextmanager
def _only(root: Path, packages: set[str]) -> Iterator[None]:
    """In this block these top-level packages are those of `root`."""
    kept: dict[str, ModuleType] = _taken(packages)
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(root))
        _taken(packages)
        sys.modules.update(kept)
        importlib.invalidate_caches()


def _taken(packages: set[str]) -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.partition(".")[0] in packages]
    return {name: sys.modules.pop(name) for name in names}
