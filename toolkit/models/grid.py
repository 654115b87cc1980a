"""What an experiment tries: axes over the fields of a recipe, as a grid of trials."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.engine.identity import canonical_json
from toolkit.errors import InputError, LockstepError, UnknownNameError
from toolkit.models.applying import METHODS
from toolkit.models.backends.choices import BACKENDS, backend
from toolkit.models.backends.online import River
from toolkit.models.recipe import Recipe
from toolkit.models.workers.libraries import LIBRARIES
from toolkit.toml_file import read_toml

BLOCKS = "grid"
# Fields that say what is done with predictions; trials that differ in them alone share their models.
APPLYING = ("fitness", "method", "options")
# Fields whose one value is a list or a table itself, so that several are a list of those.
_LISTS, _TABLES = ("features",), ("options", "settings")
_NOT_TRIED = ("folds", "embargo", "seed")

SMALL: Mapping[str, Any] = {
    "backend": ["logistic", "random_forest", "lightgbm"],
    "selection": ["none", "mutual_information"],
    "fitness": ["sortino", "expectancy"],
    "method": ["veto", "quantile", "kelly", "rank"],
}
"""The axes of an experiment unless others are given: small enough to wait for."""


@dataclass(frozen=True)
class Trial:
    """One way of learning and applying.

    Attributes
    ----------
    learning : position of its way of learning in `Space.learning`. point : the axes' values, by field.
    """

    number: int
    learning: int
    recipe: Recipe
    point: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Space:
    """Every trial of an experiment, and the different ways of learning among them, each fitted once."""

    learning: tuple[Recipe, ...]
    trials: tuple[Trial, ...]


def backends_grid(names: Sequence[str]) -> dict[str, Any]:
    """Axes that compare ways of learning: each by every way of applying; those that can go on learning while they judge
    are tried with that and without.
    """
    known = [*BACKENDS, *LIBRARIES]
    for name in names:
        if name not in known:
            raise UnknownNameError("backend", name, known)
    blocks: list[dict[str, Any]] = [{"backend": name} for name in names]
    for block in blocks:
        if block["backend"] == River.name:
            block["settings"] = [{"online": False}, {"online": True}]
    return {"method": list(METHODS), BLOCKS: blocks}


def read_grid(path: Path) -> dict[str, Any]:
    """The axes of a grid file (TOML); checked by `space_of`."""
    return read_toml(path, "grid file")


def space_of(grid: Mapping[str, Any], base: Recipe, *, budget: int | None = None, seed: int = 0) -> Space:
    """The trials of a grid.

    Parameters
    ----------
    grid : a list of values (or one) by field of the recipe; under `grid` a list of further tables, each laid over the
        axes beside it and tried by itself. base : what no axis says.
    budget : at most so many ways of learning, drawn with `seed` from all; None = all.

    Raises
    ------
    InputError and its kinds : an axis that no recipe has, without values, a point that is no valid recipe, or a backend
    whose environment is not installed.
    """
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 1):
        raise InputError(f"`budget` must be a whole number of at least 1, was {budget!r}; leave it out to try all")
    known = [one.name for one in fields(Recipe) if one.name not in _NOT_TRIED]
    points = {canonical_json(point): point for axes in _blocks(grid, known) for point in _product(axes)}
    by_learning: dict[str, list[dict[str, Any]]] = {}
    for point in points.values():
        key = canonical_json({name: value for name, value in point.items() if name not in APPLYING})
        by_learning.setdefault(key, []).append(point)
    chosen = list(by_learning.values())
    if budget is not None and budget < len(chosen):
        drawn = np.random.default_rng(seed).choice(len(chosen), budget, replace=False)
        chosen = [chosen[k] for k in sorted(drawn.tolist())]
    learning, trials = [], list[Trial]()
    for number, mine in enumerate(chosen):
        recipes = [_recipe(base, point) for point in mine]
        backend(recipes[0].backend)
        learning.append(recipes[0])
        seen = set[str]()
        for point, recipe in zip(mine, recipes, strict=True):
            # What no money is made of by one fitness more than by another is one trial.
            same = canonical_json(_deciding(recipe))
            if same not in seen:
                seen.add(same)
                trials.append(Trial(len(trials), number, recipe, point))
    return Space(tuple(learning), tuple(trials))


def _deciding(recipe: Recipe) -> dict[str, Any]:
    """The fields that decide what a recipe makes of predictions: only thresholds are chosen by a fitness."""
    table = dict(recipe.table())
    if recipe.method not in ("veto", "quantile"):
        table.pop("fitness", None)
    return table


def _blocks(grid: Mapping[str, Any], known: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    """Axes as lists, a set a block."""
    shared = {name: value for name, value in grid.items() if name != BLOCKS}
    blocks = grid.get(BLOCKS, [{}])
    if not isinstance(blocks, list) or not blocks or not all(isinstance(one, Mapping) for one in blocks):
        raise InputError(f"`{BLOCKS}` must be a list of tables of axes ([[{BLOCKS}]]), was {blocks!r}")
    for block in blocks:
        axes = {**shared, **block}
        if not axes:
            raise InputError("a grid needs at least one axis, such as backend = ['logistic', 'lightgbm'], had none")
        for name in axes:
            if name not in known:
                raise UnknownNameError("axis of a grid", name, known)
        yield {name: _axis(name, value) for name, value in axes.items()}


def _axis(name: str, value: Any) -> list[Any]:
    one = not isinstance(value, list)
    if name in _LISTS and isinstance(value, list):
        one = not all(isinstance(inner, list) for inner in value)
    if name in _TABLES and isinstance(value, Mapping):
        one = True
    values = [value] if one else list(value)
    if not values:
        raise InputError(f"axis `{name}` of a grid must have at least one value, had none")
    return values


def _product(axes: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _recipe(base: Recipe, point: Mapping[str, Any]) -> Recipe:
    table = {**base.table(), **point}
    # What the base says of its own backend or method means nothing to another one.
    for name, of in (("settings", "backend"), ("options", "method")):
        if name not in point and table[of] != getattr(base, of):
            table[name] = {}
    try:
        return Recipe.from_table(table)
    except LockstepError as error:
        shown = ", ".join(f"{name} = {value!r}" for name, value in point.items())
        error.args = (f"trial {shown}: {error}",)
        raise
