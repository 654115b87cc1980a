"""Fitness by name, beside the figures that reports show and beside scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toolkit.errors import UnknownNameError
from toolkit.models.fitness import FITNESS, OF_MONEY, Scored, auc, fitness, log_likelihood, sharpe, sortino
from toolkit.portfolio.record_figures import day_figures
from toolkit.types import FloatArray

NONE = np.empty(0)


def scored(daily: FloatArray = NONE, returns: FloatArray = NONE, p: FloatArray = NONE, y: FloatArray = NONE) -> Scored:
    return Scored(daily, returns, p, y)


@given(arrays(np.float64, st.integers(2, 60), elements=st.sampled_from([0.0, 0.0, 0.01, -0.02, 0.03, -0.005])))
@settings(max_examples=60, deadline=None)
def test_ratios_are_those_of_reports(daily: FloatArray) -> None:
    shown = day_figures(daily[:, None], np.arange(len(daily)))
    for name, of in (("sharpe", sharpe), ("sortino", sortino)):
        # Equal days leave a deviation of rounding alone, which either side may call none.
        if name == "sharpe" and len(np.unique(daily)) == 1:
            continue
        assert float(of(daily)) == pytest.approx(float(shown[name][0]), rel=1e-9, nan_ok=True)
        assert fitness(name, scored(daily)) == pytest.approx(float(shown[name][0]), rel=1e-9, nan_ok=True)


def test_a_ratio_of_many_histories_is_that_of_each() -> None:
    many = np.random.default_rng(1).normal(0.001, 0.02, (5, 40))
    for of in (sharpe, sortino):
        assert of(many).tolist() == [float(of(one)) for one in many]


def test_what_is_not_defined_is_nan() -> None:
    nothing = scored(np.zeros(30))
    for name in OF_MONEY:
        assert math.isnan(fitness(name, nothing)), name
    assert math.isnan(fitness("sortino", scored(np.full(30, 0.01))))
    assert math.isnan(fitness("profit_factor", scored(returns=np.array([0.1, 0.2]))))
    assert math.isnan(fitness("log_loss", nothing))
    assert math.isnan(fitness("auc", scored(p=np.array([0.2, 0.7]), y=np.ones(2))))
    assert math.isnan(fitness("sharpe", scored(np.ones(1))))
    assert math.isnan(fitness("sortino", scored()))


def test_figures_of_trades() -> None:
    one = scored(returns=np.array([0.02, -0.01, 0.03, 0.0, -0.015]))
    assert fitness("expectancy", one) == pytest.approx(0.005)
    assert fitness("profit_factor", one) == pytest.approx(0.05 / 0.025)


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.25, 0.25, 0.5, 0.9, 0.99]), st.booleans()), min_size=2, max_size=50)
    .filter(lambda pairs: len({y for _, y in pairs}) == 2)
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_scores_of_predictions_beside_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    from sklearn.metrics import log_loss, roc_auc_score

    p, y = np.array([p for p, _ in pairs]), np.array([float(y) for _, y in pairs])
    assert auc(p, y) == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert log_likelihood(p, y) == pytest.approx(-log_loss(y, p), rel=1e-9)
    assert fitness("auc", scored(p=p, y=y)) == auc(p, y)
    assert fitness("log_loss", scored(p=p, y=y)) == log_likelihood(p, y)


def test_a_sure_prediction_that_is_wrong_costs_a_lot_and_not_everything() -> None:
    assert -40.0 < log_likelihood(np.array([1.0, 0.0]), np.array([0.0, 0.0])) < -10.0


def test_every_name_says_what_it_is_and_unknown_ones_are_refused() -> None:
    assert all(one.text for one in FITNESS.values())
    with pytest.raises(UnknownNameError, match="did you mean 'sortino'"):
        fitness("sortina", scored())
