"""`Store`: the bars database, with the source of every bar."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from toolkit.bars.columns import Columns, checked, fingerprint
from toolkit.bars.intervals import interval_ms
from toolkit.bars.store.batch import Batch
from toolkit.bars.store.connection import connected
from toolkit.bars.store.records import ImportRecord, ImportResult, Instrument, Origin, SeriesInfo, SeriesKey, Source
from toolkit.bars.store.rows import empty_columns, find_series, read_rows
from toolkit.bars.symbols import canonical_symbol
from toolkit.settings import data_dir

KEYS = """
SELECT exchange, symbol, "interval", origin FROM series ORDER BY exchange, symbol, "interval", origin
"""

LAST_TS = """
SELECT epoch_ms(max(ts)) FROM bars WHERE series_id = ?
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

PUT_INSTRUMENT = """
INSERT OR REPLACE INTO instruments (exchange, symbol, tick, lot, min_qty, min_notional) VALUES (?, ?, ?, ?, ?, ?)
"""

INSTRUMENT = """
SELECT exchange, symbol, tick, lot, min_qty, min_notional FROM instruments WHERE exchange = ? AND symbol = ?
ORDER BY exchange, symbol
"""


class Store:
    """The bars database, `bars.duckdb` in the data folder unless named. Holds only the bars that it was given.

    Connections are opened for one call and closed; a database that another process holds is waited for (30 s, or
    `LOCKSTEP_DB_WAIT_SECS`), then a `StoreError` says who holds it. Exchange names are lower case; symbols are written
    `BTC/USDT` and are accepted in any spelling that `canonical_symbol` reads.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = Path(path) if path is not None else data_dir() / "bars.duckdb"

    @contextlib.contextmanager
    def batch(self) -> Iterator[Batch]:
        """Several writes in one transaction: all are kept, or, when the block raises, none."""
        with connected(self.path, write=True) as connection:
            yield Batch(connection)

    def write(
        self,
        exchange: str,
        symbol: str,
        interval: str,
        columns: Mapping[str, Any],
        source: Source,
        *,
        replace: bool = False,
        origin: Origin = "official",
    ) -> ImportResult:
        """Store bars that are not stored yet, with their source; storing the same bars again changes nothing.

        Parameters
        ----------
        columns : `ts` (int64 epoch ms of the open, ascending, on the grid), `open high low close` and `volume`
            (float64, volume may be NaN or left out where unknown).
        replace : let bars that disagree take the place of stored ones, which move to `replaced_bars`.

        Raises
        ------
        BarsError : a bar breaks a rule of a series. StoreError : bars disagree with stored ones and `replace` is off,
            or the database cannot be used. In both cases the store is as before.
        """
        key = series_key(exchange, symbol, interval, origin)
        given = checked(columns, interval, f"{source.name} ({key})")
        with self.batch() as batch:
            return batch.write(key, given, source, replace=replace)

    def keys(self) -> list[SeriesKey]:
        """Names of the stored series, without looking at their bars."""
        if not self.path.exists():
            return []
        with connected(self.path, write=False) as connection:
            return [SeriesKey(*row) for row in connection.execute(KEYS).fetchall()]

    def series(self) -> list[SeriesInfo]:
        """Every stored series with its range and number of bars."""
        if not self.path.exists():
            return []
        with connected(self.path, write=False) as connection:
            rows = connection.execute(SERIES).fetchall()
        return [_series_info(row) for row in rows]

    def read(
        self,
        exchange: str,
        symbol: str,
        interval: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        *,
        origin: Origin = "official",
    ) -> Columns:
        """The stored bars that open in `[start_ms, end_ms)`, ascending; empty columns where there are none.

        Holes are not filled. `ts` is int64 epoch ms, the others float64, all contiguous.
        """
        key = series_key(exchange, symbol, interval, origin)
        if not self.path.exists():
            return empty_columns()
        with connected(self.path, write=False) as connection:
            series_id = find_series(connection, key)
            return empty_columns() if series_id is None else read_rows(connection, series_id, start_ms, end_ms)

    def last_ts(self, exchange: str, symbol: str, interval: str, *, origin: Origin = "official") -> int | None:
        """Open time (epoch ms) of the newest stored bar, None where there is none."""
        key = series_key(exchange, symbol, interval, origin)
        if not self.path.exists():
            return None
        with connected(self.path, write=False) as connection:
            series_id = find_series(connection, key)
            last = connection.execute(LAST_TS, [series_id]).fetchall()[0][0]
        return None if last is None else int(last)

    def fingerprint(
        self,
        exchange: str,
        symbol: str,
        interval: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        *,
        origin: Origin = "official",
    ) -> str:
        """sha256 of the stored bars of a range: equal bars give equal text, whatever file they came from."""
        return fingerprint(self.read(exchange, symbol, interval, start_ms, end_ms, origin=origin))

    def imports(self) -> list[ImportRecord]:
        """Provenance: every write that changed something, oldest first."""
        if not self.path.exists():
            return []
        with connected(self.path, write=False) as connection:
            rows = connection.execute(IMPORTS).fetchall()
        return [
            ImportRecord(r[0], SeriesKey(*r[1:5]), Source(*r[5:8]), ImportResult(*r[8:11]), r[11], r[12], r[13])
            for r in rows
        ]

    def put_instrument(self, instrument: Instrument) -> None:
        """Store a venue's trading rules for a symbol, in place of earlier ones."""
        symbol = canonical_symbol(instrument.symbol)
        values = [instrument.tick, instrument.lot, instrument.min_qty, instrument.min_notional]
        with connected(self.path, write=True) as connection:
            connection.execute(PUT_INSTRUMENT, [instrument.exchange.lower(), symbol, *values])

    def instrument(self, exchange: str, symbol: str) -> Instrument | None:
        """The venue's trading rules for a symbol, None where none were stored."""
        if not self.path.exists():
            return None
        with connected(self.path, write=False) as connection:
            rows = connection.execute(INSTRUMENT, [exchange.lower(), canonical_symbol(symbol)]).fetchall()
        return Instrument(*rows[0]) if rows else None


def series_key(exchange: str, symbol: str, interval: str, origin: Origin = "official") -> SeriesKey:
    """The key in its one spelling; `InputError` for an unknown interval or a symbol that cannot be read."""
    interval_ms(interval)
    return SeriesKey(exchange.lower(), canonical_symbol(symbol), interval, origin)


def _series_info(row: tuple[Any, ...]) -> SeriesInfo:
    key = SeriesKey(*row[:4])
    rows, first, last, imports = row[4:]
    return SeriesInfo(key, rows, first, last, (last - first) // interval_ms(key.interval) + 1 - rows, imports)
