"""Copies of a ledger: made while it is written, looked through before they count, and put back in its place."""

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from executor.ledger import faults, migrations, names
from executor.ledger.lock import one_daemon
from toolkit.durable import durable
from toolkit.errors import LedgerError

KEEP = 14
"""How many backups of a ledger a folder keeps."""


@dataclass(frozen=True)
class Restored:
    """What a restore did. kept : what the replaced ledger is called now; None where there was none."""

    ledger: Path
    backup: Path
    kept: Path | None


def copy(db: sqlite3.Connection, ledger: Path, folder: Path) -> Path:
    """Copy an open ledger into the folder, as one file that needs none beside it; older than the newest `KEEP` go.

    Raises
    ------
    LedgerError : the ledger is damaged (no backup is dropped then), or the copy cannot be written.
    """
    path = names.backup_path(ledger, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with durable(path) as draft:
            with closing(sqlite3.connect(draft.name, isolation_level=None)) as target:
                db.backup(target)
                target.execute("PRAGMA journal_mode = DELETE")
                finding = faults.damage(target)
            if finding is not None:
                raise faults.damaged(ledger, finding)
        _sync(folder)
        # After a clock was set back, the one just made sorts before older ones.
        for old in [file for file in names.backups(ledger, folder) if file != path][: 1 - KEEP]:
            old.unlink(missing_ok=True)
    except sqlite3.Error as error:
        raise LedgerError(
            f"no backup of {ledger} could be made in {folder} ({error}); make room, or look at the disk"
        ) from error
    except OSError as error:
        raise LedgerError(f"no backup of {ledger} could be made in {folder}: {error.strerror}; make room") from error
    return path


def restore(ledger: Path, backup: Path | None = None) -> Restored:
    """Put a backup (default: the newest in `backups_dir`) in the ledger's place; what was there is kept beside it.

    Raises
    ------
    LedgerError : a daemon works on the ledger, there is no backup, it is damaged or no ledger, or the disk is full.
    """
    source = backup or _newest(ledger)
    _check(source)
    draft = ledger.with_name(f".{ledger.name}.{os.getpid()}.part")
    with one_daemon(ledger):
        try:
            shutil.copyfile(source, draft)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            kept = _set_aside(ledger)
            draft.replace(ledger)
            _sync(ledger.parent)
        except OSError as error:
            raise LedgerError(f"{ledger} could not be restored from {source}: {error.strerror}; make room") from error
        finally:
            draft.unlink(missing_ok=True)
    return Restored(ledger, source, kept)


def _newest(ledger: Path) -> Path:
    kept = names.backups(ledger)
    if not kept:
        raise LedgerError(f"{names.backups_dir(ledger)} has no backup of {ledger.name}; name the file of one")
    return kept[-1]


def _check(backup: Path) -> None:
    """Refuse a file that is missing, damaged, or no ledger that this Lockstep reads."""
    if not backup.is_file():
        raise LedgerError(f"there is no backup {backup}; name a file that `executor backup` made")
    # What stands beside a ledger is part of it: of a ledger, not of a backup, the last commits would be left out.
    if names.beside(backup, "-wal").exists():
        raise LedgerError(f"{backup} is a ledger in use, no backup; make one of it: executor backup --ledger {backup}")
    try:
        with closing(sqlite3.connect(f"{backup.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            finding = faults.damage(db)
            found = migrations.version(db, backup)
    except sqlite3.Error as error:
        finding, found = str(error), 0
    if finding is not None:
        raise LedgerError(f"the backup {backup} is damaged ({finding}); name an older one")
    if found == 0:
        raise LedgerError(f"the backup {backup} is empty; name an older one")
    migrations.check_version(found, backup)


def _set_aside(ledger: Path) -> Path | None:
    """Rename the ledger and its log out of the way; returns its new name."""
    kept = names.damaged_path(ledger)
    # The ledger goes first: without it a log is ignored, but a ledger without its log would pass for whole.
    moved = ledger.exists()
    if moved:
        ledger.rename(kept)
    log = names.beside(ledger, "-wal")
    if log.exists():
        log.rename(names.beside(kept, "-wal"))
    names.beside(ledger, "-shm").unlink(missing_ok=True)
    return kept if moved else None


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
