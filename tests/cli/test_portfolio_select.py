"""`toolkit portfolio select` and `rebalance` over a small store and a tiny sweep."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from toolkit.analysis.runs import read_run
from toolkit.bars.moments import to_ms
from toolkit.bars.synthetic import synthetic_columns
from toolkit.cli.main import app
from toolkit.errors import LockstepError
from toolkit.portfolio.deployment import list_deployments, read_deployment, write_deployment
from toolkit.portfolio.loading import load_members
from toolkit.portfolio.rebalance import RebalancePolicy, walk_forward
from toolkit.portfolio.selection import SelectionRule
from toolkit.portfolio.standalone import track_of
from toolkit.sweep.result import SweepResult

SWEEP = (
    "sweep", "--strategy=volatility_breakout", "--symbol=BTC/USDT", "--symbol=ETH/USDT", "--interval=15m",
    "--start=2023-01-03", "--end=2023-01-20", "--param=window=10:40:10", "--rule=side=long,short",
    "--rule=max_hold=2h,8h", "--csv=none", "--no-factors",
)  # fmt: skip
CHOICE = ("--min-trades=5", "--top=4", "--by=total_return", "--max-correlation=0.9")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with thirty synthetic days of two symbols, and a sweep over some of them."""
    folder = tmp_path_factory.mktemp("data")
    for symbol, columns in synthetic_columns(("BTC/USDT", "ETH/USDT"), days=30).items():
        pl.DataFrame(columns).write_parquet(folder / f"synthetic_{symbol.replace('/', '')}_1m.parquet")
    runner = CliRunner(env={"LOCKSTEP_DATA": str(folder)})
    for words in (["data", "import", f"{folder}/*.parquet"], list(SWEEP)):
        result = runner.invoke(app, words)
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def data(swept: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCKSTEP_DATA", str(swept))
    return swept


def run(*words: str) -> Any:
    result = CliRunner().invoke(app, ["portfolio", *words])
    assert result.exit_code == 0, result.output
    return result


def machine(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*words, "--json").stdout)
    return found


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, ["portfolio", *words])
    assert isinstance(result.exception, LockstepError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


def selected(folder: Path, *words: str) -> tuple[dict[str, Any], Path]:
    out = folder / "deployment.json"
    return machine("select", "latest", "--select=trades > 0", *CHOICE, f"--out={out}", *words), out


def test_a_sweep_becomes_a_deployment(data: Path, tmp_path: Path) -> None:
    said, out = selected(tmp_path, "--method=inverse_volatility", "--cap-symbol=0.6", "--limit=max_gross=0.8")
    deployment = read_deployment(out)
    sweep = SweepResult.read("latest")
    assert said["combinations_tried"] == sweep.combinations_tried == deployment.selected_from.combinations_tried == 32
    assert deployment.selected_from.run == sweep.run.run_id
    assert said["in_sample"]["start"].startswith("2023-01-03T00:00")
    assert said["in_sample"]["end"].startswith("2023-01-20T00:00")
    assert deployment.effective_from_ms == to_ms("2023-01-20", "end")
    assert [row["instance"] for row in said["chosen"]] == [m.instance.id for m in deployment.members]
    assert 1 <= len(deployment.members) <= 4
    assert sum(deployment.weights.values()) <= 1 + 1e-9
    assert deployment.limits.max_gross == 0.8
    for symbol in ("BTC/USDT", "ETH/USDT"):
        held = [m.instance.id for m in deployment.members if m.symbol == symbol]
        assert sum(deployment.weights[name] for name in held) <= 0.6 + 1e-9
    assert {(m.exchange, m.base) for m in deployment.members} == {("synthetic", "1m")}
    assert deployment.data and all(len(series["sha256"]) == 64 for series in deployment.data)


def test_figures_of_the_chosen_are_the_sweeps(data: Path, tmp_path: Path) -> None:
    """Stand-alone records say the same as the rows of the sweep's metrics, that it was narrowed by."""
    said, _ = selected(tmp_path)
    best = SweepResult.read("latest").top(1, by="total_return", min_trades=5).row(0, named=True)
    first = said["chosen"][0]
    for name in ("trades", "total_return", "sharpe", "sortino", "max_drawdown", "win_rate"):
        assert first[name] == pytest.approx(best[name], rel=1e-6), name
    assert first["expectancy"] == pytest.approx(best["expectancy"] / SweepResult.read("latest").experiment.notional)


def test_text_says_what_is_in_sample_and_how_many_were_tried(data: Path, tmp_path: Path) -> None:
    out = run("select", "latest", "--select=trades > 0", *CHOICE).stdout
    assert "chosen of 32 combinations tried" in out
    assert "in-sample: chosen and weighed on 2023-01-03T00:00 to 2023-01-20T00:00" in out
    assert "nothing written; --out FILE" in out


def test_limits_of_a_file_and_of_flags(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    file.write_text('[limits]\nmax_gross = 0.9\nmax_open = 3\n[instruments."BTC/USDT"]\nlot_step = 0.001\n')
    said, out = selected(tmp_path, f"--limits={file}", "--limit=max_gross=0.7")
    assert said["deployment"]["limits"]["max_open"] == 3
    deployment = read_deployment(out)
    assert (deployment.limits.max_gross, deployment.instruments["BTC/USDT"].lot_step) == (0.7, 0.001)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--select=sharpe > 1000",), "none of 32 combinations of sweep"),
        (("--select=sharp > 1",), "did you mean 'sharpe'"),
        (("--by=fees",), "unknown figure to rank `by` 'fees'"),
        (("--method=hpr",), "did you mean 'hrp'"),
        (("--cap-symbol=2",), "must be a share above 0 and at most 1"),
        (("--limit=max_grss=1",), "unknown limit 'max_grss'"),
        (("--capital=-5",), "`capital` must be a finite amount above 0"),
        (("--candidates=0",), "`candidates` must be a whole number of at least 1"),
        (("--effective-from=soon",), "--effective-from must be an ISO date"),
        (("--effective-from=2023-01-19",), "is before 2023-01-20 00:00, the end of the days that sweep"),
    ],
)
def test_select_refuses(data: Path, tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    out = tmp_path / "deployment.json"
    assert says in refused("select", "latest", "--min-trades=1", f"--out={out}", *words)
    assert not out.exists()


def test_rebalance_is_the_backtests_function(data: Path, tmp_path: Path) -> None:
    _, out = selected(tmp_path)
    rule = ("--select=trades >= 1", "--min-trades=1", "--by=total_return", "--top=2")
    said = machine("rebalance", str(out), "--lookback=5d", "--moment=2023-01-26", *rule, "--method=inverse_volatility")
    last = read_deployment(out)
    policy = RebalancePolicy("1d", "5d", SelectionRule("trades >= 1", 1, None, 2, "total_return"), "inverse_volatility")
    track = track_of(load_members(last.members, start="2023-01-03", end="2023-01-28"))
    schedule = walk_forward(track, to_ms("2023-01-20", ""), to_ms("2023-01-28", ""), policy)
    wanted = schedule.at(to_ms("2023-01-26", ""))
    assert {row["instance"]: row["new"] for row in said["weights"]} == pytest.approx(wanted, abs=1e-12)
    assert sum(1 for row in said["weights"] if row["new"]) == 2
    assert all(row["why_not"] for row in said["weights"] if not row["new"])
    assert said["deployed"] is None


def test_deployments_follow_each_other(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, out = selected(tmp_path)
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path / "own"))
    db = f"--db={data / 'bars.duckdb'}"
    first = machine("rebalance", str(out), db, "--lookback=7d", "--deploy")
    assert first["previous"] == read_deployment(out).id
    assert first["moment"].startswith("2023-01-31T00:00")
    second = machine("rebalance", "latest", db, "--lookback=7d", "--deploy", "--effective-from=2023-02-02")
    assert second["previous"] == first["id"]
    kept = list_deployments()
    assert [read_deployment(f).id for f in kept] == [first["id"], second["id"]]
    following = read_deployment(kept[1])
    assert following.effective_from_ms == to_ms("2023-02-02", "")
    days = (following.selected_from.start_ms, following.selected_from.end_ms)
    assert days == (to_ms("2023-01-03", ""), to_ms("2023-01-31", "")), "the sweep's days stay in-sample"
    assert [m.instance.id for m in following.members] == [m.instance.id for m in read_deployment(out).members]
    text = run("rebalance", first["id"], db, "--lookback=7d").stdout
    assert text.splitlines()[0].split() == ["instance", "old", "new"]
    assert "nothing written; --deploy keeps it" in text
    assert len(list_deployments()) == 2


