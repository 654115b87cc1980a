"""`train`: a model of a training part with out-of-fold predictions, and `fit_application`: what to do with those.

Nothing here looks beyond the training part: not the model, not its cleaning, and not the threshold, quantile or payoff,
which are chosen by what the members would have earned in the training part with predictions of models that had not
seen the entry that they predict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from toolkit.engine.run import EngineRun
from toolkit.errors import InputError, UnknownNameError
from toolkit.models.applying import METHODS, Application
from toolkit.models.backends.base import Budget
from toolkit.models.dataset import Dataset
from toolkit.models.fitness import FITNESS, Scored, fitness
from toolkit.models.fitting import fit
from toolkit.models.judging import Predicted, apply
from toolkit.models.outcome import Period, Said, earned, paths, period
from toolkit.models.panel import Panel, Predictions, make_panel
from toolkit.models.recipe import Recipe
from toolkit.models.splits import combinatorial, row_edges
from toolkit.models.trained import Trained
from toolkit.models.uniqueness import weights
from toolkit.portfolio.loading import LoadedMember
from toolkit.types import FloatArray

# A choice that leaves fewer trades, or a smaller share of them, is not looked at: what so few earned is luck.
LEAST_TRADES, LEAST_SHARE = 10, 0.1
_STEPS = 9
# What no money is made of: an application is then chosen by this.
_OF_MONEY = "sortino"


@dataclass(frozen=True, eq=False)
class Training:
    """A trained model, and by instance id and side what models that had not seen them say of the raw entries."""

    trained: Trained
    oof: Predictions


def learnable(data: Dataset, from_ms: int, until_ms: int) -> Dataset:
    """The rows that were decided from `from_ms` on and whose outcome was known at `until_ms`."""
    rows = data.rows
    return data.take((rows["ts"] >= from_ms) & (rows["known"] <= until_ms))


def weighed(part: Dataset, loaded: Sequence[LoadedMember]) -> Dataset:
    """The rows with their weights made of each other alone: rows outside of the part would tell of what came later."""
    symbols = {one.instance.id: one.instance.symbol for one in loaded}
    numbers = {name: k for k, name in enumerate(dict.fromkeys(symbols.values()))}
    of_member = np.array([numbers[symbols[name]] for name in part.members], np.int64)
    rows = part.rows
    return replace(part, weight=weights(rows["ts"], rows["known"], of_member[rows["member"]]))


def train(
    loaded: Sequence[LoadedMember],
    data: Dataset,
    recipe: Recipe,
    *,
    from_ms: int,
    until_ms: int,
    budget: Budget | None = None,
    panel: Panel | None = None,
) -> Training:
    """A model of what was known at `until_ms`, and out-of-fold predictions of the same part.

    Parameters
    ----------
    loaded : the members that the rows are of. data : their rows; those outside of the training part are not looked at.
    from_ms, until_ms : the training part: decided from, and known by (epoch ms). The recipe's embargo is between folds.
    panel : the members' raw entries with their features, where they are there already.

    Raises
    ------
    InputError and its kinds : nothing can be learned from the part (too few rows, one class only).
    """
    budget = budget or Budget(seed=recipe.seed)
    part = weighed(learnable(data, from_ms, until_ms), loaded)
    trained = fit(part, recipe, budget)
    seen = panel or make_panel(loaded, data.features, (from_ms, until_ms))
    return Training(trained, out_of_fold(part, recipe, (from_ms, until_ms), seen, budget))


def out_of_fold(
    part: Dataset, recipe: Recipe, span_ms: tuple[int, int], panel: Panel, budget: Budget
) -> dict[str, dict[int, Predicted]]:
    """What models of the rest of a training part say of each of its blocks of time; purged and embargoed.

    Entries of a block whose model could not be learned have no prediction.
    """
    edges = row_edges(part.rows["ts"], *span_ms, recipe.folds)
    if len(edges) < 3:
        return panel.predict(edges, [None])
    folds = combinatorial(part.rows, edges, embargo_ms=recipe.embargo_ms)
    # The part has rows enough; a fold of it has fewer.
    fewer = replace(recipe, min_trades=1)
    return panel.predict(edges, [fitted(part.take(fold.train), fewer, budget) for fold in folds])


def fitted(part: Dataset, recipe: Recipe, budget: Budget) -> Trained | None:
    """A model, None where nothing can be learned from these rows; a backend that cannot work is an error."""
    try:
        return fit(part, recipe, budget)
    except InputError:
        return None


def fit_application(
    loaded: Sequence[LoadedMember], oof: Predictions, method: str, recipe: Recipe, span_ms: tuple[int, int]
) -> Application:
    """What to do with probabilities: the choice that would have earned the most in the training part.

    A veto's threshold is looked for among probabilities, a quantile's among shares of the predictions, both by the
    recipe's fitness of the path that the members make with it; Kelly's payoff is that of the trades without a model.

    Parameters
    ----------
    loaded : members; bars that close after `span_ms[1]` are not looked at.
    oof : out-of-fold predictions, as `train` gives them. span_ms : the training part.

    Where nothing was predicted, or no choice leaves enough trades, everything is taken.
    """
    if method not in METHODS:
        raise UnknownNameError("application", method, METHODS)
    if method == "rank":
        return Application("rank")
    over = period(loaded, *span_ms)
    runs = paths(over)
    options = recipe.options if method == recipe.method else {}
    if method == "kelly":
        payoff = _payoff(earned(over, runs=runs).returns)
        return Application("kelly", fraction=options.get("fraction", 0.5), cap=options.get("cap", 1.0), payoff=payoff)
    predictions = signal_predictions(over, runs, oof)
    predictions = predictions[~np.isnan(predictions)]
    if "threshold" in options:
        return Application(method, threshold=options["threshold"])
    if not len(predictions):
        return taking_all(method)
    if "quantile" in options:
        return Application("quantile", threshold=float(np.quantile(predictions, options["quantile"])))
    return _best(over, oof, _candidates(method, options, predictions), recipe.fitness)


def taking_all(method: str) -> Application:
    """The method with nothing left out."""
    return Application(method, threshold=0.0)


def said_of(oof: Predictions, applications: Sequence[Application]) -> Said:
    """What predictions come to, `applications[k]` for those of version `k`."""
    return {name: apply(sides, applications) for name, sides in oof.items()}


def signal_predictions(over: Period, runs: Sequence[EngineRun | None], oof: Predictions) -> FloatArray:
    """float64[n]: what was predicted of the entry signals on the members' paths, NaN where nothing was."""
    found = [np.empty(0)]
    for one, name, run in zip(over.members, over.ids, runs, strict=True):
        for side, (predictions, _) in oof.get(name, {}).items():
            if run is not None:
                t = run.signals["t"][run.signals["side"] == side]
                found.append(predictions[np.searchsorted(one.prepared.legs[side].entry_t, t)])
    return np.concatenate(found)


