"""AutoGluon behind `host.py`: settings of its learned list are tried on the earlier rows and scored on the last ones,
the best are weighed into one, and each part is fitted again on every row.

No bagging and no stacking: AutoGluon draws their folds at random, which is to look ahead. The order of its list is kept
whatever was fitted before, and neither time nor free memory decides anything, so that equal seeds give equal models.
Weights go into every fit and every score. The parts are saved, not its predictor, which is slower at single rows.
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
from autogluon.features.generators import IdentityFeatureGenerator
from autogluon.tabular import TabularPredictor, models
from autogluon.tabular.configs.hyperparameter_configs import get_hyperparameter_config
from in_time import cut

METRICS = {
    "auc": "roc_auc",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "f1": "f1",
    "mcc": "mcc",
    "average_precision": "average_precision",
    "log_loss": "log_loss",
}
PORTFOLIO = "zeroshot_2023"
ENSEMBLE = "WeightedEnsemble"
FAMILIES = {"gbm": "GBM", "rf": "RF", "xt": "XT", "lr": "LR"}
SEEDS = {"gbm": "seed", "rf": "random_state", "xt": "random_state", "lr": "random_state"}
# Otherwise it leaves models out, or makes them smaller, where it finds little memory free.
MEMORY = {"max_memory_usage_ratio": 1000.0}
FILE = "parts.joblib"
HEAD = """\
from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from autogluon.tabular import models

MEMORY = {memory}
"""
TAIL = """\
parts = {parts}
made = [(part["share"], fitted(part["class"], part["params"], {seed}, x, y, {weight})) for part in parts]


def predict(x):
    return blend(made, x)
"""


def fit(config: dict[str, Any], x: Any, y: Any, weight: Any, folder: Path) -> dict[str, Any]:
    weighted = bool((weight != weight[0]).any())
    used = weight if weighted else None
    predictor = searched(config, x, y, used)
    board = leaderboard(predictor, config["settings"]["metric"])
    best, params, seed = board[0]["model"], board[0]["params"], config["seed"]
    shares = params if best.startswith(ENSEMBLE) else {best: 1.0}
    parts = [part_of(predictor, name, share) for name, share in shares.items()]
    made = [(part["share"], fitted(part["class"], part["params"], seed, x, y, used)) for part in parts]
    # Forests are large and mostly alike.
    joblib.dump(made, folder / FILE, compress=3)
    chosen = {"model": best, "params": params, "weighted": weighted, "parts": parts}
    return {"leaderboard": board, "chosen": chosen, "code": code_of(parts, seed, weighted)}


def load(folder: Path) -> Any:
    made = joblib.load(folder / FILE)

    def predict(x: Any) -> Any:
        return blend(made, x)

    return predict


def code_of(parts: list[dict[str, Any]], seed: int, weighted: bool) -> str:
    """The functions at the end of this file, and what they are called with."""
    functions = [inspect.getsource(function) for function in (fitted, frame, probability, blend)]
    tail = TAIL.format(parts=pprint.pformat(parts, width=100), seed=seed, weight="weight" if weighted else "None")
    return "\n\n".join([HEAD.format(memory=MEMORY), *functions, tail])


def searched(config: dict[str, Any], x: Any, y: Any, weight: Any) -> Any:
    """AutoGluon's predictor with every model that it fitted to the earlier rows."""
    settings = config["settings"]
    learn, score = cut(y, settings["validation_percent"], settings["gap_rows"])
    data = frame(x)
    data["y"] = y
    named = {}
    if weight is not None:
        data["weight"] = weight
        named = {"sample_weight": "weight", "weight_evaluation": True}
    predictor = TabularPredictor(
        label="y", problem_type="binary", eval_metric=METRICS[settings["metric"]], path="search", verbosity=0, **named
    )
    # Quantiles of a skewed column are of rows that numpy's own generator draws.
    np.random.seed(config["seed"])
    return predictor.fit(
        data[:learn], tuning_data=data[score:], hyperparameters=candidates(config), ag_args_fit=dict(MEMORY),
        feature_generator=IdentityFeatureGenerator(), fit_weighted_ensemble=settings["ensemble"] == "weighted",
        num_bag_folds=0, num_stack_levels=0, dynamic_stacking=False, calibrate=False,
        calibrate_decision_threshold=False, num_cpus=1, num_gpus=0,
    )  # fmt: skip


