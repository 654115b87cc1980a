"""Which features a model reads, chosen in the training part alone; the choice is saved with the model."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from toolkit.models.backends.base import TrainingSet
from toolkit.types import FloatArray, IntArray

SELECTIONS: Mapping[str, str] = {
    "none": "all of them",
    "mutual_information": "those that share the most information with the label (nearest neighbours)",
    "permutation": "those whose shuffling costs the most log loss on a held-out last quarter",
    "recursive": "those left when the least important one in five is dropped, again and again",
    "stability": "those that a sparse model picks most often from random halves (Meinshausen and Buhlmann 2010)",
}
_HALVES, _SHUFFLES = 20, 5


def select(data: TrainingSet, how: str, keep: int | None, seed: int) -> IntArray:
    """int64[m], ascending positions of the features that are kept.

    Parameters
    ----------
    data : cleaned training rows, in the order of time, without missing values. how : a key of `SELECTIONS`.
    keep : how many; None = a third of them, at least one.
    """
    k = data.x.shape[1]
    least = min(k, max(1, k // 3) if keep is None else keep)
    if how == "none" or least == k:
        return np.arange(k)
    scores = _SCORES[how](data, least, seed)
    # Equal scores keep the order of the columns.
    return np.sort(np.argsort(-scores, kind="stable")[:least])


def _mutual_information(data: TrainingSet, least: int, seed: int) -> FloatArray:
    from sklearn.feature_selection import mutual_info_classif

    found: FloatArray = mutual_info_classif(data.x, data.y, random_state=seed, n_jobs=1)
    return found


def _permutation(data: TrainingSet, least: int, seed: int) -> FloatArray:
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import log_loss

    cut = max(1, 3 * len(data.y) // 4)
    forest = _forest(data.x[:cut], data.y[:cut], data.weight[:cut], seed)
    x, y, weight = data.x[cut:], data.y[cut:], data.weight[cut:]
    if not len(y) or len(forest.classes_) < 2:
        return np.asarray(forest.feature_importances_, np.float64)

    def cost(model: object, x: FloatArray, y: FloatArray, sample_weight: FloatArray) -> float:
        return -float(log_loss(y, forest.predict_proba(x)[:, 1], sample_weight=sample_weight, labels=[0.0, 1.0]))

    found = permutation_importance(
        forest, x, y, scoring=cost, n_repeats=_SHUFFLES, random_state=seed, sample_weight=weight, n_jobs=1
    )  # fmt: skip
    return np.asarray(found.importances_mean, np.float64)


def _recursive(data: TrainingSet, least: int, seed: int) -> FloatArray:
    left = np.arange(data.x.shape[1])
    rank = np.zeros(data.x.shape[1])
    while len(left) > least:
        importance = _forest(data.x[:, left], data.y, data.weight, seed).feature_importances_
        drop = min(len(left) - least, max(1, len(left) // 5))
        # Whatever goes later ranks higher.
        rank[left] += 1.0
        left = np.sort(left[np.argsort(-importance, kind="stable")[: len(left) - drop]])
    rank[left] += 1.0
    return rank


def _stability(data: TrainingSet, least: int, seed: int) -> FloatArray:
    from sklearn.linear_model import LogisticRegression

    rng, picked = np.random.default_rng(seed), np.zeros(data.x.shape[1])
    size = np.zeros(data.x.shape[1])
    for _ in range(_HALVES):
        rows = rng.choice(len(data.y), max(2, len(data.y) // 2), replace=False)
        if len(np.unique(data.y[rows])) < 2:
            continue
        sparse = LogisticRegression(C=0.1, l1_ratio=1.0, solver="liblinear", random_state=seed)
        found = np.abs(sparse.fit(data.x[rows], data.y[rows], data.weight[rows]).coef_[0])
        picked += found > 0.0
        size += found
    # How often, and among equals how much.
    scores: FloatArray = picked + size / (1.0 + size.max())
    return scores


def _forest(x: FloatArray, y: FloatArray, weight: FloatArray, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(100, min_samples_leaf=10, max_features="sqrt", random_state=seed, n_jobs=1)
    return forest.fit(x, y, weight)


_SCORES: Mapping[str, Callable[[TrainingSet, int, int], FloatArray]] = {
    "mutual_information": _mutual_information,
    "permutation": _permutation,
    "recursive": _recursive,
    "stability": _stability,
}
