"""`toolkit report`: a run's page anew, and the page of trades made elsewhere."""

import json
import math
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from toolkit.analysis.runs import list_runs
from toolkit.bars.store import Source, Store
from toolkit.bars.synthetic import EXCHANGE, synthetic_columns
from toolkit.cli.main import app
from toolkit.errors import LockstepError

HEAD = "strategy,symbol,side,entry_ts,exit_ts,pnl"
ROWS = (
    "trend,BTC/USDT,long,2024-01-01T00:00,2024-01-01T06:00,100",
    "trend,BTC/USDT,short,2024-01-02T00:00,2024-01-04T06:00,-50",
    "<img src=x onerror=alert(1)>,ETH/USDT,long,2024-01-04T00:00,2024-01-04T07:00,30",
    "trend,BTC/USDT,long,2024-01-05T00:00,,12",
)


def run(*words: str) -> Result:
    done = CliRunner().invoke(app, ["report", *words])
    assert done.exit_code == 0, done.output
    return done


def refused(*words: str) -> str:
    done = CliRunner().invoke(app, ["report", *words])
    assert isinstance(done.exception, LockstepError), done.output
    return str(done.exception)


@pytest.fixture
def trades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "trades.csv"
    file.write_text("\n".join([HEAD + ",colour", *(row + ",red" for row in ROWS)]))
    return file


def test_trades_of_a_file_by_the_days_of_their_exits(trades: Path) -> None:
    done = run("trades.csv", "--capital", "1000")
    assert "ignored columns colour" in done.stderr
    assert "days of their exits" in done.stdout
    results = json.loads(Path("report.json").read_text())
    figures = results["figures"]
    # Days 1 to 4: +100, 0, 0, -50 + 30 on a capital of 1,000.
    returns = [0.1, 0.0, 0.0, -20 / 1100]
    mean = sum(returns) / 4
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / 3)
    assert figures["total_return"] == pytest.approx(0.08)
    assert figures["sharpe"] == pytest.approx(mean / deviation * math.sqrt(365))
    assert figures["max_drawdown"] == pytest.approx(20 / 1100)
    assert (figures["trades"], figures["open_trades"], figures["win_rate"]) == (3, 1, pytest.approx(2 / 3))
    assert figures["profit_factor"] == pytest.approx(130 / 50)
    # What the file does not tell is none, never 0.
    assert [figures[n] for n in ("fees", "turnover", "return_at_twice_costs", "buy_and_hold_return")] == [None] * 4
    assert results["combinations_tried"] is None and results["in_sample"] is None
    assert [row["trades"] for row in results["strategies"]] == [2, 1]
    page = Path("report.html").read_text()
    assert "<img src=x" not in page and "&lt;img src=x" in page


def test_many_files_are_one_report_and_json_is_for_machines(trades: Path) -> None:
    other = trades.with_name("other.csv")
    other.write_text(HEAD + "\nrange,SOL/USDT,long,2024-02-01T00:00,2024-02-01T06:00,5\n")
    found = json.loads(run("trades.csv", "other.csv", "--out", "deep/both.html", "--json").stdout)
    assert found["figures"]["trades"] == 4
    assert {row["strategy"] for row in found["strategies"]} >= {"trend", "range"}
    assert Path("deep/both.html").is_file() and Path("deep/both.json").is_file()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("symbol,side,entry_ts,exit_ts\nBTC/USDT,long,2024-01-01,2024-01-02\n", "pnl"),
        (HEAD + "\ntrend,BTC/USDT,long,yesterday,2024-01-02,1\n", "entry_ts"),
        (HEAD + "\ntrend,BTC/USDT,long,2024-01-03,2024-01-02,1\n", "before"),
        (HEAD + "\ntrend,BTC/USDT,long,2024-01-03,,1\n", "none of the 1 trades has an exit"),
        ("", "trades.csv"),
    ],
)
def test_a_bad_file_is_one_sentence_and_writes_nothing(trades: Path, text: str, sentence: str) -> None:
    trades.write_text(text)
    assert sentence in refused("trades.csv")
    assert not Path("report.html").exists() and not Path("report.json").exists()


def test_what_cannot_be_reported_is_said(trades: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    assert "`capital` must be a positive amount" in refused("trades.csv", "--capital", "0")
    before = trades.read_text()
    assert "`--out` must be an HTML file" in refused("trades.csv", "--out", "trades.csv")
    assert trades.read_text() == before
    assert "cannot be put together with trades.csv" in refused("trades.csv", "20240101-run")
    assert "one run has one report" in refused("a-run", "b-run")
    assert "unknown run 'a-run'" in refused("a-run")
    assert "cannot be read" in refused("nothing.csv")


def test_a_run_has_its_page_anew(trades: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    for symbol, columns in synthetic_columns(("BTC/USDT",), days=8).items():
        source = Source("request", "synthetic", "0" * 64)
        Store(tmp_path / "bars.duckdb").write(EXCHANGE, symbol, "1m", columns, source)
    words = ["backtest", "volatility_breakout", "--symbol", "BTC/USDT", "--interval", "5m"]
    assert CliRunner().invoke(app, words).exit_code == 0
    (one,) = list_runs()
    found = json.loads(run("latest", "--json").stdout)
    assert (found["kind"], found["run"]) == ("backtest", one.run_id)
    assert Path(found["report"]).read_text() == (one.folder / "report.html").read_text()
    assert "win rate" in run(one.run_id, "--out", "again.html").stdout
    # Its trades.csv read back: figures of trades are the run's.
    again = json.loads(run(str(one.folder / "trades.csv"), "--capital", "1000", "--json").stdout)["figures"]
    names = ("trades", "open_trades", "win_rate", "profit_factor", "expectancy", "expectancy_r", "avg_win", "avg_loss",
             "worst_trade", "fees")  # fmt: skip
    assert {n: again[n] for n in names} == pytest.approx({n: found["figures"][n] for n in names}, rel=1e-9)
    assert again["trades"] > 0
