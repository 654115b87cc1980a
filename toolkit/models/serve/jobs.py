"""Experiments as jobs: a subprocess of `toolkit model experiment` each, one at a time, ended with the server."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import InputError, LockstepError, UnknownNameError

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"
MAX_STRATEGIES = 10_000
KEPT = 50
_GRACE_SECS = 5.0
_TAIL_BYTES = 4_096
_RESULT_BYTES = 4 << 20
# Predictions go before experiments.
_NICE = 10
EXPERIMENT = (sys.executable, "-c", "from toolkit.cli.main import main; main()", "model", "experiment")


class BusyError(LockstepError):
    """A job is under way, and there is one at a time."""


@dataclass(eq=False)
class Job:
    """An experiment: `status` is running, done, failed or cancelled."""

    id: str
    num_strategies: int
    folder: Path
    started_ms: int
    process: asyncio.subprocess.Process
    status: str = RUNNING
    ended_ms: int | None = None
    watch: asyncio.Task[None] | None = None

    def table(self) -> dict[str, Any]:
        """What `GET /jobs/{id}` says: its progress (the last line that it printed), and its result or error."""
        said = _tail(self.folder / "stderr")
        return {
            "id": self.id,
            "num_strategies": self.num_strategies,
            "status": self.status,
            "started_ms": self.started_ms,
            "ended_ms": self.ended_ms,
            "exit_code": self.process.returncode,
            "progress": said if self.status == RUNNING else None,
            "result": _result(self.folder / "stdout") if self.status == DONE else None,
            "error": (said or "it ended without a word") if self.status == FAILED else None,
        }


class Jobs:
    """The jobs of a server, in one event loop.

    command : what runs an experiment; `--strategies N --json` is put behind it.
    """

    def __init__(self, command: Sequence[str] = EXPERIMENT) -> None:
        self._command = tuple(command)
        self._jobs: dict[str, Job] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._starting = False

    async def start(self, num_strategies: int) -> Job:
        """Start an experiment over so many strategies.

        Raises
        ------
        BusyError : one is under way. InputError : the number is out of range.
        """
        if not 1 <= num_strategies <= MAX_STRATEGIES:
            raise InputError(f"`num_strategies` must be from 1 to {MAX_STRATEGIES:,}, was {num_strategies}")
        running = next((job.id for job in self._jobs.values() if job.status == RUNNING), None)
        if running is not None or self._starting:
            raise BusyError(f"job {running or 'another'} is under way, and there is one at a time; wait, or cancel it")
        self._starting = True
        try:
            job = await self._start(num_strategies)
        finally:
            self._starting = False
        job.watch = asyncio.create_task(_watched(job))
        self._jobs[job.id] = job
        for old in list(self._jobs)[:-KEPT]:
            del self._jobs[old]
        return job

    def get(self, job_id: str) -> Job:
        """A job by its id; `UnknownNameError` where there is none."""
        if job_id not in self._jobs:
            raise UnknownNameError("job", job_id[:100], self._jobs)
        return self._jobs[job_id]

    def all(self) -> list[Job]:
        """Jobs, oldest first."""
        return list(self._jobs.values())

    async def cancel(self, job_id: str) -> Job:
        """End a job with all that it has started, asked at first and then not; one that has ended stays as it is."""
        job = self.get(job_id)
        if job.status == RUNNING and job.watch is not None:
            job.status = CANCELLED
            _signal(job, signal.SIGTERM)
            done, _ = await asyncio.wait([job.watch], timeout=_GRACE_SECS)
            # What it started may outlive it.
            _signal(job, signal.SIGKILL)
            if not done:
                await job.watch
        return job

    async def close(self) -> None:
        """Cancel what is under way, and forget what jobs have printed."""
        for job in self.all():
            await self.cancel(job.id)
        if self._folder is not None:
            self._folder.cleanup()

    async def _start(self, num_strategies: int) -> Job:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="lockstep-jobs-", ignore_cleanup_errors=True)
        job_id = secrets.token_hex(8)
        folder = Path(self._folder.name) / job_id
        folder.mkdir()
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                "--strategies",
                str(num_strategies),
                "--json",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PGRP, process.pid, _NICE)
        return Job(job_id, num_strategies, folder, time.time_ns() // 1_000_000, process)


async def _watched(job: Job) -> None:
    code = await job.process.wait()
    job.ended_ms = time.time_ns() // 1_000_000
    if job.status == RUNNING:
        job.status = DONE if code == 0 else FAILED


def _signal(job: Job, number: signal.Signals) -> None:
    # It leads its own process group, so that its workers hear it too.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(job.process.pid, number)


def _tail(file: Path) -> str | None:
    """The last line that a file has, where progress is written over itself too."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - _TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except OSError:
        return None
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1] if lines else None


def _result(file: Path) -> Any:
    """The JSON that an experiment printed; None where it printed none, or too much of it."""
    try:
        if file.stat().st_size > _RESULT_BYTES:
            return None
        return json.loads(file.read_bytes(), parse_constant=lambda _: None)
    except (OSError, ValueError, RecursionError):
        return None
