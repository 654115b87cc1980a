"""PyCaret behind `host.py`: it compares models by folds in order of time, tunes the best, fits it on every row.

One thread, so that equal seeds give equal models; weights go into the last fit alone, because PyCaret's pipeline passes
none on in its search.
"""

from __future__ import annotations

import math
import pprint
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from in_time import folds
from pycaret.classification import ClassificationExperiment, load_model
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.utils.validation import has_fit_parameter

METRICS = {"auc": "AUC", "accuracy": "Accuracy", "precision": "Prec.", "f1": "F1", "mcc": "MCC", "log_loss": "Log Loss"}
SMALLER_IS_BETTER = ("log_loss",)
FILE = "pipeline"
# Scores come rounded; four digits, the default, make ties of what is none.
DIGITS = 10
CODE = """\
import importlib

import pandas as pd

params = {params}
model = getattr(importlib.import_module("{module}"), "{name}")(**params)


def frame(x):
    return pd.DataFrame(x.astype("float32"), columns=["c" + str(k) for k in range(x.shape[1])])


model.fit(frame(x), pd.Series(y, name="y").astype("int8"){weight})


def predict(x):
    return model.predict_proba(frame(x))[:, 1].astype("float64")
"""


def fit(config: dict[str, Any], x: Any, y: Any, weight: Any, folder: Path) -> dict[str, Any]:
    settings, column = config["settings"], METRICS[config["settings"]["metric"]]
    experiment = begun(config, x, y)
    found = experiment.compare_models(
        include=settings["models"], sort=column, n_select=1, errors="ignore", round=DIGITS, verbose=False
    )
    table = experiment.pull()
    if isinstance(found, list) or not len(table):
        raise ValueError("none of the models " + ", ".join(settings["models"]) + " could be fitted")
    board = leaderboard(experiment, table, settings["metric"])
    name = best = str(table.index[0])
    if config["trials"] > 0:
        tuned = experiment.tune_model(
            found, n_iter=config["trials"], optimize=column, choose_better=True, round=DIGITS, verbose=False
        )
        score = signed(experiment.pull().loc["Mean", column], settings["metric"])
        if tuned.get_params() != found.get_params():
            name, found = best + " tuned", tuned
            row = {"model": name, "metric": settings["metric"], "score": score, "fit_secs": None}
            board.insert(0, {**row, "params": plain(tuned)})
    found, weighted = fitted_with_weights(experiment, found, weight)
    experiment.save_model(found, str(folder / FILE), verbose=False)
    chosen = {
        "model": name, "class": type(found).__name__, "params": plain(found), "weighted": weighted,
        "folds": experiment.fold_generator.n_splits,
    }  # fmt: skip
    return {"leaderboard": board, "chosen": chosen, "code": code_of(found, weighted)}


def load(folder: Path) -> Any:
    pipeline = load_model(str(folder / FILE), verbose=False)

    def predict(x: Any) -> Any:
        # PyCaret learned from float32.
        return pipeline.predict_proba(frame(x))[:, 1].astype("float64")

    return predict


def frame(x: Any) -> Any:
    return pd.DataFrame(x.astype("float32"), columns=["c" + str(k) for k in range(x.shape[1])])


def begun(config: dict[str, Any], x: Any, y: Any) -> Any:
    """An experiment over all rows; the rows that PyCaret wants held out are copies, and no figure is made of them."""
    data = frame(x)
    data["y"] = y
    aside = data.tail(2).set_axis([len(data), len(data) + 1], axis=0)
    experiment = ClassificationExperiment()
    experiment.setup(
        data=data, test_data=aside, target="y", index=False, session_id=config["seed"], n_jobs=1, preprocess=False,
        data_split_shuffle=False, fold_strategy=folds(y, config["settings"]["folds"], config["settings"]["gap_rows"]),
        memory=False, system_log=False, html=False, verbose=False,
    )  # fmt: skip
    experiment.add_metric("log_loss", "Log Loss", log_loss, target="pred_proba", greater_is_better=False)
    return experiment


def code_of(model: Any, weighted: bool) -> str:
    """The last fit with scikit-learn's interface alone; with `preprocess` off PyCaret's pipeline adds nothing to it."""
    kind = type(model)
    return CODE.format(
        module=kind.__module__, name=kind.__qualname__, params=pprint.pformat(model.get_params(deep=False), width=100),
        weight=", sample_weight=weight" if weighted else "",
    )  # fmt: skip


def leaderboard(experiment: Any, table: Any, metric: str) -> list[dict[str, Any]]:
    kinds = experiment.models(internal=True)
    return [
        {
            "model": str(name),
            "metric": metric,
            "score": signed(table.loc[name, METRICS[metric]], metric),
            "fit_secs": float(table.loc[name, "TT (Sec)"]),
            "params": plain(kinds.loc[name, "Class"](**kinds.loc[name, "Args"])),
        }
        for name in table.index
    ]


def signed(score: Any, metric: str) -> float | None:
    value = -float(score) if metric in SMALLER_IS_BETTER else float(score)
    return value if math.isfinite(value) else None


def fitted_with_weights(experiment: Any, model: Any, weight: Any) -> tuple[Any, bool]:
    if (weight == weight[0]).all() or not has_fit_parameter(model, "sample_weight"):
        return model, False
    x, y = experiment.get_config("X_train_transformed"), experiment.get_config("y_train_transformed")
    return clone(model).fit(x, y, sample_weight=weight), True


def plain(model: Any) -> dict[str, Any]:
    """Parameters as JSON holds them."""
    return {name: plain_value(value) for name, value in sorted(model.get_params().items())}


def plain_value(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)
