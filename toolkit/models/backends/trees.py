"""Trees of scikit-learn, kept by joblib behind a bundle's checksums and read with the same version alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import InputError
from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.settings import Setting, defaults
from toolkit.models.backends.threads import one_thread
from toolkit.types import FloatArray

_TREES, _FACTS = "trees.joblib", "model.json"
_LIBRARY = "scikit-learn"

FOREST: Mapping[str, Setting] = {
    "trees": Setting(100, 1, 10_000),
    "depth": Setting(6, 1, 64),
    "leaf": Setting(20, 1, 100_000),
    "share": Setting(0.3, 0.01, 1.0),  # of the features, looked at for a split
}
BOOSTING: Mapping[str, Setting] = {
    "trees": Setting(100, 1, 10_000),
    "depth": Setting(3, 1, 64),
    "leaf": Setting(20, 1, 100_000),
    "learning_rate": Setting(0.05, 1e-6, 1.0),
    "penalty": Setting(1.0, 0.0, 1e6),
}


@dataclass(frozen=True, eq=False)
class Trees:
    """A fitted ensemble; a row is the same to the bit in any batch."""

    model: Any
    facts: Mapping[str, Any]

    def predict(self, x: FloatArray) -> FloatArray:
        if not len(x):
            return np.empty(0)
        with one_thread():
            found: FloatArray = np.ascontiguousarray(
                self.model.predict_proba(np.ascontiguousarray(x))[:, 1], np.float64
            )
        return found

    def save(self, folder: Path) -> None:
        import joblib

        joblib.dump(self.model, folder / _TREES)
        (folder / _FACTS).write_text(json.dumps(self.facts, indent=1))

    def describe(self) -> Mapping[str, Any]:
        return self.facts


def load(folder: Path) -> Trees:
    """Trees from their folder; `InputError` where they were kept by another version of scikit-learn."""
    import joblib

    facts = json.loads((folder / _FACTS).read_text())
    if facts["library"] != version(_LIBRARY):
        raise InputError(
            f"the trees in {folder} were kept by {_LIBRARY} {facts['library']}, and {version(_LIBRARY)} is installed; "
            f"train the model again, or install that version"
        )
    return Trees(joblib.load(folder / _TREES), facts)


class RandomForest:
    """Probabilities are the mean of the trees' leaves."""

    name = "random_forest"
    takes_missing = False
    known = FOREST
    settings = defaults(FOREST)

    def fit(self, data: TrainingSet, budget: Budget, settings: Mapping[str, Any]) -> Trees:
        from sklearn.ensemble import RandomForestClassifier

        model = RandomForestClassifier(
            settings["trees"], max_depth=settings["depth"], min_samples_leaf=settings["leaf"],
            max_features=settings["share"], random_state=budget.seed % 2**31, n_jobs=1,
        )  # fmt: skip
        with one_thread():
            model.fit(data.x, data.y, data.weight)
        return Trees(model, _facts(self.name, settings, data, model.feature_importances_))

    def load(self, folder: Path) -> Trees:
        return load(folder)


class GradientBoosting:
    """Histogram gradient boosting; missing values have a branch of their own."""

    name = "gradient_boosting"
    takes_missing = True
    known = BOOSTING
    settings = defaults(BOOSTING)

    def fit(self, data: TrainingSet, budget: Budget, settings: Mapping[str, Any]) -> Trees:
        from sklearn.ensemble import HistGradientBoostingClassifier

        model = HistGradientBoostingClassifier(
            max_iter=settings["trees"], max_depth=settings["depth"], min_samples_leaf=settings["leaf"],
            learning_rate=settings["learning_rate"], l2_regularization=settings["penalty"], early_stopping=False,
            random_state=budget.seed % 2**31,
        )  # fmt: skip
        with one_thread():
            model.fit(data.x, data.y, sample_weight=data.weight)
        return Trees(model, _facts(self.name, settings, data, None))

    def load(self, folder: Path) -> Trees:
        return load(folder)


def _facts(kind: str, settings: Mapping[str, Any], data: TrainingSet, importance: FloatArray | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": kind, "settings": dict(settings), "library": version(_LIBRARY)}
    if importance is not None:
        largest = np.argsort(-importance, kind="stable")[:20].tolist()
        facts["largest"] = {data.features[k]: float(importance[k]) for k in largest}
    return facts
