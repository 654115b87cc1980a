"""What is done where one class has many more rows than the other, in the training part alone."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from toolkit.types import FloatArray, IntArray

BALANCES: Mapping[str, str] = {
    "none": "rows as they are",
    "weights": "weights, so that both classes weigh the same",
    "undersample": "rows of the larger class drawn without replacement until both are as many",
    "oversample": "rows of the smaller class drawn with replacement until both are as many",
}


class Balanced(NamedTuple):
    """rows : int64[m], positions to learn from, ascending. weight : float64[m], mean 1."""

    rows: IntArray
    weight: FloatArray


def balanced(y: FloatArray, weight: FloatArray, how: str, seed: int) -> Balanced:
    """Rows and weights to learn from; y : float64[n], 0 or 1, both there. how : a key of `BALANCES`.

    Predictions of what was learned from them are of the balanced world: thresholds are chosen from out-of-fold
    predictions of models that were made alike.
    """
    rows = np.arange(len(y))
    if how == "weights":
        share = np.where(y == 1.0, weight[y == 1.0].sum(), weight[y == 0.0].sum())
        weight = weight / share
    elif how != "none":
        rng = np.random.default_rng(seed)
        few, many = sorted((np.flatnonzero(y == 0.0), np.flatnonzero(y == 1.0)), key=len)
        if how == "undersample":
            rows = np.concatenate([few, rng.choice(many, len(few), replace=False)])
        else:
            rows = np.concatenate([few, many, rng.choice(few, len(many) - len(few), replace=True)])
        rows = np.sort(rows)
    chosen = weight[rows]
    return Balanced(rows, chosen / chosen.mean())
