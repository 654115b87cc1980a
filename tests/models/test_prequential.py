"""A model that goes on learning knows each outcome that was known when an entry is decided, and no other."""

from dataclasses import replace

import numpy as np
import pytest

from tests.models.plain_rows import FIRST_MS, HOUR_MS, rows_of
from tests.models.planted import dataset, planted_members, recipe, span
from toolkit.models.applying import Application
from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.choices import checked_settings
from toolkit.models.backends.online import OnlineModel, River
from toolkit.models.cleaning import fit_cleaning
from toolkit.models.dataset import Dataset
from toolkit.models.folds import block_edges, predict_folds
from toolkit.models.judging import Predicted
from toolkit.models.panel import Panel, Seen
from toolkit.models.prequential import goes_on, judge_and_learn
from toolkit.models.trained import Trained
from toolkit.types import FloatArray

K = 3


def drifting(n: int, turn: int, seed: int = 2) -> Dataset:
    """The first feature tells the label, and from row `turn` on the opposite of it."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, K))
    sign = np.where(np.arange(n) < turn, 1.0, -1.0)
    return rows_of(x, (sign * x[:, 0] + 0.2 * draw.normal(size=n) > 0).astype(float).tolist())


def trained(data: Dataset, **settings: object) -> Trained:
    cleaning = fit_cleaning(data.x, clip=0.0, indicators=False)
    made: OnlineModel = River().fit(
        TrainingSet(data.features, cleaning.clean(data.x), data.y, data.weight), Budget(),
        checked_settings("river", settings),
    )  # fmt: skip
    return Trained(data.features, np.arange(K), cleaning, made, Application())


def panel_of(data: Dataset) -> Panel:
    """Every row is an entry of one leg."""
    rows = data.rows
    return Panel(data.features, (Seen("one-id", 1, 0, len(rows), rows["t"], rows["ts"], data.x),))


def judged(model: Trained, data: Dataset, block: tuple[int, int], outcomes: Dataset) -> FloatArray:
    predicted = Predicted(np.full(len(data), np.nan), np.zeros(len(data), np.int64))
    judge_and_learn(model, panel_of(data), block, outcomes, {"one-id": {1: predicted}})
    return predicted.predictions


@pytest.fixture(scope="module")
def data() -> Dataset:
    return drifting(600, 300)


@pytest.fixture(scope="module")
def model(data: Dataset) -> Trained:
    return trained(data.take(np.arange(200)), learning_rate=0.05)


def block(first: int, last: int) -> tuple[int, int]:
    return FIRST_MS + first * HOUR_MS, FIRST_MS + last * HOUR_MS


@pytest.mark.parametrize("kind", ["logistic", "tree", "forest"])
def test_it_is_what_learning_one_after_the_other_gives(data: Dataset, kind: str) -> None:
    model = trained(data.take(np.arange(200)), model=kind)
    found = judged(model, data, block(200, 300), data.take(np.arange(200, 600)))
    assert np.isnan(found[:200]).all() and np.isnan(found[300:]).all()
    learner = model.model.learner()  # type: ignore[attr-defined]
    for row in range(200, 300):
        x = model.cleaning.clean(data.x[row : row + 1])[0]
        # A row is known half an hour after it was decided, so the one before is, and this one is not.
        assert learner.predict_one(x) == found[row]
        learner.learn_one(x, data.y[row])
    # The model itself has learned nothing.
    again = trained(data.take(np.arange(200)), model=kind)
    assert np.array_equal(model.predict(data.x), again.predict(data.x))


def test_what_is_known_later_changes_nothing(data: Dataset, model: Trained) -> None:
    found = judged(model, data, block(200, 400), data.take(np.arange(200, 400)))
    late = data.take(np.arange(200, 400))
    late.rows["known"][100:] = FIRST_MS + 500 * HOUR_MS
    other = judged(model, data, block(200, 400), replace(late, y=1.0 - late.y))
    assert other[200] == found[200] and (other[202:301] != found[202:301]).any()
    some = judged(model, data, block(200, 400), late)
    assert np.array_equal(some[200:301], found[200:301])
    assert not np.array_equal(some[301:400], found[301:400])


def test_it_follows_a_pattern_that_turns(data: Dataset, model: Trained) -> None:
    stays = model.predict(data.x)[500:]
    follows = judged(model, data, block(200, 600), data.take(np.arange(200, 600)))[500:]
    y = data.y[500:]
    assert follows[y == 1].mean() > follows[y == 0].mean() + 0.3
    assert stays[y == 1].mean() < stays[y == 0].mean()


def test_walking_forward_only_online_ones_go_on() -> None:
    loaded = planted_members(150, 5, symbols=2)
    data, edges = dataset(loaded), block_edges(span(150), 3)
    used = {"learning_rate": 0.02}
    asked = [replace(recipe(), backend="river", settings={**used, "online": online}) for online in (False, True)]
    still, online = (predict_folds(loaded, data, one, span(150), edges) for one in asked)
    assert [goes_on(fold.trained) for fold in still.models] == [False] * 3
    assert [goes_on(fold.trained) for fold in online.models] == [True] * 3
    for name, sides in still.predicted.items():
        for side, (predictions, versions) in sides.items():
            other = online.predicted[name][side]
            assert np.array_equal(versions, other.versions)
            assert np.array_equal(np.isnan(predictions), np.isnan(other.predictions))
            judged_ones = versions >= 0
            assert (predictions[judged_ones] != other.predictions[judged_ones]).mean() > 0.9
    # A longer history changes nothing that was judged before.
    shorter = predict_folds(loaded, data, asked[1], span(150), edges[:3])
    for name, sides in shorter.predicted.items():
        for side, (predictions, _) in sides.items():
            known = ~np.isnan(predictions)
            assert known.any() and np.array_equal(predictions[known], online.predicted[name][side].predictions[known])
