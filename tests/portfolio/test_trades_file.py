"""Any trades.csv: what is read, what is ignored by name, and one sentence for each kind of bad row."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from toolkit.errors import InputError
from toolkit.portfolio.trades_cells import time_of
from toolkit.portfolio.trades_file import read_trades

Writer: TypeAlias = Callable[..., Path]
HEAD = "symbol,side,entry_ts,exit_ts,pnl"
GOOD = "BTC/USDT,long,2022-01-01T00:00,2022-01-02T00:00,10"
PRICED = "symbol,side,entry_ts,exit_ts,entry_price,exit_price,qty"


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    def written(*lines: str, name: str = "mine.csv") -> Path:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file

    return written


def refused(*files: Path) -> str:
    with pytest.raises(InputError) as error:
        read_trades(files)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_least_columns_are_enough(write: Writer) -> None:
    trade = read_trades([write(HEAD, GOOD)]).trades.row(0, named=True)
    assert (trade["strategy"], trade["instance"], trade["family"]) == ("mine", "mine-BTCUSDT", "mine")
    assert (trade["pnl"], trade["return"], trade["trade_id"], trade["source"]) == (10.0, None, "row-2", "mine")
    assert trade["entry_ts"].isoformat() == "2022-01-01T00:00:00+00:00"


@pytest.mark.parametrize(("side", "sign"), [("long", 1), ("Short", -1), ("BUY", 1), ("sell", -1)])
def test_profit_is_made_from_prices_less_costs(write: Writer, side: str, sign: int) -> None:
    file = write(PRICED + ",fees,funding", f"X,{side},2022-01-01,2022-01-02,100,110,2,1.5,0.25")
    trade = read_trades([file]).trades.row(0, named=True)
    assert trade["pnl"] == sign * 20.0 - 1.5 + 0.25
    assert trade["return"] == pytest.approx(trade["pnl"] / 200.0)


def test_given_profit_and_return_stand(write: Writer) -> None:
    file = write(PRICED + ",pnl,return", "X,long,2022-01-01,2022-01-02,100,110,2,7,0.5")
    trade = read_trades([file]).trades.row(0, named=True)
    assert (trade["pnl"], trade["return"]) == (7.0, 0.5)


def test_other_columns_are_ignored_by_name(write: Writer) -> None:
    file = write("Broker Note,SYMBOL, side ,entry_ts,exit_ts,pnl,mood", f"x,{GOOD},good")
    read = read_trades([file])
    assert read.ignored == {str(file): ["broker note", "mood"]}
    assert "mood" not in read.trades.columns
    assert read_trades([write(HEAD, GOOD)]).ignored == {}


@pytest.mark.parametrize("separator", [";", "\t"])
def test_semicolons_tabs_and_a_byte_order_mark_are_read(tmp_path: Path, separator: str) -> None:
    file = tmp_path / "excel.csv"
    file.write_bytes(b"\xef\xbb\xbf" + f"{HEAD}\r\n{GOOD}\r\n".replace(",", separator).encode())
    assert read_trades([file]).trades["pnl"].to_list() == [10.0]


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2022-01-01", 1_640_995_200_000),
        ("20220101", 1_640_995_200_000),
        ("2022/01/01 00:00", 1_640_995_200_000),
        ("2022-01-01 00:00:00 UTC", 1_640_995_200_000),
        ("2022-01-01T02:00:00.250+02:00", 1_640_995_200_250),
        ("2022-01-01T00:00:00Z", 1_640_995_200_000),
        ("1640995200", 1_640_995_200_000),
        ("1640995200.25", 1_640_995_200_250),
        ("1640995200000", 1_640_995_200_000),
        ("1.6409952e12", 1_640_995_200_000),
    ],
)
def test_times_are_iso_or_epochs(text: str, ms: int) -> None:
    assert time_of(text) == ms


@pytest.mark.parametrize("text", ["soon", "44562.5", "31.01.2022", "01/02/2022", "1e300", "nan", "-5", "2022-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ISO"):
        time_of(text)


def test_open_trades_have_no_exit_and_need_no_profit(write: Writer) -> None:
    trade = read_trades([write(HEAD, "X,long,2022-01-01,,")]).trades.row(0, named=True)
    assert (trade["exit_ts"], trade["pnl"]) == (None, None)


def test_files_are_combined_in_order_of_entry(write: Writer) -> None:
    later = write(HEAD, GOOD.replace("2022-01-01", "2022-01-02"), name="later.csv")
    trades = read_trades([later, write(HEAD, GOOD)]).trades
    assert trades["strategy"].to_list() == ["mine", "later"]
    assert trades["trade_id"].to_list() == ["mine:row-2", "later:row-2"]


def test_two_files_of_one_name_are_told_apart(write: Writer) -> None:
    trades = read_trades([write(HEAD, GOOD), write(HEAD, GOOD, name="sub/mine.csv")]).trades
    assert trades["strategy"].n_unique() == 2
    assert trades["trade_id"].n_unique() == 2


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["side,entry_ts,exit_ts,pnl", "long,2022-01-01,2022-01-02,1"], "lacks the columns symbol; it has side"),
        (["symbol,side,entry_ts,exit_ts", "X,long,2022-01-01,2022-01-02"], "pnl (or entry_price, exit_price and qty)"),
        ([HEAD], "a header and no trades"),
        ([HEAD, GOOD, "X,long,yesterday,2022-01-02,1"], "row 3: `entry_ts` must be a time"),
        ([HEAD, "X,long,,2022-01-02,1"], "row 2: `entry_ts` is empty"),
        ([HEAD, "X,long,2022-01-01,31.01.2022,1"], "was '31.01.2022'"),
        (
            [HEAD, GOOD, "X,long,2022-01-03,2022-01-02,1"],
            "row 3: `exit_ts` must not be before `entry_ts`, was 2022-01-02",
        ),
        ([HEAD, "X,up,2022-01-01,2022-01-02,1"], "row 2: `side` must be long or short (or buy or sell), was 'up'"),
        ([HEAD, ",long,2022-01-01,2022-01-02,1"], "row 2: `symbol` is empty"),
        ([HEAD, "X,long,2022-01-01,2022-01-02,nan"], "row 2: `pnl` must be a finite number"),
        ([HEAD, "X,long,2022-01-01,2022-01-02,1e999"], "row 2: `pnl` must be a finite number"),
        ([HEAD, "X,long,2022-01-01,2022-01-02,ten"], "row 2: `pnl` must be a finite number with a decimal point"),
        ([HEAD, GOOD, "X,long,2022-01-01,2022-01-02,"], "row 3: a closed trade needs `pnl`"),
        ([PRICED, "X,short,2022-01-01,2022-01-02,1,1,-2"], "row 2: `qty` must be more than 0, was -2"),
        ([PRICED, "X,long,2022-01-01,2022-01-02,0,1,1"], "row 2: `entry_price` must be more than 0, was 0"),
        ([f"{HEAD},trade_id", f"{GOOD},7", f"{GOOD},8", f"{GOOD},7"], "row 4: `trade_id` must name one trade, and '7'"),
        (["", ""], "no CSV of trades"),
        ([HEAD, f"{GOOD},1,2,3"], "no CSV of trades"),
    ],
)
def test_bad_input_is_one_sentence(write: Writer, lines: list[str], said: str) -> None:
    file = write(*lines)
    message = refused(file)
    assert said in message
    assert str(file) in message


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    file.write_bytes(b"PK\x03\x04\xff\xfe\x00\x00")
    assert "no CSV of trades" in refused(file)


def test_no_file_and_a_file_twice_are_refused(write: Writer, tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refused(tmp_path / "none.csv")
    file = write(HEAD, GOOD)
    assert "given twice" in refused(file, tmp_path / "." / "mine.csv")
    assert "at least one" in refused()


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (HEAD + ",pnl", "has the columns 'pnl' twice; remove one, or rename it"),
        (HEAD + ",PNL", "has the columns 'pnl' and 'PNL', which are one name"),
        (HEAD + ", pnl ", "has the columns 'pnl' and ' pnl ', which are one name"),
        (HEAD + ",mood,mood", "has the columns 'mood' twice"),
    ],
)
def test_a_column_is_there_once(write: Writer, head: str, says: str) -> None:
    assert says in refused(write(head, GOOD + ",1" * (head.count(",") - HEAD.count(","))))


def test_columns_without_a_name_are_ignored(write: Writer) -> None:
    read = read_trades([file := write(HEAD + ",,", GOOD + ",1,2")])
    assert read.ignored == {str(file): ["column 6", "column 7"]}
    assert read.trades["pnl"].to_list() == [10.0]


@pytest.mark.parametrize("pnl", ["1e308", "-1.1e15"])
def test_money_that_sums_would_lose_is_refused(write: Writer, pnl: str) -> None:
    says = refused(write(HEAD, GOOD, GOOD.replace(",10", f",{pnl}")))
    assert f"row 3: `pnl` must be a number from -1e+15 to 1e+15, was '{pnl}'" in says


@pytest.mark.parametrize(("prices", "name"), [("1,1e15,9e14", "pnl"), ("1e-300,1e-300,1e-300", "return")])
def test_prices_that_give_such_money_are_refused(write: Writer, prices: str, name: str) -> None:
    says = refused(write(PRICED, f"X,long,2022-01-01,2022-01-02,{prices}"))
    assert f"row 2: `{name}` must be from -1e+15 to 1e+15, and prices, qty and pnl give" in says
