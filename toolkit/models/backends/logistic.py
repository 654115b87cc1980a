"""Logistic regression (scikit-learn fits it, `layers.Layers` predicts)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.layers import Layers
from toolkit.models.backends.settings import Setting, defaults
from toolkit.models.backends.threads import one_thread

SETTINGS: Mapping[str, Setting] = {
    "strength": Setting(0.1, 1e-6, 1e6),  # inverse of the penalty: smaller is simpler
    "l1_share": Setting(0.0, 0.0, 1.0),
}


class Logistic:
    """Elastic-net logistic regression; `l1_share` 1 is a lasso."""

    name = "logistic"
    takes_missing = False
    known = SETTINGS
    settings = defaults(SETTINGS)

    def fit(self, data: TrainingSet, budget: Budget, settings: Mapping[str, Any]) -> Layers:
        from sklearn.linear_model import LogisticRegression

        share = settings["l1_share"]
        solver = "lbfgs" if share == 0.0 else "saga"
        model = LogisticRegression(
            C=settings["strength"], l1_ratio=share, solver=solver, max_iter=2000, tol=1e-4 if share else 1e-6,
            random_state=budget.seed % 2**31,
        )  # fmt: skip
        with one_thread():
            model.fit(data.x, data.y, data.weight)
        weight = np.ascontiguousarray(model.coef_.T, np.float64)
        largest = np.argsort(-np.abs(weight[:, 0]), kind="stable")[:20].tolist()
        facts = {
            "kind": "logistic", "settings": dict(settings), "iterations": int(np.max(model.n_iter_)),
            "largest": {data.features[k]: float(weight[k, 0]) for k in largest},
        }  # fmt: skip
        return Layers([weight], [np.asarray(model.intercept_, np.float64)], facts)

    def load(self, folder: Path) -> Layers:
        return Layers.load(folder)
