"""Honest files laid out in other ways: close times, newest first, mixed columns, other line ends and names."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.bars.minutes import assert_same, minutes
from toolkit.bars.columns import Columns
from toolkit.bars.files.names import NamedBars, parse_name
from toolkit.bars.files.parse import FileOptions, parse_file
from toolkit.errors import BarsError

GIVEN = minutes(300)
ENDED = FileOptions(stamp="close")
PRICES = pl.DataFrame(GIVEN).drop("ts")


def _timed(path: Path, **times: Any) -> Path:
    """A CSV of the given bars whose time columns are these."""
    PRICES.select(*(pl.Series(name, values) for name, values in times.items()), pl.all()).write_csv(path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "binance_BTCUSDT_1m.csv"


def test_whole_numbers_before_a_fraction(path: Path) -> None:
    given = minutes(1200)
    given["volume"] = np.concatenate([np.zeros(1100), np.full(100, 0.5)])
    pl.DataFrame(given).with_columns(
        pl.when(pl.col("volume") == 0).then(pl.lit("0")).otherwise(pl.lit("0.5")).alias("volume")
    ).write_csv(path)
    assert_same(parse_file(path).columns, given)


def test_a_word_late_in_a_column_is_named_by_its_row(path: Path) -> None:
    words = ["1"] * 1100 + ["many"] + ["1"] * 99
    pl.DataFrame(minutes(1200)).with_columns(volume=pl.Series(words)).write_csv(path)
    with pytest.raises(BarsError, match="row 1101 must have a number in column 'volume', was 'many'"):
        parse_file(path)


def test_bare_carriage_returns_and_spaces_are_read(path: Path) -> None:
    text = pl.DataFrame(GIVEN).write_csv()
    path.write_bytes(text.replace(",", " , ").replace("\n", "\r").encode())
    assert_same(parse_file(path).columns, GIVEN)


CLOSES = GIVEN["ts"] + 60_000
LAST_NS = pl.Series(CLOSES * 1_000_000 - 1000).cast(pl.Datetime("ns"))


@pytest.mark.parametrize(
    "times",
    [
        CLOSES, CLOSES - 1, CLOSES * 1000 - 1, CLOSES * 1_000_000 - 1, CLOSES // 1000, (CLOSES - 1) / 1000,
        pl.from_epoch(pl.Series(CLOSES * 1000 - 1), "us"), LAST_NS,
        pl.from_epoch(pl.Series(CLOSES - 1), "ms").dt.strftime("%Y-%m-%d %H:%M:%S%.3f"),
    ],
)  # fmt: skip
def test_close_times_of_every_unit(path: Path, times: Any) -> None:
    assert_same(parse_file(_timed(path, close_time=times), ENDED).columns, GIVEN)


def test_the_close_time_is_taken_where_the_open_time_stands_before_it(path: Path) -> None:
    parsed = parse_file(_timed(path, open_time=GIVEN["ts"], date=GIVEN["ts"], close_time=CLOSES - 1), ENDED)
    assert_same(parsed.columns, GIVEN)
    assert parsed.chosen["ts"] == "close_time"


@pytest.mark.parametrize("name", ["open_time", "Open Time", "start", "candle_begin_time", "period_start"])
def test_a_column_that_says_open_is_no_close_time(path: Path, name: str) -> None:
    _timed(path, **{name: GIVEN["ts"], "date": GIVEN["ts"]})
    for options in (ENDED, FileOptions(stamp="close", columns={"ts": name})):
        with pytest.raises(BarsError, match=f"column '{name}' says when it opened; leave --stamp out"):
            parse_file(path, options)


def test_a_file_of_close_times_only_says_how_to_import_it(path: Path) -> None:
    with pytest.raises(BarsError, match="or import by its 'close_time' with --stamp close"):
        parse_file(_timed(path, close_time=CLOSES - 1))


def test_a_time_short_of_the_last_millisecond_is_not_rounded(path: Path) -> None:
    with pytest.raises(BarsError, match=r"row 1 .*must open on the 1m grid"):
        parse_file(_timed(path, close_time=CLOSES - 2), ENDED)
    with pytest.raises(BarsError, match=r"row 1 .*must open on the 1m grid"):
        parse_file(_timed(path, open_time=GIVEN["ts"] - 1))


@pytest.mark.parametrize("name", ["binance_BTCUSDT_1m.csv", "bars.csv"])
def test_newest_first_is_turned_round(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    pl.DataFrame(GIVEN).reverse().write_csv(path)
    parsed = parse_file(path, FileOptions("binance", "BTC/USDT"))
    assert parsed.newest_first and parsed.interval == "1m"
    assert_same(parsed.columns, GIVEN)
    pl.DataFrame(GIVEN).write_csv(path)
    assert not parse_file(path, FileOptions("binance", "BTC/USDT")).newest_first


def test_newest_first_by_close_time(path: Path) -> None:
    _timed(path, close_time=CLOSES - 1)
    pl.read_csv(path).reverse().write_csv(path)
    assert_same(parse_file(path, ENDED).columns, GIVEN)


def test_rows_in_no_order_without_an_interval(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    pl.DataFrame(GIVEN).sample(fraction=1, shuffle=True, seed=1).write_csv(path)
    with pytest.raises(BarsError, match=r"bars\.csv: rows are not in order"):
        parse_file(path, FileOptions("binance", "BTC/USDT"))


def test_an_archive_of_a_data_site(tmp_path: Path) -> None:
    path = tmp_path / "Binance_BTCUSDT_minute.csv"
    given: Columns = GIVEN
    lines = ["https://www.example.org/", "Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount"]
    for i in reversed(range(len(given["ts"]))):
        o, h, lo, c, v = (repr(float(given[name][i])) for name in ("open", "high", "low", "close", "volume"))
        lines.append(f"{given['ts'][i]},2022-01-03,BTCUSDT,{o},{h},{lo},{c},{v},1,2")
    path.write_text("\n".join(lines))
    parsed = parse_file(path)
    assert (parsed.exchange, parsed.symbol, parsed.interval) == ("binance", "BTC/USDT", "1m")
    assert_same(parsed.columns, given)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Binance_BTCUSDT_1h.csv", NamedBars("binance", "BTC/USDT", "1h")),
        ("KRAKEN_BTCUSD_d.csv", NamedBars("kraken", "BTC/USD", "1d")),
        ("Bitstamp_ETHUSD_Hourly.csv", NamedBars("bitstamp", "ETH/USD", "1h")),
        ("BTC_USDT_minute.csv", NamedBars(None, "BTC/USDT", "1m")),
        ("Nowhere_BTCUSDT_1h.csv", NamedBars(None, "NOWHERE/BTCUSDT", "1h")),
    ],
)
def test_names_with_an_exchange_in_any_case(name: str, said: NamedBars) -> None:
    assert parse_name(Path("/nowhere") / name) == said
