"""Worker processes over many groups: bounded memory, what is done is kept, and one bad group does not end the rest."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from toolkit.errors import InputError, LockstepError
from toolkit.models.parts import Part, Parts, part_file, write_part
from toolkit.sweep.local import default_jobs
from toolkit.sweep.progress import Progress

Item = TypeVar("Item")
# Libraries that would start a thread a core in each of the worker processes.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


@dataclass(frozen=True)
class Task(Generic[Item]):
    """One piece of work and its place in the whole; `name` is what an error calls it."""

    number: int
    name: str
    item: Item


class Work(Protocol[Item]):
    """What is done with tasks: a frozen dataclass, since it is sent to the worker processes."""

    def load(self, tasks: Sequence[Task[Item]]) -> Any:
        """What the tasks of a batch share."""
        ...

    def make(self, task: Task[Item], loaded: Any) -> Part:
        """One task's part; what it raises is that task's failure alone."""
        ...


def run_tasks(
    work: Work[Item],
    batches: Sequence[Sequence[Task[Item]]],
    folder: Path,
    *,
    megabytes: Sequence[int] = (),
    jobs: int | None = None,
    progress: bool = False,
    unit: str = "groups",
) -> Parts:
    """The part of every task, in the order of their numbers; read from `folder` when it is asked for.

    A batch is one process, of which `jobs` run at a time (all cores unless given): its memory is given back at its end.
    A part is in `folder` as soon as it is done, and a task that has one is not done again. What a task raises, or that
    its process dies of, becomes a part with that sentence in `error`.

    megabytes : of each batch, about; where they are given, a batch waits until it fits into the memory that was
        available at the start, beside those that run. One always runs.

    Raises
    ------
    InputError : `jobs` is below 1. RunError : a part cannot be written. KeyboardInterrupt : every process is ended.
    """
    workers = workers_of(jobs)
    numbers = sorted(task.number for batch in batches for task in batch)
    folder.mkdir(parents=True, exist_ok=True)
    shown = Progress(len(numbers), sum(part_file(folder, n).is_file() for n in numbers), shown=progress, unit=unit)
    sizes = {batch[0].number: size for batch, size in zip(batches, megabytes, strict=bool(megabytes))}
    _Pool(work, folder, workers, shown, sizes).run([list(batch) for batch in batches])
    shown.close()
    return Parts(folder, numbers)


def workers_of(jobs: int | None) -> int:
    """How many processes: all cores unless given; `InputError` below 1."""
    workers = default_jobs() if jobs is None else jobs
    if workers < 1:
        raise InputError(f"`jobs` must be at least 1, was {workers}")
    return workers


def available_megabytes() -> int:
    """Of memory that processes can have now without swapping; all there is where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20


@dataclass(eq=False)
class _Running:
    """A batch and its process."""

    process: SpawnProcess
    heard: Connection
    tasks: list[Task[Any]]
    megabytes: int


