"""`fit`: from rows to a model; everything that is fitted is fitted here, on these rows alone."""

from typing import Any

import numpy as np

from toolkit.errors import InputError
from toolkit.models.applying import Application
from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.choices import backend, checked_settings
from toolkit.models.balance import balanced
from toolkit.models.cleaning import fit_cleaning
from toolkit.models.dataset import Dataset
from toolkit.models.recipe import Recipe
from toolkit.models.selecting import select
from toolkit.models.trained import Trained
from toolkit.types import BoolArray, FloatArray, IntArray


def fit(data: Dataset, recipe: Recipe, budget: Budget | None = None) -> Trained:
    """A model of these rows, with nothing decided yet about what its predictions come to.

    Features that say nothing in these rows (one value, or none) are left out; then values are cleaned, features chosen,
    classes balanced, and the backend learns.

    Parameters
    ----------
    data : rows in the order of time. budget : default the recipe's seed.

    Raises
    ------
    InputError : fewer rows than `recipe.min_trades`, one class only, or no feature that says anything.
    """
    budget = budget or Budget(seed=recipe.seed)
    _check(data, recipe)
    learner: Any = backend(recipe.backend)
    takes_missing = bool(getattr(learner, "takes_missing", False))
    telling = np.flatnonzero(_tells(data.x))
    if not len(telling):
        raise InputError(
            f"none of the {len(data.features)} features has two different values in these {len(data)} rows; name others"
        )
    names = tuple(data.features[k] for k in telling.tolist())
    chosen = telling[_selected(data, telling, names, recipe, budget.seed)]
    names = tuple(data.features[k] for k in chosen.tolist())
    cleaning = fit_cleaning(
        data.x[:, chosen], clip=recipe.clip, impute=not takes_missing, scale=not takes_missing,
        indicators=recipe.indicators,
    )  # fmt: skip
    rows, weight = balanced(data.y, data.weight, recipe.balance, budget.seed)
    x = cleaning.clean(data.x[:, chosen][rows])
    settings = checked_settings(recipe.backend, recipe.settings)
    model = learner.fit(TrainingSet(cleaning.names(names), x, data.y[rows], weight), budget, settings)
    facts = {
        "backend": recipe.backend, "settings": settings, "rows": len(data), "wins": float(data.y.mean()),
        "label": data.label, "dataset": data.fingerprint, "seed": budget.seed,
    }  # fmt: skip
    return Trained(data.features, chosen, cleaning, model, Application(), facts)


def _check(data: Dataset, recipe: Recipe) -> None:
    if len(data) < recipe.min_trades:
        raise InputError(
            f"a model needs at least {recipe.min_trades} entry signals with a known outcome (`min_trades`), there are "
            f"{len(data)}; take a longer period, more instances, or lower it"
        )
    ones = int(data.y.sum())
    if ones in (0, len(data)):
        what = "worth taking" if ones else "worth leaving"
        raise InputError(
            f"all {len(data)} entry signals were {what} by the label {data.label!r}: there is nothing to tell apart; "
            f"take a longer period, or another label"
        )


def _tells(x: FloatArray) -> BoolArray:
    """bool[k]: whether a feature has two different values."""
    seen = np.where(np.isfinite(x), x, np.nan)
    low, high = np.fmin.reduce(seen, axis=0), np.fmax.reduce(seen, axis=0)
    found: BoolArray = low < high
    return found


def _selected(data: Dataset, telling: IntArray, names: tuple[str, ...], recipe: Recipe, seed: int) -> IntArray:
    """Positions among `telling` of the features that are kept."""
    if recipe.selection == "none":
        return np.arange(len(telling))
    x = data.x[:, telling]
    cleaning = fit_cleaning(x, clip=recipe.clip, indicators=False)
    return select(
        TrainingSet(names, cleaning.clean(x), data.y, data.weight), recipe.selection, recipe.keep, seed
    )  # fmt: skip
