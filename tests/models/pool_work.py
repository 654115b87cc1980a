"""Work for the pool's tests, in a module of its own: worker processes import it."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.errors import InputError
from toolkit.models.parts import Part
from toolkit.models.pool import Task


@dataclass(frozen=True)
class Squares:
    """Squares numbers, and does to some what goes wrong in practice; writes down every task that it was given."""

    log: Path
    stop_at: int = -1

    def load(self, tasks: Sequence[Task[int]]) -> int:
        if any(task.item == -1 for task in tasks):
            raise InputError("no bars")
        return 7

    def make(self, task: Task[int], loaded: int) -> Part:
        with (self.log / f"{task.number}-{os.getpid()}").open("w"):
            pass
        if task.number == self.stop_at:
            # As Ctrl-C at a terminal: the parent hears of it, its children ignore it.
            os.kill(os.getppid(), signal.SIGINT)
        if task.item == -2:
            raise InputError("too few trades: 3")
        if task.item == -3:
            raise ZeroDivisionError("by zero")
        if task.item == -4:
            os.kill(os.getpid(), signal.SIGKILL)
        draws = np.random.default_rng(task.item).random(3)
        return Part({"square": task.item**2, "loaded": loaded, "nan": float("nan")}, {"draws": draws})


@dataclass(frozen=True)
class Waits:
    """Says its process' id on stdout and never ends by itself."""

    def load(self, tasks: Sequence[Task[int]]) -> None:
        return None

    def make(self, task: Task[int], loaded: None) -> Part:
        print(os.getpid(), flush=True)
        while True:
            signal.pause()


@dataclass(frozen=True)
class Overlaps:
    """Writes down when each task began and ended."""

    log: Path

    def load(self, tasks: Sequence[Task[int]]) -> None:
        return None

    def make(self, task: Task[int], loaded: None) -> Part:
        began = time.monotonic()
        time.sleep(0.3)
        return Part({"began": began, "ended": time.monotonic()})
