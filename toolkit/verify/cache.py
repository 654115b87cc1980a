"""An edited kernel changes every caller, and what was not edited is not compiled again.

numba's own cache looks only at the file of the function that is called. The proof runs a strategy in processes of its
own, with a cache folder of its own: twice as it is, once with a helper edited in another file, once as it was again.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import toolkit
from toolkit.errors import RunError

Progress = Callable[[str], None]

PACKAGE = "lockstep_cache_proof"

_HELPER = """from numba import njit

@njit(cache=True)
def distance(close):
    return {factor} * close
"""

_STRATEGY = '''from typing import NamedTuple
import numpy as np
from numba import njit
from toolkit.bars.series import Bars
from toolkit.strategy import Signals, strategy
from lockstep_cache_proof.kernels import distance

class Params(NamedTuple):
    pass

@njit(cache=True)
def stops(close):
    out = np.empty(len(close))
    for t in range(len(close)):
        out[t] = distance(close[t])
    return out

@strategy(intervals=("1m",), lookback=lambda p: 1)
def cache_proof(bars: Bars, p: Params) -> Signals:
    """Never enters; its stop distance is what an edited helper changes."""
    none = np.zeros(len(bars), np.bool_)
    return Signals(none, none, none, none, stops(bars.close), np.full(len(bars), np.nan))
'''

_RUN = """import json
import numpy as np
import toolkit
from toolkit.bars.series import from_arrays
from toolkit.strategy import get_strategy
found = get_strategy("cache_proof", ["lockstep_cache_proof.strategies"])
one = np.ones(3)
bars = from_arrays(60_000 * np.arange(3), one, one, one, one, one, interval="1m")
value = float(found.signals(bars, found.params()).stop_distance[-1])
stats = found.function.__globals__["stops"].stats
print(json.dumps([value, sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]))
"""


@dataclass(frozen=True)
class CacheRun:
    """One process: what was done before it, the value its compiled caller gave, and its cache's hits and misses."""

    what: str
    value: float
    expected: float
    hits: int
    misses: int
    compiled_anew: bool

    @property
    def ok(self) -> bool:
        return self.value == self.expected and (self.misses > 0) == self.compiled_anew

    def __str__(self) -> str:
        compiled = "compiled" if self.misses else "taken from the cache"
        return f"{self.what}: {self.value:g} (expected {self.expected:g}), {compiled}"


@dataclass(frozen=True)
class CacheReport:
    """The runs of the proof in order."""

    runs: list[CacheRun]

    @property
    def ok(self) -> bool:
        return all(run.ok for run in self.runs)


def verify_cache(progress: Progress | None = None) -> CacheReport:
    """Edit a kernel that a strategy in another file calls, and see the strategy's value change.

    Raises
    ------
    RunError : the strategy cannot be run in a process of its own.
    """
    steps = [
        ("first run", 1.0, True),
        ("again, nothing edited", 1.0, False),
        ("with the helper edited", 2.0, True),
        ("with the helper as it was", 1.0, False),
    ]
    runs = []
    with tempfile.TemporaryDirectory(prefix="lockstep-cache-") as folder:
        root = Path(folder)
        copy_toolkit(root)
        _write_package(root)
        for what, factor, anew in steps:
            if progress is not None:
                progress(what)
            (root / PACKAGE / "kernels.py").write_text(_HELPER.format(factor=factor))
            value, hits, misses = json.loads(run_python(_RUN, root))
            runs.append(CacheRun(what, value, factor, hits, misses, anew))
    return CacheReport(runs)


def copy_toolkit(root: Path) -> Path:
    """A copy of the toolkit in `root`, which an edit elsewhere meanwhile does not touch."""
    copy = root / "toolkit"
    shutil.copytree(Path(toolkit.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def _write_package(root: Path) -> None:
    strategies = root / PACKAGE / "strategies"
    strategies.mkdir(parents=True)
    for file in (root / PACKAGE / "__init__.py", strategies / "__init__.py"):
        file.write_text("")
    (strategies / "proof.py").write_text(_STRATEGY)


def run_python(code: str, root: Path) -> str:
    """stdout of a Python process that runs `code` in `root`, its modules found first and the kernel cache kept there.

    Raises
    ------
    RunError : it failed; says its last line of stderr.
    """
    # An installed toolkit is found after a copy in `root`.
    paths = [str(root), str(Path(toolkit.__file__).parents[1])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "LOCKSTEP_CACHE_DIR": str(root / "cache"),
    }
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunError(f"a Python process of the cache proof failed ({last}); see that {sys.executable} can run")
    return done.stdout
