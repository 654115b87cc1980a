"""automl-gs behind `host.py`: it writes the code of pipelines with random settings, runs each and scores it.

Left alone, the code would split rows at random and show all of them to its encoders. It is edited before it runs: the
encoders and the model learn from the earlier rows alone, the score is of later ones. The best settings are then learned
once more, from every row and with weights, which automl-gs has no use for.

A number beyond those that were learned from belongs to the first or last of its buckets, and buckets may be empty; the
code of automl-gs would fail at both. Predicting needs none of its code.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import pprint
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from in_time import cut

xgb: Any = importlib.import_module("xgboost")

HIGHER_IS_BETTER = {"auc": True, "accuracy": True, "f1": True, "precision": True, "recall": True, "log_loss": False}
BUCKETS = {"quantiles": 4, "percentiles": 10}
KEPT = ("max_depth", "gamma", "min_child_weight", "subsample", "colsample_bytree", "max_bin")
# There are 15,552 combinations, and it draws until it has as many different ones as it was asked for.
MOST_TRIALS = 5000
ENCODER, MODEL = "encoder.json", "model.json"
SPLIT = "split.split(np.zeros(y.shape[0]), y)"
ENCODERS = "build_encoders(df)\n"
NEEDED = {"def model_train(": SPLIT, "argparse.ArgumentParser(": ENCODERS}
BUCKET = "pd.cut(df['{0}'].values, encoders['{0}_bins'], labels=False, include_lowest=True)"
SURE_BUCKET = "np.searchsorted(encoders['{0}_bins'][1:-1], df['{0}'].values)"
CODE = """\
from typing import Any

import numpy as np
import xgboost as xgb

BUCKETS = {buckets}
strategy = "{strategy}"
params = {params}
rounds = {rounds}


{functions}

found = encoder(strategy, x)
booster = learned(params, rounds, encoded(found, x), y, {weight})


def predict(x):
    return booster.inplace_predict(encoded(found, x)).astype("float64")
