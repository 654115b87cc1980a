"""Correlations against pandas; the greedy table against a loop that adds up the sets itself."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.portfolio.records import record
from toolkit.errors import InputError
from toolkit.portfolio.correlations import add_what_helps, correlation_matrix

Array = np.ndarray[Any, Any]
values = st.sampled_from([-0.02, -0.01, 0.0, 0.005, 0.03, math.nan])


@given(arrays(np.float64, st.tuples(st.integers(3, 14), st.integers(1, 4)), elements=values))
@settings(deadline=None)
def test_the_matrix_is_that_of_pandas(returns: Array) -> None:
    found = correlation_matrix(record(returns)).drop("instance").to_numpy()
    # pandas divides rounding by rounding where a column does not vary on the days of the pair; here that is null.
    n = returns.shape[1]
    expected = np.full((n, n), np.nan)
    for k in range(n):
        for m in range(n):
            both = returns[~np.isnan(returns[:, k]) & ~np.isnan(returns[:, m])]
            if len(both) >= 3 and np.ptp(both[:, k]) > 0.0 and np.ptp(both[:, m]) > 0.0:
                expected[k, m] = pd.Series(both[:, k]).corr(pd.Series(both[:, m]))
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_small_returns_beside_a_large_mean_keep_their_digits() -> None:
    random = np.random.default_rng(3)
    returns = 1e-9 * random.normal(size=(50, 3)) + [1.0, -2.0, 0.0]
    found = correlation_matrix(record(returns)).drop("instance").to_numpy()
    np.testing.assert_allclose(found, np.corrcoef((returns - [1.0, -2.0, 0.0]).T), atol=1e-6)


def sharpe(daily: Array) -> float:
    return float(daily.mean() / daily.std(ddof=1) * math.sqrt(365))


def drawdown(daily: Array) -> float:
    equity, peak, worst = 1.0, 1.0, 0.0
    for one in daily:
        equity += one
        peak = max(peak, equity)
        worst = max(worst, (peak - equity) / peak)
    return worst


def test_each_step_takes_what_helps_most_and_tells_of_the_others() -> None:
    returns = np.random.default_rng(5).normal(0.001, 0.01, (90, 5))
    names = [f"i{k:02d}" for k in range(5)]
    table = add_what_helps(record(returns), steps=4)
    chosen: list[int] = []
    before = (0.0, 0.0)
    for step in range(1, 5):
        rows = table.filter(step=step)
        expected = {}
        for k in set(range(5)) - set(chosen):
            daily = returns[:, [*chosen, k]].mean(axis=1)
            expected[names[k]] = (sharpe(daily), drawdown(daily))
        assert set(rows["instance"]) == set(expected)
        for row in rows.iter_rows(named=True):
            figures = expected[row["instance"]]
            assert (row["sharpe"], row["max_drawdown"]) == pytest.approx(figures)
            assert row["marginal_sharpe"] == pytest.approx(figures[0] - before[0])
            assert row["marginal_drawdown"] == pytest.approx(figures[1] - before[1])
            if chosen:
                with_set = np.corrcoef(returns[:, chosen].sum(axis=1), returns[:, names.index(row["instance"])])
                assert row["correlation"] == pytest.approx(with_set[0, 1])
        best = max(expected, key=lambda name: expected[name][0])
        assert rows["instance"][0] == best
        assert rows["chosen"].to_list() == [True] + [False] * (len(rows) - 1)
        chosen.append(names.index(best))
        before = expected[best]


def test_a_copy_adds_nothing_and_comes_after_what_differs() -> None:
    random = np.random.default_rng(11)
    one, other = random.normal(0.004, 0.01, 200), random.normal(0.002, 0.01, 200)
    table = add_what_helps(record(np.column_stack([one, one, other]), ["a", "copy", "different"]))
    assert table.filter("chosen")["instance"].to_list() == ["a", "different", "copy"]
    copy = table.filter(step=2, instance="copy").row(0, named=True)
    assert copy["marginal_sharpe"] == pytest.approx(0.0, abs=1e-9)
    assert copy["correlation"] == pytest.approx(1.0)


def test_days_without_bars_count_as_idle_money() -> None:
    returns = np.random.default_rng(2).normal(0.001, 0.01, (40, 2))
    late = returns.copy()
    late[:10, 1] = np.nan
    zeroed = returns.copy()
    zeroed[:10, 1] = 0.0
    assert add_what_helps(record(late)).drop("correlation").equals(add_what_helps(record(zeroed)).drop("correlation"))


def test_what_never_trades_is_no_candidate_and_steps_end_with_the_candidates() -> None:
    returns = np.random.default_rng(2).normal(0.001, 0.01, (40, 3))
    returns[:, 1] = 0.0
    assert add_what_helps(record(returns), steps=50)["instance"].unique().sort().to_list() == ["i00", "i02"]


def test_a_perfect_hedge_has_no_sharpe_ratio_and_is_taken_last() -> None:
    one = np.array([0.02, -0.01, 0.02, -0.01])
    table = add_what_helps(record(np.column_stack([one, -one, [0.0, 0.0, 0.01, 0.0]]), ["a", "hedge", "other"]))
    assert table.filter("chosen")["instance"].to_list() == ["other", "a", "hedge"]
    assert correlation_matrix(record(np.column_stack([one, -one]))).row(0)[2] == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("returns", "steps", "said"),
    [
        (np.zeros((9, 2)), 3, "none of 2 instances traded on these 9 days"),
        (np.empty((0, 2)), 3, "none of 2 instances traded"),
        (np.ones((3, 1)), 0, "steps must be at least 1, was 0"),
    ],
)
def test_nothing_to_add_is_said(returns: Array, steps: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        add_what_helps(record(returns), steps)
