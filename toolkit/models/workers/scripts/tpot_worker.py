"""TPOT behind `host.py`: pipelines of scaler, selector, transformers and model are bred for a number of trials, scored
by folds in order of time, and the best one is fitted on every row.

TPOT evaluates in Dask workers and looks for a newer version of itself; here it does neither. Left out of its search are
models within a pipeline (it would draw their folds at random, which is to look ahead) and steps that take minutes or
make hundreds of columns: recursive elimination, bins, one-hot columns. Weights go into every score and into every fit
of a model that takes them. What is saved is of scikit-learn, LightGBM and XGBoost alone: predicting needs no TPOT.
"""

from __future__ import annotations

import inspect
import math
import sys
import time
import types
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn
from in_time import folds
from sklearn import metrics
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import has_fit_parameter

# By a probability, or by a class where that is above 0.5.
BY_PROBABILITY = {
    "auc": metrics.roc_auc_score,
    "average_precision": metrics.average_precision_score,
    "log_loss": metrics.log_loss,
}
BY_CLASS = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "f1": metrics.f1_score,
    "mcc": metrics.matthews_corrcoef,
}
SMALLER_IS_BETTER = ("log_loss",)
SCALERS = ["scalers", "Passthrough"]
SELECTORS = ["SelectFwe", "SelectPercentile", "VarianceThreshold", "SelectFromModel_classification", "Passthrough"]
NOTHING = "Passthrough"
FILE = "pipeline.joblib"
CODE = """\
{imports}

pipeline = {pipeline}
pipeline.fit(x, y{weight})


def predict(x):
    return pipeline.predict_proba(x)[:, 1].astype("float64")
"""


def fit(config: dict[str, Any], x: Any, y: Any, weight: Any, folder: Path) -> dict[str, Any]:
    settings = config["settings"]
    used = weight if (weight != weight[0]).any() else None
    splitter = folds(y, settings["folds"], settings["gap_rows"])
    board, best = searched(config, x, y, used, splitter)
    extra = extras(best, used)
    # Forests are large and mostly alike.
    joblib.dump(clone(best).fit(x, y, **extra), folder / FILE, compress=3)
    chosen = {
        "model": board[0]["model"], "params": board[0]["params"], "weighted": bool(extra), "folds": splitter.n_splits,
    }  # fmt: skip
    return {"leaderboard": board, "chosen": chosen, "code": code_of(best, next(iter(extra), None))}


def load(folder: Path) -> Any:
    pipeline = joblib.load(folder / FILE)
    steps, probability = [change_of(step) for _, step in pipeline.steps[:-1]], probability_of(pipeline.steps[-1][1])

    def predict(x: Any) -> Any:
        with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
            for step in steps:
                x = step(x)
            return np.asarray(probability(x), "float64")

    return predict


def change_of(step: Any) -> Any:
    """What a step does to rows, without what it finds out again every time, such as the columns that it selects."""
    if isinstance(step, FeatureUnion):
        parts = [change_of(one) for _, one in step.transformer_list]
        return lambda x: np.hstack([part(x) for part in parts])
    if hasattr(step, "get_support"):
        kept = step.get_support(indices=True)
        return lambda x: x[:, kept]
    # The fit of a union puts one in the place of what passes through.
    return (lambda x: x) if isinstance(step, FunctionTransformer) else step.transform


def probability_of(model: Any) -> Any:
    """The probabilities of a 1, without what the model's wrapper does again for every row."""
    kind = type(model).__name__
    if kind in ("RandomForestClassifier", "ExtraTreesClassifier"):
        trees = [tree.tree_ for tree in model.estimators_]
        return lambda x: sum_of(trees, np.ascontiguousarray(x, "float32")) / len(trees)
    if kind in ("LogisticRegression", "LinearDiscriminantAnalysis"):
        # Row by row: a product of matrices adds in another order for each number of rows.
        weights, base = model.coef_[0], model.intercept_[0]
        return lambda x: 1.0 / (1.0 + np.exp(-((np.ascontiguousarray(x) * weights).sum(axis=1) + base)))
    if kind == "LGBMClassifier":
        return lambda x: model.booster_.predict(x, num_threads=1)
    if kind == "XGBClassifier":
        return model.get_booster().inplace_predict
    return lambda x: model.predict_proba(x)[:, 1]


