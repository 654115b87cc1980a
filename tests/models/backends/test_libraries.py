"""What every library promises that runs in an environment of its own; those that are not installed are left out.

`make check-backends` installs all of them first and leaves none out.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.remote import RemoteBackend, RemoteModel
from toolkit.models.workers.environments import environment, environments_root, ready_environment
from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.fitting import FitRequest, make_again
from toolkit.models.workers.libraries import LIBRARIES
from toolkit.models.workers.library import Library

EVERY = bool(os.environ.get("LOCKSTEP_EVERY_BACKEND"))
ROWS, K, SEED = 500, 5, 4
LONGEST_SECS = 900.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("name", [
        pytest.param(
            name,
            marks=[
                pytest.mark.xdist_group(f"library {name}"),
                pytest.mark.skipif(
                    not EVERY and environment(library).state != "ready",
                    reason=f"left out: {library.title} has no environment here (toolkit model backends install {name})",
                ),
            ],
        )
        for name, library in LIBRARIES.items()
    ]),
]  # fmt: skip


def pattern(rows: int = ROWS, seed: int = 11) -> TrainingSet:
    """Two columns tell something, the others nothing; names that a library would not take."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, K))
    y = (x[:, 0] + 0.5 * x[:, 1] + 0.3 * draw.normal(size=rows) > 0).astype(np.float64)
    weight = draw.uniform(0.5, 1.5, rows)
    return TrainingSet(tuple(f"1d:natr({k})" for k in range(K)), x, y, weight / weight.mean())


@dataclass(frozen=True)
class Case:
    library: Library
    model: RemoteModel
    secs: float


@cache
def case(name: str) -> Case:
    """One fit a library, for all tests of a process."""
    library = LIBRARIES[name]
    started = time.monotonic()
    return Case(library, fitted(library), time.monotonic() - started)


def fitted(library: Library, data: TrainingSet | None = None, **budget: Any) -> RemoteModel:
    used = Budget(**{"seed": SEED, "max_secs": LONGEST_SECS, **budget})
    return RemoteBackend(library).fit(data or pattern(), used, library.quick)


def test_it_finds_a_pattern(name: str) -> None:
    fresh = pattern(400, seed=9)
    p = case(name).model.predict(fresh.x)
    assert p.shape == (400,) and p.dtype == np.float64 and ((p >= 0.0) & (p <= 1.0)).all()
    wins, losses = p[fresh.y == 1], p[fresh.y == 0]
    assert np.mean(wins[:, None] > losses[None, :]) > 0.85


def test_it_says_what_it_tried_and_what_it_chose(name: str) -> None:
    said = json.loads(json.dumps(case(name).model.describe(), allow_nan=False))
    assert said["kind"] == name and said["seed"] == SEED and said["features"] == list(pattern().features)
    assert said["chosen"]["model"] and isinstance(said["chosen"]["params"], dict)
    assert isinstance(said["chosen"]["weighted"], bool)
    board = said["leaderboard"]
    assert [row["rank"] for row in board] == list(range(1, len(board) + 1))
    scores = [row["score"] for row in board if row["score"] is not None]
    assert scores and scores == sorted(scores, reverse=True)
    assert said["versions"]["python"] and all(said["versions"][package] for package in LIBRARIES[name].packages)


def test_its_code_makes_the_model_again(name: str) -> None:
    """Not from the model's files: from the rows."""
    found, data = case(name), pattern()
    asked = FitRequest(found.library.settings, SEED, 0, LONGEST_SECS)
    x = pattern(300, seed=9).x
    again = make_again(ready_environment(found.library), data, asked, found.model.describe()["code"], x)
    before = found.model.predict(x)
    if found.library.repeats:
        np.testing.assert_allclose(again, before, rtol=0.0, atol=1e-6)
    else:
        assert np.corrcoef(again, before)[0, 1] > 0.9


def test_a_row_is_the_same_alone_and_among_others(name: str) -> None:
    model, x = case(name).model, pattern(300, seed=13).x * 3.0
    whole = model.predict(x)
    alone = np.concatenate([model.predict(x[k : k + 1]) for k in range(0, 300, 10)])
    assert np.array_equal(whole[::10], alone)
    assert np.array_equal(whole[::-1], model.predict(x[::-1].copy()))


READ_AGAIN = """
import sys
import numpy as np
from pathlib import Path
from toolkit.models.backends.remote import remote_backend

if __name__ == "__main__":
    name, folder = sys.argv[1], Path(sys.argv[2])
    model = remote_backend(name).load(folder / "bundle")
    np.save(folder / "again.npy", model.predict(np.load(folder / "x.npy")))
"""


