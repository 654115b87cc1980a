"""More than luck? Beside plain loops, published figures, and histories of which the answer is known."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.errors import InputError, UnknownNameError
from toolkit.models.fitness import sharpe, sortino
from toolkit.models.significance import (
    MEAN_BLOCK_DAYS,
    PATHS,
    as_table,
    compare,
    deflated_sharpe,
    difference_interval,
    expected_best,
    permutation_p,
    resampled_days,
)
from toolkit.types import FloatArray


def days(seed: int, n: int = 300, mean: float = 0.0) -> FloatArray:
    return np.random.default_rng(seed).normal(mean, 0.01, n)


def test_resampled_histories_are_runs_of_consecutive_days() -> None:
    n = 50
    found = resampled_days(n, 7)
    assert found.shape == (PATHS, n)
    goes_on = sum(b == (a + 1) % n for path in found.tolist() for a, b in pairwise(path))
    # A run ends with a chance of 1 in 10, and of those 1 in 50 goes on by chance.
    share = goes_on / (PATHS * (n - 1))
    assert share == pytest.approx(1 - 1 / MEAN_BLOCK_DAYS + 1 / MEAN_BLOCK_DAYS / n, abs=0.005)
    # Every day is as likely as every other.
    counts = np.bincount(found.ravel(), minlength=n)
    assert counts.min() > 0.85 * counts.mean()
    assert counts.max() < 1.15 * counts.mean()
    assert (resampled_days(n, 7) == found).all()
    assert (resampled_days(n, 8) != found).any()


def test_an_interval_is_the_quantiles_of_resampled_differences() -> None:
    before, after = days(1), days(2, mean=0.001)
    slow = []
    for path in resampled_days(300, 3):
        slow.append(float(sortino(after[path])) - float(sortino(before[path])))
    low, high = difference_interval(before, after, seed=3)
    assert (low, high) == pytest.approx((float(np.quantile(slow, 0.025)), float(np.quantile(slow, 0.975))))


def test_days_stay_together() -> None:
    before = days(1)
    # The same days, all a little better: paired, that is certain however much they vary.
    low, high = difference_interval(before, before + 0.0005, figure="sharpe")
    assert 0.0 < low < high
    assert difference_interval(before, before) == (0.0, 0.0)


def test_an_interval_of_nothing_contains_zero_about_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(40):
        low, high = difference_interval(days(2 * seed, 200), days(2 * seed + 1, 200), figure="sharpe", seed=5)
        inside += low <= 0.0 <= high
    assert inside >= 34


def test_too_few_days_or_undefined_figures_have_no_interval() -> None:
    assert all(math.isnan(x) for x in difference_interval(days(1, 19), days(2, 19)))
    assert all(math.isnan(x) for x in difference_interval(days(1), np.zeros(300)))


@given(st.lists(st.floats(-3, 3), max_size=30), st.floats(-3, 3))
@settings(max_examples=50)
def test_the_p_value_counts(permuted: list[float], gain: float) -> None:
    p = permutation_p(gain, np.array(permuted))
    if not permuted:
        assert math.isnan(p)
    else:
        assert p == (1 + sum(one >= gain for one in permuted)) / (1 + len(permuted))


def test_an_undefined_permutation_counts_against_and_an_undefined_gain_has_no_p() -> None:
    assert permutation_p(1.0, np.array([math.nan, 0.0, 0.0])) == 0.5
    assert math.isnan(permutation_p(math.nan, np.zeros(3)))


def test_the_best_of_many_without_skill() -> None:
    rng = np.random.default_rng(3)
    for trials in (10, 100, 1000):
        seen = rng.standard_normal((4_000, trials)).max(axis=1).mean()
        assert expected_best(trials) == pytest.approx(float(seen), rel=0.05)
    assert expected_best(1) == 0.0


def test_the_deflated_ratio_of_the_paper() -> None:
    """The numerical example of the paper: an annualised Sharpe ratio of 2.5 over five years of daily returns, skewness
    -3, kurtosis 10, the best of 100 trials whose annualised ratios have a variance of 0.5: 0.9004.
    """
    # Two values have a kurtosis of 1 more than their squared skewness.
    losses = 105
    daily = np.repeat([-1.0, 0.0], [losses, 1250 - losses])
    daily = (daily - daily.mean()) / daily.std(ddof=1)
    assert float((daily**3).mean()) == pytest.approx(-3.0, abs=0.01)
    assert float((daily**4).mean()) == pytest.approx(10.0, abs=0.05)
    assert deflated_sharpe(daily + 2.5 / math.sqrt(250), 100, 0.5 / 250) == pytest.approx(0.9004, abs=0.001)


def test_more_trials_deflate_more() -> None:
    daily = days(4, 500, 0.0012)
    found = [deflated_sharpe(daily, trials) for trials in (1, 2, 10, 100, 10_000)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.9
    assert found[-1] < 0.5
    assert math.isnan(deflated_sharpe(np.zeros(100), 1))
    assert math.isnan(deflated_sharpe(daily[:10], 1))
    with pytest.raises(InputError, match=r"`trials` must be at least 1, was 0"):
        deflated_sharpe(daily, 0)


def test_a_comparison_says_all_of_it() -> None:
    before, after = days(1), days(2, mean=0.002)
    permuted = np.array([days(k) for k in range(10, 29)])
    found = compare(before, after, permuted=permuted, trials=12, seed=1)
    gains = [float(sortino(one)) - float(sortino(before)) for one in permuted]
    assert (found.before, found.after) == (float(sortino(before)), float(sortino(after)))
    assert found.difference == found.after - found.before
    assert (found.low, found.high) == difference_interval(before, after, seed=1)
    assert found.p_value == permutation_p(found.difference, np.array(gains))
    assert found.permutations == 19
    assert found.permuted_mean == pytest.approx(np.mean(gains))
    assert found.deflated_sharpe == deflated_sharpe(after, 12)
    assert (found.sharpe_after, found.profit_after) == (float(sharpe(after)), float(after.sum()))
    assert found.days == 300
    of_sharpe = compare(before, after, figure="sharpe")
    assert of_sharpe.difference == float(sharpe(after)) - float(sharpe(before))
    table = as_table(of_sharpe)
    assert table["p_value"] is None
    assert table["figure"] == "sharpe"


def test_only_their_ratio_to_each_other_matters() -> None:
    before, after = days(1), days(2)
    one, ten = compare(before, after), compare(10 * before, 10 * after)
    assert (ten.difference, ten.low, ten.deflated_sharpe) == pytest.approx(
        (one.difference, one.low, one.deflated_sharpe)
    )


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="must be the same days"):
        compare(days(1, 30), days(1, 31))
    with pytest.raises(UnknownNameError, match="figure of days"):
        compare(days(1), days(2), figure="expectancy")
