"""AutoKeras behind `host.py`: networks learn from the earlier rows and are scored on the last ones after each epoch.

The best one then learns from every row, for the number of epochs after which it scored best. Learning is weighted,
scores are not. Columns are standardised before, of the rows that are learned from and in float64: Keras would do it in
float32, which a price of a large number does not survive. Keras and JAX only learn: the network is kept as the matrices
of its dense layers, batch normalisation folded in, and multiplies one row at a time, the same to the bit whatever rows
are beside it.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pprint
import time
from pathlib import Path
from typing import Any

import numpy as np
from in_time import cut

# Its name of a metric, its name of the score, and whether more is better.
METRICS = {"auc": ("val_auc", True), "accuracy": ("val_accuracy", True), "log_loss": ("val_loss", False)}
UNITS = (16, 32, 64, 128, 256, 512, 1024)
# What is kept of a layer's configuration; AutoKeras leaves the rest as Keras has it.
LAYERS: dict[str, tuple[str, ...]] = {
    "Dense": ("units",), "BatchNormalization": (), "ReLU": (), "Dropout": ("rate",), "Activation": ("activation",),
}  # fmt: skip
FILE = "network.npz"
# Between float32 and what is folded in float64.
TOLERANCE = 1e-4
CODE = """\
from typing import Any

import keras
import numpy as np

layers = {layers}
optimizer = {optimizer}


{functions}

scale = standard(x)
matrices = folded(learned(layers, optimizer, ({epochs}, {batch_rows}, {seed}), standardised(scale, x), y, {weight}))


def predict(x):
    return probabilities(matrices, standardised(scale, x))
"""


def fit(config: dict[str, Any], x: Any, y: Any, weight: Any, folder: Path) -> dict[str, Any]:
    settings = config["settings"]
    weighted = not (weight == weight[0]).all()
    used = weight if weighted else None
    board, layers, optimizer = searched(config, x, y, used)
    length = (board[0]["params"]["epochs"], settings["batch_rows"], config["seed"])
    scale = standard(x)
    z = standardised(scale, x)
    model = learned(layers, optimizer, length, z, y, used)
    matrices = folded(model)
    np.savez(folder / FILE, *(part for pair in (scale, *matrices) for part in pair))
    far = np.abs(model.predict(z[:256].astype("float32"), verbose=0)[:, 0] - probabilities(matrices, z[:256])).max()
    if not far < TOLERANCE:
        raise ValueError("the network that Keras learned predicts otherwise once it is folded, by " + str(far))
    code = CODE.format(
        layers=pprint.pformat(layers, width=100), optimizer=pprint.pformat(optimizer, width=100), epochs=length[0],
        batch_rows=length[1], seed=length[2], weight="weight" if weighted else "None",
        functions="\n\n".join(inspect.getsource(one) for one in LEARNING),
    )  # fmt: skip
    chosen = {"model": board[0]["model"], "params": board[0]["params"], "weighted": weighted, "layers": layers}
    return {"leaderboard": board, "chosen": chosen, "code": code}


def load(folder: Path) -> Any:
    with np.load(folder / FILE) as file:
        parts = [file["arr_" + str(k)] for k in range(len(file.files))]
    scale, *matrices = [(parts[k], parts[k + 1]) for k in range(0, len(parts), 2)]

    def predict(x: Any) -> Any:
        return probabilities(matrices, standardised(scale, x))

    return predict


def searched(config: dict[str, Any], x: Any, y: Any, weight: Any) -> tuple[list[dict[str, Any]], Any, Any]:
    """The leaderboard, and layers and optimizer of its first."""
    import autokeras
    import keras

    tuning: Any = importlib.import_module("keras_tuner")
    settings = config["settings"]
    learn, score = cut(y, settings["validation_percent"], settings["gap_rows"])
    keras.utils.set_random_seed(config["seed"])
    name, higher = METRICS[settings["metric"]]
    columns = ["c" + str(k) for k in range(x.shape[1])]
    # Otherwise a column of few different numbers becomes one of unordered names.
    inputs = autokeras.StructuredDataInput(column_names=columns, column_types=dict.fromkeys(columns, "numerical"))
    units = [size for size in UNITS if size <= settings["most_units"]] or [UNITS[0]]
    choice = tuning.engine.hyperparameters.Choice("num_units", units, default=min(32, units[-1]))
    hidden = autokeras.DenseBlock(num_units=choice)(inputs)
    head = autokeras.ClassificationHead(num_classes=2, metrics=["accuracy", keras.metrics.AUC(name="auc")])
    search = autokeras.AutoModel(
        inputs, head(hidden), project_name="search", directory=".", max_trials=max(1, config["trials"]),
        objective=tuning.Objective(name, "max" if higher else "min"), tuner=settings["tuner"], overwrite=True,
        seed=config["seed"],
    )  # fmt: skip
    secs: dict[str, float] = {}
    search.tuner.run_trial = timed(search.tuner.run_trial, secs)
    z = standardised(standard(x[:learn]), x)
    search.fit(
        z[:learn], y[:learn], epochs=settings["epochs"], batch_size=settings["batch_rows"], verbose=0,
        callbacks=[keras.callbacks.EarlyStopping(patience=settings["patience"])],
        validation_data=(z[score:], y[score:]), **({} if weight is None else {"sample_weight": weight[:learn]}),
    )  # fmt: skip
    rated = [(trial.score, trial) for trial in search.tuner.oracle.trials.values() if trial.score is not None]
    trials = sorted(
        ((score if higher else -score, trial) for score, trial in rated if math.isfinite(score)),
        key=lambda one: -one[0],
    )
    if not trials:
        raise ValueError("AutoKeras could score none of its networks")
    best = search.tuner.hypermodel.build(trials[0][1].hyperparameters)
    board = [board_row(score, trial, settings["metric"], secs[trial.trial_id]) for score, trial in trials]
    return board, plan(best), plain(keras.optimizers.serialize(best.optimizer))


def timed(run: Any, secs: dict[str, float]) -> Any:
    """A search's way to try a network, with the seconds of each noted."""

    def try_network(trial: Any, *arguments: Any, **named: Any) -> Any:
        started = time.monotonic()
        done = run(trial, *arguments, **named)
        secs[trial.trial_id] = time.monotonic() - started
        return done

    return try_network