def test_what_is_read_in_a_fresh_process_predicts_the_same(name: str, tmp_path: Path) -> None:
    model, x = case(name).model, pattern(200, seed=15).x
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "bundle").mkdir()
    model.save(tmp_path / "bundle")
    done = subprocess.run([sys.executable, "-c", READ_AGAIN, name, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and done.stderr == ""
    np.testing.assert_allclose(np.load(tmp_path / "again.npy"), model.predict(x), rtol=0.0, atol=1e-12)


def test_equal_seeds_make_equal_models(name: str) -> None:
    found = case(name)
    if not found.library.repeats:
        pytest.skip(f"left out: {found.library.title} says that it does not repeat itself")
    x = pattern(200, seed=15).x
    again = fitted(found.library, jobs=4)
    assert again.describe()["chosen"] == found.model.describe()["chosen"]
    np.testing.assert_allclose(again.predict(x), found.model.predict(x), rtol=0.0, atol=1e-9)


def test_an_hour_that_is_over_ends_all_of_it(name: str) -> None:
    library = LIBRARIES[name]
    before = processes(library)
    with pytest.raises(WorkerError, match=r"did not finish within 2 s and was ended"):
        # By its defaults: a quick fit may be over by then.
        RemoteBackend(library).fit(pattern(), Budget(seed=SEED, max_secs=2.0), {})
    until = time.monotonic() + 20.0
    while processes(library) - before and time.monotonic() < until:
        time.sleep(0.1)
    # The warm worker that answers questions may have been started; a fit's may not be left.
    assert not [pid for pid in processes(library) - before if "serve" not in command(pid)]


def test_too_little_to_learn_from_is_a_sentence(name: str) -> None:
    data = pattern(8)
    few = TrainingSet(data.features, data.x, np.repeat([0.0, 1.0], 4), data.weight)
    try:
        p = fitted(LIBRARIES[name], few).predict(few.x)
    except WorkerError as error:
        assert "\n" not in str(error)
    else:
        assert ((p >= 0.0) & (p <= 1.0)).all()


@pytest.mark.skipif(shutil.which("strace") is None, reason="left out: there is no strace here")
def test_it_is_silent_and_leaves_neither_its_folder_nor_the_machine(name: str, tmp_path: Path) -> None:
    code = (
        "from tests.models.backends.test_libraries import LIBRARIES, fitted\n"
        f"fitted(LIBRARIES[{name!r}])\n"
    )  # fmt: skip
    traced, scratch = tmp_path / "calls", tmp_path / "tmp"
    scratch.mkdir()
    calls = "connect,sendto,openat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,symlink,link"
    strace = ["strace", "-f", "-y", "-s", "300", "-e", f"trace={calls}", "-e", "signal=none", "-o", str(traced)]
    done = subprocess.run(
        [*strace, sys.executable, "-B", "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3],
        env={**os.environ, "TMPDIR": str(scratch), "LOCKSTEP_ENVS": str(environments_root().absolute())},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and done.stderr == ""
    lines = traced.read_text(errors="replace").splitlines()
    assert [line for line in lines if leaves_the_machine(line)] == []
    assert sorted({path for line in lines if (path := written(line)) and not is_allowed(path, scratch)}) == []
    assert list(scratch.iterdir()) == []


def leaves_the_machine(line: str) -> bool:
    """A connection or datagram to an address that is not of this machine."""
    if "AF_INET" not in line or not ("connect(" in line or "sendto(" in line):
        return False
    return not re.search(r'inet_addr\("127\.|inet_pton\(AF_INET6, "::1"', line)


def written(line: str) -> str:
    """The path that a call makes, changes or removes; empty where it only reads or fails."""
    if " = -1 " in line:
        return ""
    opened = re.search(r'openat\([^,]*, "([^"]*)", (\S+)', line)
    if opened:
        result = re.search(r"= \d+<([^>]*)>", line)
        changes = re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND", opened[2])
        return (result[1] if result else opened[1]) if changes else ""
    made = re.search(r'(?:mkdir|mkdirat|rename|renameat|renameat2|unlink|unlinkat|symlink|link)\(.*"([^"]*)"', line)
    return made[1] if made and made[1].startswith("/") else ""


def is_allowed(path: str, scratch: Path) -> bool:
    return path.startswith((str(scratch), "/dev/", "/proc/", "/sys/devices/system/cpu"))


def processes(library: Library) -> set[int]:
    """Of the library's environment."""
    root = str(environments_root() / library.name)
    return {int(one.name) for one in Path("/proc").glob("[0-9]*") if root in command(int(one.name))}


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
