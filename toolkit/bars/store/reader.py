"""Reading over an open connection."""

from typing import Any

import numpy as np
from duckdb import DuckDBPyConnection

from toolkit.bars.columns import COLUMNS, VALUES, Columns
from toolkit.bars.intervals import interval_ms
from toolkit.bars.store.records import ImportRecord, ImportResult, Instrument, SeriesInfo, SeriesKey, Source
from toolkit.bars.symbols import canonical_symbol
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

LAST_BEFORE = """
SELECT ts, open, high, low, close, volume FROM bars
WHERE series_id = ? AND ts < make_timestamp_ms(?)::TIMESTAMP_MS
ORDER BY ts DESC LIMIT 1
"""

KEYS = """
SELECT exchange, symbol, "interval", origin FROM series ORDER BY exchange, symbol, "interval", origin
"""

SPAN = """
SELECT epoch_ms(min(ts)), epoch_ms(max(ts)) FROM bars WHERE series_id = ?
"""

SERIES = """
SELECT s.exchange, s.symbol, s."interval", s.origin, b.n, epoch_ms(b.first_ts), epoch_ms(b.last_ts), i.n
FROM series s
JOIN (SELECT series_id, count(*) AS n, min(ts) AS first_ts, max(ts) AS last_ts FROM bars GROUP BY series_id) b
    USING (series_id)
JOIN (SELECT series_id, count(*) AS n FROM imports GROUP BY series_id) i USING (series_id)
ORDER BY s.exchange, s.symbol, s."interval", s.origin
"""

IMPORTS = """
SELECT i.import_id, s.exchange, s.symbol, s."interval", s.origin, i.kind, i.name, i.sha256,
    i.rows_new, i.rows_same, i.rows_replaced, epoch_ms(i.first_ts), epoch_ms(i.last_ts), epoch_ms(i.imported_at)
FROM imports i JOIN series s USING (series_id)
ORDER BY i.import_id
"""

INSTRUMENT = """
SELECT exchange, symbol, tick, lot, min_qty, min_notional FROM instruments WHERE exchange = ? AND symbol = ?
ORDER BY exchange, symbol
"""


EARLY = """
SELECT epoch_ms(b.ts) FROM bars b JOIN imports i USING (import_id)
WHERE b.series_id = ? AND epoch_ms(b.ts) + ? > epoch_ms(i.imported_at)
ORDER BY b.ts
"""


class Reader:
    """Reads over one open connection; made by `Store.reader`. All of them see the same state of the database."""

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection

    def series_keys(self) -> list[SeriesKey]:
        """Names of the stored series, without looking at their bars."""
        return [SeriesKey(*row) for row in self._connection.execute(KEYS).fetchall()]

    def series(self) -> list[SeriesInfo]:
        """Every stored series with its range and number of bars."""
        return [_series_info(row) for row in self._connection.execute(SERIES).fetchall()]

    def read(self, key: SeriesKey, start_ms: int | None = None, end_ms: int | None = None) -> Columns:
        """The stored bars that open in `[start_ms, end_ms)`; see `Store.read`."""
        series_id = find_series(self._connection, key)
        return empty_columns() if series_id is None else read_rows(self._connection, series_id, start_ms, end_ms)

    def last_before(self, key: SeriesKey, ts_ms: int) -> Columns:
        """The newest stored bar that opens before `ts_ms`: one row, or none."""
        series_id = find_series(self._connection, key)
        return empty_columns() if series_id is None else _fetch(self._connection, LAST_BEFORE, [series_id, ts_ms])

    def read_unchecked(self, key: SeriesKey) -> Columns:
        """All stored bars of a series by `ts`, also where a damaged store holds one twice; for quality checks."""
        series_id = find_series(self._connection, key)
        if series_id is None:
            return empty_columns()
        return _fetch(self._connection, READ_SORTED, [series_id, *_ALWAYS_MS])

    def stored_early(self, key: SeriesKey) -> list[int]:
        """Open times (epoch ms) of bars that were stored before they had closed, ascending."""
        series_id = find_series(self._connection, key)
        return [row[0] for row in self._connection.execute(EARLY, [series_id, interval_ms(key.interval)]).fetchall()]

    def span(self, key: SeriesKey) -> tuple[int, int] | None:
        """Open times (epoch ms) of the oldest and the newest stored bar, None where there is none."""
        series_id = find_series(self._connection, key)
        first, last = self._connection.execute(SPAN, [series_id]).fetchall()[0]
        return None if first is None else (int(first), int(last))

    def imports(self) -> list[ImportRecord]:
        """Provenance: every write that changed something, oldest first."""
        rows = self._connection.execute(IMPORTS).fetchall()
        return [
            ImportRecord(r[0], SeriesKey(*r[1:5]), Source(*r[5:8]), ImportResult(*r[8:11]), r[11], r[12], r[13])
            for r in rows
        ]

    def instrument(self, exchange: str, symbol: str) -> Instrument | None:
        """The venue's trading rules for a symbol, None where none were stored."""
        rows = self._connection.execute(INSTRUMENT, [exchange.lower(), canonical_symbol(symbol)]).fetchall()
        return Instrument(*rows[0]) if rows else None


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


def _series_info(row: tuple[Any, ...]) -> SeriesInfo:
    key = SeriesKey(*row[:4])
    rows, first, last, imports = row[4:]
    return SeriesInfo(key, rows, first, last, (last - first) // interval_ms(key.interval) + 1 - rows, imports)
