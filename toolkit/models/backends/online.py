"""Models of river, which learn one row after the other and go on learning where they are let to."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from toolkit.errors import InputError
from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.settings import Setting, defaults
from toolkit.types import FloatArray

_MODEL, _FACTS = "river.joblib", "model.json"
_LIBRARY = "river"
_LOGISTIC, _TREE, _FOREST = "logistic", "tree", "forest"

SETTINGS: Mapping[str, Setting] = {
    "model": Setting(_LOGISTIC, among=(_LOGISTIC, _TREE, _FOREST)),
    "online": Setting(True, among=(True, False)),  # whether it goes on learning while it judges
    "learning_rate": Setting(0.005, 1e-6, 1.0),  # of logistic
    "penalty": Setting(0.001, 0.0, 1e3),  # of logistic
    "passes": Setting(3, 1, 100),  # over the training part, in the order of time
    "trees": Setting(10, 1, 1_000),  # of forest
    "depth": Setting(6, 1, 64),  # of tree and forest
    "grace": Setting(100, 1, 100_000),  # rows that a leaf of tree or forest sees between looks for a split
}


class Learner(Protocol):
    """A model that is being learned; not shared, not saved."""

    def predict_one(self, x: FloatArray) -> float:
        """The probability of a 1, from float64[k] of cleaned features."""
        ...

    def learn_one(self, x: FloatArray, y: float) -> None:
        """Take one row's outcome."""
        ...


@runtime_checkable
class LearnsOn(Protocol):
    """A fitted model that can go on learning."""

    @property
    def online(self) -> bool:
        """Whether it shall, row by row, while it judges."""
        ...

    def learner(self) -> Learner:
        """A copy that learns; the model itself stays as it is."""
        ...


@dataclass(frozen=True, eq=False)
class OnlineModel:
    """A model of river as it stood after its training part."""

    model: Any
    facts: Mapping[str, Any]

    @property
    def online(self) -> bool:
        return bool(self.facts["settings"]["online"])

    def predict(self, x: FloatArray) -> FloatArray:
        return np.array([_probability(self.model, row) for row in _rows(x)], np.float64)

    def learner(self) -> Learner:
        return _Learner(copy.deepcopy(self.model))

    def save(self, folder: Path) -> None:
        import joblib

        joblib.dump(self.model, folder / _MODEL)
        (folder / _FACTS).write_text(json.dumps(self.facts, indent=1))

    def describe(self) -> Mapping[str, Any]:
        return self.facts


class _Learner:
    def __init__(self, model: Any) -> None:
        self._model = model

    def predict_one(self, x: FloatArray) -> float:
        return _probability(self._model, _row(x))

    def learn_one(self, x: FloatArray, y: float) -> None:
        self._model.learn_one(_row(x), bool(y))


class River:
    """Logistic regression by stochastic gradient, a Hoeffding tree, or an adaptive random forest.

    With `online` a walk-forward evaluation lets it learn each trade that closes before it judges the next entry, from
    one training to the next; see `prequential`. An account retrains it by its clock like any other.
    """

    name = "river"
    takes_missing = False
    known = SETTINGS
    settings = defaults(SETTINGS)

    def fit(self, data: TrainingSet, budget: Budget, settings: Mapping[str, Any]) -> OnlineModel:
        model = _new(settings, budget.seed % 2**31)
        rows = list(_rows(data.x))
        weighs = settings["model"] != _FOREST
        for _ in range(settings["passes"]):
            for x, y, weight in zip(rows, data.y.tolist(), data.weight.tolist(), strict=True):
                if weighs:
                    model.learn_one(x, y > 0.0, w=weight)
                else:
                    model.learn_one(x, y > 0.0)
        facts = {"kind": self.name, "settings": dict(settings), "library": version(_LIBRARY), "rows": len(rows)}
        return OnlineModel(model, facts)

    def load(self, folder: Path) -> OnlineModel:
        import joblib

        facts = json.loads((folder / _FACTS).read_text())
        if facts["library"] != version(_LIBRARY):
            raise InputError(
                f"the model in {folder} was kept by {_LIBRARY} {facts['library']}, and {version(_LIBRARY)} is "
                f"installed; train the model again, or install that version"
            )
        return OnlineModel(joblib.load(folder / _MODEL), facts)


def _new(settings: Mapping[str, Any], seed: int) -> Any:
    if settings["model"] == _LOGISTIC:
        from river import linear_model, optim

        return linear_model.LogisticRegression(
            optim.SGD(settings["learning_rate"]), l2=settings["penalty"], intercept_lr=settings["learning_rate"]
        )
    grown = {"max_depth": settings["depth"], "grace_period": settings["grace"]}
    if settings["model"] == _TREE:
        from river import tree

        return tree.HoeffdingTreeClassifier(**grown)
    from river import forest

    return forest.ARFClassifier(settings["trees"], seed=seed, **grown)


def _rows(x: FloatArray) -> Any:
    return (dict(enumerate(row)) for row in np.ascontiguousarray(x).tolist())


def _row(x: FloatArray) -> dict[int, float]:
    return dict(enumerate(x.tolist()))


def _probability(model: Any, x: dict[int, float]) -> float:
    """A half of a model that has seen no class yet."""
    said = model.predict_proba_one(x)
    return min(1.0, max(0.0, float(said.get(True, 0.0)))) if said else 0.5
