"""FLAML behind `host.py`: its search over several kinds of model by folds in order of time, the best one fitted again
on every row.

One thread, a number of trials and no time budget make equal seeds give equal models; so does that psutil is not in its
lock, by which FLAML would make forests as large as the memory that is free. Weights go into every fit and every score.
The learner's own object is saved, nothing of FLAML.
"""

from __future__ import annotations

import math
import pprint
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from flaml import AutoML, tune
from in_time import folds

METRICS = {"auc": "roc_auc", "accuracy": "accuracy", "f1": "f1", "average_precision": "ap", "log_loss": "log_loss"}
# FLAML minimises: these as they are, the others as 1 minus the score.
SMALLER_IS_BETTER = ("log_loss",)
TREES = ("lgbm", "xgboost", "xgb_limitdepth", "rf", "extra_tree")
# Every kind begins with this many trees.
FEWEST_TREES = 4
FILE = "model.joblib"
CODE = """\
import importlib

params = {params}
model = getattr(importlib.import_module("{module}"), "{name}")(**params)
model.fit(x, y{weight})


def predict(x):
    return model.predict_proba(x)[:, 1].astype("float64")
"""


def fit(config: dict[str, Any], x: Any, y: Any, weight: Any, folder: Path) -> dict[str, Any]:
    settings = config["settings"]
    weighted = bool((weight != weight[0]).any())
    splitter = folds(y, settings["folds"], settings["gap_rows"])
    search = AutoML()
    # With a single trial FLAML tries nothing and has no score.
    search.fit(
        x, y, task="classification", estimator_list=list(settings["models"]), metric=METRICS[settings["metric"]],
        max_iter=max(2, config["trials"]), time_budget=-1, n_jobs=1, seed=config["seed"], eval_method="cv",
        split_type=splitter, retrain_full=True, verbose=0, custom_hp=spaces(config, len(x)),
        **({"sample_weight": weight} if weighted else {}),
    )  # fmt: skip
    if search.model is None or search.model.model is None:
        raise ValueError("none of the models " + ", ".join(settings["models"]) + " could be fitted")
    joblib.dump(search.model.model, folder / FILE)
    kind, params = type(search.model.model), plain(search.model.params)
    chosen = {
        "model": search.best_estimator, "class": kind.__name__, "params": params, "weighted": weighted,
        "folds": splitter.n_splits,
    }  # fmt: skip
    code = CODE.format(
        module=kind.__module__, name=kind.__qualname__, params=pprint.pformat(params, width=100),
        weight=", sample_weight=weight" if weighted else "",
    )  # fmt: skip
    return {"leaderboard": leaderboard(search, settings["metric"]), "chosen": chosen, "code": code}


def load(folder: Path) -> Any:
    model = joblib.load(folder / FILE)

    def predict(x: Any) -> Any:
        return model.predict_proba(x)[:, 1].astype("float64")

    return predict


def spaces(config: dict[str, Any], rows: int) -> dict[str, Any]:
    """What is searched otherwise than FLAML would: at most so many trees, and seeds that are the fit's."""
    most = max(FEWEST_TREES + 1, min(config["settings"]["most_trees"], rows))
    trees = {
        "domain": tune.lograndint(lower=FEWEST_TREES, upper=most),
        "init_value": FEWEST_TREES,
        "low_cost_init_value": FEWEST_TREES,
    }
    found: dict[str, Any] = {}
    for name in config["settings"]["models"]:
        found[name] = {"random_state": {"domain": config["seed"]}}
        if name in TREES:
            found[name]["n_estimators"] = trees
        if name == "lgbm":
            # Otherwise LightGBM measures which of two ways is the faster one, and they add in different orders.
            found[name].update({"deterministic": {"domain": True}, "force_row_wise": {"domain": True}})
    return found


def leaderboard(search: Any, metric: str) -> list[dict[str, Any]]:
    """The best of each kind of model that was tried; seconds are those of its trial, all folds."""
    rows = [
        {
            "model": name,
            "metric": metric,
            "score": signed(state.best_loss, metric),
            "fit_secs": float(state.time2eval_best),
            "params": plain(state.best_config),
        }
        for name, state in search._search_states.items()
        if state.best_config
    ]
    first = search.best_estimator
    return sorted(rows, key=lambda row: (row["score"] is None, -(row["score"] or 0.0), row["model"] != first))


def signed(loss: Any, metric: str) -> float | None:
    score = -float(loss) if metric in SMALLER_IS_BETTER else 1.0 - float(loss)
    return score if math.isfinite(score) else None


def plain(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters as JSON and Python text hold them."""
    return {name: v.item() if isinstance(v, np.generic) else v for name, v in sorted(params.items())}
