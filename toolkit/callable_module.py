"""Modules that can be called like the function they are named for.

`tk.sweep(...)` and `@tk.strategy(...)` are verbs of the public API, and `toolkit.sweep` and `toolkit.strategy` are
modules: once they are imported Python puts the module under that name, so the module answers to the call.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A module whose call goes to the function of its own last name in the module `__callable_in__`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        verb = getattr(import_module(self.__callable_in__), self.__name__.rpartition(".")[2])
        return verb(*args, **kwargs)


def make_callable(module: str, function_in: str) -> None:
    """Let calls of the loaded `module` reach the function of its name in the module `function_in`."""
    loaded = sys.modules[module]
    loaded.__class__ = CallableModule
    loaded.__dict__["__callable_in__"] = function_in
