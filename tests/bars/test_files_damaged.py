"""Damaged files of every format: one sentence, exit code 2, and nothing written."""

import gzip
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bars.minutes import minutes
from toolkit.bars.files.parse import parse_file
from toolkit.cli.main import main
from toolkit.errors import BarsError

GIVEN = minutes(300)
CSV = pl.DataFrame(GIVEN).write_csv().encode()


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", CSV)
    return buffer.getvalue()


def _encrypted() -> bytes:
    """A zip whose headers say that its member needs a password."""
    data = bytearray(_zip())
    for start, at in ((data.index(b"PK\x03\x04"), 6), (data.index(b"PK\x01\x02"), 8)):
        struct.pack_into("<H", data, start + at, 1)
    return bytes(data)


def _parquet(**changed: pl.Series) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(GIVEN).with_columns(**changed).write_parquet(buffer)
    return buffer.getvalue()


def _headed_parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(GIVEN).head(0).write_parquet(buffer)
    return buffer.getvalue()


def _freqtrade(*times: object) -> bytes:
    return json.dumps([[t, 1.0, 1.0, 1.0, 1.0, 1.0] for t in times]).encode()


N = len(GIVEN["ts"])
DAMAGED: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "gz cut": ("b_BTCUSDT_1m.csv.gz", lambda: gzip.compress(CSV)[:-500], "cannot be read as gz"),
    "gz flipped": ("b_BTCUSDT_1m.csv.gz", lambda: _flipped(gzip.compress(CSV), 2000), "cannot be read as gz"),
    "zip flipped": ("BTCUSDT-1m-2022-01.zip", lambda: _flipped(_zip(), 2000), "cannot be read as zip"),
    "zip encrypted": ("BTCUSDT-1m-2022-01.zip", _encrypted, "encrypted, password required"),
    "json fraction": ("BTC_USDT-1m.json", lambda: _freqtrade(1.5e12 + 0.5, 2e12), "must open on the 1m grid"),
    "json text": ("BTC_USDT-1m.json", lambda: _freqtrade("soon"), "row 1 must have an ISO time .* was 'soon'"),
    "json huge": ("BTC_USDT-1m.json", lambda: _freqtrade(1e20), "row 1 must have a time in column 'ts', was 1e.20"),
    "json mixed": ("BTC_USDT-1m.json", lambda: _freqtrade(1641168000000, "x"), "cannot be read as json"),
    "json none": ("BTC_USDT-1m.json", lambda: b"[]", "holds no bars"),
    "list": ("b_BTCUSDT_1m.parquet", lambda: _parquet(open=pl.Series([[1.0]] * N)), "must hold numbers, holds List"),
    "binary": ("b_BTCUSDT_1m.parquet", lambda: _parquet(open=pl.Series([b"1"] * N)), "must hold numbers, holds Binary"),
    "struct": ("b_BTCUSDT_1m.parquet", lambda: _parquet(open=pl.Series([{"a": 1.0}] * N)), "must hold numbers, holds"),
    "big ts": (
        "b_BTCUSDT_1m.parquet",
        lambda: _parquet(ts=pl.Series([2**63 + 5] * N, dtype=pl.UInt64)),
        f"row 1 must have a time in column 'ts', was {2**63 + 5}",
    ),
    "far dates": (
        "b_BTCUSDT_1m.parquet",
        lambda: _parquet(ts=pl.Series([datetime(2650, 1, 1)] * N)),
        "row 1 must have a time in the years 1678 to 2261",
    ),
    "header only parquet": ("b.parquet", _headed_parquet, "b.parquet: holds no bars"),
    "header only csv": ("b.csv", lambda: b"ts,open,high,low,close\n", "b.csv: holds no bars"),
    "header only csv without line end": ("b.csv", lambda: b"ts,open,high,low,close", "b.csv: holds no bars"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_one_sentence_and_exit_2(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, data, match = DAMAGED[case]
    path, db = tmp_path / name, tmp_path / "bars.duckdb"
    path.write_bytes(data())
    words = ["import", str(path), "--exchange", "binance", "--symbol", "BTC/USDT", "--db", str(db)]
    monkeypatch.setattr("sys.argv", ["toolkit", "data", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    text = capsys.readouterr().err
    assert ended.value.code == 2 and text.count("\n") == 1 and re.search(match, text), text
    assert not db.exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_flipped_bytes_raise_anything_but_a_refusal(tmp_path: Path, data: st.DataObject) -> None:
    name, whole = data.draw(
        st.sampled_from([("b_BTCUSDT_1m.csv.gz", gzip.compress(CSV, mtime=0)), ("BTCUSDT-1m-2022-01.zip", _zip())])
    )
    path = tmp_path / name
    path.write_bytes(_flipped(whole, data.draw(st.integers(0, len(whole) - 1))))
    try:
        parsed = parse_file(path)
    except BarsError as error:
        assert "\n" not in str(error)
    else:
        assert len(parsed.columns["ts"])
