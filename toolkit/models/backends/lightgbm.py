"""LightGBM: kept as text, and at inference without the libraries that it would bring along."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.settings import Setting, defaults
from toolkit.types import FloatArray

_TREES, _FACTS = "model.txt", "model.json"
# What it imports where it is there, and does without: 130 MB of a daemon's memory.
_NOT_NEEDED = ("pandas", "sklearn", "pyarrow", "matplotlib", "dask", "graphviz", "polars")

SETTINGS: Mapping[str, Setting] = {
    "trees": Setting(100, 1, 10_000),
    "leaves": Setting(7, 2, 4096),
    "leaf": Setting(20, 1, 100_000),
    "learning_rate": Setting(0.05, 1e-6, 1.0),
    "share": Setting(0.5, 0.01, 1.0),  # of the features, looked at for a tree
    "penalty": Setting(1.0, 0.0, 1e6),
}


@dataclass(frozen=True, eq=False)
class LightGBMModel:
    """A booster; a row is the same to the bit in any batch."""

    booster: Any
    facts: Mapping[str, Any]

    def predict(self, x: FloatArray) -> FloatArray:
        if not len(x):
            return np.empty(0)
        found: FloatArray = np.asarray(self.booster.predict(np.ascontiguousarray(x), num_threads=1), np.float64)
        return found

    def save(self, folder: Path) -> None:
        (folder / _TREES).write_text(self.booster.model_to_string())
        (folder / _FACTS).write_text(json.dumps(self.facts, indent=1))

    def describe(self) -> Mapping[str, Any]:
        return self.facts


class LightGBM:
    """Gradient boosted trees; missing values have a branch of their own."""

    name = "lightgbm"
    takes_missing = True
    known = SETTINGS
    settings = defaults(SETTINGS)

    def fit(self, data: TrainingSet, budget: Budget, settings: Mapping[str, Any]) -> LightGBMModel:
        lgb = library()
        params = {
            "objective": "binary", "num_leaves": settings["leaves"], "min_data_in_leaf": settings["leaf"],
            "learning_rate": settings["learning_rate"], "feature_fraction": settings["share"],
            "lambda_l2": settings["penalty"], "seed": budget.seed % 2**31, "deterministic": True,
            "force_row_wise": True, "num_threads": 1, "verbosity": -1,
        }  # fmt: skip
        names = [f"f{k}" for k in range(data.x.shape[1])]
        table = lgb.Dataset(np.ascontiguousarray(data.x), data.y, weight=data.weight, feature_name=names)
        fitted = lgb.train(params, table, num_boost_round=settings["trees"])
        gain = fitted.feature_importance("gain")
        largest = np.argsort(-gain, kind="stable")[:20].tolist()
        facts = {
            "kind": "lightgbm", "settings": dict(settings),
            "largest": {data.features[k]: float(gain[k]) for k in largest if gain[k] > 0.0},
        }  # fmt: skip
        # As it will be read: the text has every threshold and leaf to the bit.
        return LightGBMModel(lgb.Booster(model_str=fitted.model_to_string()), facts)

    def load(self, folder: Path) -> LightGBMModel:
        booster = library().Booster(model_str=(folder / _TREES).read_text())
        return LightGBMModel(booster, json.loads((folder / _FACTS).read_text()))


def library() -> Any:
    """The module `lightgbm`, imported without what it does not need here."""
    if "lightgbm" in sys.modules:
        return sys.modules["lightgbm"]
    with _kept_out(_NOT_NEEDED):
        return import_module("lightgbm")


@contextmanager
def _kept_out(names: tuple[str, ...]) -> Iterator[None]:
    """Modules of these names cannot be imported in this block, unless they are there already."""
    missing = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(missing))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in missing:
            sys.modules.pop(name, None)