class _Pool:
    def __init__(
        self, work: Work[Any], folder: Path, workers: int, shown: Progress, megabytes: Mapping[int, int]
    ) -> None:
        self._work, self._folder, self._workers, self._shown = work, folder, workers, shown
        self._megabytes, self._available = megabytes, available_megabytes() if megabytes else 0
        self._context: SpawnContext = multiprocessing.get_context("spawn")
        self._running: list[_Running] = []

    def run(self, batches: list[list[Task[Any]]]) -> None:
        waiting = [rest for batch in batches if (rest := self._missing(batch))][::-1]
        try:
            while waiting or self._running:
                while waiting and len(self._running) < self._workers and self._fits(waiting[-1]):
                    self._running.append(self._start(waiting.pop()))
                waiting += self._listen()
        finally:
            for one in self._running:
                one.process.terminate()
            for one in self._running:
                one.process.join()

    def _missing(self, batch: Sequence[Task[Any]]) -> list[Task[Any]]:
        return [task for task in batch if not part_file(self._folder, task.number).is_file()]

    def _fits(self, tasks: Sequence[Task[Any]]) -> bool:
        """Whether there is memory for a batch; what is left of one that died has no size of its own."""
        size = self._megabytes.get(tasks[0].number, 0)
        return not self._running or not size or size + sum(one.megabytes for one in self._running) <= self._available

    def _start(self, tasks: list[Task[Any]]) -> _Running:
        heard, said = self._context.Pipe(duplex=False)
        arguments = (self._work, tasks, self._folder, said)
        process = self._context.Process(target=_serve, args=arguments, daemon=True)
        with _single_threaded():
            process.start()
        said.close()
        return _Running(process, heard, tasks, self._megabytes.get(tasks[0].number, 0))

    def _listen(self) -> list[list[Task[Any]]]:
        """Wait until some process says something or ends; what is left of the batches of those that died."""
        ready = set(wait([one.heard for one in self._running]))
        left: list[list[Task[Any]]] = []
        for one in [r for r in self._running if r.heard in ready]:
            try:
                message = one.heard.recv()
            except EOFError:
                self._running.remove(one)
                left += self._ended(one)
                continue
            if isinstance(message, BaseException):
                raise message
            self._shown.add(1)
        return left

    def _ended(self, one: _Running) -> list[list[Task[Any]]]:
        """What is still to be done of a batch whose process has ended: nothing, unless it died."""
        one.process.join()
        missing = self._missing(one.tasks)
        if not missing:
            return []
        code = one.process.exitcode or 0
        how = f"by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"with code {code}"
        memory = "; it may have been out of memory, use fewer --jobs" if code == -signal.SIGKILL else ""
        first, *rest = missing
        write_part(
            part_file(self._folder, first.number),
            Part(error=f"{first.name}: its process ended {how} before it was done{memory}"),
        )
        self._shown.add(1)
        return [rest] if rest else []


@contextlib.contextmanager
def _single_threaded() -> Iterator[None]:
    """The environment of a worker, which is read when its libraries are loaded."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(work: Work[Any], tasks: list[Task[Any]], folder: Path, said: Connection) -> None:
    """A worker's whole life."""
    # Ctrl-C goes to every process of the terminal; the parent is the one that ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()
    _serve_all(work, tasks, folder, said)
    # What is done is on disk; libraries that are taken down beside a living thread complain of it on stderr.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _serve_all(work: Work[Any], tasks: list[Task[Any]], folder: Path, said: Connection) -> None:
    try:
        loaded = work.load(tasks)
    except Exception as error:
        if len(tasks) > 1:
            # One of them keeps the others from being loaded, and only by itself shows which.
            for task in tasks:
                _serve_each(work, [task], None, folder, said)
        else:
            _keep(folder, tasks[0].number, _failure(tasks[0], error), said)
        return
    _serve_each(work, tasks, loaded, folder, said)


def _serve_each(work: Work[Any], tasks: list[Task[Any]], loaded: Any, folder: Path, said: Connection) -> None:
    for task in tasks:
        try:
            part = work.make(task, work.load([task]) if loaded is None else loaded)
        except Exception as error:
            part = _failure(task, error)
        _keep(folder, task.number, part, said)


def _failure(task: Task[Any], error: Exception) -> Part:
    """A failure as a row: its sentence, and where it is no sentence for a person, where it came from."""
    if isinstance(error, LockstepError):
        text, facts = str(error), {}
    else:
        said = str(error).splitlines() or [""]
        text, facts = f"{type(error).__name__}: {said[0]}", {"traceback": traceback.format_exc()}
    return Part(facts, error=text if task.name in text else f"{task.name}: {text}")


def _keep(folder: Path, number: int, part: Part, said: Connection) -> None:
    try:
        write_part(part_file(folder, number), part)
    except LockstepError as error:
        # A full disk is no fault of the group's.
        said.send(error)
        sys.exit(1)
    said.send(number)


def _follow_parent() -> None:
    """End with the parent, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    # An orderly end would wait for the work under way.
    os._exit(1)
