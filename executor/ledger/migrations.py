"""The ledger's tables, as numbered steps from an empty file; the files of `schema/` hold them.

A released step is never edited: a change is another step.
"""

import sqlite3
from pathlib import Path

from toolkit.errors import LedgerError

_FOLDER = Path(__file__).parent / "schema"
STEPS: tuple[str, ...] = ("0001_tables.sql", "0002_models.sql", "0003_live.sql")
"""Files of the steps; the schema's number is how many were taken."""

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
_VERSION = "SELECT value FROM meta WHERE key = 'schema'"
_RECORD = "INSERT OR REPLACE INTO meta (key, value) VALUES ('schema', ?)"


def statements(text: str) -> list[str]:
    """The statements of an SQL text, one by one (`executescript` would commit what is open)."""
    found, rest = [], ""
    for line in text.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            found.append(rest.strip())
            rest = ""
    return [*found, rest.strip()] if rest.strip() else found


def version(db: sqlite3.Connection, path: Path) -> int:
    """The schema's number; 0 for an empty file.

    Raises
    ------
    LedgerError : the file is a database, but no ledger.
    """
    tables = {name for (name,) in db.execute(_TABLES)}
    if not tables:
        return 0
    row = db.execute(_VERSION).fetchone() if "meta" in tables else None
    if row is None or not row[0].isdigit():
        raise LedgerError(f"{path} is a database but no ledger (it has tables, no schema number); name another file")
    return int(row[0])


def check_version(found: int, path: Path) -> None:
    """Refuse a ledger that a newer Lockstep wrote."""
    if found > len(STEPS):
        raise LedgerError(
            f"{path} has schema {found}, this Lockstep knows schemas up to {len(STEPS)}; install the newer one again"
        )


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Take the steps that are missing, each with its record in one transaction.

    Raises
    ------
    LedgerError : no ledger, or a newer one.
    """
    while True:
        # Another process may take the same step: what is missing is read under the lock.
        db.execute("BEGIN IMMEDIATE")
        try:
            taken = version(db, path)
            check_version(taken, path)
            if taken == len(STEPS):
                return
            for statement in statements((_FOLDER / STEPS[taken]).read_text()):
                db.execute(statement)
            db.execute(_RECORD, (str(taken + 1),))
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
