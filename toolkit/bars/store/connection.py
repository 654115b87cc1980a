"""Short-lived connections to the bars database, waited for while another process holds it.

DuckDB lets one process write, or any number read. Each use opens, works and closes, so a pull, an import and a
notebook take turns instead of locking each other out.
"""

import contextlib
import os
import random
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb

from toolkit.bars.store.schema import CREATE
from toolkit.errors import InputError, StoreError

WAIT_VARIABLE = "LOCKSTEP_DB_WAIT_SECS"
DEFAULT_WAIT_SECS = 30.0
# Short enough that a waiting reader finds the gap between two pages of a pull.
_FIRST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 0.002, 0.1

_threads: dict[Path, threading.Lock] = {}
_threads_guard = threading.Lock()


def wait_secs() -> float:
    """How long to wait for a held database: `LOCKSTEP_DB_WAIT_SECS`, default 30."""
    text = os.environ.get(WAIT_VARIABLE, "")
    try:
        secs = float(text) if text else DEFAULT_WAIT_SECS
    except ValueError:
        secs = -1.0
    if not 0 <= secs < float("inf"):
        raise InputError(f"{WAIT_VARIABLE} must be a number of seconds from 0, was {text!r}")
    return secs


@contextlib.contextmanager
def connected(path: Path, *, write: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection for the length of a block; a writer gets one transaction, committed when the block ends well.

    Raises
    ------
    StoreError : still held after `wait_secs`, damaged, not a bars store, or the disk refused a write; nothing of the
        block's transaction is kept.
    """
    deadline = time.monotonic() + wait_secs()
    turn = _thread_lock(path)
    # Two connections of one process must agree on read-only, so its threads take turns.
    if not turn.acquire(timeout=max(0.0, deadline - time.monotonic())):
        raise StoreError(f"{path} is held by another thread of this process; {_remedy()}")
    try:
        if write and not path.exists():
            _create(path, deadline)
        connection = _open(path, write, deadline) if path.exists() else _nothing()
        with _translated(path), contextlib.closing(connection):
            if not write:
                yield connection
                return
            connection.execute("BEGIN TRANSACTION")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # A failed COMMIT has rolled back by itself, and a second rollback is an error that would hide it.
                with contextlib.suppress(duckdb.Error):
                    connection.execute("ROLLBACK")
                raise
    finally:
        turn.release()


def _thread_lock(path: Path) -> threading.Lock:
    with _threads_guard:
        return _threads.setdefault(path.resolve(), threading.Lock())


def _open(path: Path, write: bool, deadline: float) -> duckdb.DuckDBPyConnection:
    pause = _FIRST_PAUSE_SECS
    while True:
        try:
            return duckdb.connect(str(path), read_only=not write)
        except duckdb.Error as error:
            if "could not set lock" not in str(error).lower():
                raise _open_error(path, error) from None
            left = deadline - time.monotonic()
            if left <= 0:
                raise StoreError(f"{path} is held by {_holder(error)}; {_remedy()}") from None
            time.sleep(min(left, pause * random.uniform(0.5, 1.0)))
            pause = min(2 * pause, _LONGEST_PAUSE_SECS)


def _remedy() -> str:
    return f"waited {wait_secs():g} s: end that work, wait for it, or wait longer with {WAIT_VARIABLE}"


def _holder(error: duckdb.Error) -> str:
    found = re.search(r"held in (.+?) \(PID (\d+)", str(error))
    return f"another process, PID {found[2]} ({Path(found[1]).name})" if found else "another process"


def _open_error(path: Path, error: duckdb.Error) -> StoreError:
    if path.is_dir():
        return StoreError(f"{path} is a folder, and the bars database must be a file; name a file with --db")
    if isinstance(error, duckdb.IOException) and not os.access(path, os.R_OK):
        return StoreError(f"{path} cannot be read (permission denied); mend its permissions or name another with --db")
    return StoreError(
        f"{path} is damaged or not a bars database ({_first_line(error)}); restore it from a backup, or move it away "
        f"and import the source files again"
    )


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise StoreError(
            f"{path} is a DuckDB database but not a bars store ({_first_line(error)}); name another file with --db"
        ) from error
    except duckdb.Error as error:
        text = str(error).lower()
        if any(sign in text for sign in ("corrupt", "checksum", "not read enough bytes")):
            raise _open_error(path, error) from error
        raise StoreError(
            f"{path} cannot be used ({_first_line(error)}); nothing was changed: check the free space and permissions "
            f"of its disk"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]


def _nothing() -> duckdb.DuckDBPyConnection:
    """A store that was never written to."""
    connection = duckdb.connect(":memory:")
    connection.execute(CREATE)
    return connection


def _create(path: Path, deadline: float) -> None:
    """Make an empty store under another name first, so that no other process ever sees half a one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}-{time.monotonic_ns()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(duckdb.connect(str(draft))) as connection:
            connection.execute(CREATE)
        _place(draft, path, deadline)
    except (duckdb.Error, OSError) as error:
        raise StoreError(
            f"{path} cannot be created ({_first_line(error)}); check the free space and permissions of its folder"
        ) from None
    finally:
        for left in (draft, draft.with_name(draft.name + ".wal")):
            left.unlink(missing_ok=True)


def _place(draft: Path, path: Path, deadline: float) -> None:
    """Give the draft its name, unless another process has been first."""
    # A link fails where the name is taken, and a rename would wipe out what another process just made.
    try:
        os.link(draft, path)
        return
    except FileExistsError:
        return
    except OSError:
        # Not every disk has links (exFAT, some network folders); there one process at a time may rename.
        claim = path.with_name(f".{path.name}.claim")
    while not path.exists():
        try:
            claim.open("xb").close()
        except FileExistsError:
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"{path} is being created by another process; {_remedy()}, or remove {claim} where none is left"
                ) from None
            time.sleep(_FIRST_PAUSE_SECS)
            continue
        try:
            if not path.exists():
                draft.rename(path)
        finally:
            claim.unlink(missing_ok=True)
