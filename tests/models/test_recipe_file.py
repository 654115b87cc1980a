"""A recipe comes back from its file, with how many were tried to find it."""

from pathlib import Path

import pytest

from toolkit.analysis.runs import RunWriter
from toolkit.errors import InputError, LockstepError
from toolkit.models.recipe import Recipe
from toolkit.models.recipe_file import RecipeFile, read_recipe, read_recipe_file

RECIPE = Recipe(
    "lightgbm", {"leaves": 7}, ("rsi(14)", "side"), method="kelly", options={"cap": 0.5}, keep=1, embargo="2d"
)  # fmt: skip


def write_run(root: Path, kind: str, *, recipe: bool = True) -> str:
    with RunWriter(kind, {}, root=root) as writer:
        if recipe:
            writer.write_text("recipe.toml", RecipeFile(RECIPE, 36, writer.run_id).text)
        writer.finish()
    return writer.run_id


def test_a_recipe_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(RecipeFile(RECIPE).text)
    assert read_recipe_file(file) == RecipeFile(RECIPE)
    file.write_text(RecipeFile(RECIPE, 36, "run-1").text)
    assert read_recipe_file(str(file)) == RecipeFile(RECIPE, 36, "run-1")
    assert read_recipe(file) == RECIPE


def test_an_experiment_is_named_by_run_folder_or_as_the_latest(tmp_path: Path) -> None:
    run = write_run(tmp_path, "model-experiment")
    write_run(tmp_path, "sweep", recipe=False)
    for name in (run, "latest", tmp_path / run, str(tmp_path / run)):
        assert read_recipe_file(name, tmp_path) == RecipeFile(RECIPE, 36, run)


def test_what_holds_no_recipe_is_refused(tmp_path: Path) -> None:
    sweep = write_run(tmp_path, "sweep", recipe=False)
    with pytest.raises(InputError, match=r"is a sweep and has no recipe\.toml"):
        read_recipe_file(sweep, tmp_path)
    with pytest.raises(InputError, match=r"is not there; name a recipe\.toml"):
        read_recipe_file(tmp_path / "none.toml")
    with pytest.raises(LockstepError, match="there is no model-experiment"):
        read_recipe_file("latest", tmp_path)
    file = tmp_path / "bad.toml"
    for text, sentence in (
        ('backend = "logistik"', "bad.toml: unknown backend 'logistik'"),
        ("[experiment]\ntried = 0", "`tried` must be a whole number of at least 1, was 0"),
        ("experiment = 3", "`experiment` must be a table"),
        ("backend = ", "is not valid TOML"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=sentence):
            read_recipe_file(file)
