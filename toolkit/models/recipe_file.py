"""recipe.toml: what an experiment chose, as `train`, `eval` and `portfolio backtest --model` read it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolkit.analysis.runs import INFO_FILE, read_run
from toolkit.errors import InputError
from toolkit.models.recipe import Recipe
from toolkit.models.toml_text import toml_text
from toolkit.toml_file import read_toml

RECIPE_FILE = "recipe.toml"
_EXPERIMENT = "experiment"
_TRIED = "tried"


@dataclass(frozen=True)
class RecipeFile:
    """A recipe and how it was found.

    Attributes
    ----------
    tried : how many were tried before this one was chosen, 1 where nobody says. run : the experiment's id.
    """

    recipe: Recipe
    tried: int = 1
    run: str | None = None

    @property
    def text(self) -> str:
        """As `recipe.toml` has it."""
        table = dict(self.recipe.table())
        if self.run is not None:
            table[_EXPERIMENT] = {"run": self.run, _TRIED: self.tried}
        return toml_text(table)


def read_recipe(source: str | Path, root: Path | None = None) -> Recipe:
    """The recipe of a recipe.toml, or of an experiment's run; see `read_recipe_file`."""
    return read_recipe_file(source, root).recipe


def read_recipe_file(source: str | Path, root: Path | None = None) -> RecipeFile:
    """A recipe and how it was found.

    Parameters
    ----------
    source : a recipe.toml, an experiment's run id or folder, or "latest", the newest experiment. root : of the runs.

    Raises
    ------
    InputError and its kinds : there is no such file or run, or it holds no valid recipe.
    """
    path = Path(source)
    if not path.is_file():
        if path.suffix == ".toml":
            raise InputError(f"{source} is not there; name a recipe.toml, or the run of a `toolkit model experiment`")
        is_folder = isinstance(source, Path) or os.sep in source or (path / INFO_FILE).is_file()
        run = read_run(path if is_folder else str(source), root, latest_of="model-experiment")
        path = run.folder / RECIPE_FILE
        if not path.is_file():
            raise InputError(
                f"run {run.run_id} is a {run.info['kind']} and has no {RECIPE_FILE}; name the run of an experiment"
            )
    table = read_toml(path, "recipe")
    found = table.pop(_EXPERIMENT, {})
    if not isinstance(found, Mapping):
        raise InputError(f"{path}: `{_EXPERIMENT}` must be a table of run and {_TRIED}, was {found!r}")
    tried = found.get(_TRIED, 1)
    if isinstance(tried, bool) or not isinstance(tried, int) or tried < 1:
        raise InputError(f"{path}: `{_TRIED}` must be a whole number of at least 1, was {tried!r}")
    try:
        return RecipeFile(Recipe.from_table(table), tried, found.get("run"))
    except InputError as error:
        error.args = (f"{path}: {error}",)
        raise
