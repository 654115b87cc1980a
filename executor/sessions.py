"""A start of the daemon in the ledger: when, who, and how it ended."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version

from executor.ledger import Ledger
from toolkit.bars.series import utc
from toolkit.errors import LedgerError, LockstepError

_LAST = "SELECT id, started_ms, pid, ended_how FROM sessions ORDER BY id DESC LIMIT 1"


@dataclass
class Session:
    """This start. ended_how : what its row says when it ends by itself."""

    id: int
    ended_how: str = "stopped"


@contextmanager
def session(ledger: Ledger, clock: Callable[[], int]) -> Iterator[Session]:
    """A row of `sessions` as long as the block runs, and a notice at both ends.

    A `LockstepError` is how it ended; of anything else the row says nothing, as of a kill, and the next start tells.
    """
    now = clock()
    found = ledger.rows(_LAST)
    before = found[0] if found else None
    crashed = before is not None and before["ended_how"] is None
    with ledger.transaction("session"):
        number = ledger.insert("sessions", {"started_ms": now, "pid": os.getpid(), "version": version("lockstep")})
        text = f"the daemon started on {ledger.path.name} ({ledger.meta('mode')})"
        if before is not None and crashed:
            text += f"; the one before (pid {before['pid']}, since {utc(before['started_ms'])}) ended without stopping"
        notice(ledger, "warning" if crashed else "info", "restart" if before is not None else "start", text, now)
    this = Session(number)
    try:
        yield this
    except LockstepError as error:
        # The ledger itself may be what failed.
        with suppress(LedgerError):
            _end(ledger, this, f"error: {error}", clock())
        raise
    _end(ledger, this, this.ended_how, clock())


def notice(ledger: Ledger, level: str, kind: str, text: str, now_ms: int) -> None:
    """Leave a notification to be sent. level : info, warning or error."""
    ledger.insert("notices", {"ts_ms": now_ms, "level": level, "kind": kind, "text": text})


def _end(ledger: Ledger, this: Session, how: str, now_ms: int) -> None:
    with ledger.transaction("session ends"):
        ledger.update("sessions", {"id": this.id}, {"ended_ms": now_ms, "ended_how": how[:500]})
        level = "error" if how.startswith("error") else "info"
        notice(ledger, level, "stop", f"the daemon of {ledger.path.name} ended: {how}", now_ms)