def sum_of(trees: list[Any], x: Any) -> Any:
    total = np.zeros(len(x))
    for tree in trees:
        total += tree.predict(x)[:, 1]
    return total


def searched(config: dict[str, Any], x: Any, y: Any, weight: Any, splitter: Any) -> tuple[list[Any], Any]:
    """The leaderboard, and the pipeline of its first row, not fitted."""
    tpot = without_update_check()
    settings, trials = config["settings"], max(1, config["trials"])

    def score(pipeline: Any) -> float:
        return scored(simplified(pipeline), settings["metric"], splitter, x, y, weight)

    # In this process, one after the other.
    tpot.utils.eval_utils.parallel_eval_objective_list = evaluated
    population = min(settings["population"], trials)
    search = tpot.TPOTEstimator(
        search_space=space(tpot, config, x), classification=True, cv=splitter, scorers=[], scorers_weights=[],
        other_objective_functions=[score], other_objective_functions_weights=[1.0], objective_function_names=["score"],
        population_size=population, generations=trials // population, random_state=config["seed"], client=object(),
        max_time_mins=math.inf, max_eval_time_mins=math.inf, scatter=False, verbose=0,
    )  # fmt: skip
    search.fit(x, y)
    table = search.evaluated_individuals
    table = table[table["score"].notna()]
    first = search.selected_best_score.name
    order = sorted(table.index, key=lambda k: (-table.loc[k, "score"], k != first))
    pipelines = {k: simplified(table.loc[k, "Individual"].export_pipeline()) for k in order}
    board = [
        {
            "model": type(pipeline.steps[-1][1]).__name__ + " " + str(k + 1),
            "metric": settings["metric"],
            "score": float(table.loc[k, "score"]),
            "fit_secs": float(table.loc[k, "Completed Timestamp"] - table.loc[k, "Submitted Timestamp"]),
            "params": params_of(pipeline),
        }
        for k, pipeline in pipelines.items()
    ]
    return board, pipelines[order[0]]


def without_update_check() -> Any:
    """The library; when it is imported it would ask the network for a newer version."""
    sys.modules["update_checker"] = types.SimpleNamespace(update_check=lambda *_: None)  # type: ignore[assignment]
    import tpot

    return tpot


def evaluated(individuals: Any, objectives: Any, **given: Any) -> tuple[list[Any], list[float], list[float], list[Any]]:
    """Scores, beginnings, ends and errors of a generation, as TPOT keeps them."""
    data = {name: given[name] for name in ("X", "y", "budget") if name in given}
    scores, begun, ended = [], [], []
    errors: list[Any] = []
    for individual in individuals:
        begun.append(time.time())
        try:
            scores.append([float(value) for objective in objectives for value in objective(individual, **data)])
            errors.append(None)
        except Exception:
            scores.append([math.nan] * given["n_expected_columns"])
            errors.append("INVALID")
        ended.append(time.time())
    return scores, begun, ended, errors


def space(tpot: Any, config: dict[str, Any], x: Any) -> Any:
    """What pipelines are made of; each step may also be left out."""
    parts = tpot.search_spaces.pipelines
    facts = {"n_classes": 2, "n_samples": len(x), "n_features": x.shape[1], "random_state": config["seed"]}

    def any_of(names: list[str]) -> Any:
        return tpot.config.get_search_space(names, **facts)

    transformers = [name for name in config["settings"]["transformers"] if name != NOTHING]
    layers = [any_of(SCALERS), any_of(SELECTORS)]
    if transformers:
        some = parts.ChoicePipeline([parts.DynamicUnionPipeline(any_of(transformers)), any_of(["SkipTransformer"])])
        layers.append(parts.UnionPipeline([some, any_of([NOTHING])]))
    return parts.SequentialPipeline([*layers, any_of(config["settings"]["models"])])


