"""The band of a backtest: exact where there is no chance, near the closed form where days are independent."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.portfolio.bundle_band import BAND_DAYS, LEAST_DAYS, LINES, growth_band


@pytest.mark.parametrize("daily", [0.0, 0.01, -0.02])
def test_days_that_are_all_alike_have_one_path(daily: float) -> None:
    band = growth_band(np.full(30, daily))
    assert band is not None and band["ts"] == list(range(BAND_DAYS + 1))
    for line in LINES:
        assert np.allclose(band[line], (1.0 + daily) ** np.arange(BAND_DAYS + 1), rtol=1e-12)


def test_independent_days_give_the_quantiles_of_their_products() -> None:
    returns = np.exp(np.random.default_rng(3).normal(0.0005, 0.01, 4_000)) - 1.0
    band = growth_band(returns)
    assert band is not None
    logs = np.log1p(returns)
    for day in (30, 365):
        for line, z in (("p05", -1.6449), ("p50", 0.0), ("p95", 1.6449)):
            expected = math.exp(logs.mean() * day + z * logs.std() * math.sqrt(day))
            assert band[line][day] == pytest.approx(expected, rel=0.025)


def test_what_a_day_says_of_the_next_is_kept() -> None:
    # A gain is always followed by the same loss: of independent days the band would be five times as wide.
    returns = np.where(np.arange(400) % 2 == 0, 0.02, -0.02)
    band = growth_band(returns)
    assert band is not None
    shuffled = growth_band(np.random.default_rng(1).permutation(returns))
    assert shuffled is not None
    width, free = (b["p95"][100] - b["p05"][100] for b in (band, shuffled))
    assert 0.0 < width < 0.5 * free


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1.5, 1.0) | st.just(math.nan), max_size=40), st.integers(1, 20))
def test_lines_are_in_order_begin_at_one_and_never_fall_below_nothing(returns: list[float], days: int) -> None:
    band = growth_band(np.array(returns, np.float64), days=days)
    known = [r for r in returns if not math.isnan(r)]
    if len(known) < LEAST_DAYS:
        assert band is None
        return
    assert band is not None and band["days"] == len(known)
    low, middle, high = (np.array(band[line]) for line in LINES)
    assert len(low) == days + 1 and low[0] == middle[0] == high[0] == 1.0
    assert (low <= middle).all() and (middle <= high).all() and (low >= 0.0).all()


def test_the_same_days_give_the_same_band_and_another_seed_another() -> None:
    returns = np.random.default_rng(0).normal(0.0, 0.01, 50)
    assert growth_band(returns, seed=1) == growth_band(returns, seed=1) != growth_band(returns, seed=2)
