"""Strategies from the sources that a bundle carries, beside the project's own and those of other bundles.

Its modules get a private package name, made from their contents: two versions of one strategy are two modules, with
compiled code of their own (numba names what it compiles after the module and finds it again by that name), and two
bundles with the same sources share one.
"""

import ast
import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, MappingProxyType, ModuleType
from typing import Any

from toolkit import kernel_cache
from toolkit.engine.identity import own_sources, sources_hash
from toolkit.errors import LockstepError, StrategyError
from toolkit.factors.registry import Factor, adopt_factor, factor_names, factors_apart, get_factor
from toolkit.portfolio.bundle import SOURCES
from toolkit.strategy import Strategy, registering_apart, traceback_line

_PACKAGE = "lockstep_bundle_"
_KNOWN: dict[str, Mapping[str, Strategy]] = {}
# Hash of the code of each factor that came with a bundle.
_FACTORS: dict[str, str] = {}


def bundle_strategies(folder: Path) -> Mapping[str, Strategy]:
    """Every strategy of a bundle by name, each with the hash of its code; the registry is left alone.

    Raises
    ------
    StrategyError : a source cannot be imported.
    """
    root = (folder / SOURCES).resolve()
    modules = _modules(root)
    digest = hashlib.sha256()
    for name, file in modules.items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    package = _PACKAGE + digest.hexdigest()[:16]
    if package not in _KNOWN:
        _KNOWN[package] = MappingProxyType(_imported(package, root, modules))
    return _KNOWN[package]


def source_path(module: str, file: Path) -> Path:
    """Where a module's source stands within `sources/`."""
    place = Path(*module.split("."))
    return place / file.name if file.name == "__init__.py" else place.with_suffix(".py")


def _imported(package: str, root: Path, modules: Mapping[str, Path]) -> dict[str, Strategy]:
    cache_dir = kernel_cache.folder_of("strategies", [*kernel_cache.toolkit_files(), *modules.values()])
    finder = _Finder(package, root, _tops(modules))
    sys.meta_path.insert(0, finder)
    try:
        with kernel_cache.located(cache_dir), registering_apart() as table, factors_apart() as factors:
            for name, file in modules.items():
                _import(f"{package}.{name}", file)
        _adopt(factors.values(), package, modules)
    except StrategyError:
        sys.meta_path.remove(finder)
        for name in [n for n in sys.modules if n.partition(".")[0] == package]:
            del sys.modules[name]
        raise
    found = {}
    for strategy in table.values():
        code = _code_within(strategy.function, package, modules)
        found[strategy.name] = replace(strategy, code=code)
    return found


def _code_within(function: Callable[..., Any], package: str, modules: Mapping[str, Path]) -> str:
    """Hash of a function's sources in a bundle; that of the project's where the two are the same."""
    module = function.__module__.removeprefix(f"{package}.")
    return sources_hash(own_sources(Path(inspect.getfile(function)), module, modules.get))


def _adopt(factors: Iterable[Factor], package: str, modules: Mapping[str, Path]) -> None:
    """Add the bundle's own factors to those of the process: a name means one factor there, whoever asks for it."""
    for one in factors:
        code = _code_within(one.function, package, modules)
        if one.name in factor_names():
            known = get_factor(one.name).function
            there = _FACTORS.get(one.name)
            if there is None:
                there = sources_hash(own_sources(Path(inspect.getfile(known)), known.__module__))
            if code != there:
                raise StrategyError(
                    f"factor {one.name!r} of {modules[one.function.__module__.removeprefix(f'{package}.')]} is another "
                    f"than that of {known.__module__}, and both versions are in use; give the newer one another name"
                )
        else:
            adopt_factor(one)
            _FACTORS[one.name] = code


def _import(name: str, file: Path) -> None:
    try:
        importlib.import_module(name)
    except LockstepError as error:
        raise StrategyError(f"source {file} of a deployment cannot be used: {error}") from None
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())
        where = traceback_line(error, file)
        raise StrategyError(f"source {file} of a deployment raised {type(error).__name__}: {text} ({where})") from error


def _modules(root: Path) -> dict[str, Path]:
    """The sources by the names that their modules have in their project, in order of the names."""
    found = {}
    for file in root.rglob("*.py"):
        parts = file.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return dict(sorted(found.items()))


def _tops(modules: Iterable[str]) -> frozenset[str]:
    """Top-level packages whose imports mean the bundle's; the toolkit is always the installed one."""
    return frozenset(name.partition(".")[0] for name in modules) - {"toolkit"}


class _Finder(MetaPathFinder):
    """Finds the modules of one folder of sources under a package name."""

    def __init__(self, package: str, root: Path, tops: frozenset[str]) -> None:
        self._package, self._root, self._tops = package, root, tops

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        first, _, rest = fullname.partition(".")
        if first != self._package:
            return None
        place = self._root.joinpath(*rest.split(".")) if rest else self._root
        for file, inside in ((place / "__init__.py", [str(place)]), (place.with_suffix(".py"), None)):
            if rest and file.is_file():
                loader = _Loader(fullname, str(file), self._package, self._tops)
                return spec_from_file_location(fullname, file, loader=loader, submodule_search_locations=inside)
        if not place.is_dir():
            return None
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = [str(place)]
        return spec


class _Loader(SourceFileLoader):
    """Compiles a source with the imports of its own packages turned to those of the bundle; nothing is written."""

    def __init__(self, name: str, path: str, package: str, tops: frozenset[str]) -> None:
        super().__init__(name, path)
        self._turn = _Turn(package, tops)

    def get_code(self, fullname: str) -> CodeType:
        tree = self._turn.visit(ast.parse(self.get_data(self.path), self.path))
        code: CodeType = compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)
        return code


class _Turn(ast.NodeTransformer):
    """`from research.x import y` becomes `from PACKAGE.research.x import y`, for the packages that are the bundle's."""

    def __init__(self, package: str, tops: frozenset[str]) -> None:
        self._package, self._tops = package, tops

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if node.level == 0 and node.module and self._own(node.module):
            node.module = f"{self._package}.{node.module}"
        return node

    def visit_Import(self, node: ast.Import) -> Any:
        out: list[ast.stmt] = []
        for alias in node.names:
            if not self._own(alias.name):
                out.append(ast.Import([alias]))
                continue
            whole = f"{self._package}.{alias.name}"
            if alias.asname:
                out.append(ast.Import([ast.alias(whole, alias.asname)]))
                continue
            # `import research.x` binds `research`.
            top = alias.name.partition(".")[0]
            out += [ast.Import([ast.alias(whole)]), ast.ImportFrom(self._package, [ast.alias(top)], 0)]
        return [ast.copy_location(one, node) for one in out]

    def _own(self, module: str) -> bool:
        return module.partition(".")[0] in self._tops
