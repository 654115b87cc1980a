"""An event loop whose time passes only while everybody waits: minutes take no time, and always the same course."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
_MOST_ROUNDS = 5_000


class _Selector(selectors.SelectSelector):
    """Instead of waiting it moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._rounds = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits for what will never happen")
        self._rounds = 0 if timeout > 0.0 else self._rounds + 1
        if self._rounds > _MOST_ROUNDS:
            raise AssertionError("somebody works for ever at one moment")
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Seconds since its making; threads and sockets do not work here."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self.run_until_complete(work)

    def pass_secs(self, secs: float) -> None:
        self.run_until_complete(asyncio.sleep(secs))

    def end(self) -> None:
        """Cancel what still runs, then close."""
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.close()
