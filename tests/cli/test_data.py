"""`toolkit data import|ls|check|export` as a person and as a machine sees them."""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from tests.bars.minutes import assert_same, minutes, rows
from toolkit.bars.store import Store
from toolkit.cli.data import app
from toolkit.errors import LockstepError

GIVEN = minutes(400)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    pl.DataFrame(rows(GIVEN, [*range(100), *range(180, 400)])).write_parquet(tmp_path / "binance_BTCUSDT_1m.parquet")
    pl.DataFrame(minutes(50, seed=1)).rename({"ts": "time"}).write_csv(tmp_path / "okx_ETH-USDT_1m.csv")
    return tmp_path


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    return result


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, LockstepError)
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_import_tells_a_row_a_file_and_guesses_on_stderr(folder: Path) -> None:
    result = run("import", "*.parquet", "okx_ETH-USDT_1m.csv")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["file", "series", "bars", "first", "last", "new", "same", "replaced"]
    told = "binance_BTCUSDT_1m.parquet binance BTC/USDT 1m 320 2022-01-03 00:00 2022-01-03 06:39 320 0 0"
    assert " ".join(lines[1].split()) == told
    assert len(lines) == 3
    assert "okx_ETH-USDT_1m.csv: ETH/USDT 1m, columns ts=time open=open" in result.stderr
    assert "checked 2 of 2 files" in result.stderr


def test_import_again_says_that_nothing_changed(folder: Path) -> None:
    run("import", "*.parquet")
    again = run("import", "*.parquet")
    assert "nothing changed" in again.stdout
    (row,) = json.loads(run("import", "*.parquet", "--json").stdout)
    assert (row["new"], row["same"], row["replaced"]) == (0, 320, 0)


def test_disagreement_and_replace(folder: Path) -> None:
    run("import", "*.parquet")
    other = rows(GIVEN, slice(0, 10))
    other["volume"][4] += 1
    pl.DataFrame(other).write_parquet(folder / "binance_BTCUSDT_1m.parquet")
    assert "first at 2022-01-03 00:04" in refused("import", "*.parquet")
    (row,) = json.loads(run("import", "*.parquet", "--replace", "--json").stdout)
    assert (row["new"], row["same"], row["replaced"]) == (0, 9, 1)


def test_flags_of_import(folder: Path) -> None:
    shifted = {**GIVEN, "ts": GIVEN["ts"] + 60_000}
    pl.DataFrame(shifted).rename({"open": "first"}).write_parquet(folder / "mine.pq")
    words = ["--symbol", "sol-usdt", "--exchange", "Kraken", "--interval", "1m", "--map", "open=first"]
    run("import", "mine.pq", *words, "--stamp", "close", "--db", "other.duckdb")
    assert_same(Store(folder / "other.duckdb").read("kraken", "SOL/USDT", "1m"), GIVEN)
    assert not (folder / "data").exists()
    assert "--stamp must be open or close" in refused("import", "mine.pq", "--stamp", "middle")
    assert "no file matches" in refused("import", "nothing*.csv")


def test_ls(folder: Path) -> None:
    assert "toolkit data import" in run("ls").stdout
    run("import", "*.parquet", "*.csv")
    assert json.loads(run("ls", "--json").stdout)[0] == {
        "exchange": "binance", "symbol": "BTC/USDT", "interval": "1m", "origin": "official", "bars": 320,
        "first": "2022-01-03 00:00", "last": "2022-01-03 06:39", "missing": 80, "imports": 1,
    }  # fmt: skip
    assert len(run("ls").stdout.splitlines()) == 3


def test_check_exits_with_1_where_it_finds_something(folder: Path) -> None:
    run("import", "*.parquet", "*.csv")
    found = run("check", "BTCUSDT", code=1)
    assert "gap: 1" in found.stdout and "2022-01-03 01:40 .. 2022-01-03 02:59  80 bars missing" in found.stdout
    (series,) = json.loads(run("check", "BTC/USDT", "--json", code=1).stdout)
    assert series["symbol"] == "BTC/USDT"
    assert [(f["kind"], f["bars"]) for f in series["findings"]] == [("gap", 80)]
    assert "okx ETH/USDT 1m: no findings" in run("check", "--exchange", "okx").stdout
    assert "did you mean 'BTC/USDT'" in refused("check", "BTC/USTD")
    assert "unknown stored interval '5m'" in refused("check", "--interval", "5m")


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_export_and_import_are_a_round_trip(folder: Path, kind: str) -> None:
    given = rows(GIVEN, [*range(100), *range(180, 400)])
    given["volume"][7] = float("nan")
    given["close"][3] = given["high"][3] = 0.1 + 0.2 + given["high"][3]
    pl.DataFrame(given).write_parquet(folder / "binance_BTCUSDT_1m.parquet")
    run("import", "*.parquet")
    told = json.loads(run("export", "BTCUSDT", "--format", kind, "--json").stdout)
    assert told == {"file": f"binance_BTC_USDT_1m.{kind}", "bars": 320}
    run("import", told["file"], "--db", "second.duckdb")
    assert_same(Store(folder / "second.duckdb").read("binance", "BTC/USDT", "1m"), given)
    assert [p.name for p in folder.glob(".*.part")] == []


def test_export_of_another_interval_and_its_refusals(folder: Path) -> None:
    run("import", "*.parquet")
    run("export", "BTC/USDT", "--interval", "1h", "--start", "2022-01-03T01:00", "--out", "hours.parquet")
    hours = pl.read_parquet(folder / "hours.parquet")
    # 02:00 lies wholly inside the gap.
    assert [t // 3_600_000 % 24 for t in hours["ts"]] == [1, 3, 4, 5]
    assert "--overwrite" in refused("export", "BTC/USDT", "--out", "hours.parquet")
    run("export", "BTC/USDT", "--out", "hours.parquet", "--overwrite")
    assert len(pl.read_parquet(folder / "hours.parquet")) == 320
    assert "--format must be parquet or csv, was 'xlsx'" in refused("export", "BTC/USDT", "--format", "xlsx")
    assert "cannot be written" in refused("export", "BTC/USDT", "--out", "no/such/folder.csv", "--format", "csv")


@pytest.mark.parametrize("command", ["import", "ls", "check", "export"])
def test_help_has_an_example(command: str) -> None:
    assert f"toolkit data {command}" in " ".join(run(command, "--help").stdout.split())


def test_bad_input_is_one_sentence_and_exit_code_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from toolkit.cli.main import main

    (folder / "binance_SOLUSDT_1m.parquet").write_bytes(b"PAR1 and no more")
    monkeypatch.setattr("sys.argv", ["toolkit", "data", "import", "*.parquet"])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert ended.value.code == 2 and told.out == ""
    assert "error: binance_SOLUSDT_1m.parquet cannot be read as parquet" in told.err.splitlines()[-1]
    assert "(1 of 2 files are bad and none was imported)" in told.err
    assert not (folder / "data").exists()
