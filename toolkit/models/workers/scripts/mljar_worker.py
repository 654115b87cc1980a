"""mljar-supervised behind `host.py`: its search over several kinds of model and its greedy ensemble, by folds in order
of time; what it chose is fitted again on every row.

Its own models are those of the folds, none of which saw the newest rows. Boosting goes as many rounds, and forests grow
as many trees, as were best in the folds on average. Off are stacking, features that it makes or selects, and its plots.
Weights go into every score and into every fit but those of networks and neighbours, which take none. Networks hold rows
out at random to know when to stop; neighbours keep a thousand rows that are drawn at random.
"""

from __future__ import annotations

import inspect
import math
import pprint
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from in_time import folds

METRICS = {
    "auc": "auc", "accuracy": "accuracy", "f1": "f1", "average_precision": "average_precision", "log_loss": "logloss",
}  # fmt: skip
TASK = "binary_classification"
UNWEIGHTED = ("Neural Network", "Nearest Neighbors")
# Otherwise LightGBM measures which of two ways is the faster one, and they add in different orders.
STEADY = {"deterministic": True, "force_row_wise": True}
# How many of each kind are improved at each step of its hill climbing.
IMPROVED = 2
FILE = "parts.joblib"
HEAD = """\
from typing import Any

import numpy as np
import pandas as pd

STEADY = {steady}
"""
TAIL = """\
parts = {parts}
made = [(part["share"], *fitted(part["params"], part["rounds"], x, y, {weight})) for part in parts]


def predict(x):
    return blend(made, x)
"""


def fit(config: dict[str, Any], x: Any, y: Any, weight: Any, folder: Path) -> dict[str, Any]:
    settings = config["settings"]
    used = weight if (weight != weight[0]).any() else None
    splitter = folds(y, settings["folds"], settings["gap_rows"])
    search = searched(config, x, y, used, list(splitter.split(x)))
    parts = parts_of(search._best_model)
    made = [(part["share"], *fitted(part["params"], part["rounds"], x, y, used)) for part in parts]
    # Forests are large and mostly alike.
    joblib.dump(made, folder / FILE, compress=3)
    board = leaderboard(search, settings["metric"])
    weighted = used is not None and any(part["params"]["model_type"] not in UNWEIGHTED for part in parts)
    chosen = {
        "model": board[0]["model"], "params": board[0]["params"], "weighted": weighted, "parts": parts,
        "folds": splitter.n_splits,
    }  # fmt: skip
    return {"leaderboard": board, "chosen": chosen, "code": code_of(parts, used is not None)}


def load(folder: Path) -> Any:
    made = joblib.load(folder / FILE)

    def predict(x: Any) -> Any:
        return blend(made, x)

    return predict


def code_of(parts: list[dict[str, Any]], weighted: bool) -> str:
    """The functions at the end of this file, and what they are called with."""
    functions = [inspect.getsource(function) for function in (fitted, scale, probability, blend)]
    tail = TAIL.format(parts=pprint.pformat(parts, width=100), weight="weight" if weighted else "None")
    return "\n\n".join([HEAD.format(steady=STEADY), *functions, tail])


def searched(config: dict[str, Any], x: Any, y: Any, weight: Any, splits: list[Any]) -> Any:
    """mljar's search with every model that it tried; it works in this folder."""
    from supervised import AutoML

    leave_out_plots()
    steady_lightgbm()
    trials = max(1, config["trials"])

    class Search(AutoML):  # type: ignore[misc]
        def _apply_constraints(self) -> None:
            """None: it would leave networks out with one thread, and linear models with many rows."""

        def train_model(self, params: dict[str, Any]) -> bool:
            return len(self._models) < trials and bool(super().train_model(params))

    settings = config["settings"]
    search = Search(
        results_path=str(Path("search").absolute()), mode="Compete", ml_task=TASK, algorithms=list(settings["models"]),
        eval_metric=METRICS[settings["metric"]], validation_strategy={"validation_type": "custom"},
        train_ensemble=settings["ensemble"] == "weighted", start_random_models=settings["random_models"],
        hill_climbing_steps=settings["hill_climbing"], top_models_to_improve=IMPROVED, total_time_limit=None,
        explain_level=0, stack_models=False, golden_features=False, kmeans_features=False, features_selection=False,
        boost_on_errors=False, mix_encoding=False, n_jobs=1, verbose=0, random_state=config["seed"] % 2**30,
    )  # fmt: skip
    return search.fit(frame(x), pd.Series(y), sample_weight=None if weight is None else pd.Series(weight), cv=splits)


def leave_out_plots() -> None:
    """It draws and describes every model, whatever its level of explanation, and that takes longer than the fit."""
    from supervised.utils.additional_metrics import AdditionalMetrics
    from supervised.utils.automl_plots import AutoMLPlots
    from supervised.utils.leaderboard_plots import LeaderboardPlots
    from supervised.utils.learning_curves import LearningCurves

    drawn = ((LearningCurves, "plot"), (LearningCurves, "plot_for_ensemble"), (LeaderboardPlots, "compute"))
    for place, name in (*drawn, (AutoMLPlots, "add"), (AdditionalMetrics, "save")):
        setattr(place, name, staticmethod(lambda *_, **__: None))
    AdditionalMetrics.compute = staticmethod(lambda *_, **__: {"threshold": 0.5})


