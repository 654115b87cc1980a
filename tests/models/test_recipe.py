"""Recipes: to a table and back, and one sentence for what is wrong."""

import json
import pickle
from typing import Any

import pytest

from toolkit.errors import InputError, UnknownNameError
from toolkit.models.labels import LabelRule
from toolkit.models.recipe import Recipe


def test_a_recipe_survives_its_table_and_a_pickle() -> None:
    for recipe in (
        Recipe(),
        Recipe(
            "logistic", {"strength": 0.5}, ("rsi(14)", "side"), LabelRule("barrier", upper=3.0), "stability", 5,
            "oversample", 0.01, True, "kelly", {"fraction": 0.3, "cap": 0.5}, "expectancy", 3, "4h", 20, 9,
        ),
    ):  # fmt: skip
        assert Recipe.from_table(json.loads(json.dumps(recipe.table()))) == recipe
        assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert Recipe.from_table({"label": "r"}).label == LabelRule("r")
    assert Recipe(embargo="4h").embargo_ms == 4 * 3_600_000


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"backend": "lightgmb"}, r"unknown backend 'lightgmb': did you mean 'lightgbm'"),
        ({"settings": {"leafs": 1}}, r"unknown setting of lightgbm 'leafs'"),
        ({"settings": 3}, r"`settings` of a recipe must be a table, was 3"),
        ({"selection": "best"}, r"unknown `selection` of a recipe 'best'"),
        ({"balance": "smote"}, r"unknown `balance` of a recipe"),
        ({"method": "veot"}, r"did you mean 'veto'"),
        ({"fitness": "sortin"}, r"did you mean 'sortino'"),
        ({"folds": 1}, r"`folds` of a recipe must be a whole number of at least 2, was 1"),
        ({"keep": 0}, r"`keep` of a recipe must be a whole number of at least 1"),
        ({"clip": 0.5}, r"`clip` of a recipe must be a quantile from 0 to below 0.5"),
        ({"indicators": 1}, r"`indicators` of a recipe must be true or false"),
        ({"embargo": "soon"}, r"`embargo` must be a time"),
        ({"options": {"fraction": 0.5}}, r"unknown option of veto 'fraction'"),
        ({"options": {"threshold": 1.5}}, r"`threshold` of veto must be a number from 0 to 1, was 1.5"),
        ({"method": "rank", "options": {"slots": 1.5}}, r"`slots` must be a whole number"),
        ({"features": "rsi(14)"}, r"`features` of a recipe must be a list of names"),
        ({"label": "profit"}, r"unknown label 'profit'"),
        ({"label": {"kind": "barrier", "upper": 0}}, r"barriers must lie above 0 ATR"),
        ({"lable": "win"}, r"unknown key of a recipe 'lable': did you mean 'label'"),
    ],
)
def test_what_is_wrong_is_one_sentence(table: dict[str, Any], sentence: str) -> None:
    with pytest.raises((InputError, UnknownNameError), match=sentence):
        Recipe.from_table(table)
