"""Environments of libraries in which a worker does as it is told, for processes that no test reaches into."""

import json
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from toolkit.models.workers.environments import STATE_FILE, lock_digest
from toolkit.models.workers.libraries import LIBRARIES

_WORKER = """
import importlib.util

spec = importlib.util.spec_from_file_location("fake", {fake!r})
fake = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fake)
load = fake.load


def fit(config, x, y, weight, folder):
    return fake.fit({{**config, "settings": {{"act": {act!r}, "mark": {mark!r}}}}}, x, y, weight, folder)
"""


def install_impostors(root: Path, acts: Mapping[str, str]) -> None:
    """Below `root`, an environment for each library by its name, in which every fit does what its act says."""
    for name, act in acts.items():
        library, folder = LIBRARIES[name], root / name
        (folder / "bin").mkdir(parents=True)
        worker = folder / "worker.py"
        fake = Path(__file__).with_name("fake_worker.py")
        worker.write_text(_WORKER.format(fake=str(fake), act=act, mark=str(folder / "mark")))
        python = folder / "bin" / "python"
        # -s -u HOST MODE SCRIPT SCRATCH: only the worker module is another one.
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$1" "$2" "$3" "$4" {worker} "$6"\n')
        python.chmod(0o755)
        there = {package: _version(package) for package in library.packages}
        facts = {
            "library": name, "lock": lock_digest(library), "versions": {"python": platform.python_version(), **there},
            "megabytes": 1, "secs": 0.0,
        }  # fmt: skip
        (folder / STATE_FILE).write_text(json.dumps(facts))


def _version(package: str) -> str:
    try:
        return version(package)
    except ImportError:
        return ""
