"""`toolkit factors`: the list, and tables of values against the Python API."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from tests.factors.series import MONDAY_MS, market
from toolkit.bars.export import export_bars
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.load import load_bars
from toolkit.cli.data import app as data_app
from toolkit.cli.factors import app
from toolkit.errors import InputError, UnknownNameError
from toolkit.factors import factor_names
from toolkit.factors.engines.windowed import Calculator
from toolkit.factors.sets import set_names
from toolkit.factors.table import expand_spec, factor_table
from toolkit.strategy import get_strategy
from toolkit.types import FloatArray

N = 12 * 24 * 12
PEER = "ETH/USDT"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with twelve days of 5m bars of two symbols."""
    folder = tmp_path_factory.mktemp("store")
    for seed, name in enumerate(("BTC_USDT", "ETH_USDT")):
        export_bars(market(seed, N, "5m", tick=0.05), folder / f"binance_{name}_5m.parquet", "parquet")
    path = folder / "bars.duckdb"
    result = CliRunner().invoke(data_app, ["import", str(folder / "*.parquet"), "--db", str(path)])
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture
def export(db, tmp_path):
    def call(*arguments: str, out: str = "f.parquet") -> tuple[pl.DataFrame, Result]:
        file = tmp_path / out
        result = run("export", *arguments, "--db", str(db), "--out", str(file))
        if result.exception is not None:
            assert not list(tmp_path.iterdir())
            raise result.exception
        return (pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file)), result

    return call


def test_ls_names_every_factor_with_parameters_lookback_and_text():
    plain = run("ls")
    rows = json.loads(run("ls", "--json").stdout)
    assert [row["name"] for row in rows if row["kind"] != "set"] == factor_names()
    assert [row["name"] for row in rows if row["kind"] == "set"] == set_names()
    assert "atr(window=14)  [lookback 15]\n  Average true range" in plain.stdout
    by_name = {row["name"]: row for row in rows}
    assert by_name["day_open"]["lookback"] == 1440
    weekly = {row["name"]: row for row in json.loads(run("ls", "--json", "--interval", "1w").stdout)}
    assert weekly["day_open"]["lookback"] is None
    assert weekly["atr"]["lookback"] == 15
    assert "market_state_hmm(states=3, window=1000, refit=250)  [lookback 1250, sparse]" in plain.stdout
    assert "tsfresh_minimal(window=100)  [set]" in plain.stdout
    assert by_name["tsfresh"]["params"] == {"window": 100, "feature": "standard_deviation"}
    assert weekly["prophet_trend"]["lookback"] is None
    assert "not on these bars" in run("ls", "--interval", "1w").stdout


def test_sparse_factors_and_sets_are_computed_at_the_entries_alone(db, export, monkeypatch):
    rows: list[FloatArray] = []
    row = Calculator.row
    monkeypatch.setattr(Calculator, "row", lambda self, x: rows.append(x) or row(self, x))
    table, result = export(
        "volatility_breakout", "--interval", "5m", "--param", "window=30", "--start", "2024-01-10",
        "--factors", "1h:tsfresh_minimal(12), atr(14), market_state_hmm(2, 100, 50)",
    )  # fmt: skip
    assert table.columns[6:] == [
        *(s.text for s in expand_spec("1h:tsfresh_minimal(12)")), "atr(14)", "market_state_hmm(2, 100, 50)"
    ]  # fmt: skip
    assert "12 factors" in result.stdout
    assert 0 < len(rows) <= 10 * len(table)
    bars = load_bars("BTC/USDT", "5m", db=db)
    at = np.searchsorted(bars.ts, table["ts"].dt.epoch("ms").to_numpy())
    for text in ("1h:tsfresh(12, median)", "market_state_hmm(2, 100, 50)"):
        np.testing.assert_array_equal(table[text].to_numpy(), factor_table(bars, at, [text])[text])
    assert table.null_count().sum_horizontal()[0] == 0


def test_every_bar_with_the_values_of_the_whole_history(db, export):
    start = MONDAY_MS + 5 * DAY_MS
    texts = ["atr(14)", "1d:range(3)", "day_position", "correlation(30, ETH/USDT)"]
    table, result = export("--all-bars", "--interval", "15m", "--start", "2024-01-06", "--factors", ",".join(texts))
    bars = load_bars("BTC/USDT", "15m", db=db, peers=["ETH/USDT"])
    rows = np.flatnonzero(bars.ts >= start)
    assert table.columns == ["ts", "symbol", "interval", "close", *texts]
    assert f"{len(rows)} rows, 4 factors" in result.stdout
    assert table["ts"].dt.epoch("ms").to_list() == bars.ts[rows].tolist()
    np.testing.assert_array_equal(table["atr(14)"].to_numpy(), bars.factor("atr", 14)[rows])
    np.testing.assert_array_equal(table["1d:range(3)"].to_numpy(), bars.at("1d").factor("range", 3)[rows])
    np.testing.assert_array_equal(table[texts[3]].to_numpy(), bars.factor("correlation", 30, "ETH/USDT")[rows])
    assert table["atr(14)"].null_count() == 0