def simplified(step: Any) -> Any:
    """A pipeline without TPOT's steps that do nothing, and with models that add up in one order."""
    if isinstance(step, Pipeline):
        steps = [(name, simplified(one)) for name, one in step.steps]
        return Pipeline([(name, one) for name, one in steps if one != "passthrough"])
    if isinstance(step, FeatureUnion):
        parts = [(name, simplified(one)) for name, one in step.transformer_list]
        parts = [(name, one) for name, one in parts if one != "drop"]
        return "passthrough" if [one for _, one in parts] == ["passthrough"] else FeatureUnion(parts)
    kind = type(step).__name__
    if kind == "LGBMClassifier":
        # Otherwise it measures which of two ways is the faster one.
        return clone(step).set_params(deterministic=True, force_row_wise=True)
    return {"Passthrough": "passthrough", "SkipTransformer": "drop"}.get(kind, step)


def scored(pipeline: Any, metric: str, splitter: Any, x: Any, y: Any, weight: Any) -> float:
    """Mean over the folds, higher is better."""
    found = []
    for learn, judge in splitter.split(x):
        part = clone(pipeline).fit(x[learn], y[learn], **extras(pipeline, None if weight is None else weight[learn]))
        p = part.predict_proba(x[judge])[:, 1]
        if not np.isfinite(p).all():
            raise ValueError("it predicts what is no number")
        measure, guess = (BY_PROBABILITY[metric], p) if metric in BY_PROBABILITY else (BY_CLASS[metric], p > 0.5)
        found.append(measure(y[judge], guess, sample_weight=None if weight is None else weight[judge]))
    return -float(np.mean(found)) if metric in SMALLER_IS_BETTER else float(np.mean(found))


def extras(pipeline: Any, weight: Any) -> dict[str, Any]:
    """Weights as its last step takes them, nothing where it does not."""
    name, model = pipeline.steps[-1]
    taken = weight is not None and has_fit_parameter(model, "sample_weight")
    return {name + "__sample_weight": weight} if taken else {}


def code_of(pipeline: Any, weight_name: str | None) -> str:
    modules: set[str] = set()
    text = written(pipeline, modules)
    return CODE.format(
        imports="\n".join("import " + name for name in sorted(modules)), pipeline=text,
        weight=", " + weight_name + "=weight" if weight_name else "",
    )  # fmt: skip


def written(value: Any, modules: set[str], indent: str = "") -> str:
    """Python that makes a step again; the modules that it needs are added to `modules`."""
    if isinstance(value, BaseEstimator):
        modules.add(type(value).__module__)
        given = [name + "=" + written(one, modules, indent) for name, one in changed(value).items()]
        return type(value).__module__ + "." + type(value).__qualname__ + "(" + ", ".join(given) + ")"
    if isinstance(value, list):
        inner = indent + "    "
        lines = [inner + written(one, modules, inner) + ",\n" for one in value]
        return "[\n" + "".join(lines) + indent + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(written(one, modules, indent) for one in value) + ("," if len(value) == 1 else "") + ")"
    if callable(value):
        modules.add(value.__module__)
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value.item()) if isinstance(value, np.generic) else repr(value)


def changed(step: Any) -> dict[str, Any]:
    """Parameters that are not what the step has by itself."""
    try:
        usual = type(step)().get_params(deep=False)
    except TypeError:
        # Some cannot be made of nothing.
        usual = {name: one.default for name, one in inspect.signature(type(step)).parameters.items()}
    given = step.get_params(deep=False).items()
    return {name: value for name, value in given if name not in usual or repr(usual[name]) != repr(value)}


def params_of(value: Any) -> Any:
    """Steps with their parameters as JSON holds them."""
    if isinstance(value, (Pipeline, FeatureUnion)):
        steps = value.steps if isinstance(value, Pipeline) else value.transformer_list
        return {name: params_of(one) for name, one in steps}
    if isinstance(value, BaseEstimator):
        return {name: params_of(one) for name, one in changed(value).items()}
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, (str, int, float, bool, type(None))) else written(value, set())
