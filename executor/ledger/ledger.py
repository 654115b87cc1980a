"""`Ledger`: the SQLite file of one account."""

import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import numpy as np

from executor.ledger import backup, faults, migrations, names
from toolkit.errors import LedgerError, UnknownNameError

Row: TypeAlias = sqlite3.Row
"""A row that is read by column name or position; `dict(row)` is a plain one."""

Synchronous: TypeAlias = Literal["FULL", "NORMAL", "OFF"]
_Writing: TypeAlias = tuple[str, Callable[[Mapping[str, object]], tuple[object, ...]]]

_WAL_BYTES = 64 * 1024 * 1024
_NOTHING: tuple[object, ...] = ()

# Without these SQLite gets the bytes of numpy's scalars.
for _kind in (np.int64, np.int32, np.int8, np.uint8, np.bool_):
    sqlite3.register_adapter(_kind, int)  # type: ignore[arg-type]
sqlite3.register_adapter(np.float64, float)


def number(value: object) -> float:
    """A float column's value: NULL is NaN."""
    return math.nan if value is None else float(value)  # type: ignore[arg-type]


class Ledger:
    """An open ledger. Rows are mappings of column to value.

    Floats come back with the bits they were written with, but that NaN is NULL (`number` reads it as NaN) and that a
    negative zero comes back as zero.

    A write outside `transaction()` is one of its own. Errors of the file are `LedgerError`: the step that raised one
    left nothing.

    Attributes
    ----------
    path : the file.
    on_commit : called with "before LABEL" and "after LABEL" around each COMMIT; None = nobody.
    """

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self.on_commit: Callable[[str], None] | None = None
        self._db = db
        self._inside = False
        self._columns = _columns(db)
        self._puts: dict[tuple[str, ...], _Writing] = {}
        self._updates: dict[tuple[str, tuple[str, ...], tuple[str, ...]], str] = {}

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        create: bool = False,
        readonly: bool = False,
        synchronous: Synchronous = "FULL",
        check: bool = True,
    ) -> Self:
        """Open a ledger; one of an older schema is upgraded.

        Parameters
        ----------
        create : make it if there is none.
        readonly : for people and pages: never writes, never waits for the writer, and may pass between threads.
        synchronous : "FULL" survives a power cut; "NORMAL" may lose the last commits to one; "OFF" is for replays.
        check : look through the whole file for damage first (some 8 s for each GB); readers never do.

        Raises
        ------
        LedgerError : there is none, it is damaged, no ledger, of a newer schema, or cannot be opened.
        """
        file = Path(path)
        if not file.exists() and (readonly or not create):
            raise LedgerError(f"there is no ledger {file}; {_remedy_of_none(file)}")
        try:
            if create:
                file.parent.mkdir(parents=True, exist_ok=True)
            db = _connect(file, readonly)
        except OSError as error:
            raise LedgerError(f"{file.parent} cannot be made for a ledger: {error.strerror}; name another") from error
        except sqlite3.Error as error:
            raise faults.said(file, error) from error
        try:
            if readonly:
                _check_readable(db, file)
            else:
                _prepare(db, file, synchronous, check, create)
            return cls(db, file)
        except sqlite3.Error as error:
            db.close()
            raise faults.said(file, error) from error
        except BaseException:
            db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def backup(self, folder: Path | None = None) -> Path:
        """Copy the ledger, as of now, into the folder (default `names.backups_dir`), where the newest 14 are kept.

        It takes some 10 s for each GB; a read-only ledger in a thread makes it while the daemon goes on.

        Raises
        ------
        LedgerError : within a transaction, the ledger is damaged, or the copy cannot be written.
        """
        if self._db.in_transaction:
            raise LedgerError(f"a transaction on {self.path} is open; end it before a backup")
        return backup.copy(self._db, self.path, folder or names.backups_dir(self.path))

    def close(self) -> None:
        """Close the file; an open transaction is rolled back."""
        self._db.close()

    @contextmanager
    def transaction(self, label: str = "write") -> Iterator[None]:
        """Writes that are kept together, when the block ends, or not at all, when it raises.

        Raises
        ------
        LedgerError : there is one already, or it cannot be begun or kept.
        """
        if self._inside:
            raise LedgerError(f"a transaction on {self.path} is open already; end it before the next one")
        self._run("BEGIN IMMEDIATE")
        self._inside = True
        try:
            yield
            self._tell(f"before {label}")
            self._run("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._inside = False
        self._tell(f"after {label}")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads that all see the ledger as it is at the first of them."""
        if self._db.in_transaction:
            yield
            return
        self._run("BEGIN")
        try:
            yield
        finally:
            self._roll_back()

    def put(self, table: str, rows: Iterable[Mapping[str, object]]) -> None:
        """Write whole rows of the same columns; one with the primary key of a row that is there replaces it.

        Columns left out are NULL or their default; without its `id` a row is a new one.

        Raises
        ------
        UnknownNameError : no such table or column.
        LedgerError : rows of different columns, or a value that the table does not take.
        """
        batch = rows if isinstance(rows, list) else list(rows)
        if not batch:
            return
        keys = tuple(batch[0])
        sql, values = self._puts.get((table, *keys)) or self._writing(table, keys)
        width = len(keys)
        try:
            found = [values(row) for row in batch if len(row) == width]
        except KeyError:
            found = []
        if len(found) != len(batch):
            raise LedgerError(f"rows of {table} that are written together must have the same columns; write them apart")
        self._write(sql, found)

    def insert(self, table: str, row: Mapping[str, object]) -> int:
        """Write one new row; returns its id. Raises what `put` does."""
        keys = tuple(row)
        sql, values = self._puts.get((table, *keys)) or self._writing(table, keys)
        # A row that is there is never lost to an insert.
        return self._write_one(sql.replace("INSERT OR REPLACE", "INSERT", 1), values(row)).lastrowid or 0

    def update(self, table: str, key: Mapping[str, object], changes: Mapping[str, object]) -> int:
        """Change columns of the rows that have these values; returns how many there were. Raises what `put` does."""
        shape = (table, tuple(key), tuple(changes))
        sql = self._updates.get(shape)
        if sql is None:
            self._check_names(table, [*key, *changes])
            setting = ", ".join(f'"{name}" = ?' for name in changes)
            where = " AND ".join(f'"{name}" IS ?' for name in key)
            sql = self._updates[shape] = f'UPDATE "{table}" SET {setting} WHERE {where}'
        return self._write_one(sql, (*changes.values(), *key.values())).rowcount

    def rows(self, sql: str, params: Sequence[object] | Mapping[str, object] = _NOTHING) -> list[Row]:
        """All rows that a query gives."""
        try:
            return self._db.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise faults.said(self.path, error) from error

    def value(self, sql: str, params: Sequence[object] | Mapping[str, object] = _NOTHING) -> Any:
        """First column of the first row that a query gives; None where it gives none."""
        found = self.rows(sql, params)
        return found[0][0] if found else None

    def meta(self, key: str) -> str | None:
        """A fact about the whole ledger; None where it was never set."""
        found: str | None = self.value("SELECT value FROM meta WHERE key = ?", (key,))
        return found

    def set_meta(self, key: str, value: object) -> None:
        """Set a fact about the whole ledger; kept as text."""
        self.put("meta", [{"key": key, "value": str(value)}])

    def _writing(self, table: str, keys: tuple[str, ...]) -> _Writing:
        """The statement that writes these columns, and what takes them from a row; kept for the next time."""
        self._check_names(table, keys)
        named = ", ".join(f'"{key}"' for key in keys)
        sql = f'INSERT OR REPLACE INTO "{table}" ({named}) VALUES ({", ".join("?" * len(keys))})'
        # Of one name `itemgetter` gives the bare value.
        values = itemgetter(*keys) if len(keys) > 1 else lambda row: (row[keys[0]],)
        self._puts[(table, *keys)] = (sql, values)
        return sql, values

    def _check_names(self, table: str, columns: Iterable[str]) -> None:
        known = self._columns.get(table)
        if known is None:
            raise UnknownNameError("table of the ledger", table, self._columns)
        for column in columns:
            if column not in known:
                raise UnknownNameError(f"column of {table}", column, known)

    def _write(self, sql: str, values: list[tuple[object, ...]]) -> None:
        if not self._inside:
            with self.transaction():
                return self._write(sql, values)
        self._check_alive()
        try:
            self._db.executemany(sql, values)
        except sqlite3.Error as error:
            raise faults.said(self.path, error) from error

    def _write_one(self, sql: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        if not self._inside:
            with self.transaction():
                return self._write_one(sql, values)
        self._check_alive()
        return self._run(sql, values)

    def _check_alive(self) -> None:
        # A full disk ends SQLite's transaction by itself; what is written after it would be kept alone.
        if not self._db.in_transaction:
            raise LedgerError(f"the transaction on {self.path} was rolled back by an earlier error; begin another one")

    def _run(self, sql: str, params: tuple[object, ...] = _NOTHING) -> sqlite3.Cursor:
        try:
            return self._db.execute(sql, params)
        except sqlite3.Error as error:
            raise faults.said(self.path, error) from error

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            # An error here is the one that is under way; closing rolls back as well.
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

    def _tell(self, moment: str) -> None:
        if self.on_commit is not None:
            self.on_commit(moment)


def _connect(path: Path, readonly: bool) -> sqlite3.Connection:
    mode = "ro" if readonly else "rwc"
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        timeout=faults.BUSY_SECS,
        isolation_level=None,
        check_same_thread=not readonly,
        uri=True,
    )
    db.row_factory = Row
    return db


def _check_readable(db: sqlite3.Connection, path: Path) -> None:
    taken = migrations.version(db, path)
    migrations.check_version(taken, path)
    if taken < len(migrations.STEPS):
        raise LedgerError(f"{path} has the older schema {taken}, which the daemon upgrades; start it: executor run")


def _prepare(db: sqlite3.Connection, path: Path, synchronous: Synchronous, check: bool, create: bool) -> None:
    """Settings of a writer's connection, the search for damage, and the missing steps of the schema."""
    if check:
        finding = faults.damage(db)
        if finding is not None:
            raise faults.damaged(path, finding)
    found = migrations.version(db, path)
    migrations.check_version(found, path)
    if found == 0 and not create:
        raise LedgerError(f"{path} is empty, no ledger; {_remedy_of_none(path)}")
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise LedgerError(f"{path} must be on a disk of this machine (its folder has no shared memory for readers)")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    db.execute("PRAGMA foreign_keys = OFF")
    migrations.migrate(db, path)


def _columns(db: sqlite3.Connection) -> dict[str, frozenset[str]]:
    sql = """
        SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c
        WHERE t.type = 'table' ORDER BY t.name, c.cid
    """
    found: dict[str, set[str]] = {}
    for table, column in db.execute(sql):
        found.setdefault(table, set()).add(column)
    return {table: frozenset(columns) for table, columns in found.items()}


def _remedy_of_none(path: Path) -> str:
    """What to do where there is no ledger: restore it if there are backups, else start one."""
    if names.backups(path):
        return names.restore_remedy(path)
    return f"start one with a deployment: executor load DEPLOYMENT --ledger {path}"
