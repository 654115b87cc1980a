"""`toolkit sweep` as a person and as a machine sees it: files, flags, Ctrl-C and --resume."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from toolkit.analysis.backtest import backtest
from toolkit.analysis.runs import list_runs, partial_runs
from toolkit.bars.synthetic import synthetic_bars, synthetic_columns
from toolkit.cli.main import app
from toolkit.errors import LockstepError
from toolkit.sweep.flags import axis_of, pairs_of, strategies_of, value_of
from toolkit.sweep.result import SweepResult

FLAGS = (
    "--strategy=volatility_breakout", "--symbol=BTC/USDT", "--symbol=ETH/USDT", "--interval=15m",
    "--start=2023-01-05", "--param=window=10:30:10", "--rule=side=long,both",
    "--rule=stop=1atr(14):2atr(14):0.5atr(14)",
)  # fmt: skip


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with ten synthetic days of two symbols."""
    folder = tmp_path_factory.mktemp("data")
    for symbol, columns in synthetic_columns(("BTC/USDT", "ETH/USDT"), days=10).items():
        pl.DataFrame(columns).write_parquet(folder / f"synthetic_{symbol.replace('/', '')}_1m.parquet")
    minutes = synthetic_bars(("BTC/USDT",), days=10)["BTC/USDT"].to("5m")
    columns = {name: getattr(minutes, name) for name in ("ts", "open", "high", "low", "close", "volume")}
    pl.DataFrame(columns).write_parquet(folder / "synthetic_BTCUSDT_5m.parquet")
    result = CliRunner(env={"LOCKSTEP_DATA": str(folder)}).invoke(app, ["data", "import", f"{folder}/*.parquet"])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def data(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same bars in a data folder of this test's own."""
    (tmp_path / "bars.duckdb").write_bytes((stored / "bars.duckdb").read_bytes())
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    return tmp_path


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["sweep", *words])
    assert result.exit_code == code, result.output
    return result


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, ["sweep", *words])
    assert isinstance(result.exception, LockstepError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_flags_to_json(data: Path) -> None:
    done = run(*FLAGS, "--top=3", "--by=expectancy", "--min-trades=2", "--csv=both", "--json")
    summary = json.loads(done.stdout)
    assert summary["combinations_tried"] == 2 * 3 * 3 * 2
    assert [row["rank"] for row in summary["top"]] == [1, 2, 3]
    assert {"metrics.parquet", "trades.csv", "factors.csv", "run.json"} <= set(summary["files"])
    assert len([f for f in summary["files"] if f.startswith("trades/")]) == 3
    assert "36 combinations" in done.stderr
    assert [r.run_id for r in list_runs()] == [summary["run_id"]]


def test_rows_equal_backtests_from_the_store(data: Path) -> None:
    """With warm-up: every row's own history before the start is part of what is loaded for all of them."""
    folder = Path(json.loads(run(*FLAGS, "--json").stdout)["folder"])
    result = SweepResult.read(folder)
    for number in range(0, result.combinations_tried, 5):
        row = result.metrics.row(number, named=True)
        found = backtest(**result.combination(number))
        assert found.instance.id == row["instance"]
        figures = {name: None if value != value else value for name, value in found.metrics.items()}
        assert {n: row[n] for n in figures} == {**figures, "combinations_tried": 36.0}


def test_policy_finer_reads_the_finer_stored_series(data: Path) -> None:
    words = (
        "--strategy=volatility_breakout",
        "--symbol=BTC/USDT",
        "--interval=15m",
        "--param=window=10",
        "--no-factors",
    )
    rules = ("--rule=stop=0.002", "--rule=target=0.002", "--rule=policy=pessimistic,finer")
    result = SweepResult.read(Path(json.loads(run(*words, *rules, "--base=5m", "--json").stdout)["folder"]))
    for number in (0, 1):
        figures = backtest(**result.combination(number)).metrics
        assert result.metrics["total_return"][number] == figures["total_return"]
    assert result.metrics["ambiguous_trades"][0] > result.metrics["ambiguous_trades"][1]
    assert "needs a finer stored series" in refused(*words, *rules)


def test_a_file_with_changes_and_a_table_for_people(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'symbols = ["BTC/USDT"]\nintervals = ["1h", "1d"]\nstrategies = ["trend_day", "volatility_breakout"]\n'
        'start = "2023-01-05"\nrules = { side = ["long", "short"] }\n'
    )
    done = run(str(tmp_path / "mine.toml"), "--min-trades=0", "--by=total_return", "--no-factors", "--csv=none")
    lines = done.stdout.splitlines()
    assert lines[0].split()[:5] == ["rank", "strategy", "symbol", "interval", "side"]
    assert len(lines[1:]) == 6 + 4
    assert "6 combinations tried; the best of many is luck in part" in done.stdout
    assert "buy and hold: BTC/USDT" in done.stdout
    assert "left out: trend_day on 1d" in done.stderr
    assert "comes from" not in done.stderr
    assert "come from the experiment file" in refused(str(tmp_path / "mine.toml"), "--rule=stop=0.1")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((), "name an experiment file"),
        (("none.toml",), "none.toml cannot be read"),
        (("--strategy=trend_dy", "--symbol=BTC/USDT", "--interval=1h"), "did you mean 'trend_day'"),
        (("--strategy=trend_day", "--symbol=BTC/USDT", "--interval=2h"), "unknown interval '2h'"),
        (("--strategy=trend_day", "--symbol=XRP/USDT", "--interval=1h"), "unknown symbol 'XRP/USDT'"),
        (("--strategy=trend_day", "--interval=1h"), "`symbols`"),
        ((*FLAGS, "--param=exit_windw=3"), "did you mean 'exit_window'"),
        ((*FLAGS, "--param=window"), "must be NAME=VALUE"),
        ((*FLAGS, "--param=window=3"), "given twice"),
        ((*FLAGS, "--param=trend_day.move=3"), "which is not named"),
        ((*FLAGS, "--param=exit_window=3:9"), "`sample`"),
        ((*FLAGS, "--rule=max_hold=1h:4h:5m"), "one unit"),
        ((*FLAGS, "--end=2023-01-02"), "start must be before end"),
        ((*FLAGS, "--rule=target=none,2R", "--rule=trail=none", "--strategy=volatility_breakout"), "is there twice"),
        ((*FLAGS[:-1], "--rule=stop=none,1%", "--rule=target=1%,2R"), "combine stop=none with target=2R"),
        ((*FLAGS, "--rule=exits=5"), "`exits` must be a list of tables"),
        ((*FLAGS, "--param=expansion=NaN"), "must be a finite number"),
        (("--symbol=BTC/USDT", "--param=window=3"), "name it with --strategy"),
        ((*FLAGS, "--jobs=0"), "`jobs` must be at least 1"),
        (("--resume=nothing",), "unknown unfinished run 'nothing'"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence_and_leave_nothing(data: Path, words: tuple[str, ...], part: str) -> None:
    assert part in refused(*words)
    assert list_runs() == partial_runs() == []


def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(data: Path) -> None:
    big = [
        "--strategy=volatility_breakout", "--symbol=BTC/USDT", "--interval=1m", "--param=window=10:200:2",
        "--rule=stop=0.002:0.05:0.002", "--rule=max_hold=1h:4h:1h", "--top=2", "--no-factors", "--jobs=1",
    ]  # fmt: skip
    command = [sys.executable, "-c", "from toolkit.cli.main import main; main()", "sweep", *big]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as job:
        deadline = time.monotonic() + 240
        while not list(data.glob("runs/.*.partial/parts/*.parquet")):
            assert job.poll() is None and time.monotonic() < deadline, job.communicate()
            time.sleep(0.01)
        job.send_signal(signal.SIGINT)
        out, err = job.communicate(timeout=60)
    assert job.returncode == 130
    (run_id,) = partial_runs()
    assert f"go on with: toolkit sweep --resume {run_id}" in err
    assert "Traceback" not in err
    assert out == ""
    assert list_runs() == []
    assert 1 <= len(list(data.glob("runs/.*.partial/parts/*.parquet"))) < 96
    summary = json.loads(run("--resume", run_id, "--json").stdout)
    assert (summary["run_id"], summary["combinations_tried"]) == (run_id, 96 * 25 * 4)
    result = SweepResult.read(run_id)
    assert result.metrics["combination"].to_list() == list(range(9600))
    assert [r.run_id for r in list_runs()] == [run_id]
    assert partial_runs() == []
    assert "factors" not in result.run.tables


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("96", 96),
        ("48,96", [48, 96]),
        ("0.5, none,2atr(14),correlation(60, ETH/USDT)", [0.5, "none", "2atr(14)", "correlation(60, ETH/USDT)"]),
        ("10:50:10", {"from": 10, "to": 50, "step": 10}),
        ("0.5:1.5", {"from": 0.5, "to": 1.5}),
        ("1h:8h:1h", {"from": 1, "to": 8, "step": 1, "form": "{}h"}),
        ("1%:3%:0.5%", {"from": 1, "to": 3, "step": 0.5, "form": "{}%"}),
        ("log:1:1000:4", {"from": 1, "to": 1000, "num": 4, "log": True}),
        ("true,false", [True, False]),
        ("long", "long"),
    ],
)
def test_axes_of_flags(text: str, axis: Any) -> None:
    assert axis_of("x", text) == axis


def test_params_of_one_strategy_or_all() -> None:
    tables = strategies_of(["a", "b"], ["window=1,2", "b.window=3"], None)
    assert [t["params"] for t in tables] == [{"window": [1, 2]}, {"window": 3}]
    assert pairs_of("--rule", ["a=b=c"]) == {"a": "b=c"}
    assert [value_of(t) for t in ("1", "1.5", "true", "[1]", " x ")] == [1, 1.5, True, "[1]", "x"]
