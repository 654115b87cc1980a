"""`toolkit model experiment`: from many ways to one, judged once, with what is needed to make it again."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from tests.models.stored_case import make_data
from tests.models.workers.impostors import install_impostors
from toolkit.analysis.runs import partial_runs
from toolkit.cli.main import app
from toolkit.errors import LockstepError
from toolkit.models import experiment
from toolkit.models.recipe_file import read_recipe_file
from toolkit.models.searching import search_groups

GRID = """
backend = ["constant", "logistic"]
fitness = ["sortino", "expectancy"]
method = ["quantile", "kelly", "rank"]
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_data(tmp_path_factory.mktemp("data"))
    (folder / "grid.toml").write_text(GRID)
    return folder


@pytest.fixture(autouse=True)
def in_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(data))


def words(data: Path, *more: str) -> list[str]:
    made = ["model", "experiment", str(data / "members.toml"), "--recipe", str(data / "few.toml")]
    made += ["--grid", str(data / "grid.toml"), "--inner-folds=2", "--folds=2", "--permutations=2", "--seed=3"]
    return [*made, *more]


@pytest.fixture(scope="module")
def found(data: Path) -> dict[str, Any]:
    done = CliRunner(env={"LOCKSTEP_DATA": str(data)}).invoke(app, words(data, "--jobs=2", "--json"))
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_every_trial_is_on_the_leaderboard(found: dict[str, Any]) -> None:
    board = pl.read_parquet(Path(found["folder"]) / "leaderboard.parquet")
    # Two ways of learning; quantile with two fitnesses, kelly and rank with one.
    assert board.height == found["trials"] == found["search"]["trials"] == 2 * (2 + 1 + 1)
    assert found["search"]["ways"] == 2 and board["rank"].to_list() == list(range(1, 9))
    worthy = board.filter(pl.col("score").is_not_null() & (pl.col("trades_after") >= 30))["score"].to_list()
    assert worthy == sorted(worthy, reverse=True) and board["score"][0] == max(worthy)
    assert board.row(0, named=True) == found["best"]


def test_the_best_is_judged_once_on_days_that_the_search_has_not_seen(found: dict[str, Any]) -> None:
    best = found["best"]
    assert list(found["pooled"]["methods"]) == [best["method"]] == [found["chosen"]]
    assert found["period"]["test_from"] == found["search"]["until"]
    assert all(row["trials"] == 8 for row in found["pooled"]["methods"].values())
    daily = pl.read_parquet(Path(found["folder"]) / "daily.parquet")
    assert str(daily["date"][0]) == found["search"]["until"][:10]
    assert found["proof"]["methods"] == [best["method"]]


def test_the_recipe_is_read_by_the_other_commands(found: dict[str, Any]) -> None:
    read = read_recipe_file(Path(found["folder"]) / "recipe.toml")
    assert (read.tried, read.run, read.recipe.backend) == (8, found["run"], found["best"]["backend"])
    assert read.recipe.seed == 3
    assert read_recipe_file("latest") == read


def test_the_code_makes_it_again(found: dict[str, Any], tmp_path: Path) -> None:
    folder = Path(found["folder"])
    done = subprocess.run([sys.executable, folder / "reproduce.py"], capture_output=True, text=True, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == found["pooled"]["verdict"]["text"]
    assert "model-train" in done.stdout.splitlines()[1]


def test_the_page_tells_what_was_tried(found: dict[str, Any]) -> None:
    page = (Path(found["folder"]) / "report.html").read_text()
    assert "8 ways were scored" in page and "reproduce.py" in page and found["run"] in page


def test_a_person_reads_the_first_trials_and_the_verdict(data: Path, tmp_path: Path) -> None:
    more = ["--set=method=veto", "--jobs=1", "--budget=1", "--no-controls", "--strategies=1", "--out", str(tmp_path)]
    line = words(data, *more)
    line[line.index("--permutations=2")] = "--permutations=0"
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    assert "4 trials of 1 ways of learning" in done.stdout and ", judged once from" in done.stdout
    assert "recipe: " in done.stdout and "reproduce.py" in done.stdout


def test_a_search_that_was_interrupted_goes_on(
    data: Path, found: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: Any, **more: Any) -> Any:
        search_groups(*given, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(experiment, "search_groups", interrupted)
        done = CliRunner().invoke(app, words(data, "--jobs=1", "--out", str(tmp_path)))
    (kept,) = partial_runs(tmp_path)
    assert done.exit_code == 130 and f"toolkit model experiment --resume {kept}" in done.stderr
    again = CliRunner().invoke(app, ["model", "experiment", "--resume", kept, "--out", str(tmp_path), "--json"])
    assert again.exit_code == 0, again.output
    assert {k: json.loads(again.stdout)[k] for k in ("best", "pooled", "by_group")} == {
        k: found[k] for k in ("best", "pooled", "by_group")
    }


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--holdout=0.99"], "`holdout` must be a share of the period from 0.05 to 0.9"),
        (["--score=auc"], "`by` must be one of sharpe, sortino"),
        (["--budget=0"], "`budget` must be a whole number of at least 1"),
        (["--grid=none.toml"], "grid file none.toml cannot be read"),
    ],
)
def test_what_cannot_be_searched_is_one_sentence(data: Path, more: list[str], sentence: str) -> None:
    done = CliRunner().invoke(app, words(data, *more))
    assert isinstance(done.exception, LockstepError) and sentence in str(done.exception)
    assert partial_runs() == []