def test_a_symbol_that_ended_is_off_and_holds_nothing_back(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bars of ETH end six days before those of BTC; later than the lookback after that it is not even loaded."""
    out = tmp_path / "deployment.json"
    machine("select", "latest", "--select=trades > 0", "--min-trades=5", f"--out={out}")
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path / "own"))
    for symbol, days in (("BTCUSDT", 30), ("ETHUSDT", 24)):
        bars = pl.read_parquet(data / f"synthetic_{symbol}_1m.parquet").head(days * 1440)
        bars.write_parquet(tmp_path / f"synthetic_{symbol}_1m.parquet")
    assert CliRunner().invoke(app, ["data", "import", f"{tmp_path}/*.parquet"]).exit_code == 0
    for lookback in ("7d", "5d"):
        result = run("rebalance", str(out), f"--lookback={lookback}", "--json")
        said = json.loads(result.stdout)
        assert said["moment"].startswith("2023-01-31T00:00")
        assert "bars of ETH/USDT end 2023-01-25" in result.stderr
        rows = {name: [row for row in said["weights"] if name in row["instance"]] for name in ("BTC", "ETH")}
        assert rows["BTC"] and rows["ETH"]
        assert any(row["new"] for row in rows["BTC"])
        assert all(row["new"] == 0.0 and "has no bars since 2023-01-2" in row["why_not"] for row in rows["ETH"])
        assert [row["id"] for row in said["deployment"]["instances"]] == [row["instance"] for row in said["weights"]]


def test_a_deployment_does_not_count_before_the_one_that_it_follows(data: Path, tmp_path: Path) -> None:
    _, out = selected(tmp_path, "--effective-from=2023-02-05")
    says = refused("rebalance", str(out), "--lookback=7d")
    assert "`effective_from` 2023-01-31 00:00 is before 2023-02-05 00:00, from when the deployment" in says
    assert machine("rebalance", str(out), "--lookback=7d", "--effective-from=2023-02-05")["deployed"] is None


def test_all_off_is_deployed_and_said(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, out = selected(tmp_path)
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path / "own"))
    words = (str(out), f"--db={data / 'bars.duckdb'}", "--lookback=7d", "--select=sharpe > 1000", "--deploy")
    said = run("rebalance", *words).stdout
    assert "everything is off: none of" in said
    [kept] = list_deployments()
    assert not any(read_deployment(kept).weights.values())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--lookback=90d",), "and the records begin"),
        (("--lookback=12h",), "`lookback` must be whole days"),
        (("--moment=2023-02-10",), "the records end 2023-01-31"),
        (("--effective-from=2023-01-10",), "`effective_from` 2023-01-10 00:00 is before the moment 2023-01-31 00:00"),
    ],
)
def test_rebalance_refuses(data: Path, tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    _, out = selected(tmp_path)
    given = ("--lookback=7d", *words) if "lookback" not in words[0] else words
    assert says in refused("rebalance", str(out), *given)


def test_rebalance_of_what_is_no_deployment(data: Path, tmp_path: Path) -> None:
    says = refused("rebalance", "nowhere")
    assert says.startswith("unknown deployment 'nowhere': ")
    assert says.endswith("; or name the path of a deployment.json")
    out = selected(tmp_path)[1]
    table = json.loads(out.read_text())
    table["instances"][0]["weight"] /= 2
    out.write_text(json.dumps(table))
    assert "was changed after it was written" in refused("rebalance", str(out))


def test_only_a_sweep_is_selected_from(data: Path) -> None:
    assert read_run("latest").info["kind"] == "sweep"
    assert "unknown run" in refused("select", "20200101-000000-sweep-aaaaaa")


def test_latest_is_the_newest_sweep(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a portfolio's run is newer; that one is still weighed where it is named."""
    sweep_id = SweepResult.read("latest").run.run_id
    words = ("backtest", "latest", "--top=2", "--min-trades=1", "--end=2023-01-24", "--json", f"--out={tmp_path}")
    account = Path(machine(*words[:-2], words[-1])["folder"])
    newer = data / "runs" / "99991231-235959-portfolio-aaaaaa"
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path / "own"))
    shutil.copytree(data / "runs" / sweep_id, tmp_path / "own" / "runs" / sweep_id)
    shutil.copytree(account, tmp_path / "own" / "runs" / newer.name)
    assert read_run("latest").run_id == newer.name
    db = f"--db={data / 'bars.duckdb'}"
    said = machine("select", "latest", "--select=trades > 0", "--min-trades=1", "--top=2", db)
    assert said["deployment"]["selected_from"]["run"] == sweep_id
    for command in ("weights", "correlations"):
        assert any(sweep_id in note for note in machine(command, "latest")["notes"])
        assert not any(sweep_id in note for note in machine(command, newer.name)["notes"])
    shutil.rmtree(tmp_path / "own" / "runs" / sweep_id)
    for command in ("select", "weights", "correlations", "backtest"):
        assert "there is no sweep in" in refused(command, "latest")


