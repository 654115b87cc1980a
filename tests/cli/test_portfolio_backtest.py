"""`toolkit portfolio backtest` as a person and as a machine sees it: from a sweep to a run folder."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from toolkit.analysis.runs import list_runs
from toolkit.bars.synthetic import synthetic_columns
from toolkit.cli.main import app
from toolkit.errors import LockstepError

SWEEP = (
    "sweep", "--strategy=volatility_breakout", "--symbol=BTC/USDT", "--symbol=ETH/USDT", "--interval=15m",
    "--start=2023-01-03", "--end=2023-01-12", "--param=window=8:16:4", "--rule=side=long,short",
    "--rule=stop=1atr(14)", "--rule=max_hold=3h", "--top=8", "--min-trades=1", "--csv=none", "--no-factors",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 20 synthetic days of two symbols, and a sweep of the first twelve."""
    folder = tmp_path_factory.mktemp("data")
    for symbol, columns in synthetic_columns(("BTC/USDT", "ETH/USDT"), days=20).items():
        pl.DataFrame(columns).write_parquet(folder / f"synthetic_{symbol.replace('/', '')}_1m.parquet")
    for words in (("data", "import", f"{folder}/*.parquet"), SWEEP):
        done = CliRunner(env={"LOCKSTEP_DATA": str(folder)}).invoke(app, list(words))
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(autouse=True)
def in_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(data))


def run(*words: str) -> Result:
    done = CliRunner().invoke(app, ["portfolio", "backtest", *words])
    assert done.exit_code == 0, done.output
    return done


def machine(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*words, "--json").stdout)
    return found


def refused(*words: str) -> str:
    done = CliRunner().invoke(app, ["portfolio", "backtest", *words])
    assert isinstance(done.exception, LockstepError), done.output
    return str(done.exception)


def test_a_sweep_is_tested_on_the_days_after_it(data: Path) -> None:
    done = run("latest", "--limit", "max_open=3", "--limit", "max_symbol=0.5", "--capital", "20000")
    text = done.stdout
    assert "8 candidates on one account, 2023-01-12 00:00 to 2023-01-21 00:00" in text
    assert "portfolio" in text and "equal" in text and "buy and hold" in text
    assert "most open trades" in text and "12 combinations tried" in text and "IN SAMPLE" not in text
    assert "SYNTHETIC" in done.stderr
    folder = Path(text.split("run: ")[1].splitlines()[0])
    results = json.loads((folder / "results.json").read_text())
    assert (results["capital"], results["in_sample"], results["config"]["limits"]["max_open"]) == (20_000.0, False, 3)
    assert results["config"]["selected_from"]["combinations_tried"] == 12
    assert (folder / "report.html").is_file() and folder.parent == data / "runs"


def test_days_of_the_selection_are_said_loudly() -> None:
    done = run("latest", "--start", "2023-01-08", "--end", "2023-01-11", "--no-save")
    assert "IN SAMPLE" in done.stdout and "IN SAMPLE" in done.stderr
    assert "run: " not in done.stdout


def test_json_is_the_results_and_the_files(tmp_path: Path) -> None:
    found = machine("latest", "--top", "4", "--weights", "inverse_volatility", "--no-factors", "--out", str(tmp_path))
    folder = Path(found["folder"])
    written = json.loads((folder / "results.json").read_text())
    assert {k: v for k, v in found.items() if k not in ("folder", "files")} == written
    assert folder.parent == tmp_path and "trades.parquet" in found["files"] and "factors.parquet" not in found["files"]
    assert len(found["instances"]) == 4
    assert sum(row["weight"] for row in found["instances"]) == pytest.approx(1.0)
    assert found["config"]["learned_from"] == {"start": "2023-01-03 00:00", "end": "2023-01-12 00:00"}


def test_weights_of_a_file_and_rules_of_a_venue(tmp_path: Path) -> None:
    first = machine("latest", "--no-save")
    names = [row["instance"] for row in first["instances"]]
    file = tmp_path / "weights.csv"
    file.write_text(f"instance,weight\n{names[0]},0.5\n{names[1]},0.1\n")
    limits = tmp_path / "limits.toml"
    limits.write_text('[limits]\nmax_open = 1\nmax_gross = 0.9\n[instruments."BTC/USDT"]\nlot_step = 0.001\n')
    found = machine(
        "latest", "--weights", str(file), "--limits", str(limits), "--limit", "max_open=2", "--no-save",
        "--instrument", "BTC/USDT,min_notional=5", "--instrument", "ETH/USDT,market=spot",
    )  # fmt: skip
    weights = {row["instance"]: row["weight"] for row in found["instances"]}
    assert (weights[names[0]], weights[names[1]], sum(weights.values())) == (0.5, 0.1, pytest.approx(0.6))
    config = found["config"]
    assert (config["limits"]["max_open"], config["limits"]["max_gross"], config["weights"]) == (2, 0.9, "given")
    assert config["instruments"]["BTC/USDT"]["lot_step"] == 0.001
    assert config["instruments"]["BTC/USDT"]["min_notional"] == 5
    assert config["instruments"]["ETH/USDT"]["market"] == "spot"


