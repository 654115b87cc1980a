"""Reading rows of one series over an open connection."""

from typing import Any

import numpy as np
from duckdb import DuckDBPyConnection

from toolkit.bars.columns import COLUMNS, VALUES, Columns
from toolkit.bars.store.records import SeriesKey
from toolkit.errors import StoreError

FIND_SERIES = """
SELECT series_id FROM series WHERE exchange = ? AND symbol = ? AND "interval" = ? AND origin = ? ORDER BY series_id
"""

# The order in which rows are stored; `read_rows` checks it.
READ = """
SELECT ts, open, high, low, close, volume FROM bars
WHERE series_id = ? AND ts >= make_timestamp_ms(?)::TIMESTAMP_MS AND ts < make_timestamp_ms(?)::TIMESTAMP_MS
"""

READ_SORTED = f"{READ} ORDER BY ts"


def find_series(connection: DuckDBPyConnection, key: SeriesKey) -> int | None:
    """Id of a series, None where it is not stored."""
    rows = connection.execute(FIND_SERIES, [key.exchange, key.symbol, key.interval, key.origin]).fetchall()
    return int(rows[0][0]) if rows else None


# The widest range that DuckDB's timestamps hold, for an end that is not given.
_ALWAYS_MS = (-(10**14), 10**14)


def read_rows(
    connection: DuckDBPyConnection, series_id: int, start_ms: int | None = None, end_ms: int | None = None
) -> Columns:
    """The bars that open in `[start_ms, end_ms)`, ascending, each once."""
    span = [_ALWAYS_MS[0] if start_ms is None else start_ms, _ALWAYS_MS[1] if end_ms is None else end_ms]
    # Sorting a year of minutes costs as much as reading it, and bars are mostly stored in order: look first.
    columns = _fetch(connection, READ, [series_id, *span])
    if np.any(columns["ts"][1:] <= columns["ts"][:-1]):
        columns = _fetch(connection, READ_SORTED, [series_id, *span])
        if np.any(columns["ts"][1:] == columns["ts"][:-1]):
            raise StoreError(f"series {series_id} holds a bar twice; restore the database from a backup")
    return columns


def _fetch(connection: DuckDBPyConnection, sql: str, values: list[Any]) -> Columns:
    # `sql().fetchnumpy()` fills whole arrays, `execute().fetchnumpy()` grows them: three times slower.
    found = connection.sql(sql, params=values).fetchnumpy()
    columns: Columns = {"ts": found["ts"].view(np.int64)}
    for name in VALUES:
        columns[name] = found[name]
    return columns


def empty_columns() -> Columns:
    """The columns of no bars."""
    return {name: np.empty(0, np.int64 if name == "ts" else np.float64) for name in COLUMNS}
