"""What SQLite's errors mean to the person who runs the daemon."""

import sqlite3
from pathlib import Path

from executor.ledger.names import restore_remedy
from toolkit.errors import LedgerError

BUSY_SECS = 10
"""How long a statement waits for another process that writes."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def damage(db: sqlite3.Connection) -> str | None:
    """The first thing that is wrong with the file, in one line; None where it is whole."""
    found: str = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    # A heading that names the database may stand above it.
    return None if found == "ok" else found.splitlines()[-1]


def damaged(path: Path, finding: str) -> LedgerError:
    """The error of a ledger that is not whole; names the newest backup and the command."""
    return LedgerError(f"the ledger {path} is damaged ({finding}); {restore_remedy(path)}")


def said(path: Path, error: sqlite3.Error) -> LedgerError:
    """An error of SQLite, as what happened to the ledger and what to do."""
    # The low byte is the kind; extended codes say more than a person can use.
    kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if kind in _DAMAGED:
        return damaged(path, str(error))
    if kind == sqlite3.SQLITE_FULL:
        return LedgerError(f"the ledger {path} cannot grow: the disk is full; nothing of this step was kept, make room")
    if kind == sqlite3.SQLITE_IOERR:
        return LedgerError(
            f"the ledger {path} cannot be read or written ({error}); nothing of this step was kept, look at the disk "
            f"and at the room on it"
        )
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LedgerError(f"the ledger {path} was held by another writer for {BUSY_SECS} s; end that one, try again")
    if kind in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return LedgerError(f"the ledger {path} cannot be opened or written ({error}); check its folder and its rights")
    return LedgerError(f"the ledger {path} refused a statement ({error})")
