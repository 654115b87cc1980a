"""Controls: what they put in a feature's place; and the verdict, sentence by sentence."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.models.planted import dataset, planted_members, span
from toolkit.models.controls import (
    FUTURE,
    LEAST_TRADES,
    NOISE,
    PAST,
    control_gains,
    noise_panel,
    shifted_panel,
    verdict,
)
from toolkit.models.fitness import sortino
from toolkit.models.panel import Panel, make_panel
from toolkit.models.significance import Comparison, compare
from toolkit.portfolio.loading import LoadedMember

DAYS = 40


@pytest.fixture(scope="module")
def loaded() -> list[LoadedMember]:
    return planted_members(DAYS)


@pytest.fixture(scope="module")
def panel(loaded: list[LoadedMember]) -> Panel:
    return make_panel(loaded, dataset(loaded).features, span(DAYS))


@pytest.mark.parametrize("shift", [-7, -1, 1, 12])
def test_shifted_factors_are_those_of_other_bars(loaded: list[LoadedMember], panel: Panel, shift: int) -> None:
    moved = shifted_panel(loaded, panel, shift)
    for one, leg, other in zip(loaded, panel.legs, moved.legs, strict=True):
        assert (other.t == leg.t).all()
        bar = np.searchsorted(one.bars.close_ts, leg.ts)
        for k, name in enumerate(panel.features):
            if name in ("side", "stop_distance"):
                assert np.array_equal(other.x[:, k], leg.x[:, k], equal_nan=True)
                continue
            factor, _, window = name.partition("(")
            values = one.bars.factor(factor, *([int(window[:-1])] if window else []))
            wanted = [values[b + shift] if 0 <= b + shift < len(values) else math.nan for b in bar.tolist()]
            assert np.array_equal(other.x[:, k], wanted, equal_nan=True)
    if shift == 12:
        assert np.isnan(moved.legs[0].x[-1, 0])


def test_noise_has_nothing_of_the_features_and_is_the_same_again(panel: Panel) -> None:
    noise, again, other = noise_panel(panel, 3, 0), noise_panel(panel, 3, 0), noise_panel(panel, 3, 1)
    legs = [leg.x for leg in noise.legs]
    assert all((a == b.x).all() for a, b in zip(legs, again.legs, strict=True))
    assert not any((a == b.x).any() for a, b in zip(legs, other.legs, strict=True))
    assert not (legs[0][:5] == legs[1][:5]).any()
    every = np.concatenate(legs).ravel()
    assert abs(every.mean()) < 0.1
    assert every.std() == pytest.approx(1.0, abs=0.1)
    # A leg's noise does not depend on the legs beside it.
    alone = noise_panel(replace(panel, legs=panel.legs[1:]), 3, 0)
    assert (alone.legs[0].x == legs[1]).all()


def test_a_control_gains_the_mean_of_its_runs() -> None:
    rng = np.random.default_rng(1)
    before, runs = rng.normal(0, 1, 100), rng.normal(0, 1, (3, 100))
    found = control_gains({NOISE: runs, FUTURE: np.ones((1, 100))}, before)
    assert found[NOISE] == pytest.approx(np.mean([float(sortino(run)) - float(sortino(before)) for run in runs]))
    assert math.isnan(found[FUTURE])


def comparison(**changed: float) -> Comparison:
    """One that passes every test, but for what is changed."""
    rng = np.random.default_rng(2)
    before = rng.normal(0.0, 0.01, 400)
    good = compare(before, before + 0.003, permuted=np.array([before] * 19), seed=1)
    return replace(good, **changed)  # type: ignore[arg-type]


def test_an_improvement_that_passes_everything_survives() -> None:
    found = comparison()
    said = verdict(found, 400, {NOISE: 0.02, PAST: 1.0, FUTURE: 9.0})
    assert said.survives
    assert said.against == ()
    assert said.text == (
        f"The improvement survives: Sortino {found.before:.2f} without a model and {found.after:.2f} with it, a "
        f"difference of {found.difference:+.2f} (95% interval {found.low:+.2f} to {found.high:+.2f}), p = 0.050 "
        f"against 19 models on permuted labels, whose refusals alone make a difference of {found.permuted_mean:+.2f}. "
        f"Controls: noise features +0.02; features of the past +1.00; features of the future +9.00."
    )


def test_an_improvement_of_what_loses_is_said_to_lose_still() -> None:
    found = comparison(before=-3.0, after=-1.0)
    said = verdict(found, 400, {NOISE: 0.02})
    assert said.survives and "It still loses money by this figure." in said.text
    assert "still loses" not in verdict(comparison(), 400, {NOISE: 0.02}).text


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"difference": -0.1}, "the model made it no better"),
        ({"difference": math.nan}, "the sortino ratio is not defined on one of the sides"),
        ({"low": -0.2}, "the interval of the difference reaches zero"),
        ({"low": math.nan, "high": math.nan}, "too few days for an interval"),
        ({"p_value": 0.3}, "models on permuted labels do as well in 30% of the cases"),
        ({"permutations": 9}, "9 models on permuted labels cannot tell it from luck, 19 are needed"),
        ({"trials": 40, "deflated_sharpe": 0.8}, "the best of 40 trials may show such a Sharpe ratio by luck"),
        ({"trials": 40, "deflated_sharpe": math.nan}, "the best of 40 trials may show such a Sharpe ratio by luck"),
    ],
)
def test_each_test_that_is_failed_is_said(changed: dict[str, float], why: str) -> None:
    said = verdict(comparison(**changed), 400, {NOISE: 0.0})
    assert not said.survives
    assert len(said.against) == 1
    assert why in said.against[0]
    assert said.text.startswith(f"No improvement that survives: {said.against[0]}. Found: Sortino")


def test_few_trades_and_noise_that_does_as_well_are_said() -> None:
    few = verdict(comparison(), LEAST_TRADES - 1, {})
    assert few.against == ("only 29 trades were made with the model, fewer than 30 show nothing",)
    assert "Controls" not in few.text
    noisy = verdict(comparison(), 400, {NOISE: 99.0})
    assert noisy.against == ("features of noise do as well",)


def test_undefined_figures_are_said_in_words() -> None:
    said = verdict(comparison(after=math.nan, difference=math.nan, low=math.nan, high=math.nan), 400, {})
    assert "and undefined with it, a difference of undefined" in said.text
    assert "nan" not in said.text


def test_trials_that_are_passed_are_shown() -> None:
    said = verdict(comparison(trials=12, deflated_sharpe=0.97), 400, {})
    assert said.survives
    assert "deflated Sharpe ratio 0.97 after 12 trials" in said.text
