"""Every file format to the same bars."""

import gzip
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.bars.minutes import START_MS, assert_same, minutes, rows
from toolkit.bars.columns import COLUMNS, Columns
from toolkit.bars.files.importer import expand, import_files
from toolkit.bars.files.mapping import choose_columns, parse_map
from toolkit.bars.files.names import NamedBars, parse_name
from toolkit.bars.files.parse import FileOptions, parse_file
from toolkit.bars.files.times import infer_interval, to_epoch_ms
from toolkit.bars.store import Store
from toolkit.bars.symbols import canonical_symbol
from toolkit.errors import BarsError, InputError, UnknownNameError

GIVEN = minutes(300)


def table(columns: Columns = GIVEN) -> pl.DataFrame:
    return pl.DataFrame(columns)


def kline_csv(columns: Columns, *, header: bool, unit: int = 1) -> str:
    lines = ["open_time,open,high,low,close,volume,close_time,quote_volume,count,tb,tq,ignore"] if header else []
    for i in range(len(columns["ts"])):
        ts = int(columns["ts"][i])
        prices = ",".join(f"{columns[name][i]:.8f}" for name in COLUMNS[1:])
        lines.append(f"{ts * unit},{prices},{(ts + 60_000) * unit - 1},1.5,3,0.1,0.2,0")
    return "\n".join(lines) + "\n"


