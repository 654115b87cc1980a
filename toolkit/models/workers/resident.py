"""`Resident`: one process of a library kept warm for predictions, supervised, and asked with a deadline."""

import os
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from toolkit.models.workers.environments import Environment, check_versions, environments_root, ready_environment
from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.files import ModelFiles
from toolkit.models.workers.library import CONTRACT, Tool
from toolkit.models.workers.pipes import BrokenPipesError, Frame, Pipes
from toolkit.models.workers.processes import WorkerProcess, last_words
from toolkit.models.workers.results import checked_predictions
from toolkit.types import FloatArray

# A library's import takes seconds, a minute on a machine that is very busy.
START_SECS = 120.0
# A question that is not answered after this will not be: the process is ended.
PATIENCE_SECS = 120.0
LONGEST_PAUSE_SECS = 60.0
ROWS_A_QUESTION = 1024
# Models whose files stay in the scratch folder; others are written again when they are asked.
KEPT_FOLDERS = 64
GREETING = 0


@dataclass(frozen=True, eq=False)
class Asked:
    """Probabilities of rows (float64[n, k]) by a model, which is shown at most `batch_rows` of them at once.

    versions : what its files were written under; a worker of others is not asked to read them.
    """

    files: ModelFiles
    x: FloatArray
    batch_rows: int = 1
    versions: Mapping[str, str] = field(default_factory=dict)


class WorkerState(NamedTuple):
    """What stands of a worker: its library, its process (None while none runs) and the memory that it holds."""

    library: str
    pid: int | None
    megabytes: float | None


