"""An environment that is none: this interpreter behind a script, and a worker module that does as it is told."""

import json
import platform
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from toolkit.models.backends.base import TrainingSet
from toolkit.models.workers.environments import (
    STATE_FILE,
    Environment,
    environments_root,
    lock_digest,
    ready_environment,
)
from toolkit.models.workers.library import Library


def fake_library(folder: Path, name: str = "fake") -> Library:
    """A library's files and its row; `mark` is a file through which a test speaks to the worker."""
    for part in ("locks", "scripts"):
        (folder / part).mkdir()
    (folder / "locks" / f"{name}.txt").write_text(f"{name}==1.0\n")
    shutil.copy(Path(__file__).with_name("fake_worker.py"), folder / "scripts" / f"{name}_worker.py")
    return fake_row(folder, name)


def fake_row(folder: Path, name: str = "fake") -> Library:
    """The row of a library whose files are in a folder."""
    return Library(
        name=name,
        title=name.capitalize(),
        pythons=(".".join(platform.python_version_tuple()[:2]),),
        licence="none",
        folder=folder,
        megabytes=1,
        packages=("numpy",),
        settings={"act": "well", "mark": str(folder / "mark"), "models": ["slopes"], "trials": 3},
        choices={"models": ("slopes", "others")},
        least={"trials": 0},
    )


def fake_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """The library with its environment in place, below a root of its own."""
    monkeypatch.setenv("LOCKSTEP_ENVS", str(folder / "envs"))
    library = fake_library(folder)
    install_fake(library)
    return library


def install_fake(library: Library) -> Environment:
    place = environments_root() / library.name
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (place / "bin" / "python").chmod(0o755)
    versions = {"python": platform.python_version(), "numpy": version("numpy")}
    facts = {"library": library.name, "lock": lock_digest(library), "versions": versions, "megabytes": 1, "secs": 0.0}
    (place / STATE_FILE).write_text(json.dumps(facts))
    return ready_environment(library)


def training_set(rows: int = 300, columns: int = 3) -> TrainingSet:
    draw = np.random.default_rng(5)
    x = draw.normal(size=(rows, columns))
    y = (x[:, 0] + draw.normal(size=rows) > 0).astype(np.float64)
    return TrainingSet(tuple(f"1d:natr({k})" for k in range(columns)), x, y, np.ones(rows))