def steady_lightgbm() -> None:
    from supervised.algorithms.registry import AlgorithmsRegistry

    row = AlgorithmsRegistry.registry[TASK]["LightGBM"]
    usual: Any = row["class"]

    class Steady(usual):  # type: ignore[misc]
        def __init__(self, params: dict[str, Any]) -> None:
            super().__init__(params)
            self.learner_params.update(STEADY)

    row["class"] = Steady


def leaderboard(search: Any, metric: str) -> list[dict[str, Any]]:
    """mljar keeps losses: the negative of what is better when it is higher."""
    rows = [
        {
            "model": model.get_name(),
            "metric": metric,
            "score": -float(model.get_final_loss()) if math.isfinite(model.get_final_loss()) else None,
            "fit_secs": float(model.get_train_time()),
            "params": params_of(model),
        }
        for model in search._models
        if model.is_valid()
    ]
    first = search._best_model.get_name()
    return sorted(rows, key=lambda row: (row["score"] is None, -(row["score"] or 0.0), row["model"] != first))


def params_of(model: Any) -> dict[str, Any]:
    """What it was fitted with; of an ensemble the share of each part."""
    if hasattr(model, "selected_models"):
        return {part["model"]: part["share"] for part in parts_of(model)}
    return plain(model.learner_params)


def parts_of(model: Any) -> list[dict[str, Any]]:
    """What a model of the search consists of: itself, or the members of an ensemble, whose shares add up to 1."""
    members = getattr(model, "selected_models", [{"model": model, "repeat": 1.0}])
    total = sum(member["repeat"] for member in members)
    return [
        {
            "model": member["model"].get_name(),
            "share": member["repeat"] / total,
            "params": plain(member["model"].learner_params),
            "rounds": rounds_of(member["model"]),
        }
        for member in members
    ]


def plain(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters as JSON and Python text hold them."""
    return {name: v.item() if isinstance(v, np.generic) else v for name, v in sorted(params.items())}


def rounds_of(model: Any) -> int:
    """Rounds or trees that were best in the folds, on average; 0 for a kind that has none."""
    found = []
    for learner in model.learners:
        learner.reload()
        kind = model.get_type()
        if kind == "LightGBM":
            found.append(learner.model.num_trees())
        elif kind == "Xgboost":
            found.append(learner.model.best_iteration + 1)
        elif kind == "CatBoost":
            found.append(learner.best_ntree_limit)
        elif kind in ("Random Forest", "Extra Trees"):
            found.append(len(learner.model.estimators_))
    model.release_learners()
    return max(1, round(float(np.mean(found)))) if found else 0


def frame(x: Any) -> Any:
    return pd.DataFrame(x, columns=["c" + str(k) for k in range(x.shape[1])])


def fitted(params: dict[str, Any], rounds: int, x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
    """A model of mljar by itself, of every row and for so many rounds, with shift and scale of the columns."""
    import supervised  # noqa: F401
    from supervised.algorithms.factory import AlgorithmFactory

    kind = params["model_type"]
    np.random.seed(params["seed"])
    extra = {"num_boost_round": rounds} if kind == "CatBoost" else {}
    learner = AlgorithmFactory.get_algorithm({**params, **extra})
    if kind == "LightGBM":
        learner.rounds, learner.early_stopping_rounds = rounds, 0
        learner.learner_params.update(STEADY)
    elif kind == "Xgboost":
        learner.boosting_rounds = rounds
    elif kind in ("Random Forest", "Extra Trees"):
        learner.max_steps = 1
        learner.model.set_params(n_estimators=rounds)
    mean, width = scale(x) if kind in ("Linear", "Neural Network", "Nearest Neighbors") else (0.0, 1.0)
    z = (x - mean) / width
    learner.fit(pd.DataFrame(z) if kind == "CatBoost" else z, y, sample_weight=weight)
    return learner.model, mean, width


def scale(x: Any) -> tuple[Any, Any]:
    """Shift and scale of each column, 0 and 1 where mljar sees no need of them."""
    mean, width = x.mean(axis=0), x.std(axis=0)
    wanted = ((np.abs(mean) > 0.5) | (width > 1.5)) & (width > 0.0)
    return np.where(wanted, mean, 0.0), np.where(wanted, width, 1.0)


def probability(model: Any, x: Any) -> Any:
    """float64[n], without what a wrapper does again for every row."""
    kind = type(model).__name__
    if kind == "Booster":
        # LightGBM's or XGBoost's.
        return model.predict(x, num_threads=1) if hasattr(model, "num_trees") else model.inplace_predict(x)
    if hasattr(model, "estimators_"):
        narrow = np.ascontiguousarray(x, "float32")
        return sum(tree.tree_.predict(narrow)[:, 1] for tree in model.estimators_) / len(model.estimators_)
    if hasattr(model, "coef_"):
        # Row by row: a product of matrices adds in another order for each number of rows.
        z = (np.ascontiguousarray(x) * model.coef_[0]).sum(axis=1) + model.intercept_[0]
        return 1.0 / (1.0 + np.exp(-z))
    return model.predict_proba(x)[:, 1]


def blend(made: list[Any], x: Any) -> Any:
    total = sum(share * probability(model, (x - mean) / width).astype("float64") for share, model, mean, width in made)
    return np.clip(total, 0.0, 1.0)
