"""`toolkit deploy` and `executor load`: from a file to a ledger, and what is deployed against what was expected."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from executor.cli.main import app as executor_app
from executor.ledger import Ledger
from tests.executor.deployments.case import CAPITAL, Lab, make_deployment
from toolkit.analysis.runs import list_runs
from toolkit.cli.main import app
from toolkit.errors import LockstepError
from toolkit.portfolio.backtest import portfolio_backtest
from toolkit.portfolio.bundle import Bundle, read_bundle, write_manifest
from toolkit.portfolio.bundle_check import check_bundle
from toolkit.portfolio.deployment import write_deployment

SINCE, UNTIL = "2023-01-10", "2023-01-13"


@pytest.fixture
def room(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of one's own, with the laboratory's bars."""
    (tmp_path / "data").mkdir()
    shutil.copy(lab.data / "bars.duckdb", tmp_path / "data")
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path / "data"))
    return tmp_path


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["deploy", *words])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, ["deploy", *words])
    assert isinstance(result.exception, LockstepError) and "\n" not in str(result.exception)
    return str(result.exception)


def with_band(bundle: Bundle, low: float, high: float) -> dict[str, Any]:
    flat = {"p05": [low] * 366, "p50": [(low + high) / 2] * 366, "p95": [high] * 366}
    return {**bundle.backtest, "band": {**bundle.backtest["band"], **flat}}


def test_without_a_backtest_it_is_refused_and_nothing_is_written(lab: Lab, room: Path) -> None:
    said = refused(str(lab.file))
    assert "has no backtest in" in said and "--backtest --start" in said
    assert sorted(f.name for f in (room / "data").iterdir()) == ["bars.duckdb"]


@pytest.mark.parametrize(("words", "said"), [
    ([], "a deployment must be named"), (["FILE", "--backtest"], "add --start"),
    (["FILE", "--start", "2023-01-04"], "add --backtest"),
    (["FILE", "--backtest", "--start", "2023-01-04", "--run", "x"], "leave one out"),
    (["nowhere"], "unknown deployment 'nowhere'"),
])  # fmt: skip
def test_options_that_do_not_go_together(lab: Lab, room: Path, words: list[str], said: str) -> None:
    assert said in refused(*(str(lab.file) if word == "FILE" else word for word in words))


def test_from_a_file_to_a_ledger(lab: Lab, room: Path) -> None:
    ledger = room / "own.sqlite"
    days = ["--start", "2023-01-05", "--end", "2023-01-11"]
    done = run(str(lab.file), "--backtest", *days, "--ledger", str(ledger), "--json")
    said = json.loads(done.stdout)
    assert said["deployment"] == lab.deployment.id
    assert said["backtest"]["run"] == list_runs(room / "data" / "runs")[0].run_id
    assert said["loaded"]["ledger"] == str(ledger) and said["loaded"]["instances"] == 3
    bundle = read_bundle(room / "data" / "deployments" / lab.deployment.id)
    assert said["folder"] == str(bundle.folder)
    with Ledger.open(ledger, readonly=True) as opened:
        assert opened.meta("deployment") == lab.deployment.id
    # The run that was made now is found the next time.
    again = run(str(lab.file), "--no-load")
    assert f"tested by {said['backtest']['run']}, 2023-01-05 00:00 to 2023-01-11 00:00" in again.stdout
    assert "ledger:" not in again.stdout


def test_a_load_that_is_refused_is_said_and_the_bundle_is_kept(lab: Lab, room: Path) -> None:
    run_id = list_runs(lab.data / "runs")[0].run_id
    words = ["--runs", str(lab.data / "runs"), "--run", run_id, "--capital", "-1"]
    run(str(lab.file), *words, code=2)
    assert (room / "data" / "deployments" / lab.deployment.id / "manifest.json").is_file()
    assert not (room / "data" / "executor.sqlite").exists()