ACTS = {
    "pycaret": "dies", "flaml": "hangs", "autogluon": "other rows", "automl_gs": "not a number", "autoviml": "outside",
    "autokeras": "prints",
}  # fmt: skip
SAID = {
    "pycaret": "the worker of PyCaret ended with code 3",
    "flaml": "the worker of FLAML did not finish within 4 s and was ended",
    "autogluon": r"left \d+ predictions for \d+ rows",
    "automl_gs": r"predicted no number for row \d+; a probability is between 0 and 1",
    "autoviml": r"predicted 1\.5 for row 0; a probability is between 0 and 1",
}


@pytest.fixture(scope="module")
def compared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("envs")
    install_impostors(root, ACTS)
    names = ",".join(["logistic", "river", *ACTS])
    words = ["model", "experiment", str(data / "members.toml"), "--recipe", str(data / "few.toml")]
    words += [f"--backends={names}", "--inner-folds=2", "--folds=2", "--permutations=2", "--fit-secs=4", "--jobs=3"]
    env = {"LOCKSTEP_DATA": str(data), "LOCKSTEP_ENVS": str(root)}
    done = CliRunner(env=env).invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_backends_are_compared_by_every_way_of_applying_for_each_group(compared: dict[str, Any]) -> None:
    table = pl.read_parquet(Path(compared["folder"]) / "comparison.parquet")
    groups = {"all together", "volatility_breakout", "reversal_breakout"}
    assert set(table["group"]) == groups
    well = table.filter(pl.col("error") == "")
    assert {(r["backend"], r["settings"]) for r in well.iter_rows(named=True)} == {
        ("logistic", ""), ("river", "online False"), ("river", "online True"), ("autokeras", ""),
    }  # fmt: skip
    # Four ways of applying, three groups, four ways of learning.
    assert well.height == 4 * 3 * 4
    for row in well.filter(pl.col("group") == "all together").iter_rows(named=True):
        apart = well.filter(
            (pl.col("group") != "all together") & (pl.col("trial") == row["trial"])
        )  # fmt: skip
        for name in ("trades_before", "trades_after"):
            assert row[name] == apart[name].sum()
        for name in ("profit_before", "profit_after", "secs"):
            assert row[name] == pytest.approx(apart[name].sum())
        assert row["drawdown_after"] >= 0.0 and row["drawdown_after"] >= -row["profit_after"]
        assert row["difference"] is None or row["difference"] == pytest.approx(
            row["sortino_after"] - row["sortino_before"]
        )
    controls = [f"control_{name}" for name in ("permuted", "noise", "past", "future")]
    assert well.select(pl.col(name).is_not_null().any() for name in controls).row(0) == (True,) * 4
    assert well.filter(pl.col("backend") == "autokeras")["peak_mb"].min() > 10


@pytest.mark.parametrize("name", SAID)
def test_a_library_that_fails_is_a_sentence_and_the_rest_goes_on(compared: dict[str, Any], name: str) -> None:
    table = pl.read_parquet(Path(compared["folder"]) / "comparison.parquet")
    mine = table.filter((pl.col("backend") == name) & (pl.col("group") != "all together"))
    assert mine.height == 8
    for row in mine.iter_rows(named=True):
        assert re.search(SAID[name], row["error"]) and row["group"] in row["error"] and "\n" not in row["error"]
        assert row["difference"] is None
    # Over all groups it is what trading without a model is.
    pooled = table.filter(
        (pl.col("backend") == name) & (pl.col("group") == "all together") & (pl.col("method") == "veto")
    )
    assert pooled["profit_before"].to_list() == pooled["profit_after"].to_list() and re.search(
        SAID[name], pooled["error"][0]
    )
    board = pl.read_parquet(Path(compared["folder"]) / "leaderboard.parquet")
    worthy = board.filter(pl.col("score").is_not_null() & (pl.col("trades_after") >= 30))
    assert compared["best"]["backend"] not in SAID
    assert worthy.filter(pl.col("error") == "")["rank"].max() < worthy.filter(pl.col("error") != "")["rank"].min()


def test_the_report_shows_the_comparison(compared: dict[str, Any]) -> None:
    page = (Path(compared["folder"]) / "report.html").read_text()
    assert 'id="backends"' in page and 'id="backends-table"' in page and 'id="backends-bars"' in page
    assert "the worker of FLAML did not finish within 4 s" in page


def test_all_are_those_that_are_there(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.cli.model_experiment import _backends
    from toolkit.models.workers.libraries import LIBRARIES

    install_impostors(tmp_path, {"flaml": "well"})
    monkeypatch.setenv("LOCKSTEP_ENVS", str(tmp_path))
    inside = ("logistic", "random_forest", "gradient_boosting", "lightgbm", "mlp", "river")
    assert _backends("all") == (*inside, "flaml")
    assert set(LIBRARIES) > {"flaml", "pycaret"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--backends=lightgmb"], "unknown backend 'lightgmb': did you mean 'lightgbm'"),
        (["--backends=,"], "--backends must be `all` or names with commas such as lightgbm,flaml; was ','"),
        (["--backends=pycaret"], "make it (about"),
        (["--backends=logistic", "--grid={grid}"], "`backends` and `grid` both say what is tried; name one of them"),
        (["--backends=logistic", "--fit-secs=0"], "`fit_secs` must be a number of seconds above 0, was 0.0"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_refused_in_a_sentence(
    data: Path, tmp_path: Path, asked: list[str], said: str
) -> None:
    env = {"LOCKSTEP_DATA": str(data), "LOCKSTEP_ENVS": str(tmp_path)}
    before = sorted((data / "runs").iterdir()) if (data / "runs").exists() else []
    words = ["model", "experiment", str(data / "members.toml"), "--recipe", str(data / "few.toml")]
    done = CliRunner(env=env).invoke(app, [*words, *(one.format(grid=data / "grid.toml") for one in asked)])
    assert isinstance(done.exception, LockstepError) and said in str(done.exception)
    assert (sorted((data / "runs").iterdir()) if (data / "runs").exists() else []) == before