"""


def fit(config: dict[str, Any], x: Any, y: Any, weight: Any, folder: Path) -> dict[str, Any]:
    metric, rounds = config["settings"]["metric"], config["settings"]["epochs"]
    board = searched(config, x, y)
    best = board[0]["params"]
    strategy, weighted = best["numeric_strat"], not (weight == weight[0]).all()
    params = {"objective": "binary:logistic", "tree_method": "hist", "nthread": 1, "eta": best["base_lr"]}
    params.update({name: best[name] for name in KEPT})
    found = encoder(strategy, x)
    learned(params, rounds, encoded(found, x), y, weight if weighted else None).save_model(str(folder / MODEL))
    kept = {name: value.tolist() for name, value in found.items()}
    (folder / ENCODER).write_text(json.dumps(kept))
    code = CODE.format(
        buckets=BUCKETS, strategy=strategy, params=pprint.pformat(params), rounds=rounds,
        weight="weight" if weighted else "None", functions="\n\n".join(inspect.getsource(one) for one in LEARNING),
    )  # fmt: skip
    chosen = {"model": board[0]["model"], "params": {**best, "epochs": rounds}, "weighted": weighted, "metric": metric}
    return {"leaderboard": board, "chosen": chosen, "code": code}


def load(folder: Path) -> Any:
    found = {name: np.array(value) for name, value in json.loads((folder / ENCODER).read_text()).items()}
    booster = xgb.Booster()
    booster.load_model(str(folder / MODEL))

    def predict(x: Any) -> Any:
        return booster.inplace_predict(encoded(found, x)).astype("float64")

    return predict


def searched(config: dict[str, Any], x: Any, y: Any) -> list[dict[str, Any]]:
    """The leaderboard; automl-gs works in this folder and starts the first `python3` on PATH."""
    from automl_gs import automl_gs, utils_automl

    settings, secs = config["settings"], []
    direction = "max" if HIGHER_IS_BETTER[settings["metric"]] else "min"
    learn, score = cut(y, settings["validation_percent"], settings["gap_rows"])
    names = ["c" + str(k) for k in range(x.shape[1])]
    frame = pd.DataFrame(x, columns=names)
    frame["y"] = y
    frame.to_csv("rows.csv", index=False)
    train = automl_gs.train_generated_model

    def timed(*arguments: Any) -> None:
        started = time.monotonic()
        train(*arguments)
        secs.append(time.monotonic() - started)
        if not Path(arguments[2], "metadata", "results.csv").exists():
            raise ValueError("the code that automl-gs wrote ended with an error")

    # What it calls last with a script that it wrote; it would only indent it anew, for seconds.
    utils_automl.fix_code = functools.partial(edited, names=names, learn=learn, score=score)
    automl_gs.train_generated_model = timed
    # It would decide by the first hundred rows, which may be of one class.
    automl_gs.get_problem_config = lambda *_: ("binary_classification", settings["metric"], direction)
    random.seed(config["seed"])
    automl_gs.automl_grid_search(
        "rows.csv", "y", target_metric=settings["metric"], framework="xgboost", num_epochs=settings["epochs"],
        num_trials=min(max(1, config["trials"]), MOST_TRIALS),
        col_types={**dict.fromkeys(names, "numeric"), "y": "categorical"},
    )  # fmt: skip
    return leaderboard(pd.read_csv("automl_results.csv"), settings["metric"], secs)


def edited(script: str, names: list[str], learn: int, score: int) -> str:
    """A script that automl-gs wrote, with rows in order of time and a bucket for any number."""
    for where, line in NEEDED.items():
        if where in script and line not in script:
            raise ValueError("automl-gs wrote a script without the line " + line.strip())
    split = f"[(np.arange({learn}), np.arange({score}, y.shape[0]))]"
    script = script.replace(SPLIT, split).replace(ENCODERS, f"build_encoders(df[:{learn}])\n")
    for name in names:
        script = script.replace(BUCKET.format(name), SURE_BUCKET.format(name))
    return script


def leaderboard(results: Any, metric: str, secs: list[float]) -> list[dict[str, Any]]:
    last = results.groupby("trial_id", sort=False).tail(1).reset_index(drop=True)
    sign = 1.0 if HIGHER_IS_BETTER[metric] else -1.0
    names = ("base_lr", "numeric_strat", *KEPT)
    board = [
        {
            "model": "xgboost " + str(number + 1),
            "metric": metric,
            "score": sign * float(row[metric]),
            "fit_secs": secs[number],
            "params": {name: row[name] for name in names},
        }
        for number, row in enumerate(last.to_dict("records"))
    ]
    return sorted(board, key=lambda row: -row["score"])


def encoder(strategy: str, x: Any) -> dict[str, Any]:
    """What its encoders learn of the columns: edges of buckets, or a shift and a scale."""
    if strategy in BUCKETS:
        return {"edges": np.quantile(x, np.linspace(0, 1, BUCKETS[strategy] + 1)[1:-1], axis=0)}
    shift, scale = (x.mean(axis=0), x.std(axis=0)) if strategy == "standard" else (x.min(axis=0), np.ptp(x, axis=0))
    return {"shift": shift, "scale": np.where(scale == 0, 1, scale)}


def encoded(found: dict[str, Any], x: Any) -> Any:
    """Columns as the model sees them: each in its range, or one for each bucket."""
    if "shift" in found:
        return ((x - found["shift"]) / found["scale"]).astype("float32")
    buckets = sum((x > edges).astype("int8") for edges in found["edges"])
    return (buckets[:, :, None] == np.arange(len(found["edges"]) + 1)).reshape(len(x), -1).astype("float32")


def learned(params: dict[str, Any], rounds: int, x: Any, y: Any, weight: Any) -> Any:
    """One tree after another, each by a call of its own: its random rows and columns are those of the first."""
    rows, booster = xgb.DMatrix(x, y, weight=weight), None
    for _ in range(rounds):
        booster = xgb.train(params, rows, 1, xgb_model=booster)
    return booster


LEARNING: tuple[Any, ...] = (encoder, encoded, learned)