def test_a_rebalance_from_flags() -> None:
    found = machine(
        "latest", "--rebalance", "2d", "--lookback", "5d", "--select", "win_rate >= 0", "--select-top", "3",
        "--method", "inverse_volatility", "--rebalance-latency", "10m", "--cap-instance", "0.5", "--no-save",
    )  # fmt: skip
    policy = found["config"]["policy"]
    assert (policy["every"], policy["lookback"], policy["latency"], policy["method"]) == (
        "2d", "5d", "10m", "inverse_volatility"
    )  # fmt: skip
    assert policy["rule"]["top"] == 3 and policy["caps"]["instance"] == 0.5
    assert {"portfolio", "equal", "static"} <= set(found["variants"])


def test_what_cannot_be_run_is_one_sentence(tmp_path: Path) -> None:
    runs = len(list_runs())
    assert "must be a weights.csv or one of" in refused("latest", "--weights", "hrpp")
    assert "name how often with --rebalance" in refused("latest", "--select", "sharpe > 0")
    for option in (
        "--method=hrp",
        "--lookback=30d",
        "--select-top=3",
        "--max-correlation=0.5",
        "--rebalance-latency=1m",
    ):
        assert option.partition("=")[0] in refused("latest", option)
    assert "contradicts" in refused("latest", "--limit", "max_symbol=0.9", "--limit", "max_gross=0.5")
    assert "unknown run 'nothing'" in refused("nothing")
    assert "unknown limit 'max_opn'" in refused("latest", "--limit", "max_opn=2")
    assert "unknown instrument rule 'lot'" in refused("latest", "--instrument", "BTC/USDT,lot=2")
    assert "the records begin" in refused("latest", "--rebalance", "7d", "--lookback", "90d")
    bad = tmp_path / "weights.csv"
    bad.write_text("instance,weight\nx,nan\n")
    assert "weight" in refused("latest", "--weights", str(bad))
    assert len(list_runs()) == runs


def test_venue_rules_that_nothing_trades_under_are_said() -> None:
    done = run("latest", "--instrument", "SOL/USDT,lot_step=2", "--no-save")
    assert "venue rules of SOL/USDT are not used: no candidate trades there" in done.output


def test_flags_are_laid_over_what_the_source_says(tmp_path: Path) -> None:
    file = tmp_path / "members.toml"
    file.write_text(
        """capital = 5000.0
        [limits]
        max_open = 2
        max_gross = 0.5
        drawdown_halt = 0.2
        [instruments."BTC/USDT"]
        lot_step = 0.001
        [[instance]]
        strategy = "volatility_breakout"
        symbol = "BTC/USDT"
        interval = "15m"
        weight = 1.0
        """
    )
    words = (str(file), "--start", "2023-01-12", "--no-save")
    found = machine(*words, "--limit", "max_open=1", "--instrument", "BTC/USDT,min_notional=5")
    limits, venue = found["config"]["limits"], found["config"]["instruments"]["BTC/USDT"]
    assert (limits["max_open"], limits["max_gross"], limits["drawdown_halt"]) == (1, 0.5, 0.2)
    assert (venue["lot_step"], venue["min_notional"], found["capital"]) == (0.001, 5, 5000.0)
    assert "caps shape weights that a method makes" in refused(*words, "--cap-symbol", "0.3")


def test_an_end_beyond_the_bars_is_said() -> None:
    done = run("latest", "--end", "2031-01-01", "--top", "2", "--no-save")
    assert "the bars end 2023-01-21 00:00, before the end that was asked for, 2031-01-01 00:00" in done.stderr


def test_weights_of_a_file_say_what_days_they_were_learned_on(tmp_path: Path) -> None:
    names = [row["instance"] for row in machine("latest", "--no-save")["instances"]]
    file = tmp_path / "weights.csv"

    def written(*days: str) -> tuple[Any, str]:
        head = "instance,weight" + (",learned_from,learned_to" if days else "")
        file.write_text("\n".join([head, *(",".join([name, "0.1", *days]) for name in names)]))
        done = run("latest", "--weights", str(file), "--no-save", "--json")
        return json.loads(done.stdout), done.stderr

    after, _ = written("2023-01-03", "2023-01-11")
    assert after["in_sample"] is False
    seen, _ = written("2023-01-03", "2023-01-12")
    assert seen["in_sample"] is True and any("IN SAMPLE: the weights" in note for note in seen["notes"])
    unknown, _ = written()
    assert unknown["in_sample"] is None
    assert any("not known on which days the weights were learned" in note for note in unknown["notes"])
