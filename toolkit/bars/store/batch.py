"""Writing bars over an open connection, with their source."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from duckdb import DuckDBPyConnection

from toolkit.bars.columns import COLUMNS, Columns
from toolkit.bars.store.merge import compare, first_difference
from toolkit.bars.store.reader import empty_columns, find_series, read_rows
from toolkit.bars.store.records import ImportResult, SeriesKey, Source
from toolkit.errors import StoreError
from toolkit.types import BoolArray

ADD_SERIES = """
INSERT INTO series (exchange, symbol, "interval", origin) VALUES (?, ?, ?, ?) RETURNING series_id
"""

ADD_IMPORT = """
INSERT INTO imports
    (series_id, kind, name, sha256, rows_new, rows_same, rows_replaced, first_ts, last_ts, imported_at)
VALUES (?, ?, ?, ?, ?, ?, ?, make_timestamp_ms(?), make_timestamp_ms(?), make_timestamp_ms(?))
RETURNING import_id
"""

ADD_BARS = f"""
INSERT INTO bars SELECT ?, {", ".join(COLUMNS)}, ? FROM incoming ORDER BY ts
"""

KEEP_REPLACED = """
INSERT INTO replaced_bars
SELECT b.*, ? FROM bars b WHERE b.series_id = ? AND b.ts IN (SELECT ts FROM incoming) ORDER BY b.ts
"""

DROP_REPLACED = """
DELETE FROM bars WHERE series_id = ? AND ts IN (SELECT ts FROM incoming)
"""


class Batch:
    """Writes that are kept together or not at all; made by `Store.batch`."""

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection

    def write(
        self,
        key: SeriesKey,
        given: Columns,
        source: Source,
        *,
        replace: bool = False,
    ) -> ImportResult:
        """Store the bars of `columns`, made by `toolkit.bars.columns.checked`, that are not stored yet."""
        series_id = find_series(self._connection, key)
        first, last = int(given["ts"][0]), int(given["ts"][-1])
        stored = empty_columns() if series_id is None else read_rows(self._connection, series_id, first, last + 1)
        merge = compare(given, stored)
        new, differs = merge.new, merge.differs
        if differs.any() and not replace:
            raise StoreError(
                f"{source.name} disagrees with the stored {key} on {int(differs.sum())} of {len(differs)} bars, first "
                f"at {first_difference(given, stored, differs)}; nothing was stored: find out which is right, then "
                f"import it with --replace"
            )
        result = ImportResult(int(new.sum()), int((~new & ~differs).sum()), int(differs.sum()))
        if not result.changed:
            return result
        if series_id is None:
            series_id = _one_id(self._connection, ADD_SERIES, [key.exchange, key.symbol, key.interval, key.origin])
        import_id = _one_id(
            self._connection,
            ADD_IMPORT,
            [series_id, source.kind, source.name, source.sha256, result.rows_new, result.rows_same,
             result.rows_replaced, first, last, time.time_ns() // 1_000_000],
        )  # fmt: skip
        if result.rows_replaced:
            with self._incoming(given, differs):
                self._connection.execute(KEEP_REPLACED, [import_id, series_id])
                self._connection.execute(DROP_REPLACED, [series_id])
        with self._incoming(given, new | differs):
            self._connection.execute(ADD_BARS, [series_id, import_id])
        return result

    @contextlib.contextmanager
    def _incoming(self, given: Columns, rows: BoolArray) -> Iterator[None]:
        """The chosen rows as the table `incoming`; through Arrow, which tells NaN from NULL."""
        table = {name: pa.array(given[name][rows]) for name in COLUMNS}
        table["ts"] = table["ts"].cast(pa.timestamp("ms"))
        self._connection.register("incoming", pa.table(table))
        try:
            yield
        finally:
            self._connection.unregister("incoming")


def _one_id(connection: DuckDBPyConnection, sql: str, values: list[Any]) -> int:
    # DuckDB refuses other work on a connection until a result is read to its end: never `fetchone`.
    return int(connection.execute(sql, values).fetchall()[0][0])