def _zip(path: Path, text: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(path.with_suffix(".csv").name, text)


def _iso(ts: int) -> str:
    return datetime.fromtimestamp(ts / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _freqtrade_frame() -> pl.DataFrame:
    dates = pl.from_epoch(pl.Series("date", GIVEN["ts"]), "ms").dt.replace_time_zone("UTC")
    return table().drop("ts").insert_column(0, dates)


def _headed(path: Path, time: Callable[[int], object], header: str = "Date;Open;High;Low;Close;Volume") -> None:
    separator = ";" if ";" in header else ","
    lines = [header]
    for i in range(len(GIVEN["ts"])):
        cells = [str(time(int(GIVEN["ts"][i]))), *(repr(float(GIVEN[name][i])) for name in COLUMNS[1:])]
        lines.append(separator.join(cells))
    path.write_text("\n".join(lines) + "\n")


WRITERS: dict[str, Callable[[Path], object]] = {
    "binance_BTCUSDT_1m.parquet": lambda p: table().write_parquet(p),
    "BTCUSDT-1m-2022-01.csv": lambda p: p.write_text(kline_csv(GIVEN, header=False)),
    "BTCUSDT-1m-2022-02.csv": lambda p: p.write_text(kline_csv(GIVEN, header=True)),
    "BTCUSDT-1m-2025-01-03.csv": lambda p: p.write_text(kline_csv(GIVEN, header=False, unit=1000)),
    "BTCUSDT-1m-2022-03.zip": lambda p: _zip(p, kline_csv(GIVEN, header=False)),
    "BTCUSDT-1m-2025-04.zip": lambda p: _zip(p, kline_csv(GIVEN, header=True, unit=1000)),
    "binance/BTC_USDT-1m.feather": lambda p: _freqtrade_frame().write_ipc(p),
    "binance/BTC_USDT-1m.json": lambda p: p.write_text(json.dumps(table().rows())),
    "binance_BTCUSDT_1m.csv": lambda p: _headed(p, _iso),
    "binance_BTC-USDT_1m.csv": lambda p: _headed(p, lambda t: t // 1000, "unix,OPEN,HIGH,LOW,CLOSE,Volume BTC"),
    "binance_BTC_USDT_1m.csv": lambda p: _headed(p, lambda t: f"{_iso(t)}+00:00", "time,o,h,l,c,v"),
    "binance_btcusdt_1m.txt": lambda p: _headed(p, lambda t: t * 1_000_000, "timestamp|o|h|l|c|v".replace("|", ",")),
    "binance_BTCUSDT_1m.csv.gz": lambda p: p.write_bytes(gzip.compress(kline_csv(GIVEN, header=True).encode())),
}


@pytest.mark.parametrize("name", WRITERS)
def test_each_format_gives_the_same_bars(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    WRITERS[name](path)
    parsed = parse_file(path)
    assert (parsed.exchange, parsed.symbol, parsed.interval) == ("binance", "BTC/USDT", "1m")
    assert_same(parsed.columns, GIVEN)


def test_a_file_that_changes_from_milliseconds_to_microseconds(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-1m-2025-01.csv"
    old, new = rows(GIVEN, slice(0, 100)), rows(GIVEN, slice(100, 300))
    path.write_text(kline_csv(old, header=False) + kline_csv(new, header=False, unit=1000))
    assert_same(parse_file(path).columns, GIVEN)


def test_close_stamped_files_are_shifted_by_one_interval(tmp_path: Path) -> None:
    path = tmp_path / "binance_BTCUSDT_1m.parquet"
    table({**GIVEN, "ts": GIVEN["ts"] + 60_000}).write_parquet(path)
    assert_same(parse_file(path, FileOptions(stamp="close")).columns, GIVEN)


def test_flags_win_over_the_name_and_the_interval_is_told_from_the_spacing(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    table(minutes(50, step_ms=300_000)).write_parquet(path)
    parsed = parse_file(path, FileOptions("OKX", "eth-usdt"))
    assert (parsed.exchange, parsed.symbol, parsed.interval) == ("okx", "ETH/USDT", "5m")


def test_named_columns_win_and_volume_may_be_absent(tmp_path: Path) -> None:
    path = tmp_path / "binance_BTCUSDT_1m.csv"
    table().rename({"open": "first", "ts": "when"}).drop("volume").write_csv(path)
    with pytest.raises(BarsError, match=r"no column could be read as 'ts' among when, first.*--map ts=COLUMN"):
        parse_file(path)
    with pytest.raises(UnknownNameError, match=r"'frist': did you mean 'first'\?"):
        parse_file(path, FileOptions(columns={"ts": "when", "open": "frist"}))
    parsed = parse_file(path, FileOptions(columns=parse_map(["open=first,ts=when"])))
    np.testing.assert_array_equal(parsed.columns["open"], GIVEN["open"])
    assert np.isnan(parsed.columns["volume"]).all()
    assert parsed.chosen == {"ts": "when", "open": "first", "high": "high", "low": "low", "close": "close"}


def test_an_address_line_above_the_header_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "binance_BTCUSDT_1m.csv"
    path.write_text("https://www.example.org/\n" + kline_csv(GIVEN, header=True))
    assert_same(parse_file(path).columns, GIVEN)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("binance_BTCUSDT_1m.parquet", NamedBars("binance", "BTC/USDT", "1m")),
        ("bybit_BTC_USDT_USDT_1h.csv", NamedBars("bybit", "BTC/USDT:USDT", "1h")),
        ("BTC_USDT_1d.csv", NamedBars(None, "BTC/USDT", "1d")),
        ("ETHBTC-4h-2021-01-05.zip", NamedBars("binance", "ETH/BTC", "4h")),
        ("BTC_USDT-5m.feather", NamedBars(None, "BTC/USDT", "5m")),
        ("ETH_USDT_USDT-1h-futures.feather", NamedBars(None, "ETH/USDT:USDT", "1h")),
        ("kraken/futures/XBT_USD-1d.json", NamedBars("kraken", "XBT/USD", "1d")),
        ("mine.csv", NamedBars()),
    ],
)
def test_names(name: str, said: NamedBars) -> None:
    assert parse_name(Path("/nowhere") / name) == said


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BTC/USDT", "BTC/USDT"), ("btcusdt", "BTC/USDT"), ("BTC-USD", "BTC/USD"), ("BTC_USDT", "BTC/USDT"),
        ("BTCFDUSD", "BTC/FDUSD"), ("BTC/USDT:USDT", "BTC/USDT:USDT"), ("1000PEPEUSDT", "1000PEPE/USDT"),
        ("SOLBTC", "SOL/BTC"), ("USDCUSDT", "USDC/USDT"),
    ],
)  # fmt: skip
def test_symbols(text: str, symbol: str) -> None:
    assert canonical_symbol(text) == symbol


def test_epochs_of_every_unit_and_kind() -> None:
    ts = GIVEN["ts"]
    for column in (
        pl.Series("t", ts // 1000), pl.Series("t", ts), pl.Series("t", ts * 1000), pl.Series("t", ts * 1_000_000),
        pl.Series("t", ts / 1000), pl.Series("t", [str(t) for t in ts]), pl.from_epoch(pl.Series("t", ts), "ms"),
        pl.Series("t", [_iso(int(t)).replace(" ", "T") + "Z" for t in ts]),
    ):  # fmt: skip
        np.testing.assert_array_equal(to_epoch_ms(column, "f"), ts)
    cet = pl.from_epoch(pl.Series("t", ts), "ms").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")
    np.testing.assert_array_equal(to_epoch_ms(cet, "f"), ts)
    days = pl.Series("t", [datetime(2022, 1, 3).date()])
    np.testing.assert_array_equal(to_epoch_ms(days, "f"), [START_MS])


@pytest.mark.parametrize(
    ("column", "match"),
    [
        (pl.Series("t", [1, None]), "row 2 must have a time in column 't', was empty"),
        (pl.Series("t", ["2022-01-01", "01/02/2022"]), "row 2 must have an ISO time .* was '01/02/2022'"),
        (pl.Series("t", [1_641_168_000_000_001]), "row 1 must open on a whole millisecond"),
        (pl.Series("t", [float("nan")]), "row 1 must have a time in column 't', was nan"),
        (pl.Series("t", [True]), "must hold times, holds Boolean"),
    ],
)
def test_times_that_are_none(column: pl.Series, match: str) -> None:
    with pytest.raises(BarsError, match=match):
        to_epoch_ms(column, "f")


def test_spacing_that_is_no_interval() -> None:
    with pytest.raises(BarsError, match="420 s apart"):
        infer_interval(START_MS + 420_000 * np.arange(5), "f")
    with pytest.raises(BarsError, match="--interval"):
        infer_interval(np.array([START_MS]), "f")


def test_open_time_is_chosen_before_vaguer_names() -> None:
    header = ["Date", "Open Time", "Unix", "Open", "High", "Low", "Close", "Volume USDT", "Volume BTC"]
    chosen = choose_columns(header, {}, "BTC", "f")
    assert chosen["ts"] == "Open Time" and chosen["volume"] == "Volume BTC"


def test_maps_that_are_none() -> None:
    with pytest.raises(InputError, match="FIELD=COLUMN"):
        parse_map(["open"])
    with pytest.raises(UnknownNameError, match="did you mean 'open'"):
        parse_map(["opem=x"])


def test_expand_finds_each_file_once(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.txt"):
        (tmp_path / name).touch()
    pattern = str(tmp_path / "*.csv")
    assert [p.name for p in expand([str(tmp_path / "c.txt"), pattern, pattern])] == ["c.txt", "a.csv", "b.csv"]
    with pytest.raises(InputError, match="no file matches"):
        expand([str(tmp_path / "*.parquet")])


def test_files_of_a_batch_are_read_again_when_they_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.bars.files.importer.KEPT_ROWS", 350)
    for month, piece in (("01", slice(0, 200)), ("02", slice(200, 300))):
        (tmp_path / f"BTCUSDT-1m-2022-{month}.csv").write_text(kline_csv(rows(GIVEN, piece), header=False))
    table().write_parquet(tmp_path / "binance_ETHUSDT_1m.parquet")
    store = Store(tmp_path / "bars.duckdb")
    seen: list[int] = []
    done = import_files(expand([str(tmp_path / "*")]), store, on_checked=lambda parsed, n: seen.append(n))
    assert seen == [1, 2, 3] and [one.result.rows_new for one in done] == [200, 100, 300]
    for symbol in ("BTC/USDT", "ETH/USDT"):
        assert_same(store.read("binance", symbol, "1m"), GIVEN)
    assert store.imports()[0].source.name == "BTCUSDT-1m-2022-01.csv"
