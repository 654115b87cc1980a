"""Where a model is asked: in a thread of its own, all rows that wait at that moment together, with a deadline.

A row's prediction does not depend on the rows beside it, so what comes while the model works is put into one batch; a
question that finds the model idle waits for nobody. A model that hangs holds its own thread and nobody else's.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from toolkit.errors import LockstepError
from toolkit.models.trained import Trained
from toolkit.types import FloatArray

MAX_BATCH_ROWS = 1_000
MAX_WAITING_ROWS = 10_000


class UnavailableError(LockstepError):
    """A model gave no answer in time, has too many waiting, or failed; asking again may help."""


class _Waiting(NamedTuple):
    x: FloatArray
    answer: "asyncio.Future[FloatArray]"
    loop: asyncio.AbstractEventLoop


class Desk:
    """One model and those who wait for it. `ask` is called in one event loop."""

    def __init__(self, name: str, trained: Trained) -> None:
        self.name, self.trained = name, trained
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._waiting_rows = 0
        self._busy_since = 0.0

    async def ask(self, x: FloatArray, deadline_secs: float) -> FloatArray:
        """float64[n], each from 0 to 1, or NaN where the model has no prediction; x as `Trained.predict` takes it.

        Raises
        ------
        UnavailableError : no answer in time, it is stuck in an earlier question, or what it said is no probability.
        """
        deadline_secs = max(0.0, deadline_secs)
        stuck = time.monotonic() - self._busy_since if self._busy_since else 0.0
        if stuck > deadline_secs:
            raise UnavailableError(
                f"model {self.name} has been busy with an earlier question for {stuck:.1f} s; ask later"
            )
        if self._waiting_rows + len(x) > MAX_WAITING_ROWS:
            raise UnavailableError(f"{self._waiting_rows:,} rows wait for model {self.name} already; ask later")
        if self._thread is None:
            # A daemon: a model that hangs does not hold up the end of the process.
            self._thread = threading.Thread(target=self._work, name=f"model {self.name}", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[FloatArray] = loop.create_future()
        self._waiting_rows += len(x)
        self._queue.put(_Waiting(x, answer, loop))
        try:
            return await asyncio.wait_for(answer, deadline_secs)
        except TimeoutError:
            raise UnavailableError(f"model {self.name} gave no answer within {deadline_secs:g} s") from None
        finally:
            self._waiting_rows -= len(x)

    def close(self) -> None:
        """Let its thread end once what waits is answered."""
        self._queue.put(None)

    def _work(self) -> None:
        while True:
            batch, last = self._next()
            if batch:
                self._busy_since = time.monotonic()
                said = self._predict(batch)
                self._busy_since = 0.0
                for waiting, answer in zip(batch, said, strict=True):
                    _deliver(waiting, answer)
            if last:
                return

    def _next(self) -> tuple[list[_Waiting], bool]:
        """Everything that waits, up to the largest batch, once something does; and whether to end after it."""
        one = self._queue.get()
        batch: list[_Waiting] = []
        rows = 0
        while one is not None:
            # Nobody waits any more for what was asked too long ago.
            if not one.answer.done():
                batch.append(one)
                rows += len(one.x)
            if rows >= MAX_BATCH_ROWS:
                return batch, False
            try:
                one = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _predict(self, batch: list[_Waiting]) -> Sequence[FloatArray | UnavailableError]:
        x = batch[0].x if len(batch) == 1 else np.concatenate([one.x for one in batch])
        try:
            said = np.asarray(self.trained.predict(x), np.float64)
        except Exception as error:
            # Whatever a backend raises, those who asked are told, and the next question is answered.
            text = " ".join(str(error).split())[:300]
            return [UnavailableError(f"model {self.name} failed with {type(error).__name__}: {text}")] * len(batch)
        if said.shape != (len(x),) or not np.all(np.isnan(said) | ((said >= 0.0) & (said <= 1.0))):
            return [UnavailableError(f"model {self.name} answered {len(x)} rows with what are no probabilities")] * len(
                batch
            )
        ends = np.cumsum([len(one.x) for one in batch])[:-1]
        return list(np.split(said, ends))


def _deliver(waiting: _Waiting, answer: FloatArray | UnavailableError) -> None:
    def settle() -> None:
        if waiting.answer.done():
            return
        if isinstance(answer, UnavailableError):
            waiting.answer.set_exception(answer)
        else:
            waiting.answer.set_result(answer)

    try:
        waiting.loop.call_soon_threadsafe(settle)
    except RuntimeError:
        # The server has ended, and with it everyone who waited.
        return
