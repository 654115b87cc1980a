"""How the toolkit's functions are compiled."""

import importlib
import pkgutil

from numba.core.dispatcher import Dispatcher

import toolkit


def test_every_compiled_function_says_whether_it_counts_references() -> None:
    silent, said = [], 0
    for info in pkgutil.walk_packages(toolkit.__path__, "toolkit."):
        if info.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(info.name)).items():
            if isinstance(value, Dispatcher):
                said += 1
                if "_nrt" not in value.targetoptions:
                    silent.append(f"{info.name}.{name}")
    assert said > 50
    assert silent == []