def _payoff(returns: FloatArray) -> float:
    """Average win over average loss; 1 where there are not both."""
    won, lost = returns[returns > 0.0], returns[returns <= 0.0]
    if not len(won) or not lost.sum() < 0.0:
        return 1.0
    return float(won.mean() / -lost.mean())


def _candidates(method: str, options: Mapping[str, Any], predictions: FloatArray) -> list[Application]:
    """From taking all to taking few."""
    shares = np.linspace(0.1, 0.9, _STEPS)
    if method == "quantile":
        thresholds = np.quantile(predictions, shares)
    else:
        low, high = np.quantile(predictions, [0.05, 0.95])
        thresholds = np.linspace(low, high, _STEPS)
    return [taking_all(method), *(Application(method, threshold=float(t)) for t in np.unique(thresholds))]


def _best(over: Period, oof: Predictions, candidates: Sequence[Application], name: str) -> Application:
    """The first of the fittest of those that leave enough trades; the first one is always looked at."""
    of = _OF_MONEY if FITNESS[name].of_predictions else name
    versions = 1 + max((int(v.max()) for sides in oof.values() for _, v in sides.values() if len(v)), default=-1)
    best, highest, least = candidates[0], -np.inf, 0.0
    for number, candidate in enumerate(candidates):
        made = earned(over, said_of(oof, [candidate] * versions))
        if number == 0:
            least = max(LEAST_TRADES, LEAST_SHARE * made.trades)
        elif made.trades < least:
            continue
        value = fitness(of, Scored(made.pooled, made.returns, np.empty(0), np.empty(0)))
        if value > highest:
            best, highest = candidate, value
    return best