def test_entries_of_a_strategy_with_their_side(db, export):
    table, _ = export("volatility_breakout", "--interval", "5m", "--param", "window=30", "--start", "2024-01-04")
    strategy = get_strategy("volatility_breakout")
    bars = load_bars("BTC/USDT", "5m", db=db)
    signals = strategy.signals(bars, strategy.params({"window": 30}))
    asked = bars.ts >= MONDAY_MS + 3 * DAY_MS
    for side, enter, leave in (
        ("long", signals.enter_long, signals.exit_long),
        ("short", signals.enter_short, signals.exit_short),
    ):
        rows = np.flatnonzero(enter & ~leave & asked)
        part = table.filter(pl.col("side") == side)
        assert part["ts"].dt.epoch("ms").to_list() == bars.ts[rows].tolist()
        assert part["natr(20)"].to_list() == bars.factor("natr", 20)[rows].tolist()
    assert set(table["side"]) == {"long", "short"}
    assert table["ts"].is_sorted()
    assert set(table["strategy"]) == {"volatility_breakout"}


def test_every_bar_of_a_strategy_says_where_it_would_enter(export):
    arguments = ("volatility_breakout", "--interval", "5m", "--param", "window=30", "--factors", "rsi")
    entries, _ = export(*arguments)
    every, _ = export(*arguments, "--all-bars", out="g.parquet")
    assert len(every) == N
    marked = every.filter(pl.col("side") != "")
    assert marked.select("ts", "side", "rsi(14)").equals(entries.select("ts", "side", "rsi(14)"))


def test_csv_has_empty_fields_for_missing_values_and_the_same_numbers(export):
    arguments = ("--all-bars", "--interval", "1h", "--factors", "atr(14),gap")
    text, result = export(*arguments, "--json", out="f.csv")
    binary, _ = export(*arguments)
    assert json.loads(result.stdout)["rows"] == len(text) == N // 12
    assert text["ts"][0] == "2024-01-01T00:00:00Z"
    assert text["atr(14)"].null_count() == 14
    assert text["atr(14)"].to_list() == binary["atr(14)"].to_list()
    assert text["gap"].cast(pl.Float64).to_list() == binary["gap"].to_list()


def test_a_file_that_exists_is_left_alone_unless_told(db, tmp_path):
    file = tmp_path / "f.csv"
    file.write_text("mine")
    arguments = ("export", "--all-bars", "--interval", "1d", "--factors", "roc(1)", "--db", str(db), "--out", str(file))
    refused = run(*arguments)
    assert isinstance(refused.exception, InputError)
    assert "exists; name another file with --out, or add --overwrite" in str(refused.exception)
    assert file.read_text() == "mine"
    assert run(*arguments, "--overwrite").exit_code == 0
    assert file.read_text().startswith("ts,symbol")
    assert [f.name for f in tmp_path.iterdir()] == ["f.csv"]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ((), InputError, "name a strategy, or add --all-bars"),
        (("--all-bars", "--param", "a=1"), InputError, "--param belongs to a strategy"),
        (("trend_day", "--param", "a"), InputError, "NAME=VALUE, such as --param window=96, was 'a'"),
        (("trend_dya",), UnknownNameError, "did you mean 'trend_day'"),
        (("--all-bars", "--factors", "atrr"), UnknownNameError, "unknown factor 'atrr'"),
        (("--all-bars", "--factors", "atr(0)", "--interval", "5m"), InputError, "at least 1, was 0"),
        (("--all-bars", "--interval", "7m"), UnknownNameError, "unknown interval '7m'"),
        (("--all-bars", "--interval", "1m"), InputError, "below the base interval '5m'"),
        (("--all-bars", "--interval", "5m", "--symbol", "SOL/USDT"), UnknownNameError, "unknown symbol"),
        (("--all-bars", "--interval", "5m", "--start", "2030-01-01"), InputError, "no bars"),
        (("--all-bars", "--interval", "5m", "--start", "2024-01-13", "--end", "2024-02-01"), InputError, "no bars"),
        (("--all-bars", "--interval", "5m", "--start", "soon"), InputError, "start must be an ISO date"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(export, arguments, error, said):
    with pytest.raises(error) as raised:
        export(*arguments)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_of_no_known_format_is_refused(export):
    with pytest.raises(InputError, match=r"must end in \.csv or \.parquet"):
        export("--all-bars", out="f.xlsx")
