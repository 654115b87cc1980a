"""How the toolkit's functions are compiled."""

import importlib
import os
import pkgutil
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import toolkit
from toolkit import kernel_cache
from toolkit.compiled import borrowing, kernel
from toolkit.kernel_cache import KEPT_FOLDERS, KEPT_SECS
from toolkit.types import FloatArray


def test_what_a_kernel_returns_is_owned_whoever_compiled_it_first(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_cache, "toolkit_dir", lambda: tmp_path)

    @kernel
    def handed_on(values: FloatArray) -> tuple[FloatArray, int]:
        return values, 1

    @borrowing
    def borrower(values: FloatArray) -> float:
        return handed_on(values)[0][0]

    @kernel
    def owner(values: FloatArray) -> float:
        return handed_on(values)[0][0]

    values = np.ones(3)
    assert borrower(values) == 1.0
    assert handed_on.targetoptions["_nrt"]  # type: ignore[attr-defined]
    before = sys.getrefcount(values)
    assert [owner(values) for _ in range(5)] == [1.0] * 5
    assert sys.getrefcount(values) == before


def test_every_compiled_function_says_whether_it_counts_references() -> None:
    silent, said = [], 0
    for info in pkgutil.walk_packages(toolkit.__path__, "toolkit."):
        # Rooms without kernels are held to that by the next test; one has scripts for other environments.
        if info.name.endswith("__main__") or info.name.split(".")[1] in kernel_cache.WITHOUT_KERNELS:
            continue
        for name, value in vars(importlib.import_module(info.name)).items():
            if isinstance(value, Dispatcher):
                said += 1
                if "_nrt" not in value.targetoptions:
                    silent.append(f"{info.name}.{name}")
    assert said > 50
    assert silent == []


def test_rooms_left_out_of_the_hash_compile_nothing_and_no_kernel_imports_them() -> None:
    root = Path(toolkit.__path__[0])
    aside = [root / name for name in kernel_cache.WITHOUT_KERNELS]
    compiles = re.compile(r"toolkit\.compiled|^\s*(import|from) numba", re.MULTILINE)
    uses = re.compile(rf"toolkit\.({'|'.join(kernel_cache.WITHOUT_KERNELS)})\b")
    seen = 0
    for file in root.rglob("*.py"):
        text = file.read_text()
        if any(room in file.parents for room in aside):
            seen += 1
            assert not compiles.search(text), file
        elif compiles.search(text) and file.name != "kernel_cache.py":
            assert not uses.search(text), file
    assert seen > 20


def test_folders_of_compiled_code_are_forgotten_after_a_week_but_for_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_CACHE_DIR", str(tmp_path))
    old = [tmp_path / f"strategies-{k}" for k in range(KEPT_FOLDERS + 3)]
    for k, folder in enumerate([*old, tmp_path / "toolkit-0"]):
        folder.mkdir()
        age = KEPT_SECS + 100 - k if k < KEPT_FOLDERS else 10
        os.utime(folder, (time.time() - age,) * 2)
    source = tmp_path / "one.py"
    source.write_text("x = 1")
    made = kernel_cache.folder_of("strategies", [source])
    found = sorted(tmp_path.glob("strategies-*"))
    # Four are newer than a week, and with the oldest of the others gone eight are left.
    assert made in found and set(old[KEPT_FOLDERS:]) <= set(found)
    assert len(found) == KEPT_FOLDERS and not old[0].exists()
    assert (tmp_path / "toolkit-0").exists()
    for folder in found:
        os.utime(folder)
    source.write_text("x = 2")
    kernel_cache.folder_of("strategies", [source])
    assert len(sorted(tmp_path.glob("strategies-*"))) == KEPT_FOLDERS + 1