def candidates(config: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The first `trials` of AutoGluon's list: the usual settings of each family in turn, then by its own order."""
    settings, listed = config["settings"], get_hyperparameter_config(PORTFOLIO)
    ranked = []
    for place, family in enumerate(settings["models"]):
        own = {SEEDS[family]: config["seed"]}
        if family == "gbm":
            # Otherwise LightGBM measures which of two ways is the faster one, and they add in different orders.
            own.update({"num_threads": 1, "deterministic": True, "force_row_wise": True})
        else:
            own["n_jobs"] = 1
        if family in ("rf", "xt"):
            own["n_estimators"] = settings["trees"]
        for number, given in enumerate(listed.get(FAMILIES[family], [{}])):
            extra = given.get("ag_args", {})
            if "binary" in extra.get("problem_types", ["binary"]):
                ranked.append((-extra.get("priority", 1), number, place, FAMILIES[family], {**given, **own}))
    chosen: dict[str, list[dict[str, Any]]] = {}
    for _, _, _, key, params in sorted(ranked, key=lambda one: one[:3])[: max(1, config["trials"])]:
        chosen.setdefault(key, []).append(params)
    return chosen


def leaderboard(predictor: Any, metric: str) -> list[dict[str, Any]]:
    """Of equal scores the model that was fitted first; AutoGluon would take the one that was quicker this time."""
    table = predictor.leaderboard().set_index("model")
    rows = []
    for name in predictor.model_names():
        score = float(table.loc[name, "score_val"])
        rows.append({
            "model": name, "metric": metric, "score": score if math.isfinite(score) else None,
            "fit_secs": float(table.loc[name, "fit_time_marginal"]), "params": params_of(predictor, name),
        })  # fmt: skip
    return sorted(rows, key=lambda row: (row["score"] is None, -(row["score"] or 0.0)))


def params_of(predictor: Any, name: str) -> dict[str, Any]:
    """What it was fitted with and how far it went; of an ensemble the share of each part."""
    model = predictor._trainer.load_model(name)
    if name.startswith(ENSEMBLE):
        return {part: float(share) for part, share in model._get_model_weights().items()}
    given = {key: value for key, value in model.get_hyperparameters_init().items() if key != "ag_args_fit"}
    return {**given, **model.params_trained}


def part_of(predictor: Any, name: str, share: float) -> dict[str, Any]:
    kind = type(predictor._trainer.load_model(name)).__name__
    return {"model": name, "class": kind, "share": share, "params": params_of(predictor, name)}


def fitted(kind: str, params: dict[str, Any], seed: int, x: Any, y: Any, weight: Any) -> Any:
    """A model of AutoGluon by itself, of every row and for as many rounds as `params` say."""
    np.random.seed(seed)
    model = getattr(models, kind)(
        path="parts", name=kind, problem_type="binary", eval_metric="roc_auc",
        hyperparameters={**params, "ag_args_fit": MEMORY},
    )  # fmt: skip
    return model.fit(X=frame(x), y=pd.Series(y), sample_weight=weight, num_cpus=1, num_gpus=0, verbosity=0)


def frame(x: Any) -> Any:
    return pd.DataFrame(x, columns=["c" + str(k) for k in range(x.shape[1])])


def probability(model: Any, table: Any) -> Any:
    """float64[n]; a linear model's sums are made row by row, so that no row depends on its neighbours."""
    if not hasattr(model.model, "coef_"):
        return model.predict_proba(table).astype("float64")
    z = np.ascontiguousarray(model.preprocess(table))
    return 1.0 / (1.0 + np.exp(-((z * model.model.coef_[0]).sum(axis=1) + model.model.intercept_[0])))


def blend(made: list[Any], x: Any) -> Any:
    table = frame(x)
    return np.clip(sum(share * probability(model, table) for share, model in made), 0.0, 1.0)