class Resident:
    """A worker process that answers one question after the other.

    It starts when it is first asked and is started again when it died; the question that it died of is asked once more.
    After two failures in a row it is left alone for a pause that doubles. An answer that is late does not end it: the
    caller gets an error, the answer is thrown away when it comes, and `patience_secs` after the question it is ended.
    Several threads may ask.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        start_secs: float = START_SECS,
        patience_secs: float = PATIENCE_SECS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.environment = environment
        self.whose = f"the worker of {environment.library.title}"
        self.greeting: dict[str, Any] = {}
        self._anew = f"make its environment anew with: toolkit model backends install {environment.library.name}"
        self._start_secs, self._patience_secs, self._clock = start_secs, patience_secs, clock
        self._lock = threading.Lock()
        self._running: tuple[WorkerProcess, Pipes, Path] | None = None
        self._written: OrderedDict[str, Path] = OrderedDict()
        self._owed: tuple[int, float] | None = None  # a question (or the greeting) without an answer, and since when
        self._questions = GREETING
        self._failures = 0
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        return self._running[0].pid if self._running else None

    def state(self) -> WorkerState:
        """Waits for nobody, also while a question is under way."""
        running = self._running
        if running is None or not running[0].running:
            return WorkerState(self.environment.library.name, None, None)
        return WorkerState(self.environment.library.name, running[0].pid, running[0].megabytes)

    def predict(self, asked: Asked, secs: float | None = None) -> FloatArray:
        """float64[n], probabilities; `WorkerError` where there are none within `secs` (None = as long as it takes,
        while each question is answered within the patience).
        """
        rows = len(asked.x)
        parts = [np.empty(0)]
        until = None if secs is None else self._clock() + secs
        if not self._lock.acquire(timeout=-1 if secs is None else max(0.0, secs)):
            raise WorkerError(f"{self.whose} is still busy with another question after {secs:g} s")
        try:
            for first in range(0, rows, ROWS_A_QUESTION):
                parts.append(self._answer(asked, asked.x[first : first + ROWS_A_QUESTION], until))
        finally:
            self._lock.release()
        return checked_predictions(np.concatenate(parts), rows, self.whose)

    def greet(self) -> dict[str, Any]:
        """Start it if it does not run; its greeting with `contract` and `versions`."""
        with self._lock:
            self._ready(None)
        return self.greeting

    def close(self) -> None:
        """End the process and remove its folder; a later question starts another."""
        held = self._lock.acquire(timeout=1.0)
        try:
            self._end()
        finally:
            if held:
                self._lock.release()

    def _answer(self, asked: Asked, x: FloatArray, until: float | None) -> FloatArray:
        try:
            return self._exchange(asked, x, until)
        except BrokenPipesError:
            # It may have died long before this question; if it dies of it, it does so twice.
            if self._failures > 1:
                raise
            return self._exchange(asked, x, until)

    def _exchange(self, asked: Asked, x: FloatArray, until: float | None) -> FloatArray:
        self._ready(until)
        assert self._running is not None
        check_versions(self.environment, asked.versions, self.greeting["versions"])
        self._questions += 1
        question = {
            "id": self._questions,
            "model": asked.files.digest,
            "folder": str(self._folder(asked.files)),
            "rows": x.shape[0],
            "columns": x.shape[1],
            "batch_rows": asked.batch_rows,
        }
        # First owed, then sent: an interruption in between must not leave an answer that nobody waits for.
        self._owed = self._questions, self._clock()
        self._running[1].send(question, np.ascontiguousarray(x, "<f8").tobytes())
        frame = self._receive(until, x.shape[0] * 8)
        if frame.said.get("ok") is not True:
            raise WorkerError(f"{self.whose} could not predict: {_told(frame)}")
        if len(frame.content) != x.shape[0] * 8:
            raise self._broken(f"{self.whose} gave {len(frame.content) / 8:g} predictions for {x.shape[0]} rows")
        self._failures = 0
        return np.frombuffer(frame.content, "<f8").astype(np.float64)

    def _ready(self, until: float | None) -> None:
        """A process runs, has greeted, and owes no answer."""
        if self._running is None:
            self._start()
        if self._owed is None:
            return
        number = self._owed[0]
        frame = self._receive(until, ROWS_A_QUESTION * 8)
        if number == GREETING:
            self._check_greeting(frame)

    def _start(self) -> None:
        left = self._not_before - self._clock()
        if left > 0:
            raise WorkerError(
                f"{self.whose} failed {self._failures} times in a row and is started again in {left:.0f} s"
            )
        scratch = Path(tempfile.mkdtemp(prefix="lockstep-worker-"))
        (scratch / "models").mkdir()
        try:
            process = WorkerProcess(self.environment, ["serve", str(scratch)], scratch, framed=True)
        except OSError as error:
            shutil.rmtree(scratch, ignore_errors=True)
            raise self._broken(f"{self.whose} cannot be started ({error}); {self._anew}", WorkerError) from None
        pipes = Pipes(*process.pipes, self.whose)
        pipes.send({"packages": list(self.environment.library.packages)})
        self._running, self._owed = (process, pipes, scratch), (GREETING, self._clock())

    def _receive(self, until: float | None, longest: int) -> Frame:
        """The answer that is owed; without it by `until` an error, and the end of the process if it is long overdue."""
        assert self._running is not None and self._owed is not None
        number, since = self._owed
        allowed = since + (self._start_secs if number == GREETING else self._patience_secs)
        end = allowed if until is None else min(until, allowed)
        try:
            # The limits are of this object's clock, which tests may set; the pipes wait by the machine's.
            frame = self._running[1].receive(time.monotonic() + max(0.0, end - self._clock()), longest)
        except BrokenPipesError as error:
            raise self._broken(str(error)) from None
        if frame is None:
            what = "start" if number == GREETING else "answer"
            if self._clock() >= allowed:
                raise self._broken(
                    f"{self.whose} did not {what} within {allowed - since:g} s and was ended", WorkerError
                )
            raise WorkerError(f"{self.whose} did not {what} within the {max(0.0, end - since):.3g} s that there were")
        if number != GREETING and frame.said.get("id") != number:
            raise self._broken(f"{self.whose} answers another question than it was asked")
        self._owed = None
        return frame

    def _check_greeting(self, frame: Frame) -> None:
        said = frame.said
        if said.get("ok") is not True:
            raise self._broken(f"{self.whose} cannot start: {_told(frame)}", WorkerError)
        if said.get("contract") != CONTRACT or not isinstance(said.get("versions"), dict):
            raise self._broken(
                f"{self.whose} speaks contract {said.get('contract')!r} and this is {CONTRACT}; {self._anew}",
                WorkerError,
            )
        self.greeting = said

    def _broken(self, message: str, kind: type[WorkerError] = BrokenPipesError) -> WorkerError:
        """End the process; the error to raise, with the last words where it died by itself."""
        self._failures += 1
        if self._failures > 1:
            self._not_before = self._clock() + min(LONGEST_PAUSE_SECS, 2.0 ** (self._failures - 1))
        output = self._end()
        return kind(message + last_words(output), output)

    def _end(self) -> str:
        if self._running is None:
            return ""
        process, _, scratch = self._running
        self._running = self._owed = None
        self._written.clear()
        output = process.end()
        shutil.rmtree(scratch, ignore_errors=True)
        return output

    def _folder(self, files: ModelFiles) -> Path:
        """Where the worker finds the files of a model."""
        assert self._running is not None
        if files.digest not in self._written:
            folder = self._running[2] / "models" / files.digest
            folder.mkdir()
            files.write(folder)
            self._written[files.digest] = folder
            while len(self._written) > KEPT_FOLDERS:
                shutil.rmtree(self._written.popitem(last=False)[1], ignore_errors=True)
        self._written.move_to_end(files.digest)
        return self._written[files.digest]


_RESIDENTS: dict[tuple[int, Path], Resident] = {}


def resident(library: Tool) -> Resident:
    """This process's worker of a library; a process that was forked off gets its own."""
    key = os.getpid(), environments_root() / library.name
    if key not in _RESIDENTS:
        if not any(pid == key[0] for pid, _ in _RESIDENTS):
            # Unlike atexit, also where multiprocessing ends a child.
            Finalize(None, close_residents, exitpriority=10)
        _RESIDENTS.setdefault(key, Resident(ready_environment(library)))
    return _RESIDENTS[key]


def close_residents() -> None:
    """End the workers of this process; a later question starts others."""
    for key in [key for key in _RESIDENTS if key[0] == os.getpid()]:
        _RESIDENTS.pop(key).close()


def _told(frame: Frame) -> str:
    error = frame.said.get("error")
    told = error if isinstance(error, dict) else {}
    return f"{told.get('type', 'error')}: {told.get('message', 'no message')}"
