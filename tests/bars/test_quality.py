"""Each planted fault is found where it was put, and clean bars are found clean."""

import os
from pathlib import Path

import duckdb
import numpy as np
import pytest

from tests.bars.minutes import SOURCE, START_MS, minutes, rows
from toolkit.bars.columns import Columns
from toolkit.bars.files.parse import parse_file
from toolkit.bars.intervals import MINUTE_MS
from toolkit.bars.quality import FLAT_BARS, FROZEN_BARS, LONG_RUN_BARS, check_bars, check_stored
from toolkit.bars.store import SeriesKey, Store

N = 1200
KEY = SeriesKey("binance", "BTC/USDT", "1m")


def at(i: int) -> int:
    return START_MS + i * MINUTE_MS


def found(columns: Columns) -> list[tuple[str, int, int, int]]:
    return [(f.kind, f.first_ts, f.last_ts, f.bars) for f in check_bars(columns, "1m")]


def clean() -> Columns:
    columns = minutes(N)
    columns["volume"] += 1.0
    return columns


def test_clean_bars_have_no_findings() -> None:
    assert found(clean()) == []
    assert found(minutes(0)) == [] and found(minutes(1)) == [] and found(minutes(2)) == []


def test_gap() -> None:
    assert found(rows(clean(), [*range(100), *range(105, N)])) == [("gap", at(100), at(104), 5)]


@pytest.mark.parametrize("quiet", [1, 72])
def test_halt_beside_a_gap(quiet: int) -> None:
    columns = clean()
    columns["volume"][100 - quiet : 100] = 0
    findings = check_bars(rows(columns, [*range(100), *range(180, N)]), "1m")
    assert [(f.kind, f.first_ts, f.bars) for f in findings] == [("halt", at(100 - quiet), quiet), ("gap", at(100), 80)]
    word = "bar" if quiet == 1 else "bars"
    assert findings[0].detail == f"{quiet} {word} without volume, then 80 bars missing"


def test_long_silence_is_a_halt_and_a_short_one_is_not() -> None:
    columns = clean()
    columns["volume"][100 : 100 + LONG_RUN_BARS] = 0
    columns["volume"][500 : 500 + LONG_RUN_BARS - 1] = 0
    assert found(columns) == [("halt", at(100), at(99 + LONG_RUN_BARS), LONG_RUN_BARS)]


def test_unknown_volume_is_no_halt() -> None:
    columns = clean()
    columns["volume"][:] = np.nan
    assert found(columns) == []


def test_frozen() -> None:
    columns = clean()
    for values in list(columns.values())[1:]:
        values[200 : 200 + FROZEN_BARS] = values[200]
        values[400 : 400 + FROZEN_BARS - 1] = values[400]
    assert found(columns) == [("frozen", at(200), at(199 + FROZEN_BARS), FROZEN_BARS)]


def test_flat() -> None:
    columns = clean()
    for start, length in ((300, FLAT_BARS), (600, FLAT_BARS - 1)):
        price = columns["close"][start]
        columns["close"][start : start + length] = price
        columns["high"][start : start + length] = price + 1.0
        columns["low"][start : start + length] = price - 1.0
        columns["open"][start : start + length] = price
    # The bars before and after must not happen to close at the same price.
    for i in (299, 300 + FLAT_BARS, 599, 600 + FLAT_BARS - 1):
        columns["close"][i] = columns["high"][i] = columns["high"][i] + 0.01
    assert found(columns) == [("flat", at(300), at(299 + FLAT_BARS), FLAT_BARS)]


def test_a_jump_that_comes_back_and_a_wide_range() -> None:
    columns = clean()
    columns["close"][250] *= 1.1
    columns["high"][250] = columns["close"][250]
    columns["low"][700] *= 0.9
    assert found(columns) == [("outlier", at(250), at(250), 1), ("outlier", at(700), at(700), 1)]


def test_a_move_that_stays_is_no_outlier() -> None:
    columns = clean()
    for name in ("open", "high", "low", "close"):
        columns[name][600:] *= 1.05
    assert found(columns) == []


def test_last_bar_with_hardly_any_volume_is_partial() -> None:
    columns = clean()
    columns["volume"][-1] = columns["volume"][-101:-1].min() / 3
    assert found(columns) == [("partial", at(N - 1), at(N - 1), 1)]


def test_a_damaged_store_is_checked_all_the_same(tmp_path: Path) -> None:
    store = Store(tmp_path / "bars.duckdb")
    store.write("binance", "BTC/USDT", "1m", clean(), SOURCE)
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("INSERT INTO bars SELECT * FROM bars WHERE epoch_ms(ts) = ? ORDER BY ts", [at(50)])
        connection.execute("UPDATE bars SET high = low / 2 WHERE epoch_ms(ts) = ?", [at(80)])
    with store.reader() as reader:
        findings = check_stored(reader, KEY)
    assert [(f.kind, f.first_ts) for f in findings] == [("duplicate", at(50)), ("range", at(80))]


def test_a_bar_stored_before_it_closed_is_partial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "bars.duckdb")
    monkeypatch.setattr("time.time_ns", lambda: (at(N) - 1) * 1_000_000)
    store.write("binance", "BTC/USDT", "1m", clean(), SOURCE)
    with store.reader() as reader:
        findings = check_stored(reader, KEY)
    assert [(f.kind, f.first_ts, f.detail) for f in findings] == [("partial", at(N - 1), "stored before it had closed")]


@pytest.mark.real_data
@pytest.mark.parametrize("symbol", ["BTC", "ETH", "SOL"])
def test_the_real_halt_of_march_2023(symbol: str) -> None:
    folder = os.environ.get("LOCKSTEP_REAL_DATA")
    if not folder:
        pytest.skip("LOCKSTEP_REAL_DATA names no folder of real bars")
    columns = parse_file(Path(folder) / f"binance_{symbol}USDT_1m.parquet").columns
    findings = check_bars(columns, "1m")
    gap = [f for f in findings if f.kind == "gap" and f.bars > 1]
    assert [(f.first_ts, f.bars) for f in gap] == [(1_679_661_600_000, 80)]
    (halt,) = [f for f in findings if f.kind == "halt"]
    assert (halt.bars, halt.last_ts, halt.detail) == (
        72, 1_679_661_600_000 - MINUTE_MS, "72 bars without volume, then 80 bars missing",
    )  # fmt: skip
    singles = [f.first_ts for f in findings if f.kind == "gap" and f.bars == 1]
    assert singles == ([1_676_392_740_000] if symbol == "SOL" else [])
    assert not [f for f in findings if f.kind in ("duplicate", "range", "frozen", "partial")]
