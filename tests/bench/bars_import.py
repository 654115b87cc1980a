"""Importing 1,000,000 bars, checked and with their source, against DuckDB's own copy of the same file."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from tests.bars.minutes import minutes
from toolkit.bars.files.importer import import_files
from toolkit.bars.store import Store

BARS = 1_000_000
ROUNDS = 3


def run() -> list[dict[str, Any]]:
    """One row a format; each side starts without a database and ends with a closed one."""
    table = pl.DataFrame(minutes(BARS))
    out = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix, write in (("parquet", table.write_parquet), ("csv", table.write_csv)):
            file = Path(folder) / f"binance_BTCUSDT_1m.{suffix}"
            write(file)
            ours = _best(Path(folder) / f"ours_{suffix}.duckdb", lambda db, file=file: _import(file, db))
            theirs = _best(Path(folder) / f"peer_{suffix}.duckdb", lambda db, file=file: _copy(file, db))
            out.append(
                {
                    "what": f"import of {BARS:,} bars from {suffix}",
                    "value": f"{ours:.2f} s ({BARS / ours / 1e6:.1f} million bars/s)",
                    "peer": f"DuckDB's CREATE TABLE AS, unchecked, {theirs:.2f} s",
                    "ratio": ours / theirs,
                    "bar": "reported",
                }
            )
    return out


def _import(file: Path, db: Path) -> None:
    (done,) = import_files([file], Store(db))
    assert done.result.rows_new == BARS


def _copy(file: Path, db: Path) -> None:
    with duckdb.connect(str(db)) as connection:
        connection.execute(f"CREATE TABLE bars AS SELECT * FROM '{file}' ORDER BY ts")
        assert connection.execute("SELECT count(*) FROM bars").fetchall() == [(BARS,)]


def _best(db: Path, call: Callable[[Path], None]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        db.unlink(missing_ok=True)
        began = time.perf_counter()
        call(db)
        seconds.append(time.perf_counter() - began)
    return min(seconds)
