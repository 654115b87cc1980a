"""ccxt, of which only the exchange that is traded is imported.

`import ccxt` loads more than a hundred exchanges, 60 MB that a daemon never looks at. Here the packages are entered
without running what imports all of them; every module that is loaded is ccxt's own, unchanged.
"""

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from toolkit.errors import InputError, UnknownNameError

_PACKAGES = {"ccxt": ".", "ccxt.async_support": "async_support", "ccxt.pro": "pro"}


def exchange_class(name: str, *, stream: bool) -> Any:
    """The async class of an exchange, with its websockets where `stream`.

    Raises
    ------
    InputError : ccxt is not installed. UnknownNameError : it knows no such exchange.
    """
    root = _enter()
    for package in ("ccxt.async_support", "ccxt.pro") if stream else ("ccxt.async_support",):
        if not (root / _PACKAGES[package] / f"{name}.py").is_file():
            known = (file.stem for file in (root / _PACKAGES[package]).glob("*.py") if file.stem != "__init__")
            raise UnknownNameError("exchange", name, known)
        module = importlib.import_module(f"{package}.{name}")
        found = getattr(module, name)
        # The streaming class derives from `ccxt.async_support.NAME`, which is the class there, not its module.
        setattr(sys.modules[package], name, found)
    return found


def errors() -> ModuleType:
    """ccxt's exceptions."""
    _enter()
    return importlib.import_module("ccxt.base.errors")


def _enter() -> Path:
    """Make ccxt's packages importable part by part; returns its folder."""
    whole = sys.modules.get("ccxt")
    if whole is not None and whole.__path__:
        return Path(next(iter(whole.__path__)))
    spec = importlib.util.find_spec("ccxt")
    if spec is None or spec.origin is None:
        raise InputError("the executor needs ccxt to reach an exchange; install the extra lockstep[live]")
    root = Path(spec.origin).parent
    for name, part in _PACKAGES.items():
        package = ModuleType(name)
        package.__path__ = [str(root / part)]
        package.__spec__ = ModuleSpec(name, None, is_package=True)
        sys.modules[name] = package
        if "." in name:
            setattr(sys.modules["ccxt"], name.partition(".")[2], package)
    top: Any = sys.modules["ccxt"]
    for name, value in vars(importlib.import_module("ccxt.base.errors")).items():
        if not name.startswith("_"):
            setattr(top, name, value)
    top.Exchange = importlib.import_module("ccxt.base.exchange").Exchange
    top.__version__ = version("ccxt")
    return root
