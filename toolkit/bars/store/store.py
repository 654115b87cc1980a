"""`Store`: the bars database, with the source of every bar."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from toolkit.bars.columns import Columns, checked, fingerprint
from toolkit.bars.intervals import interval_ms
from toolkit.bars.store.batch import Batch
from toolkit.bars.store.connection import connected
from toolkit.bars.store.reader import Reader
from toolkit.bars.store.records import ImportRecord, ImportResult, Instrument, Origin, SeriesInfo, SeriesKey, Source
from toolkit.bars.symbols import canonical_symbol
from toolkit.settings import data_dir

PUT_INSTRUMENT = """
INSERT OR REPLACE INTO instruments (exchange, symbol, tick, lot, min_qty, min_notional) VALUES (?, ?, ?, ?, ?, ?)
"""


class Store:
    """The bars database, `bars.duckdb` in the data folder unless named. Holds only the bars that it was given.

    Connections are opened for one call and closed; a database that another process holds is waited for (30 s, or
    `LOCKSTEP_DB_WAIT_SECS`), then a `StoreError` says who holds it. Exchange names are lower case; symbols are written
    `BTC/USDT` and are accepted in any spelling that `canonical_symbol` reads. A database that does not exist reads as
    an empty one and is made by the first write.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = Path(path) if path is not None else data_dir() / "bars.duckdb"

    @contextlib.contextmanager
    def batch(self) -> Iterator[Batch]:
        """Several writes in one transaction: all are kept, or, when the block raises, none."""
        with connected(self.path, write=True) as connection:
            yield Batch(connection)

    @contextlib.contextmanager
    def reader(self) -> Iterator[Reader]:
        """Several reads over one connection: opening one costs as much as reading half a year of minutes."""
        with connected(self.path, write=False) as connection:
            yield Reader(connection)

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

    def series_keys(self) -> list[SeriesKey]:
        """Names of the stored series, without looking at their bars."""
        with self.reader() as reader:
            return reader.series_keys()

    def series(self) -> list[SeriesInfo]:
        """Every stored series with its range and number of bars."""
        with self.reader() as reader:
            return reader.series()

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
        with self.reader() as reader:
            return reader.read(series_key(exchange, symbol, interval, origin), start_ms, end_ms)

    def last_ts(self, exchange: str, symbol: str, interval: str, *, origin: Origin = "official") -> int | None:
        """Open time (epoch ms) of the newest stored bar, None where there is none."""
        with self.reader() as reader:
            span = reader.span(series_key(exchange, symbol, interval, origin))
        return None if span is None else span[1]

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
        with self.reader() as reader:
            return reader.imports()

    def instrument(self, exchange: str, symbol: str) -> Instrument | None:
        """The venue's trading rules for a symbol, None where none were stored."""
        with self.reader() as reader:
            return reader.instrument(exchange, symbol)

    def put_instrument(self, instrument: Instrument) -> None:
        """Store a venue's trading rules for a symbol, in place of earlier ones."""
        symbol = canonical_symbol(instrument.symbol)
        values = [instrument.tick, instrument.lot, instrument.min_qty, instrument.min_notional]
        with connected(self.path, write=True) as connection:
            connection.execute(PUT_INSTRUMENT, [instrument.exchange.lower(), symbol, *values])


def series_key(exchange: str, symbol: str, interval: str, origin: Origin = "official") -> SeriesKey:
    """The key in its one spelling; `InputError` for an unknown interval or a symbol that cannot be read."""
    interval_ms(interval)
    return SeriesKey(exchange.lower(), canonical_symbol(symbol), interval, origin)
