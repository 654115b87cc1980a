"""AutoViML behind `host.py`: it selects columns and prepares each kind of model with ranges of settings to draw from.

There it is stopped: it would shuffle the rows, fold them at random, and keep the scaler that its model needs to itself.
The draws are scored here, by folds in order of time, each with a scaler of its own; the best model is fitted with its
scaler on every row, and with weights. Columns are selected by means of all rows, scored ones included: the scores are
somewhat too good. CatBoost is left out, because AutoViML draws nothing for it. Predicting needs no AutoViML.
"""

from __future__ import annotations

import importlib
import math
import pickle
import pprint
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from in_time import folds
from joblib import parallel_config
from sklearn.base import clone
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

# Its `Boosting_Flag`.
KINDS: dict[str, bool | None] = {"linear": None, "forests": False, "xgboost": True}
# scikit-learn's names, higher is better: AutoViML's own take the log loss of labels and the F1 of the rarer class.
METRICS = {
    "auc": "roc_auc", "accuracy": "accuracy", "balanced_accuracy": "balanced_accuracy", "f1": "f1",
    "log_loss": "neg_log_loss",
}  # fmt: skip
# Of every model that has them: one thread, and nothing is computed that nobody reads. AutoViML names two ways to grow
# a tree to XGBoost that exclude each other, so that every fit would fail.
SURE = {"n_jobs": 1, "nthread": 1, "oob_score": False, "warm_start": False, "updater": None, "predictor": None}
FILE = "model.pickle"
CODE = """\
import importlib

from sklearn.preprocessing import MinMaxScaler

columns = {columns}
params = {params}
model = getattr(importlib.import_module("{module}"), "{name}")(**params)
scaler = MinMaxScaler().fit(x[:, columns])
model.fit(scaler.transform(x[:, columns]), y{weight})


def predict(x):
    return model.predict_proba(scaler.transform(x[:, columns]))[:, 1].astype("float64")
"""


class EnoughError(Exception):
    """Ends AutoViML where it would begin to draw."""


class Taken:
    """In place of AutoViML's search: notes what it is given, and ends it there."""

    def __init__(self, note: Any, model: Any, ranges: Any) -> None:
        self.note, self.model, self.ranges = note, model, ranges

    def fit(self, frame: Any, _: Any, **__: Any) -> None:
        self.note(list(frame.columns), self.model, self.ranges)
        raise EnoughError


def fit(config: dict[str, Any], x: Any, y: Any, weight: Any, folder: Path) -> dict[str, Any]:
    settings = config["settings"]
    splitter = folds(y, settings["folds"], settings["gap_rows"])
    found: list[tuple[dict[str, Any], Any, list[int]]] = []
    for kind in settings["models"]:
        columns, model, ranges = prepared(kind, config["seed"], x, y)
        found.extend((*one, columns) for one in drawn(config, kind, splitter, (model, ranges), x[:, columns], y))
    found.sort(key=lambda one: -one[0]["score"])
    if not found:
        raise ValueError("none of the models " + ", ".join(settings["models"]) + " could be fitted")
    row, model, columns = found[0]
    weighted = not (weight == weight[0]).all()
    scaler = MinMaxScaler().fit(x[:, columns])
    model.fit(scaler.transform(x[:, columns]), y, **({"sample_weight": weight} if weighted else {}))
    (folder / FILE).write_bytes(pickle.dumps((columns, scaler, model)))
    params = {name: value for name, value in plain(model.get_params()).items() if value is not None}
    code = CODE.format(
        columns=pprint.pformat(columns, width=100, compact=True), params=pprint.pformat(params, width=100),
        module=type(model).__module__, name=type(model).__name__, weight=", sample_weight=weight" if weighted else "",
    )  # fmt: skip
    chosen = {
        "model": row["model"], "class": type(model).__name__, "params": params, "columns": columns,
        "weighted": weighted, "folds": splitter.n_splits,
    }  # fmt: skip
    return {"leaderboard": [one[0] for one in found], "chosen": chosen, "code": code}


