"""`toolkit portfolio backtest --model`: options as in the manual, tables on disk, what is wrong in one sentence."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from tests.models.stand_in import FEATURES, members
from toolkit.bars.synthetic import synthetic_columns
from toolkit.cli.main import app
from toolkit.errors import LockstepError
from toolkit.models.members_file import members_text
from toolkit.models.recipe import Recipe
from toolkit.models.recipe_file import RecipeFile

RECIPE = Recipe("logistic", features=FEATURES, folds=2, embargo="1h", min_trades=25, method="quantile")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 14 synthetic days, a list of members and a recipe."""
    folder = tmp_path_factory.mktemp("data")
    for symbol, columns in synthetic_columns(("BTC/USDT", "ETH/USDT"), days=14, seed=5).items():
        pl.DataFrame(columns).write_parquet(folder / f"synthetic_{symbol.replace('/', '')}_1m.parquet")
    done = CliRunner(env={"LOCKSTEP_DATA": str(folder)}).invoke(app, ["data", "import", f"{folder}/*.parquet"])
    assert done.exit_code == 0, done.output
    (folder / "members.toml").write_text(members_text(members()))
    (folder / "recipe.toml").write_text(RecipeFile(RECIPE).text)
    return folder


def invoke(data: Path, *words: str) -> Result:
    asked = ["portfolio", "backtest", str(data / "members.toml"), "--start", "2023-01-03", "--jobs", "1", *words]
    return CliRunner(env={"LOCKSTEP_DATA": str(data)}).invoke(app, asked)


def machine(data: Path, *words: str) -> dict[str, Any]:
    done = invoke(data, "--no-factors", "--json", "--model", str(data / "recipe.toml"), *words)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_machine_reads_what_models_did(data: Path) -> None:
    said = machine(
        data, "--retrain-every", "30trades", "--min-trades", "30", "--train-window", "7d", "--train-latency", "10m"
    )
    assert said["config"]["models"]["retrain"] == {
        "every": "30trades", "min_trades": 30, "train_window": "7d", "latency": "10m",
    }  # fmt: skip
    assert said["config"]["models"]["recipe"]["backend"] == "logistic"
    assert {row["group"] for row in said["models"]} == {"volatility_breakout", "reversal_breakout"}
    assert {"portfolio", "no model", "equal"} <= set(said["variants"])
    folder = Path(said["folder"])
    versions = pl.read_parquet(folder / "model_versions.parquet")
    assert versions["rows"].min() == 30 and versions["version"].null_count() == 0
    assert {"predictions.csv", "model_versions.csv", "model_trades.csv"} <= set(said["files"])


def test_the_recipe_says_how_many_outcomes_unless_the_command_does(data: Path) -> None:
    said = machine(data, "--retrain-every", "2d", "--model-per", "all", "--no-save")
    assert said["config"]["models"]["retrain"]["min_trades"] == 25
    assert len(said["models"]) == 1 and said["models"][0]["versions"] > 0


def test_a_person_reads_a_line_a_model(data: Path) -> None:
    done = invoke(data, "--model", str(data / "recipe.toml"), "--no-save")
    assert done.exit_code == 0, done.output
    assert "no model" in done.stdout.splitlines()[2]
    assert "models of volatility_breakout: " in done.stdout and " judged signals refused" in done.stdout


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--retrain-every", "7d"), "--retrain-every says how models are learned"),
        (("--train-latency", "10m"), "name one with --model"),
        (("--model-per", "all"), "--model-per says"),
        (("--model", "no.toml"), "no.toml is not there"),
        (("--model", "{recipe}", "--retrain-every", "often"), "'30trades' or a time such as '7d'"),
        (("--model", "{recipe}", "--train-window", "0d"), "`train_window` must be above 0"),
        (("--model", "{recipe}", "--min-trades", "0"), "at least 1, was 0"),
        (("--model", "{recipe}", "--model-per", "symbol"), "way of grouping"),
    ],
)
def test_what_is_wrong_is_one_sentence(data: Path, words: tuple[str, ...], part: str) -> None:
    done = invoke(data, *(word.replace("{recipe}", str(data / "recipe.toml")) for word in words))
    assert isinstance(done.exception, LockstepError), done.output
    assert part in str(done.exception)