def board_row(score: float, trial: Any, metric: str, secs: float) -> dict[str, Any]:
    name, params = "network " + str(int(trial.trial_id) + 1), plain(trial.hyperparameters.values)
    # Its steps are epochs, counted from 0.
    params["epochs"] = int(trial.best_step) + 1
    return {"model": name, "metric": metric, "score": float(score), "fit_secs": secs, "params": params}


def plan(model: Any) -> list[tuple[str, dict[str, Any]]]:
    """Names of its layers, with what they are made of."""
    layers = [(type(layer).__name__, layer.get_config()) for layer in model.layers]
    found = [(name, config) for name, config in layers if name != "InputLayer"]
    unknown = sorted({name for name, _ in found} - set(LAYERS))
    if unknown:
        raise ValueError("AutoKeras chose a network with layers that are not known here: " + ", ".join(unknown))
    return [(name, {key: plain(config[key]) for key in LAYERS[name]}) for name, config in found]


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def standard(x: Any) -> tuple[Any, Any]:
    """Mean and deviation of each column; 1 where it is but one number."""
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    return mean, np.where(deviation > 1e-12 * np.abs(mean), deviation, 1.0)


def standardised(scale: tuple[Any, Any], x: Any) -> Any:
    return (x - scale[0]) / scale[1]


def learned(layers: Any, optimizer: Any, length: tuple[int, int, int], x: Any, y: Any, weight: Any) -> Any:
    """A Keras model; length : epochs, rows a batch, seed."""
    import keras

    epochs, batch_rows, seed = length
    x = x.astype("float32")
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    stack = [getattr(keras.layers, name)(**config) for name, config in layers]
    model = keras.Sequential([keras.Input((x.shape[1],)), *stack])
    model.compile(optimizer=keras.optimizers.deserialize(optimizer), loss="binary_crossentropy")
    model.fit(x, y.astype("float32"), epochs=epochs, batch_size=batch_rows, sample_weight=weight, verbose=0)
    return model


def folded(model: Any) -> list[tuple[Any, Any]]:
    """Each dense layer's matrix and offset in float64, batch normalisation within."""
    found: list[tuple[Any, Any]] = []
    for layer in model.layers:
        values = [np.array(value, "float64") for value in layer.get_weights()]
        kind = type(layer).__name__
        if kind == "Dense":
            found.append((values[0], values[1]))
        elif kind == "BatchNormalization":
            gamma, beta, middle, variance = values
            factor = gamma / np.sqrt(variance + layer.epsilon)
            matrix, offset = found[-1]
            found[-1] = (matrix * factor, (offset - middle) * factor + beta)
    return [(np.ascontiguousarray(matrix.T), offset) for matrix, offset in found]


def probabilities(matrices: list[tuple[Any, Any]], x: Any) -> Any:
    """float64[n]; row by row, because a product of many rows sums in another order."""
    last = len(matrices) - 1
    out = np.empty(len(x))
    for number, row in enumerate(x):
        for layer, (matrix, offset) in enumerate(matrices):
            row = matrix @ row + offset
            if layer < last:
                row = np.maximum(row, 0)
        out[number] = 0.5 + 0.5 * np.tanh(row[0] / 2)
    return out


LEARNING: tuple[Any, ...] = (standard, standardised, learned, folded, probabilities)