def load(folder: Path) -> Any:
    columns, scaler, model = pickle.loads((folder / FILE).read_bytes())
    probability = PREDICTED[type(model).__name__](model)

    def predict(x: Any) -> Any:
        return probability(np.take(x, columns, axis=1) * scaler.scale_ + scaler.min_)

    return predict


def prepared(kind: str, seed: int, x: Any, y: Any) -> tuple[list[int], Any, dict[str, Any]]:
    """Columns that AutoViML selects, its model, and what its settings are drawn from."""
    names = ["c" + str(k) for k in range(x.shape[1])]
    frame = pd.DataFrame(x, columns=names)
    frame["y"] = y
    notes: list[Any] = []

    def note(*taken: Any) -> None:
        notes.append(taken)

    library: Any = importlib.import_module("autoviml.Auto_ViML")
    library.train_test_split = ordered
    library.RandomizedSearchCV = lambda model, param_distributions, **_: Taken(note, model, param_distributions)
    np.random.seed(seed)
    with parallel_config(backend="sequential"):
        library.Auto_ViML(frame, "y", frame[names].tail(2), scoring_parameter="auc", Boosting_Flag=KINDS[kind])
    if not notes:
        raise ValueError("AutoViML gave up on these rows before its search for " + kind)
    columns, model, ranges = notes[-1]
    known = model.get_params()
    model = clone(model).set_params(**{name: value for name, value in SURE.items() if name in known})
    return [int(name[1:]) for name in columns if name in names], model, ranges


def ordered(x: Any, y: Any, test_size: float, **_: Any) -> list[Any]:
    """In place of a random split, for AutoViML's selection of columns: rows by their number, the last ones aside."""
    numbers = np.sort(x.index)
    cut = len(numbers) - int(len(numbers) * test_size)
    return [part.loc[rows] for part in (x, y) for rows in (numbers[:cut], numbers[cut:])]


def drawn(
    config: dict[str, Any], kind: str, splitter: Any, prepared: tuple[Any, dict[str, Any]], x: Any, y: Any
) -> list[tuple[dict[str, Any], Any]]:
    """Rows of the leaderboard, each with its model that has not learned yet; those that fail are left out."""
    metric, (model, ranges) = config["settings"]["metric"], prepared
    pipeline = make_pipeline(MinMaxScaler(), model)
    step = pipeline.steps[-1][0] + "__"
    search = RandomizedSearchCV(
        pipeline, {step + name: values for name, values in ranges.items()}, n_iter=max(1, config["trials"]),
        scoring=METRICS[metric], cv=splitter, refit=False, random_state=config["seed"],
    ).fit(x, y)  # fmt: skip
    results, out = search.cv_results_, []
    for number, score in enumerate(results["mean_test_score"]):
        if math.isfinite(score):
            params = {name[len(step) :]: value for name, value in results["params"][number].items()}
            row = {"model": kind + " " + str(number + 1), "metric": metric, "score": float(score)}
            row.update(fit_secs=float(results["mean_fit_time"][number]), params=plain(params))
            out.append((row, clone(model).set_params(**plain(params))))
    return out


def plain(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters as JSON holds them."""
    values = {name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()}
    return dict(sorted(values.items()))


def linear(model: Any) -> Any:
    factors, offset = model.coef_[0], model.intercept_[0]
    # A matrix product sums in another order where there are more rows.
    return lambda x: 0.5 + 0.5 * np.tanh(((x * factors).sum(axis=1) + offset) / 2)


def forest(model: Any) -> Any:
    """The mean over its trees, without what scikit-learn does beside it for each of them."""
    trees = [one.tree_ for one in model.estimators_]

    def probability(x: Any) -> Any:
        x = x.astype("float32")
        return sum(tree.predict(x)[:, 1] for tree in trees) / len(trees)

    return probability


def boosted(model: Any) -> Any:
    booster, missing = model.get_booster(), model.missing
    return lambda x: booster.inplace_predict(x, missing=missing).astype("float64")


PREDICTED = {"LogisticRegression": linear, "RandomForestClassifier": forest, "XGBClassifier": boosted}
