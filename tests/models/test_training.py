"""Training: only what was known teaches, predictions are out of fold, and what is done with them is chosen on them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.models.planted import FEATURES, FIRST_MS, RULES, dataset, planted_bars, planted_members, recipe, span
from toolkit.bars.intervals import DAY_MS, HOUR_MS
from toolkit.errors import InputError, UnknownNameError
from toolkit.models import training
from toolkit.models.applying import Application
from toolkit.models.backends.base import Budget
from toolkit.models.dataset import Dataset
from toolkit.models.fitness import sortino
from toolkit.models.fitting import fit
from toolkit.models.judging import Predicted, Version, predict_entries
from toolkit.models.outcome import Period, earned, period
from toolkit.models.panel import make_panel
from toolkit.models.recipe import Recipe
from toolkit.models.trained import Trained
from toolkit.models.training import (
    LEAST_TRADES,
    Training,
    fit_application,
    learnable,
    said_of,
    taking_all,
    train,
    weighed,
)
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.portfolio.members import Member
from toolkit.types import FloatArray

DAYS, CUT_DAY = 160, 110
# At that hour trades are open.
PART = (span(DAYS)[0], FIRST_MS + CUT_DAY * DAY_MS + 9 * HOUR_MS)


@pytest.fixture(scope="module")
def loaded() -> list[LoadedMember]:
    return planted_members(DAYS)


@pytest.fixture(scope="module")
def data(loaded: list[LoadedMember]) -> Dataset:
    return dataset(loaded)


def trained_on(loaded: list[LoadedMember], data: Dataset, how: Recipe | None = None) -> Training:
    return train(loaded, data, how or recipe(), from_ms=PART[0], until_ms=PART[1])


@pytest.fixture(scope="module")
def made(loaded: list[LoadedMember], data: Dataset) -> Training:
    return trained_on(loaded, data)


def other_future(loaded: list[LoadedMember], cut_ms: int) -> list[LoadedMember]:
    """The same members on bars that are other ones from a moment on."""
    rng, bars = np.random.default_rng(3), {}
    for one in loaded:
        base = one.bars.base
        n = int(np.searchsorted(base.ts, cut_ms))
        factor = np.ones(len(base))
        factor[n:] = np.exp(np.cumsum(0.02 * rng.standard_normal(len(base) - n)))
        bars[base.symbol] = replace(
            base, open=base.open * factor, high=base.high * factor, low=base.low * factor,
            close=base.close * factor, volume=np.where(factor == 1.0, base.volume, 3.0 * base.volume), _memo={},
        )  # fmt: skip
    return load_members([one.member for one in loaded], bars=bars, start=span(DAYS)[0], jobs=1)


def test_nothing_after_the_cut_off_is_looked_at(loaded: list[LoadedMember], made: Training) -> None:
    changed = other_future(loaded, PART[1])
    again = trained_on(changed, dataset(changed))
    assert dataset(changed).fingerprint != dataset(loaded).fingerprint
    for one, other in zip(loaded, changed, strict=True):
        a, b = made.oof[one.instance.id][1], again.oof[other.instance.id][1]
        assert np.array_equal(a.predictions, b.predictions, equal_nan=True)
        assert (a.versions == b.versions).all()
    x = dataset(loaded).x
    assert (made.trained.predict(x) == again.trained.predict(x)).all()
    for method in ("veto", "quantile", "kelly"):
        assert fit_application(loaded, made.oof, method, recipe(), PART) == fit_application(
            changed, again.oof, method, recipe(), PART
        )


def test_only_rows_of_the_part_teach(data: Dataset) -> None:
    part = learnable(data, *PART)
    assert 0 < len(part) < len(data)
    assert part.rows["ts"].min() >= PART[0]
    assert part.rows["known"].max() <= PART[1]
    # Some were decided before the cut-off and known only after it.
    assert (data.rows["ts"] <= PART[1]).sum() > len(part)


def test_weights_are_of_the_part_alone(loaded: list[LoadedMember], data: Dataset) -> None:
    part = learnable(data, *PART)
    assert (
        weighed(part, loaded).weight.tolist() == weighed(replace(part, weight=part.weight * 0), loaded).weight.tolist()
    )
    assert weighed(part, loaded).weight.mean() == pytest.approx(1.0)


def test_predictions_are_of_models_that_saw_nothing_near(
    loaded: list[LoadedMember], data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Dataset] = []

    def spying(part: Dataset, how: Recipe, budget: Budget) -> Trained:
        seen.append(part)
        return fitted(part, how, budget)

    fitted = fit
    monkeypatch.setattr(training, "fit", spying)
    how = recipe(embargo="1d")
    oof = trained_on(loaded, data, how).oof
    whole, folds = seen[0], seen[1:]
    assert len(whole) == len(learnable(data, *PART))
    assert len(folds) == how.folds
    for one in loaded:
        said = oof[one.instance.id][1]
        moments = (one.prepared.legs[1].entry_t + 1) * HOUR_MS
        assert (said.versions[(moments < PART[0]) | (moments > PART[1])] == -1).all()
        for block, taught in enumerate(folds):
            mine = said.versions == block
            assert mine.any()
            rows = taught.rows
            for moment in moments[mine].tolist():
                assert not ((rows["ts"] < moment + DAY_MS) & (rows["known"] > moment)).any()
    assert sum(len(one) for one in folds) < how.folds * len(whole)


def test_equal_seeds_give_equal_models(loaded: list[LoadedMember], data: Dataset, made: Training) -> None:
    again = trained_on(loaded, data)
    assert (again.trained.predict(data.x) == made.trained.predict(data.x)).all()
    for name, sides in made.oof.items():
        assert np.array_equal(again.oof[name][1].predictions, sides[1].predictions, equal_nan=True)


def test_a_panel_asks_as_the_executor_does(loaded: list[LoadedMember], data: Dataset, made: Training) -> None:
    """Predictions by block are those of a schedule of versions, to the bit."""
    panel = make_panel(loaded, data.features, span(DAYS))
    edges = np.array([PART[1], PART[1] + 20 * DAY_MS, span(DAYS)[1]], np.int64)
    said = panel.predict(edges, [made.trained, made.trained])
    versions = [Version("a", int(edges[0]), made.trained), Version("b", int(edges[1]), made.trained)]
    for one in loaded:
        wanted, found = predict_entries(one, versions)[1], said[one.instance.id][1]
        moments = (one.prepared.legs[1].entry_t + 1) * HOUR_MS
        inside = moments < edges[-1]
        assert np.array_equal(found.predictions[inside], wanted.predictions[inside], equal_nan=True)
        assert (found.versions[inside] == wanted.versions[inside]).all()
        assert np.isnan(found.predictions[moments < edges[0]]).all()
    assert (panel.at_rows(data) == data.x)[~np.isnan(data.x)].all()


def test_rows_of_other_members_are_no_entries_of_a_panel(loaded: list[LoadedMember], data: Dataset) -> None:
    with pytest.raises(InputError, match="is no raw entry of these members"):
        make_panel(loaded[:1], data.features, span(DAYS)).at_rows(data)


# What is done with predictions.


def oracle(loaded: list[LoadedMember], likely: float = 0.7) -> dict[str, dict[int, Predicted]]:
    """Predictions that know which entries work: `likely` where the next hours rise, 1 less it where they fall."""
    said = {}
    for one in loaded:
        at = np.minimum(one.prepared.legs[1].entry_t - one.prepared.market.t0, len(one.bars) - 6)
        rises = one.bars.close[at + 5] > one.bars.open[at + 1]
        said[one.instance.id] = {1: Predicted(np.where(rises, likely, 1 - likely), np.zeros(len(at), np.int64))}
    return said


def test_a_threshold_is_the_fittest_of_the_training_part(loaded: list[LoadedMember]) -> None:
    oof = oracle(loaded)
    for method in ("veto", "quantile"):
        chosen = fit_application(loaded, oof, method, recipe(), PART)
        over = period(loaded, *PART)

        def of(threshold: float, name: str = method, over: Period = over) -> float:
            return float(sortino(earned(over, said_of(oof, [Application(name, threshold=threshold)])).pooled))

        assert 0.3 < chosen.threshold <= 0.7, method
        assert of(chosen.threshold) >= max(of(t) for t in np.linspace(0.0, 0.7, 8).tolist())
        assert of(chosen.threshold) > of(0.0) + 3.0


def test_what_the_recipe_fixes_is_not_chosen(loaded: list[LoadedMember]) -> None:
    oof = oracle(loaded)
    fixed = recipe(method="veto", options={"threshold": 0.42})
    assert fit_application(loaded, oof, "veto", fixed, PART).threshold == 0.42
    # The options are of the recipe's own method.
    assert fit_application(loaded, oof, "quantile", fixed, PART).threshold != 0.42
    least = recipe(method="quantile", options={"quantile": 0.0})
    assert fit_application(loaded, oof, "quantile", least, PART).threshold == pytest.approx(0.3)
    kelly = recipe(method="kelly", options={"fraction": 0.25, "cap": 0.5})
    found = fit_application(loaded, oof, "kelly", kelly, PART)
    assert (found.fraction, found.cap) == (0.25, 0.5)


def test_the_odds_are_those_of_the_trades_without_a_model(loaded: list[LoadedMember]) -> None:
    returns: FloatArray = earned(period(loaded, *PART)).returns
    wanted = returns[returns > 0].mean() / -returns[returns <= 0].mean()
    found = fit_application(loaded, oracle(loaded), "kelly", recipe(), PART)
    assert found.payoff == pytest.approx(float(wanted))
    assert fit_application(loaded, {}, "rank", recipe(), PART) == Application("rank")


def test_predictions_that_say_nothing_veto_nothing(loaded: list[LoadedMember]) -> None:
    none = {
        one.instance.id: {1: Predicted(np.full(n, np.nan), np.full(n, -1, np.int64))}
        for one in loaded
        if (n := len(one.prepared.legs[1].entry_t))
    }
    for method in ("veto", "quantile"):
        assert fit_application(loaded, none, method, recipe(), PART) == taking_all(method)
    with pytest.raises(UnknownNameError, match="unknown application 'vetoes'"):
        fit_application(loaded, none, "vetoes", recipe(), PART)


def test_a_choice_leaves_enough_trades(loaded: list[LoadedMember]) -> None:
    """One entry alone is known to be excellent: it is not enough to choose a threshold by."""
    said = oracle(loaded)
    for sides in said.values():
        predictions = sides[1].predictions
        predictions[:] = np.linspace(0.4, 0.41, len(predictions))
        predictions[-30:-28] = 0.9
    chosen = fit_application(loaded, said, "veto", recipe(), PART)
    kept = earned(period(loaded, *PART), said_of(said, [chosen])).trades
    assert kept >= LEAST_TRADES


@pytest.mark.parametrize("name", ["log_loss", "auc", "expectancy", "profit_factor", "sharpe"])
def test_every_fitness_can_choose(loaded: list[LoadedMember], name: str) -> None:
    chosen = fit_application(loaded, oracle(loaded), "veto", recipe(fitness=name), PART)
    assert 0.3 < chosen.threshold <= 0.7


# Bad input.


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"y": 1.0}, "one class|all"),
        ({"x": np.nan}, "none of the 6 features"),
    ],
)
def test_what_cannot_be_learned_from_is_said(
    loaded: list[LoadedMember], data: Dataset, changed: dict[str, Any], said: str
) -> None:
    name, value = next(iter(changed.items()))
    with pytest.raises(InputError, match=said):
        trained_on(loaded, replace(data, **{name: np.full_like(getattr(data, name), value)}))


def test_too_few_rows_are_said(loaded: list[LoadedMember], data: Dataset) -> None:
    with pytest.raises(InputError, match="30"):
        trained_on(loaded, data.take(np.arange(30)), recipe(min_trades=50))


def test_a_block_without_a_model_has_no_predictions(
    loaded: list[LoadedMember], data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, asked = fit, list[int]()

    def failing(part: Dataset, how: Recipe, budget: Budget) -> Trained:
        asked.append(len(part))
        if len(asked) == 3:
            raise InputError("one class only")
        return fitted(part, how, budget)

    monkeypatch.setattr(training, "fit", failing)
    oof = trained_on(loaded, data).oof
    versions = np.unique(np.concatenate([sides[1].versions for sides in oof.values()]))
    assert versions.tolist() == [-1, 0, 2]
    # What has no prediction is taken.
    judged = said_of(oof, [Application("veto", threshold=1.0)] * 3)
    for name, sides in oof.items():
        assert (judged[name][1].scales == (sides[1].versions == -1)).all()


def test_members_that_differ_share_a_model() -> None:
    bars = planted_bars("AAA/USDT", 60, 1)
    members = [Member("planted_regime", "AAA/USDT", "1h", {"every": k}, RULES) for k in (3, 6)]
    loaded = load_members(members, bars={"AAA/USDT": bars}, start=span(60)[0], jobs=1)
    made = train(loaded, dataset(loaded, FEATURES), recipe(), from_ms=span(60)[0], until_ms=span(60)[1])
    assert set(made.oof) == {one.instance.id for one in loaded}
