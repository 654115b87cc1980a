"""Judged blocks of time, each with a model of what was known before it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from toolkit.errors import InputError
from toolkit.models.applying import Application
from toolkit.models.backends.base import Budget
from toolkit.models.dataset import Dataset
from toolkit.models.panel import Panel, Predictions, make_panel
from toolkit.models.prequential import goes_on, judge_and_learn
from toolkit.models.recipe import Recipe
from toolkit.models.splits import even_edges, walk_forward
from toolkit.models.trained import Trained
from toolkit.models.training import fit_application, taking_all, train
from toolkit.portfolio.loading import LoadedMember
from toolkit.types import IntArray


@dataclass(frozen=True, eq=False)
class FoldModel:
    """A block's model.

    Attributes
    ----------
    part_ms : the training part: decided from, and known by. rows : that were learned from.
    trained : None where nothing could be learned; `note` says why. oof : out-of-fold predictions of the part.
    """

    part_ms: tuple[int, int]
    rows: int
    trained: Trained | None
    oof: Predictions
    note: str = ""


@dataclass(frozen=True, eq=False)
class FoldPredictions:
    """What the blocks' models say of the raw entries in the blocks.

    Attributes
    ----------
    edges : int64[folds + 1]. models : one a block.
    predicted : by instance id and side, as `judging.predict_entries` gives it; the version of an entry is the number of
        its block. A block without a model is asked of the one before it; -1 where there was none yet.
    """

    edges: IntArray
    models: tuple[FoldModel, ...]
    predicted: Predictions


def block_edges(span_ms: tuple[int, int], folds: int, test_from_ms: int | None = None) -> IntArray:
    """int64[folds + 1]: edges of the judged blocks, of equal length; what lies before the first one teaches alone.

    test_from_ms : where the first one begins; None = after one block's length.
    """
    start_ms, end_ms = span_ms
    if test_from_ms is None:
        return even_edges(start_ms, end_ms, folds + 1)[1:]
    if not start_ms <= test_from_ms < end_ms:
        raise InputError(f"`test_from_ms` must lie in the period {start_ms} to {end_ms}, was {test_from_ms}")
    return even_edges(test_from_ms, end_ms, folds)


def predict_folds(
    loaded: Sequence[LoadedMember],
    data: Dataset,
    recipe: Recipe,
    span_ms: tuple[int, int],
    edges: IntArray,
    *,
    panel: Panel | None = None,
    budget: Budget | None = None,
    shuffle: tuple[int, ...] | None = None,
) -> FoldPredictions:
    """Learn and ask one model a block; what comes of the predictions is decided by `fold_applications`.

    Parameters
    ----------
    span_ms : the period; only rows decided in it teach. edges : of the judged blocks, see `block_edges`.
    panel : raw entries of the period with their features, where they are there already.
    shuffle : seeds; the labels of each training part are permuted by them before anything is learned.
    """
    budget = budget or Budget(seed=recipe.seed)
    seen = panel or make_panel(loaded, data.features, span_ms)
    inside = data.take(data.rows["ts"] >= span_ms[0])
    models: list[FoldModel] = []
    for fold in walk_forward(inside.rows, edges, embargo_ms=recipe.embargo_ms):
        part, number = inside.take(fold.train), fold.blocks[0]
        part_ms = (span_ms[0], int(edges[number]) - recipe.embargo_ms)
        if shuffle is not None:
            part = replace(part, y=np.random.default_rng([*shuffle, number]).permutation(part.y))
        try:
            made = train(loaded, part, recipe, from_ms=part_ms[0], until_ms=part_ms[1], budget=budget, panel=seen)
        except InputError as error:
            models.append(FoldModel(part_ms, len(part), None, {}, str(error)))
        else:
            models.append(FoldModel(part_ms, len(part), made.trained, made.oof))
    holding = _holding(models)
    predicted = seen.predict(edges, [models[k].trained if k >= 0 else None for k in holding])
    for number, k in enumerate(holding):
        trained = models[k].trained if k >= 0 else None
        if trained is not None and goes_on(trained):
            since, block_ms = models[k].part_ms[1], (int(edges[number]), int(edges[number + 1]))
            new = inside.take((inside.rows["known"] > since) & (inside.rows["known"] < block_ms[1]))
            if shuffle is not None:
                new = replace(new, y=np.random.default_rng([*shuffle, len(edges) + number]).permutation(new.y))
            judge_and_learn(trained, seen, block_ms, new, predicted)
    return FoldPredictions(edges, tuple(models), predicted)


def fold_applications(
    loaded: Sequence[LoadedMember], found: FoldPredictions, method: str, recipe: Recipe
) -> list[Application]:
    """What is done with the predictions of each block, chosen in the training part of the model that is asked there."""
    own = [
        taking_all(method)
        if model.trained is None
        else fit_application(loaded, model.oof, method, recipe, model.part_ms)
        for model in found.models
    ]
    return [own[max(k, 0)] for k in _holding(found.models)]


def _holding(models: Sequence[FoldModel]) -> list[int]:
    """For each block the last block up to it that has a model, -1 where none has."""
    holding, last = [], -1
    for number, model in enumerate(models):
        last = number if model.trained is not None else last
        holding.append(last)
    return holding
