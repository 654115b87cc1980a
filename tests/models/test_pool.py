"""The pool gives the same parts whatever runs beside what, keeps what is done, and outlives bad tasks."""

import math
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.models.pool_work import Overlaps, Squares
from toolkit.errors import InputError, RunError
from toolkit.models import pool
from toolkit.models.parts import Part, part_file, read_part, write_part
from toolkit.models.pool import Task, run_tasks

ROOT = Path(__file__).parents[2]


def tasks(items: Sequence[int], size: int) -> list[list[Task[int]]]:
    every = [Task(number, f"group {number}", item) for number, item in enumerate(items)]
    return [every[k : k + size] for k in range(0, len(every), size)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    folder.mkdir()
    return folder


def test_a_part_is_read_as_it_was_written(tmp_path: Path) -> None:
    part = Part({"a": [1, None, "x"], "b": {"c": float("inf")}}, {"x": np.arange(3), "facts": np.eye(2)}, "")
    write_part(part_file(tmp_path, 4), part)
    found = read_part(part_file(tmp_path, 4))
    assert (found.facts, found.error) == (part.facts, "")
    assert sorted(found.arrays) == ["facts", "x"] and (found.arrays["facts"] == np.eye(2)).all()
    part_file(tmp_path, 5).write_bytes(b"half a file")
    with pytest.raises(RunError, match=r"00000005.npz cannot be read"):
        read_part(part_file(tmp_path, 5))


def test_parts_are_the_same_whatever_jobs_and_batches_are(tmp_path: Path, log: Path) -> None:
    one = run_tasks(Squares(log), tasks(range(6), 3), tmp_path / "one", jobs=1)
    two = run_tasks(Squares(log), tasks(range(6), 2)[::-1], tmp_path / "two", jobs=3)
    assert [part.facts["square"] for part in one] == [0, 1, 4, 9, 16, 25]
    assert math.isnan(one[0].facts["nan"])
    for a, b in zip(one, two, strict=True):
        assert a.facts["square"] == b.facts["square"] and (a.arrays["draws"] == b.arrays["draws"]).all()


@pytest.mark.parametrize(("megabytes", "most"), [((), 4), ((400,) * 4, 2), ((600,) * 4, 1), ((5_000,) * 4, 1)])
def test_batches_start_while_their_memory_fits_and_one_always_runs(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch, megabytes: tuple[int, ...], most: int
) -> None:
    monkeypatch.setattr(pool, "available_megabytes", lambda: 1_000)
    found = run_tasks(Overlaps(log), tasks(range(4), 1), tmp_path / "parts", megabytes=megabytes, jobs=4)
    spans = [(part.facts["began"], part.facts["ended"]) for part in found]
    side_by_side = max(sum(a <= at < b for a, b in spans) for at, _ in spans)
    assert len(spans) == 4 and side_by_side <= most


def test_what_is_free_is_known() -> None:
    assert 100 < pool.available_megabytes() < 10_000_000


def test_a_bad_task_is_a_row_with_its_sentence(tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_tasks(Squares(log), tasks([5, -2, -3, -4, 6, -1], 5), tmp_path / "parts", jobs=2, progress=True)
    assert [part.error.split(";")[0] for part in found] == [
        "",
        "group 1: too few trades: 3",
        "group 2: ZeroDivisionError: by zero",
        "group 3: its process ended by signal 9 (SIGKILL) before it was done",
        "",
        "group 5: no bars",
    ]
    assert "traceback" in found[2].facts and "traceback" not in found[1].facts
    assert (found[0].facts["square"], found[4].facts["square"]) == (25, 36)
    assert "6 of 6 groups (100 %)" in capsys.readouterr().err


def test_what_one_task_cannot_load_is_no_loss_to_the_others(tmp_path: Path, log: Path) -> None:
    found = run_tasks(Squares(log), tasks([3, -1, 4], 3), tmp_path / "parts", jobs=1)
    assert [part.error for part in found] == ["", "group 1: no bars", ""]
    assert [part.facts.get("loaded") for part in found] == [7, None, 7]


def test_what_is_done_is_not_done_again(tmp_path: Path, log: Path) -> None:
    folder = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        run_tasks(Squares(log, stop_at=2), tasks(range(4), 4), folder, jobs=1)
    kept = sorted(int(file.stem) for file in folder.glob("*.npz"))
    assert kept[:2] == [0, 1]
    found = run_tasks(Squares(log), tasks(range(4), 4), folder, jobs=1)
    assert [part.facts["square"] for part in found] == [0, 1, 4, 9]
    assert len([file for file in log.iterdir() if file.name.startswith(("0-", "1-"))]) == 2


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is no child, which needs Linux")
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from tests.models.pool_work import Waits; "
        "from toolkit.models.pool import Task, run_tasks; "
        f"run_tasks(Waits(), [[Task(0, 'x', 0)]], Path({str(tmp_path / 'parts')!r}), jobs=1)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        ended, _, _ = select.select([worker], [], [], 60)
        os.close(worker)
    assert ended


@pytest.mark.parametrize("jobs", [0, -2])
def test_jobs_must_be_at_least_one(tmp_path: Path, log: Path, jobs: int) -> None:
    with pytest.raises(InputError, match=f"`jobs` must be at least 1, was {jobs}"):
        run_tasks(Squares(log), tasks([1], 1), tmp_path, jobs=jobs)


def test_a_part_that_cannot_be_written_ends_the_run(tmp_path: Path, log: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    # A folder stands where the part's draft would take its name.
    part_file(folder, 0).mkdir()
    with pytest.raises(RunError, match=r"00000000.npz cannot be written in .*make room"):
        run_tasks(Squares(log), tasks([1], 1), folder, jobs=1)
