"""A year of 1m bars from DuckDB into arrays, against DuckDB's own scan of the same columns."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from tests.bars.minutes import SOURCE, minutes
from toolkit.bars.intervals import MINUTE_MS
from toolkit.bars.load import load_bars
from toolkit.bars.store import Reader, SeriesKey, Store

YEAR_BARS = 365 * 1440
FIRST_BAR = 200 * 1440
ROUNDS = 15
MOST_TIMES_THE_SCAN = 3.0

# Touches each value once and keeps none, which is the least that a load can cost.
SCAN = """
SELECT max(epoch_ms(ts)), sum(open), sum(high), sum(low), sum(close), sum(volume) FROM bars
WHERE series_id = 1 AND ts >= make_timestamp_ms(?)::TIMESTAMP_MS AND ts < make_timestamp_ms(?)::TIMESTAMP_MS
"""

FETCH = """
SELECT ts, open, high, low, close, volume FROM bars
WHERE series_id = 1 AND ts >= make_timestamp_ms(?)::TIMESTAMP_MS AND ts < make_timestamp_ms(?)::TIMESTAMP_MS
"""


def run() -> list[dict[str, Any]]:
    """Two stored years of two symbols; both sides open the database, read one year of one symbol, and close it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bars.duckdb"
        given = minutes(2 * YEAR_BARS)
        for symbol in ("BTC/USDT", "ETH/USDT"):
            Store(path).write("binance", symbol, "1m", given, SOURCE)
        start = int(given["ts"][FIRST_BAR])
        span = [start, start + YEAR_BARS * MINUTE_MS]

        def scan() -> tuple[Any, ...]:
            with duckdb.connect(str(path), read_only=True) as connection:
                return tuple(connection.execute(SCAN, span).fetchall()[0])

        bars = load_bars("BTC/USDT", "1m", *span, db=path)
        newest, *sums = scan()
        assert newest == bars.ts[-1] and len(bars) == YEAR_BARS
        np.testing.assert_allclose([getattr(bars, n).sum() for n in ("open", "high", "low", "close", "volume")], sums)
        ours, theirs = _best_of([lambda: load_bars("BTC/USDT", "1m", *span, db=path), scan])
        with duckdb.connect(str(path), read_only=True) as connection:
            reader = Reader(connection)
            read, summed, fetched = _best_of(
                [
                    lambda: reader.read(SeriesKey("binance", "BTC/USDT", "1m"), *span),
                    lambda: connection.execute(SCAN, span).fetchall(),
                    lambda: connection.sql(FETCH, params=span).fetchnumpy(),
                ]
            )
    return [
        {
            "what": "a year of 1m bars from DuckDB into arrays",
            "value": f"{ours * 1e3:.1f} ms",
            "peer": f"DuckDB's own scan, {theirs * 1e3:.1f} ms",
            "ratio": ours / theirs,
            "bar": f"<= {MOST_TIMES_THE_SCAN:g}x",
        },
        _open_row("the scan into arrays, unordered", read, fetched),
        _open_row("a scan that keeps six sums and no array", read, summed),
    ]


def _open_row(peer: str, ours: float, theirs: float) -> dict[str, Any]:
    return {
        "what": "the same year over an open connection, pages in memory",
        "value": f"{ours * 1e3:.1f} ms",
        "peer": f"DuckDB, {peer}, {theirs * 1e3:.1f} ms",
        "ratio": ours / theirs,
        "bar": "reported",
    }


def _best_of(calls: list[Callable[[], object]]) -> list[float]:
    """Best seconds of each call, the calls taking turns so that both meet the same machine."""
    best = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        for i, call in enumerate(calls):
            began = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - began)
    return best
