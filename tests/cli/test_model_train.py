"""`toolkit model train`: a model a group in the registry, with where it is from and what it is worth."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.models.stored_case import FEATURES, QUICK, make_data
from toolkit.cli.main import app
from toolkit.errors import LockstepError
from toolkit.models.store import find_model, read_info, read_model


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def in_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(data))


def words(data: Path, *more: str) -> list[str]:
    recipe = ["--recipe", str(data / "few.toml"), *QUICK]
    return ["model", "train", str(data / "members.toml"), *recipe, "--permutations=0", *more]


@pytest.fixture(scope="module")
def found(data: Path) -> dict[str, Any]:
    done = CliRunner(env={"LOCKSTEP_DATA": str(data)}).invoke(app, words(data, "--end=2023-02-05", "--json"))
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_each_strategy_has_a_model_in_the_registry(data: Path, found: dict[str, Any]) -> None:
    assert [row["name"] for row in found["models"]] == ["volatility_breakout", "reversal_breakout"]
    for row in found["models"]:
        folder = find_model(row["name"])
        assert folder == Path(row["folder"]) and folder.parent.parent == data / "models"
        info = read_info(folder)
        assert info.facts["window"]["until_ms"] == 1_675_555_200_000
        assert info.facts["run"] == found["run"] and info.facts["group"] == row["group"]
        assert len(info.facts["members"]) == 2 and info.facts["rows"] == row["rows"] > 50
        assert set(info.facts["controls"]) >= {"labels permuted", "noise features", "features of the future"}
        assert 0 <= info.facts["scores"]["auc"] <= 1 and info.facts["scores"]["sortino_before"] is not None
        assert "improvement" in info.facts["verdict"].lower()
        trained = read_model(folder, features=FEATURES)
        assert trained.application.method == "veto"
        assert np.isfinite(trained.predict(np.zeros((2, len(FEATURES))))).all()


def test_the_run_tells_of_models_and_of_their_proof(found: dict[str, Any]) -> None:
    folder = Path(found["folder"])
    assert {"models.parquet", "models.csv", "daily.parquet", "recipe.toml", "report.html"} <= set(found["files"])
    page = (folder / "report.html").read_text()
    assert found["models"][0]["version"] in page and "Before and after" in page
    assert set(found["pooled"]["methods"]) == {"veto"}


def test_training_again_makes_the_same_version(data: Path, found: dict[str, Any], tmp_path: Path) -> None:
    registry, out = tmp_path / "models", tmp_path / "runs"
    more = ["--end=2023-02-05", "--no-prove", "--models", str(registry), "--out", str(out), "--jobs=1"]
    done = CliRunner().invoke(app, [w for w in words(data) if not w.startswith(("--folds", "--perm"))] + more)
    assert done.exit_code == 0, done.output
    for row in found["models"]:
        again = read_model(find_model(row["name"], registry))
        first = read_model(Path(row["folder"]))
        x = np.random.default_rng(1).normal(size=(20, len(FEATURES)))
        assert (again.predict(x) == first.predict(x)).all() and again.application == first.application
        assert f"{row['name']}@2023" in done.stdout
    assert "Before and after" not in next(out.glob("*/report.html")).read_text()


def test_one_bad_group_does_not_keep_the_others_from_a_model(data: Path, tmp_path: Path) -> None:
    text = (data / "members.toml").read_text().split("[[instance]]")
    rare = text[1].replace("window = 12", "window = 12\nexpansion = 50.0")
    (tmp_path / "members.toml").write_text("[[instance]]".join(["", rare, *text[3:]]))
    line = words(data, "--models", str(tmp_path / "models"), "--out", str(tmp_path / "runs"), "--json")
    line[2] = str(tmp_path / "members.toml")
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [row["name"] for row in found["models"]] == ["reversal_breakout"]
    (failure,) = found["failures"]
    assert failure["group"] == "volatility_breakout" and failure["error"].startswith("volatility_breakout: no ")
    assert "Without a result" in Path(found["folder"], "report.html").read_text()


def test_options_of_the_proof_need_one(data: Path) -> None:
    done = CliRunner().invoke(app, words(data, "--no-prove"))
    assert isinstance(done.exception, LockstepError)
    assert "--no-prove" in str(done.exception)