def test_a_deployment_that_is_off_is_not_tested(data: Path, tmp_path: Path) -> None:
    _, out = selected(tmp_path)
    last = read_deployment(out)
    off = last.followed_by(weights={}, off="none of 4 instances keeps to the rule")
    write_deployment(out, off)
    says = refused("backtest", str(out))
    assert says.startswith(f"deployment {off.id} is off (none of 4 instances keeps to the rule), ")
    assert says.endswith(f"name one that is on, such as the one before it, {last.id}")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--limit=max_gross",), "--limit must be NAME=VALUE, such as --limit max_gross=0.8, was 'max_gross'"),
        (("--limit=max_gross=1", "--limit=max_gross=2"), "--limit max_gross is given twice; give it once"),
        (("--instrument=BTC/USDT,lot_step",), "such as --instrument BTC/USDT,lot_step=0.001, was 'lot_step'"),
        (("--top=0",), "`top` (--top) must be a whole number of at least 1, was 0"),
        (("--min-trades=100000",), "lower `min_trades` (--min-trades)"),
    ],
)
def test_options_of_a_backtest_are_refused_in_their_own_words(data: Path, words: tuple[str, ...], says: str) -> None:
    assert says in refused("backtest", "latest", *words)


def test_rows_are_chosen_of_a_sweep_alone(data: Path, tmp_path: Path) -> None:
    _, out = selected(tmp_path)
    assert f"`top` chooses rows of a sweep, and {out} is none; leave it out" in refused("backtest", str(out), "--top=3")
    assert "`top`, `by` choose rows" in refused("backtest", str(out), "--top=3", "--by=sharpe")
