import json
import sys
import webbrowser
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from toolkit.analysis.runs import list_runs
from toolkit.analysis.texts import SYNTHETIC
from toolkit.cli import demo
from toolkit.cli.main import app


def run(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["demo", "--days", "6", *arguments], env={"LOCKSTEP_DATA": str(data)})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first(data: Path) -> Result:
    result = run(data, "--no-open", "--json")
    assert result.exit_code == 0, result.output
    return result


def test_the_demo_ends_in_a_portfolio_and_does_so_again(data: Path, first: Result) -> None:
    assert SYNTHETIC in first.stderr and "4,680 combinations" in first.stderr
    said = json.loads(first.stdout)
    report = Path(said["report"]).read_text()
    assert (said["combinations"], said["synthetic"]) == (4680, True)
    assert said["secs"] > 0
    assert SYNTHETIC in report and "4,680 combinations were tried" in report
    assert Path(said["report"]).parent == Path(said["run"])

    again = run(data, "--no-open")
    assert again.exit_code == 0, again.output
    assert "synthetic bars are there already" in again.stderr
    assert "on SYNTHETIC bars" in again.stdout
    assert all(name in again.stdout for name in said["variants"])
    swept, portfolio, *others = list_runs(data / "runs")
    assert [r.info["kind"] for r in (swept, portfolio)] == ["sweep", "portfolio"]
    assert [said["sweep"], said["run"]] == [str(swept.folder), str(portfolio.folder)]
    for one, two in zip((swept, portfolio), others, strict=True):
        assert one.info["data"] == two.info["data"]
        assert one.frame("metrics").equals(two.frame("metrics"))


def test_the_portfolio_of_the_demo_is_tested_on_days_that_its_sweep_has_not_seen(first: Result) -> None:
    said = json.loads(first.stdout)
    results = json.loads((Path(said["run"]) / "results.json").read_text())
    config = json.loads((Path(said["sweep"]) / "run.json").read_text())["config"]
    assert (config["start"], config["end"]) == ("2023-01-01", "2023-01-05")
    assert results["period"]["start"].startswith("2023-01-05")
    assert (results["in_sample"], results["synthetic"], results["combinations_tried"]) == (False, True, 4680)
    assert said["figures"] == results["figures"]
    assert said["variants"] == results["variants"]
    assert set(said["variants"]) >= {"portfolio", "equal", "winners", "static"}


def test_a_report_is_opened_only_where_someone_can_see_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert not demo._open(tmp_path / "report.html")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert demo._open(tmp_path / "report.html")
    assert opened == [(tmp_path / "report.html").as_uri()]
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not demo._open(tmp_path / "report.html")
