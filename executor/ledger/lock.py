"""One daemon a ledger: a lock that ends with the process that holds it, however that ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from executor.ledger.names import lock_path
from toolkit.errors import LedgerError

# Who only asks (`holder`) has the lock for a moment.
_TRIES, _PAUSE_SECS = 5, 0.02


@contextmanager
def one_daemon(ledger: Path) -> Iterator[None]:
    """Hold the ledger's lock; a process that is forked meanwhile holds it too, one that is started anew does not.

    Raises
    ------
    LedgerError : another process holds it (its pid is named), or the lock's file cannot be written.
    """
    path = lock_path(ledger)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise LedgerError(
            f"the lock {path} cannot be opened: {error.strerror}; check the folder of --ledger"
        ) from error
    try:
        if not _taken(file):
            raise LedgerError(
                f"a daemon (pid {_pid(file) or 'not known yet'}) works on the ledger {ledger}; stop that one first, or "
                f"name another --ledger"
            )
        try:
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        except OSError as error:
            raise LedgerError(f"the lock {path} cannot be written: {error.strerror}; make room") from error
        yield
    finally:
        os.close(file)


def holder(ledger: Path) -> int | None:
    """pid of the process that holds the ledger's lock; None = nobody, 0 = it has not said its pid yet."""
    try:
        file = os.open(lock_path(ledger), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(file)
    finally:
        os.close(file)
    return None


def _taken(file: int) -> bool:
    """Whether the lock could be had."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_SECS)
        else:
            return True
    return False


def _pid(file: int) -> int:
    text = os.pread(file, 20, 0)
    return int(text) if text.isdigit() else 0
