"""Names of the files that stand beside a ledger: its lock, its backups, and what a restore replaced."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path

from toolkit import settings

_STAMP = r"\d{8}T\d{6}\.\d{3}Z"


def stamp(now_ms: int | None = None) -> str:
    """A moment as file names have it, default now: `20230324T120000.000Z`; later ones sort behind earlier ones."""
    ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y%m%dT%H%M%S}.{ms % 1000:03d}Z"


def default_ledger() -> Path:
    """The ledger of a command that names none: `executor.sqlite` in the data folder."""
    return settings.data_dir() / "executor.sqlite"


def backups_dir(ledger: Path) -> Path:
    """Where a ledger's backups go unless another folder is named: `backups/` beside it."""
    return ledger.parent / "backups"


def backup_path(ledger: Path, folder: Path) -> Path:
    """File of a backup that is made now."""
    return folder / f"{ledger.stem}-{stamp()}{ledger.suffix}"


def backups(ledger: Path, folder: Path | None = None) -> list[Path]:
    """Backups of this ledger in the folder (default `backups_dir`), oldest first."""
    name = re.compile(f"{re.escape(ledger.stem)}-{_STAMP}{re.escape(ledger.suffix)}")
    where = folder or backups_dir(ledger)
    return sorted(file for file in where.glob("*") if name.fullmatch(file.name))


def damaged_path(ledger: Path) -> Path:
    """What a ledger that is replaced now is called from then on."""
    return ledger.with_name(f"{ledger.stem}.damaged-{stamp()}{ledger.suffix}")


def lock_path(ledger: Path) -> Path:
    """The file whose lock the ledger's daemon holds."""
    # One file may be named by several paths.
    whole = ledger.resolve()
    return whole.with_name(whole.name + ".lock")


def beside(ledger: Path, ending: str) -> Path:
    """A file that SQLite keeps beside a database: ending `-wal` or `-shm`."""
    return ledger.with_name(ledger.name + ending)


def restore_remedy(ledger: Path) -> str:
    """What to do about a ledger that cannot be read, for the end of an error's sentence."""
    kept = backups(ledger)
    if not kept:
        return (
            f"{backups_dir(ledger)} has no backup; restore one from elsewhere: executor restore FILE --ledger {ledger}"
        )
    return f"restore the newest backup: executor restore {kept[-1]} --ledger {ledger}"
