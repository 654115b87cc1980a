"""A small neural network (scikit-learn fits it, `layers.Layers` predicts)."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.layers import Layers
from toolkit.models.backends.settings import Setting, defaults
from toolkit.models.backends.threads import one_thread

SETTINGS: Mapping[str, Setting] = {
    "hidden": Setting(16, 1, 1024),
    "layers": Setting(1, 1, 5),
    "penalty": Setting(0.01, 0.0, 1e6),
    "learning_rate": Setting(0.003, 1e-6, 1.0),
    "epochs": Setting(200, 1, 10_000),
}


class Neural:
    """Multi-layer perceptron with ReLU, Adam, and early stopping by what it loses on the training rows."""

    name = "mlp"
    takes_missing = False
    known = SETTINGS
    settings = defaults(SETTINGS)

    def fit(self, data: TrainingSet, budget: Budget, settings: Mapping[str, Any]) -> Layers:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        model = MLPClassifier(
            hidden_layer_sizes=(settings["hidden"],) * settings["layers"], alpha=settings["penalty"],
            learning_rate_init=settings["learning_rate"], max_iter=settings["epochs"], tol=1e-3, n_iter_no_change=10,
            random_state=budget.seed % 2**31,
        )  # fmt: skip
        with one_thread(), warnings.catch_warnings():
            # It stops after so many epochs because it was told to.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(data.x, data.y, sample_weight=data.weight)
        facts = {
            "kind": "mlp", "settings": dict(settings), "epochs": int(model.n_iter_), "loss": float(model.loss_),
        }  # fmt: skip
        weights = [np.ascontiguousarray(one, np.float64) for one in model.coefs_]
        return Layers(weights, [np.asarray(one, np.float64) for one in model.intercepts_], facts)

    def load(self, folder: Path) -> Layers:
        return Layers.load(folder)