def test_one_that_is_off_is_deployed_without_a_backtest(lab: Lab, room: Path) -> None:
    off = make_deployment(weights=dict.fromkeys(lab.deployment.weights, 0.0), off="nothing was good enough")
    write_deployment(room / "off.json", off)
    assert "it is off (nothing was good enough)" in run(str(room / "off.json"), "--no-load").stdout
    assert "nothing to compare (it is off" in run("--check").stdout


def test_executor_load_says_what_it_did(lab: Lab, tmp_path: Path) -> None:
    ledger = str(tmp_path / "executor.sqlite")
    for expected in (True, False):
        done = CliRunner().invoke(executor_app, ["load", lab.deployment.id, "--ledger", ledger, "--json"])
        said = json.loads(done.stdout)
        assert (said["deployment"], said["state"], said["instances"]) == (lab.deployment.id, "active", 3)
        assert (said["bars"] > 0, said["backup"] is None) == (expected, expected)
    done = CliRunner().invoke(executor_app, ["load", str(lab.bundle.folder), "--ledger", ledger])
    assert f"{ledger} trades {lab.deployment.id}: 3 instances" in done.stdout


def test_a_check_runs_the_version_on_the_days_since(lab: Lab) -> None:
    found = check_bundle(lab.bundle)
    alone = portfolio_backtest(lab.deployment, start=SINCE, end=UNTIL, beside=False)
    assert found.growth == float(alone.equity["equity"][-1]) / CAPITAL
    assert (found.start[:10], found.end[:10], found.days, found.trades) == (SINCE, UNTIL, 3, alone.trades.height)
    band = lab.bundle.backtest["band"]
    assert (found.p05, found.p50, found.p95) == tuple(band[line][3] for line in ("p05", "p50", "p95"))
    assert found.note == ""


@pytest.mark.parametrize(("low", "high", "where"), [(0.1, 9.0, "inside"), (8.0, 9.0, "below"), (0.1, 0.2, "above")])
def test_where_it_is_in_its_band(lab: Lab, low: float, high: float, where: str) -> None:
    found = check_bundle(replace(lab.bundle, backtest=with_band(lab.bundle, low, high)))
    assert found.where == where and found.left == (where != "inside")


def test_a_check_runs_the_code_that_was_deployed(lab: Lab, tmp_path: Path) -> None:
    folder = lab.copy(tmp_path / "b")
    kernels = folder / "sources" / "bundled" / "kernels.py"
    kernels.write_text(kernels.read_text().replace(">", "<"))
    other, own = check_bundle(replace(lab.bundle, folder=folder)), check_bundle(lab.bundle)
    assert other.growth != own.growth
    assert "code has changed" in other.note


def test_bars_that_have_ended_are_said(lab: Lab) -> None:
    ended = {**lab.bundle.backtest, "period": {"start": "2023-01-04", "end": "2023-01-20"}}
    found = check_bundle(replace(lab.bundle, backtest=ended))
    assert (found.where, found.left, found.growth) == ("unknown", False, None)
    assert "no whole day of bars is stored after 2023-01-20" in found.note


def test_the_check_s_exit_code_says_whether_one_left_its_band(lab: Lab, room: Path) -> None:
    folder = room / "data" / "deployments" / lab.deployment.id
    for low, high, code in ((0.1, 9.0, 0), (8.0, 9.0, 1)):
        shutil.rmtree(folder, ignore_errors=True)
        lab.copy(folder)
        (folder / "backtest.json").write_text(json.dumps(with_band(lab.bundle, low, high)))
        (folder / "manifest.json").unlink()
        write_manifest(folder, lab.deployment.id)
        said = json.loads(run("--check", "--json", code=code).stdout)
        assert said["left"] == ([lab.deployment.id] if code else [])
        assert said["deployments"][0]["days"] == 3
    (folder / "backtest.json").write_text("{}")
    broken = run("--check", code=2)
    assert "backtest.json is not the file that was deployed" in broken.output
