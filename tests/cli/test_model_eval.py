"""`toolkit model eval` as a person and as a machine sees it, interrupted and gone on with."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.models.stored_case import QUICK, make_data
from toolkit.analysis.runs import partial_runs
from toolkit.cli.main import app
from toolkit.errors import LockstepError
from toolkit.models import evaluate_run
from toolkit.models.evaluating import evaluate_groups


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def in_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(data))


def run(*words: str) -> Result:
    done = CliRunner().invoke(app, ["model", "eval", *words])
    assert done.exit_code == 0, done.output
    return done


def refused(*words: str) -> str:
    done = CliRunner().invoke(app, ["model", "eval", *words])
    assert isinstance(done.exception, LockstepError), done.output
    return str(done.exception)


@pytest.fixture(scope="module")
def found(data: Path) -> dict[str, Any]:
    """One evaluation of both strategies."""
    words = ["model", "eval", str(data / "members.toml"), "--recipe", str(data / "few.toml"), *QUICK, "--json"]
    done = CliRunner(env={"LOCKSTEP_DATA": str(data)}).invoke(app, words)
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_json_is_the_results_and_the_files(found: dict[str, Any]) -> None:
    folder = Path(found["folder"])
    written = json.loads((folder / "results.json").read_text())
    assert {k: v for k, v in found.items() if k not in ("folder", "files")} == written
    tables = {"daily", "groups", "pooled", "controls", "permutations", "folds", "members"}
    assert {f"{name}.{kind}" for name in tables for kind in ("parquet", "csv")} <= set(found["files"])
    assert {"report.html", "recipe.toml", "members.toml", "run.json"} <= set(found["files"])
    assert not any(name.startswith("parts/") for name in found["files"])


def test_every_strategy_and_method_is_compared(found: dict[str, Any]) -> None:
    assert [one["group"] for one in found["by_group"]] == ["volatility_breakout", "reversal_breakout"]
    for one in [*found["by_group"], found["pooled"]]:
        assert list(one["methods"]) == ["veto", "quantile", "kelly", "rank"]
        for row in one["methods"].values():
            assert row["permutations"] == 3 and row["trials"] == 1 and row["trades_before"] > 0
    assert (found["groups"], found["members"], found["synthetic"], found["failures"]) == (2, 4, True, [])
    assert found["chosen"] == found["pooled"]["verdict"]["method"] == "veto"
    assert "SYNTHETIC" in (Path(found["folder"]) / "report.html").read_text()


def test_pooled_trades_and_days_are_those_of_the_groups(found: dict[str, Any]) -> None:
    for method, row in found["pooled"]["methods"].items():
        rows = [one["methods"][method] for one in found["by_group"]]
        assert row["trades_after"] == sum(one["trades_after"] for one in rows)
        assert row["profit_after"] == pytest.approx(sum(one["profit_after"] for one in rows))


def test_results_do_not_depend_on_jobs(data: Path, found: dict[str, Any], tmp_path: Path) -> None:
    words = [str(data / "members.toml"), "--recipe", str(data / "few.toml"), *QUICK[:-1], "--jobs=1", "--json"]
    again = json.loads(run(*words, "--out", str(tmp_path)).stdout)
    assert Path(again["folder"]).parent == tmp_path
    assert {k: v for k, v in again.items() if k not in ("folder", "run")} == {
        k: v for k, v in found.items() if k not in ("folder", "run")
    }


def test_a_person_reads_a_table_and_a_verdict(data: Path) -> None:
    words = ["--no-controls", "--permutations=0", "--methods=veto", "--strategies=1", "--folds=2", "--jobs=1"]
    recipe = ["--recipe", str(data / "few.toml"), "--set=backend=constant"]
    text = run(str(data / "members.toml"), *recipe, *words).stdout
    assert "all together" in text and "applied by" in text and "No improvement that survives" in text
    assert "report: " in text and "reversal_breakout" not in text


def test_an_interrupted_run_goes_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [str(data / "members.toml"), "--recipe", str(data / "few.toml"), "--set=backend=constant", "--folds=2"]
    words += ["--permutations=2", "--no-controls", "--jobs=1", "--out", str(tmp_path)]

    def interrupted(*given: Any, **more: Any) -> Any:
        evaluate_groups(given[0][:1], *given[1:], **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(evaluate_run, "evaluate_groups", interrupted)
        done = CliRunner().invoke(app, ["model", "eval", *words])
    (kept,) = partial_runs(tmp_path)
    assert done.exit_code == 130
    assert f"1 finished parts are kept; go on with: toolkit model eval --resume {kept}" in done.stderr
    assert "leave --folds out" in refused("--resume", kept, "--folds", "3", "--out", str(tmp_path))
    assert "leave SOURCE out" in refused("latest", "--resume", kept, "--out", str(tmp_path))
    assert "is a model-eval, not a model-train" in str(
        CliRunner().invoke(app, ["model", "train", "--resume", kept, "--out", str(tmp_path)]).exception
    )
    went_on = run("--resume", kept, "--jobs", "1", "--out", str(tmp_path), "--json")
    assert "2 of 2 groups" in went_on.stderr
    whole = json.loads(run(*words, "--json").stdout)
    assert json.loads(went_on.stdout)["pooled"] == whole["pooled"]
    assert partial_runs(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--strategies=5"], "5 strategies were asked for, and the source has 2"),
        (["--per=symbol"], "unknown way of grouping"),
        (["--set=backend=logistik"], "did you mean 'logistic'"),
        (["--set=backend"], "--set must be NAME=VALUE"),
        (["--methods=vote"], "did you mean 'veto'"),
        (["--folds=0"], "`folds` must be a whole number of at least 1, was 0"),
        (["--start=2050-01-01", "--end=2051-01-01"], "lies outside of them"),
        (["--start=2023-02-01", "--end=2023-01-01"], "start"),
        (["--recipe=none.toml"], "is not there"),
        (["--top=3"], "chooses rows of a sweep"),
        (["--jobs=0"], "`jobs` must be at least 1"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(data: Path, words: list[str], sentence: str) -> None:
    assert sentence in refused(str(data / "members.toml"), *words)
    assert partial_runs() == []


def test_without_a_sweep_there_is_no_source() -> None:
    assert "there is no sweep" in refused() or "unknown run 'latest'" in refused()


def test_too_few_trades_are_said_for_the_group(data: Path, tmp_path: Path) -> None:
    words = [str(data / "members.toml"), "--recipe", str(data / "few.toml"), *QUICK, "--set=min_trades=100000"]
    assert "volatility_breakout: no model could be learned" in refused(*words, "--out", str(tmp_path))
    assert list(tmp_path.glob("*")) == []
