"""An event loop with sockets whose time passes only while nothing comes over them."""

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
# What was sent on this machine has come by then, seconds of the machine.
_GRACE_SECS = 0.0001


class _Selector(selectors.DefaultSelector):
    """Looks twice, then moves the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0.0):
            return ready
        time.sleep(_GRACE_SECS)
        if ready := super().select(0):
            return ready
        # Without a timer something else has to come, such as the answer of a thread.
        self.now += timeout or 0.0
        return []


class SocketLoop(asyncio.SelectorEventLoop):
    """Seconds since its making. Minutes take moments, and a machine that is slow loses nothing."""

    def __init__(self) -> None:
        self._moved = _Selector()
        super().__init__(self._moved)

    def time(self) -> float:
        return self._moved.now


def play(work: Coroutine[Any, Any, _T]) -> _T:
    """Run it in such a loop."""
    with asyncio.Runner(loop_factory=SocketLoop) as runner:
        return runner.run(work)
