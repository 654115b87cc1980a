"""Judging and learning in turn: a model that goes on learning takes each outcome as soon as it is known.

Between the training of a judged block and its end, entries and outcomes are gone through in the order of time: what is
known when an entry is decided is learned before it is judged (prequential, test-then-train; Gama, Sebastiao and
Rodrigues 2013). Cleaning and the choice of features stay those of the training. Rows weigh alike, since how unique one
is, is known only later.
"""

import numpy as np

from toolkit.models.backends.online import LearnsOn
from toolkit.models.dataset import Dataset
from toolkit.models.panel import Panel, Predictions
from toolkit.models.trained import Trained


def goes_on(model: Trained | None) -> bool:
    """Whether a trained model shall learn while it judges."""
    return model is not None and isinstance(model.model, LearnsOn) and model.model.online


def judge_and_learn(
    model: Trained, panel: Panel, block_ms: tuple[int, int], outcomes: Dataset, said: Predictions
) -> None:
    """Overwrite what `said` holds for the entries of one block.

    Parameters
    ----------
    model : as it was trained before the block; `goes_on`. panel : raw entries with their features.
    block_ms : entries decided in `[block_ms[0], block_ms[1])`. outcomes : rows that the model has not learned; those
        known by the moment of an entry (`known <= ts`) are learned before it. said : by instance and side, in place.
    """
    assert isinstance(model.model, LearnsOn)
    learner = model.model.learner()
    order = np.argsort(outcomes.rows["known"], kind="stable")
    known, y = outcomes.rows["known"][order], outcomes.y[order]
    x = model.cleaning.clean(outcomes.x[order][:, model.chosen])
    learned = 0
    for ts, place, leg, row in _entries(panel, block_ms):
        while learned < len(known) and known[learned] <= ts:
            learner.learn_one(x[learned], float(y[learned]))
            learned += 1
        seen = model.cleaning.clean(panel.legs[leg].x[row : row + 1, model.chosen])
        one = panel.legs[leg]
        said[one.instance][one.side].predictions[place] = learner.predict_one(seen[0])


def _entries(panel: Panel, block_ms: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Moment, place among the leg's raw entries, leg and row of each entry, in the order of time."""
    found = []
    for number, leg in enumerate(panel.legs):
        first, last = (int(k) for k in np.searchsorted(leg.ts, block_ms))
        found += [(int(leg.ts[row]), leg.first + row, number, row) for row in range(first, last)]
    return sorted(found)
