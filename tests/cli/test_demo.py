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


def test_the_demo_sweeps_the_five_and_does_so_again(tmp_path: Path) -> None:
    first = run(tmp_path, "--no-open", "--json")
    assert first.exit_code == 0, first.output
    assert SYNTHETIC in first.stderr and "4,680 combinations" in first.stderr
    said = json.loads(first.stdout)
    report = Path(said["report"]).read_text()
    assert said["combinations"] == 4680
    assert SYNTHETIC in report and "4,680 combinations were tried" in report
    assert "<svg" in report and len(report) < 1_000_000

    again = run(tmp_path, "--no-open")
    assert again.exit_code == 0, again.output
    assert "synthetic bars are there already" in again.stderr
    assert "on SYNTHETIC bars" in again.stdout
    one, two = list_runs(tmp_path / "runs")
    assert one.frame("metrics").equals(two.frame("metrics"))
    assert one.info["data"] == two.info["data"]


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
