"""`toolkit portfolio weights` and `correlations`, of trades files and of a sweep."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from toolkit.bars.synthetic import synthetic_columns
from toolkit.cli.main import app
from toolkit.errors import InputError, LockstepError
from toolkit.portfolio.track_sources import read_source
from toolkit.portfolio.weights_file import read_weights, write_weights

DAY = 86_400_000
FIRST = 1_640_995_200_000


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Two strategies of 60 daily trades each, the second with twice the risk."""
    random = np.random.default_rng(4)
    paths = []
    for name, risk in (("calm", 1.0), ("wild", 2.0)):
        days = FIRST + np.arange(60) * DAY
        frame = {
            "Symbol": ["BTC/USDT"] * 60, "Side": ["long"] * 60, "entry_ts": days, "exit_ts": days + DAY // 2,
            "pnl": 100.0 + risk * 1000.0 * random.normal(size=60), "mood": ["good"] * 60,
        }  # fmt: skip
        pl.DataFrame(frame).write_csv(tmp_path / f"{name}.csv")
        paths.append(str(tmp_path / f"{name}.csv"))
    return paths[0], paths[1]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a sweep over ten synthetic days."""
    folder = tmp_path_factory.mktemp("data")
    for symbol, columns in synthetic_columns(("BTC/USDT",), days=10).items():
        pl.DataFrame(columns).write_parquet(folder / f"synthetic_{symbol.replace('/', '')}_1m.parquet")
    runner = CliRunner(env={"LOCKSTEP_DATA": str(folder)})
    words = ["sweep", "-s", "volatility_breakout", "--symbol", "BTC/USDT", "--interval", "15m", "--top", "4"]
    words += ["--start", "2023-01-05T12:00", "--param", "window=10:40:10", "--min-trades", "1", "--jobs", "1"]
    assert runner.invoke(app, ["data", "import", f"{folder}/*.parquet"]).exit_code == 0
    result = runner.invoke(app, words)
    assert result.exit_code == 0, result.output
    return folder


def run(*words: str) -> Result:
    result = CliRunner().invoke(app, ["portfolio", *words])
    assert result.exit_code == 0, result.output
    return result


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, ["portfolio", *words])
    assert isinstance(result.exception, LockstepError), result.output
    return str(result.exception)


def test_weights_of_files_say_what_they_were_learned_on(files: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "weights.csv"
    text = run("weights", *files, "--method", "inverse_volatility", "--out", str(out)).stdout
    assert "learned by inverse_volatility on 60 UTC days, 2022-01-01 to 2022-03-01" in text
    assert "must not be judged on those days" in text
    assert "ignored columns mood" in text
    assert "shares of a capital of 100,000" in text
    weights = read_weights(out).weights
    deviations = [pl.read_csv(file)["pnl"].std() for file in files]
    inverse = np.array([1.0 / float(one) for one in deviations])  # type: ignore[arg-type]
    assert list(weights.values()) == pytest.approx(inverse / inverse.sum())
    assert list(weights) == ["calm-BTCUSDT", "wild-BTCUSDT"]


def test_weights_as_json_with_caps_and_a_range(files: tuple[str, str]) -> None:
    words = ("--cap-instance", "0.3", "--start", "2022-01-05", "--end", "2022-02-01T12:00", "--json")
    found = json.loads(run("weights", *files, *words).stdout)
    assert (found["learned_from"], found["learned_to"], found["days"]) == ("2022-01-05", "2022-01-31", 27)
    assert found["weights"] == {"calm-BTCUSDT": 0.3, "wild-BTCUSDT": 0.3}
    assert found["idle"] == pytest.approx(0.4)
    assert found["caps"]["instance"] == 0.3
    assert "stays idle" in run("weights", *files, *words[:-1]).stdout


def test_days_after_the_end_change_no_weight(files: tuple[str, str]) -> None:
    words = ("weights", *files, "--method", "hrp", "--end", "2022-02-01", "--json")
    before = json.loads(run(*words).stdout)["weights"]
    for file in files:
        table = pl.read_csv(file)
        later = pl.col("exit_ts") >= FIRST + 31 * DAY
        table.with_columns(pl.when(later).then(-7.0 * pl.col("pnl")).otherwise("pnl").alias("pnl")).write_csv(file)
    assert json.loads(run(*words).stdout)["weights"] == before


def test_correlations_of_files(files: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "matrix.csv"
    text = run("correlations", *files, "--out", str(out)).stdout
    assert "2 instances, mean correlation" in text
    matrix = pl.read_csv(out)
    pnl = [pl.read_csv(file)["pnl"].to_numpy() for file in files]
    assert matrix["wild-BTCUSDT"][0] == pytest.approx(np.corrcoef(pnl[0], pnl[1])[0, 1])
    found = json.loads(run("correlations", *files, "--steps", "1", "--json").stdout)
    assert [row["step"] for row in found["steps"]] == [1, 1]
    assert found["correlations"]["calm-BTCUSDT"]["calm-BTCUSDT"] == pytest.approx(1.0)


def test_a_sweep_is_weighed_by_its_best_marked_daily(swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(swept))
    found = json.loads(run("weights", "latest", "--method", "equal", "--json").stdout)
    source = read_source(["latest"])
    folder = next((swept / "runs").glob("*-sweep-*"))
    top, equity = pl.read_parquet(folder / "top.parquet"), pl.read_parquet(folder / "top_equity.parquet")
    assert list(found["weights"]) == top["instance"].to_list() == source.track.instances
    assert f"the {top.height} best of 4 combinations" in found["notes"][0]
    for name in source.track.instances:
        days = equity.filter(instance=name)
        assert source.track.returns[name].to_list() == days["return"].to_list()
        assert source.track.returns[name].sum() == pytest.approx(top.filter(instance=name)["total_return"][0])
    # Marks stand at the ends of days: that of the first, which began at noon, at the next midnight.
    assert source.first == "2023-01-05"
    assert str(equity["ts"].min()).startswith("2023-01-06 00:00")
    assert source.track.returns.height == equity.filter(instance=top["instance"][0]).height
    assert set(source.track.trades["instance"]) <= set(top["instance"])


def test_other_runs_are_read_by_their_trades(swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(swept))
    words = ["backtest", "volatility_breakout", "--symbol", "BTC/USDT", "--interval", "15m", "--start", "2023-01-03"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    folder = next((swept / "runs").glob("*-backtest-*"))
    trades = pl.read_parquet(folder / "trades.parquet").filter(pl.col("exit_ts").is_not_null())
    source = read_source([str(folder)])
    assert source.track.returns[source.track.instances[0]].sum() == pytest.approx(trades["return"].sum())
    assert "day of the exit" in source.notes[0]


def test_what_cannot_be_a_source_is_refused(files: tuple[str, str], tmp_path: Path) -> None:
    assert "one run, or one or many trades.csv" in refused("weights", files[0], "latest")
    assert "no whole UTC day" in refused("weights", files[0], "--start", "2031-01-01")
    assert "start must be before end" in refused("weights", files[0], "--start", "2031-01-01", "--end", "2030-01-01")
    assert "cannot be read" in refused("correlations", str(tmp_path / "none.csv"))
    assert "unknown run" in refused("correlations", "20260101-000000-sweep-000000")
    assert "the cap on a strategy" in refused("weights", files[0], "--cap-strategy", "0")


def test_nothing_is_written_where_nothing_can_be_weighed(files: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "weights.csv"
    table = pl.read_csv(files[0]).with_columns(pnl=-1.0)
    table.write_csv(files[0])
    assert "made no profit" in refused("weights", files[0], "--method", "winners", "--out", str(out))
    assert not out.exists()


@pytest.mark.parametrize("command", ["weights", "correlations"])
def test_help_has_an_example(command: str) -> None:
    assert "Example: toolkit portfolio" in run(command, "--help").stdout


def test_weights_are_read_as_written(tmp_path: Path) -> None:
    file = tmp_path / "some" / "w.csv"
    weights = {"a": 1.0 / 3.0, "b": 0.0, "c,d": 0.1}
    write_weights(file, weights)
    assert read_weights(file).weights == weights


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("instance\na\n", "lacks the columns weight; it has instance"),
        ("instance,weight\na,0.5\na,0.5\n", "row 3: each row must name an instance of its own, was 'a'"),
        ("instance,weight\n,0.5\n", "row 2: each row must name an instance"),
        ("instance,weight\na,half\n", "row 2: `weight` must be a number, was 'half'"),
        ("instance,weight\na,\n", "row 2: `weight` must be a number"),
        ("instance,weight\na,-0.5\n", "the weight of a must not be negative"),
        ("instance,weight\na,nan\n", "the weight of a must be a finite number"),
        ("instance,weight\na,0\n", "sum to nothing"),
        ("instance,weight\na,1\nb,1\n", "at most 1, was 2"),
        ("", "is no CSV of weights"),
    ],
)
def test_weights_that_are_none_are_refused_by_file_and_row(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "w.csv"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        read_weights(file)
    assert said in str(error.value)
    assert str(file) in str(error.value)
