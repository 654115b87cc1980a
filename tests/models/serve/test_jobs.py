"""Experiments as jobs: one at a time, cancelled with all that they started, their end said."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from toolkit.errors import InputError, UnknownNameError
from toolkit.models.serve.jobs import EXPERIMENT, BusyError, Job, Jobs

ECHO = "import json, sys; print('2 of 2', file=sys.stderr); print(json.dumps(sys.argv[1:]))"
FAIL = "import sys; print('working\\rerror: there are no bars', file=sys.stderr); sys.exit(2)"
# Starts a child that does not end when asked, says both process ids, and waits.
STUBBORN = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"])
print(f"{os.getpid()} {child.pid}", file=sys.stderr, flush=True)
signal.pause()
"""


def run(script: str, work: Callable[[Jobs], Awaitable[None]]) -> None:
    async def whole() -> None:
        jobs = Jobs([sys.executable, "-c", script])
        try:
            await work(jobs)
        finally:
            await jobs.close()

    asyncio.run(whole())


async def ended(job: Job) -> Job:
    assert job.watch is not None
    await job.watch
    return job


async def progress(job: Job) -> str:
    while not (said := job.table()["progress"]):
        await asyncio.sleep(0.01)
    return str(said)


def is_there(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_its_result_is_what_it_printed() -> None:
    async def work(jobs: Jobs) -> None:
        table = (await ended(await jobs.start(5))).table()
        assert (table["status"], table["exit_code"], table["error"]) == ("done", 0, None)
        assert table["result"] == ["--strategies", "5", "--json"]
        assert table["ended_ms"] >= table["started_ms"]
        json.dumps(table, allow_nan=False)

    run(ECHO, work)


def test_one_that_fails_says_its_last_line() -> None:
    async def work(jobs: Jobs) -> None:
        table = (await ended(await jobs.start(5))).table()
        assert (table["status"], table["exit_code"], table["result"]) == ("failed", 2, None)
        assert table["error"] == "error: there are no bars"

    run(FAIL, work)


def test_one_at_a_time_and_cancelled_with_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.models.serve.jobs._GRACE_SECS", 0.2)

    async def work(jobs: Jobs) -> None:
        job = await jobs.start(5)
        with pytest.raises(BusyError, match=f"{job.id} is under way"):
            await jobs.start(5)
        pids = [int(pid) for pid in (await progress(job)).split()]
        assert os.getpriority(os.PRIO_PROCESS, pids[0]) > os.getpriority(os.PRIO_PROCESS, 0)
        assert (await jobs.cancel(job.id)).table()["status"] == "cancelled"
        while any(map(is_there, pids)):
            await asyncio.sleep(0.01)
        # Cancelled twice it stays what it is, and another may begin.
        assert (await jobs.cancel(job.id)).status == "cancelled"
        assert (await jobs.start(5)).status == "running"

    run(STUBBORN, work)


def test_the_end_of_the_server_ends_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.models.serve.jobs._GRACE_SECS", 0.2)
    pids: list[int] = []

    async def work(jobs: Jobs) -> None:
        pids.extend(int(pid) for pid in (await progress(await jobs.start(5))).split())

    run(STUBBORN, work)
    assert len(pids) == 2
    while any(map(is_there, pids)):
        os.sched_yield()


def test_killed_from_outside_it_has_failed() -> None:
    async def work(jobs: Jobs) -> None:
        job = await jobs.start(5)
        os.kill(int((await progress(job)).split()[1]), signal.SIGKILL)
        os.kill(job.process.pid, signal.SIGKILL)
        table = (await ended(job)).table()
        assert (table["status"], table["exit_code"]) == ("failed", -9)

    run(STUBBORN, work)


def test_bad_numbers_and_unknown_jobs() -> None:
    async def work(jobs: Jobs) -> None:
        for number in (0, -1, 10_001):
            with pytest.raises(InputError, match="`num_strategies` must be from 1 to 10,000"):
                await jobs.start(number)
        with pytest.raises(UnknownNameError, match="unknown job 'x'"):
            jobs.get("x")
        assert jobs.all() == []

    run(ECHO, work)


def test_what_printed_no_json_has_no_result() -> None:
    async def work(jobs: Jobs) -> None:
        table = (await ended(await jobs.start(1))).table()
        assert (table["status"], table["result"]) == ("done", None)

    run("print('done')", work)


def test_it_is_the_experiments_command() -> None:
    assert EXPERIMENT[-2:] == ("model", "experiment")
