"""The page of a model run says what the results say, and what lacks."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.models.test_judgement import tally
from toolkit.errors import RunError
from toolkit.models.judgement import daily_frame, judged, permutation_frame
from toolkit.models.report import render_model_run, write_model_report
from toolkit.models.report.page import render
from toolkit.models.report.source import Source

CHROMIUM = shutil.which("chromium")
MARKUP = "<img src=x onerror=alert(1)>"


def source(gain: float = 0.3, **changes: Any) -> Source:
    """An evaluation of two groups, one of them named like a piece of a page."""
    one = tally(gain)
    pooled = judged(one, "veto", trials=12, seed=0)
    results = {
        "run": "run-1", "kind": "model-eval", "groups": 3, "members": 6, "rows": 1000, "trials": 12, "chosen": "veto",
        "period": {"start": "2022-01-01 00:00", "end": "2023-01-01 00:00", "test_from": "2022-03-01 00:00"},
        "synthetic": False, "in_sample": True, "recipe_text": 'backend = "lightgbm"', "pooled": pooled,
        "by_group": [{"group": name, "members": 3, "rows": 500, **pooled} for name in ("trend_day", MARKUP)],
        "failures": [{"group": "rare", "error": "rare: 3 rows to learn from"}],
        **changes,
    }  # fmt: skip
    tables = {"daily": daily_frame(one)}
    permutations = permutation_frame(one)
    if permutations is not None:
        tables["permutations"] = permutations
    return Source(results, tables, {"config": {"a": 1, "instance": ["left out"]}})


def charts(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])["charts"]
    return data


def test_figures_are_those_of_the_results() -> None:
    given = source()
    page = render(given)
    row = given.results["pooled"]["methods"]["veto"]
    for value in (f"{row['sortino_before']:.2f}", f"{row['sortino_after']:.2f}", f"{row['difference']:+.2f}"):
        assert value in page
    assert f"{row['p_value']:.3f}" in page and "99 permutations" in page
    assert f"{row['low']:+.2f} to {row['high']:+.2f}" in page
    assert "The improvement survives every test" in page
    assert "flattered by that choice" in page and "rare: 3 rows to learn from" in page


def test_pictures_hold_the_same_numbers() -> None:
    given = source()
    found = charts(render(given))
    rows = given.results["pooled"]["methods"]
    bars = found["before-after-chart"]
    assert bars["x"] == ["veto", "rank"]
    assert bars["series"][1]["y"] == pytest.approx([rows[m]["after"] for m in bars["x"]])
    assert bars["series"][1]["high"] == pytest.approx([rows[m]["before"] + rows[m]["high"] for m in bars["x"]])
    spread = found["difference-chart"]["series"][0]
    assert spread["low"] == pytest.approx([rows[m]["low"] for m in ("veto", "rank")])
    chance = found["chance-veto-chart"]
    assert len(chance["values"]) == 99 and chance["marks"][0]["x"] == pytest.approx(rows["veto"]["difference"])
    equity = {line["name"]: line["y"] for line in found["pooled-equity-chart"]["series"]}
    daily = given.tables["daily"]
    assert equity["veto"][-1] == pytest.approx(daily["veto"].sum())
    assert equity["before"] == pytest.approx(np.cumsum(daily["before"].to_numpy()))
    assert found["groups-chart"]["order"] == ["trend_day", MARKUP]


def test_what_users_name_is_text_on_the_page() -> None:
    page = render(source())
    assert MARKUP not in page and "&lt;img src=x" in page


def test_no_improvement_is_said_first_and_why() -> None:
    page = render(source(0.0))
    banner = re.search(r'class="banner caution">(.*?)</p>', page, re.DOTALL)
    assert banner is not None and banner[1].startswith("No improvement that survives: ")


def test_what_was_not_run_is_said() -> None:
    given = source()
    pooled = judged(tally(0.3, permutations=0, controls=False), "veto", trials=1, seed=0)
    without = Source({**given.results, "pooled": pooled, "by_group": [], "trials": 1}, {}, {})
    page = render(without)
    assert "No permutation test was made" in page and "No controls were run" in page
    assert "No lines: they need two days" in page and "Nobody says that more" in page
    assert "By strategy" not in page


def test_a_training_without_a_proof_is_a_list_of_models() -> None:
    models = pl.DataFrame(
        [{"group": "g", "version": "v1", "rows": 70, "wins": 0.4, "members": 2, "features": 5, "application": "rank",
          "score_auc": None}]
    )  # fmt: skip
    given = source()
    results = {k: v for k, v in given.results.items() if k not in ("pooled", "by_group")}
    page = render(Source({**results, "kind": "model-train"}, {"models": models}, {}))
    assert "Training run-1" in page and ">v1<" in page and "Before and after" not in page


def test_a_leaderboard_shows_the_axes_that_differ() -> None:
    rows = [
        {"rank": k, "backend": name, "label": "win", "trial": k, "score": 0.5 - k, "sortino_before": 0.1,
         "sortino_after": 0.2, "trades_before": 9, "trades_after": 5, "error": ""}
        for k, name in ((1, "lightgbm"), (2, "logistic"))
    ]  # fmt: skip
    given = source(kind="model-experiment", code="print(1)")
    page = render(Source(given.results, {**given.tables, "leaderboard": pl.DataFrame(rows)}, given.info))
    table = page.split('id="leaderboard-table"')[1].split("</table>")[0]
    assert ">backend<" in table and ">label<" not in table and "lightgbm" in table
    assert "12 ways were scored" in page and "print(1)" in page and "left out" not in page


def test_a_folder_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RunError, match="cannot be read"):
        render_model_run(tmp_path)
    (tmp_path / "results.json").write_text(json.dumps(source().results))
    (tmp_path / "run.json").write_text(json.dumps({"config": {}}))
    assert write_model_report(tmp_path).read_text().lstrip().startswith("<!DOCTYPE html>")


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page was not looked at in a browser")
def test_every_picture_is_drawn_in_a_browser(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    page_file = tmp_path / "report.html"
    page_file.write_text(render(source()))
    with sync_playwright() as play:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": 1200, "height": 9000})
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.goto(page_file.as_uri())
        plots = page.locator(".plot")
        for k in range(plots.count()):
            plots.nth(k).locator("svg.main-svg").first.wait_for()
        assert plots.count() == len(charts(page_file.read_text())) and wrong == []
        assert page.locator("#pooled tbody tr").count() == 2
        browser.close()
