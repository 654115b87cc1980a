"""Files that are refused: one sentence that names file, bar and remedy, and the store as before."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.bars.minutes import SOURCE, contents, minutes, rows
from toolkit.bars.columns import Columns
from toolkit.bars.files.importer import import_files
from toolkit.bars.files.parse import FileOptions
from toolkit.bars.store import Store
from toolkit.errors import LockstepError


def _set(name: str, row: int, value: float) -> Callable[[Columns], Columns]:
    def change(columns: Columns) -> Columns:
        columns[name][row] = value
        return columns

    return change


BAD_BARS: dict[str, tuple[Callable[[Columns], Columns], str]] = {
    "NaN price": (_set("close", 5, np.nan), r"row 6 \(2022-01-03 00:05, \d+\) must have a finite close, was nan"),
    "infinite price": (_set("high", 5, np.inf), r"row 6 .* finite high"),
    "negative price": (_set("low", 5, -1.0), r"row 6 .* positive low, was -1\.0"),
    "zero price": (_set("open", 5, 0.0), r"row 6 .* positive open, was 0\.0"),
    "high below low": (_set("high", 5, 1.0), r"row 6 .* must not have its high below its low, was 1\.0"),
    "close above high": (_set("close", 5, 1000.0), r"row 6 .* must close between its low and its high"),
    "negative volume": (_set("volume", 5, -1.0), r"row 6 .* negative volume"),
    "unsorted": (lambda c: rows(c, [0, 2, 1, 3]), r"rows are not in order: row 3 must be later than row 2"),
    "newest first but for one": (lambda c: rows(c, [4, 3, 1, 2, 0]), r"not in order: row 2 must be later than row 1"),
    "newest first, bad": (
        lambda c: rows(_set("low", 5, -1.0)(c), slice(None, None, -1)),
        r"newest first.* row 6 .*low",
    ),
    "infinite volume": (_set("volume", 5, np.inf), r"row 6 .* must have a finite volume, or NaN"),
    "duplicate": (lambda c: rows(c, [0, 1, 1, 2]), r"row 3 \(2022-01-03 00:01, .*duplicate"),
    "off the grid": (lambda c: {**c, "ts": c["ts"] + 1000}, r"row 1 .*must open on the 1m grid"),
    "sparser than its name": (lambda c: rows(c, slice(None, None, 5)), r"no two bars are 1m apart.*5 minutes"),
    "no bars": (lambda c: rows(c, slice(0, 0)), "holds no bars"),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "bars.duckdb")
    made.write("binance", "ETH/USDT", "1m", minutes(10), SOURCE)
    return made


def refused(store: Store, files: list[Path], match: str, options: FileOptions | None = None) -> None:
    before = contents(store.path)
    with pytest.raises(LockstepError, match=match) as caught:
        import_files(files, store, options)
    assert "\n" not in str(caught.value)
    assert contents(store.path) == before


@pytest.mark.parametrize("case", BAD_BARS)
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_bad_bars(store: Store, tmp_path: Path, case: str, suffix: str) -> None:
    change, match = BAD_BARS[case]
    path = tmp_path / f"binance_BTCUSDT_1m.{suffix}"
    table = pl.DataFrame(change(minutes(50)))
    table.write_parquet(path) if suffix == "parquet" else table.write_csv(path)
    refused(store, [path], rf"binance_BTCUSDT_1m\.{suffix}.*{match}")


HEAD = b"ts,open,high,low,close\n1641168000000,"


def _parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(minutes(500)).write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        ("binance_BTCUSDT_1m.parquet", b"", "cannot be read as parquet"),
        ("binance_BTCUSDT_1m.parquet", b"ts,open\n1,2\n", "cannot be read as parquet"),
        ("binance_BTCUSDT_1m.parquet", _parquet()[:-200], "cannot be read as parquet .*truncated, damaged"),
        ("BTC_USDT-1m.feather", b"ARROW1 and no more", "cannot be read as feather"),
        ("BTC_USDT-1m.json", b"[[1,2,3", "cannot be read as json"),
        ("BTC_USDT-1m.json", b'{"a": 1}', "must be freqtrade's JSON"),
        ("BTCUSDT-1m-2022-01.zip", b"PK\x03\x04 and no more", "cannot be read as zip"),
        ("binance_BTCUSDT_1m.csv", b"", "must be a CSV file with a header line"),
        ("binance_BTCUSDT_1m.csv", b"1641168000000,1,1,1,1,1\n", "has no header and 6 columns"),
        ("binance_BTCUSDT_1m.csv", HEAD + b"1,1,1,one\n", "row 1 must have a number in column 'close', was 'one'"),
        ("binance_BTCUSDT_1m.csv", HEAD + b"1,1,1,\n", "finite close"),
        ("binance_BTCUSDT_1m.xlsx", b"x", r"must end in one of .* ends in '\.xlsx'"),
        ("BTC_USDT_USDT-1h-mark.feather", b"x", "holds mark candles"),
        ("binance_BTCUSDT_2m.csv", HEAD + b"1,1,1,1\n", "unknown interval '2m'"),
        ("BTCUSDT-1m-2022-01.csv", b"\xff\xfe\x00\x01" * 50, "must be a CSV file|cannot be read"),
    ],
)  # fmt: skip
def test_files_that_are_not_what_they_say(store: Store, tmp_path: Path, name: str, data: bytes, match: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    refused(store, [path], match, FileOptions(exchange="binance"))


def test_a_zip_of_several_files_is_refused(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-1m-2022-01.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    refused(store, [path], "must hold one CSV file, holds 2")


def test_names_that_say_too_little(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    pl.DataFrame(minutes(5)).write_parquet(path)
    refused(store, [path], "--symbol")
    refused(store, [path], "--exchange", FileOptions(symbol="BTC/USDT"))
    refused(store, [tmp_path / "gone.parquet"], "does not exist")
    refused(store, [tmp_path], "is a folder")


def test_all_bad_files_of_a_batch_are_named_and_none_is_imported(store: Store, tmp_path: Path) -> None:
    files = []
    for symbol in ("AAAUSDT", "BBBUSDT", "CCCUSDT"):
        files.append(tmp_path / f"binance_{symbol}_1m.parquet")
        columns = minutes(50)
        if symbol != "AAAUSDT":
            columns["close"][3] = np.nan
        pl.DataFrame(columns).write_parquet(files[-1])
    refused(store, files, r"binance_BBBUSDT.*binance_CCCUSDT.*\(2 of 3 files are bad and none was imported\)")


def test_a_file_that_disagrees_with_another_imports_neither(store: Store, tmp_path: Path) -> None:
    files = [tmp_path / "binance_BTCUSDT_1m.parquet", tmp_path / "binance_BTC-USDT_1m.parquet"]
    for seed, path in enumerate(files):
        pl.DataFrame(minutes(50, seed=seed)).write_parquet(path)
    refused(store, files, r"binance_BTC-USDT_1m\.parquet disagrees with the stored binance BTC/USDT 1m")
