"""Backups of a ledger that its daemon works on: each day, and when a deployment takes over."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from executor.ledger import Ledger, names
from executor.sessions import notice
from toolkit.errors import LedgerError

_DAY_MS = 86_400_000
_AGAIN_MS = 3_600_000
_log = logging.getLogger(__name__)


class Backups:
    """Makes them in a thread, from a read-only ledger, while the daemon goes on."""

    def __init__(self, ledger: Ledger, clock: Callable[[], int]) -> None:
        self._ledger, self._clock = ledger, clock
        self._task: asyncio.Task[None] | None = None
        self._last_ms = _newest_ms(ledger.path)

    def tick(self) -> None:
        """Begin one where it is time."""
        now = self._clock()
        # A backup of the future is one of a clock that was set back since.
        if not now - _DAY_MS <= self._last_ms <= now:
            self.begin()

    def begin(self) -> None:
        """Begin one now, unless one is being made."""
        if self._task is None:
            self._last_ms = self._clock()
            self._task = asyncio.create_task(self._make())

    async def done(self) -> None:
        """Wait for the one that is being made."""
        if self._task is not None:
            await self._task

    async def _make(self) -> None:
        try:
            path = await asyncio.to_thread(_copy, self._ledger.path)
            _log.info("backup %s", path)
        except LedgerError as error:
            _log.error("%s", error)
            self._last_ms = self._clock() - _DAY_MS + _AGAIN_MS
            notice(self._ledger, "error", "backup", str(error), self._clock())
        finally:
            self._task = None


def _copy(path: Path) -> Path:
    with Ledger.open(path, readonly=True) as source:
        return source.backup()


def _newest_ms(path: Path) -> int:
    """When the newest backup was made; 0 = never."""
    made = [round(file.stat().st_mtime * 1000) for file in names.backups(path)]
    return max(made, default=0)
