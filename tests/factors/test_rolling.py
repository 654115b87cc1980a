"""Sliding sums: exact against fractions where cancellation is worst, pandas as twin, anchored whatever the start."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.factors.rolling import window_correlation, window_fit, window_moments, window_sum
from toolkit.types import FloatArray

EPS = float(np.finfo(np.float64).eps)


@st.composite
def hostile_series(draw: st.DrawFn) -> FloatArray:
    """A level with tiny variations, ties, spikes and NaNs: what breaks sums of squares."""
    level = draw(st.sampled_from([0.0, 1e-5, 1.0, 1e5]))
    wobble = draw(st.sampled_from([1e-9, 1e-4, 0.5])) * (level or 1.0)
    steps = draw(st.lists(st.integers(-3, 3), min_size=1, max_size=60))
    x = level + wobble * np.array(steps, dtype=np.float64)
    for at in draw(st.lists(st.integers(0, len(x) - 1), max_size=2)):
        x[at] += draw(st.sampled_from([1.0, 100.0])) * (level or 1.0)
    if draw(st.booleans()):
        x[draw(st.integers(0, len(x) - 1))] = np.nan
    return x


def windows(x: FloatArray, window: int) -> list[tuple[int, FloatArray]]:
    return [(t, x[t - window + 1 : t + 1]) for t in range(window - 1, len(x))]


@settings(max_examples=300, deadline=None)
@given(x=hostile_series(), window=st.integers(1, 20), first_bar=st.integers(-50, 10**7))
def test_mean_deviation_and_variance_equal_exact_fractions(x, window, first_bar):
    mean, deviation, variance = window_moments(x, window, first_bar)
    assert np.isnan(mean[: window - 1]).all()
    for t, values in windows(x, window):
        if np.isnan(values).any():
            assert np.isnan([mean[t], deviation[t], variance[t]]).all()
            continue
        exact = [Fraction(float(v)) for v in values]
        centre = sum(exact) / window
        spread = sum((v - centre) ** 2 for v in exact) / window
        largest = max(abs(v) for v in exact)
        assert abs(Fraction(float(mean[t])) - centre) <= 4 * EPS * largest
        assert abs(Fraction(float(variance[t])) - spread) <= 4 * window**1.5 * EPS * spread
        away = Fraction(float(deviation[t])) - (exact[-1] - centre)
        assert float(away) ** 2 <= (4 * window * EPS) ** 2 * float(spread)


@settings(max_examples=200, deadline=None)
@given(x=hostile_series(), window=st.integers(2, 20), first_bar=st.integers(0, 10**7))
def test_slope_and_fit_equal_exact_fractions(x, window, first_bar):
    slope, r_squared = window_fit(x, window, first_bar)
    positions = [Fraction(2 * j - window + 1, 2) for j in range(window)]
    sxx = sum(p * p for p in positions)
    for t, values in windows(x, window):
        if np.isnan(values).any():
            assert np.isnan([slope[t], r_squared[t]]).all()
            continue
        exact = [Fraction(float(v)) for v in values]
        centre = sum(exact) / window
        sxy = sum(p * (v - centre) for p, v in zip(positions, exact, strict=True))
        syy = sum((v - centre) ** 2 for v in exact)
        # A slope's error is measured against the steepest line that so much variation could make.
        assert abs(float(Fraction(float(slope[t])) - sxy / sxx)) <= 8 * window * EPS * float(syy / sxx) ** 0.5
        if syy == 0:
            assert slope[t] == 0.0
            assert np.isnan(r_squared[t])
        else:
            assert abs(float(Fraction(float(r_squared[t])) - sxy * sxy / (sxx * syy))) <= 16 * window * EPS
            assert 0.0 <= r_squared[t] <= 1.0


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), window=st.integers(1, 40), n=st.integers(0, 120), first_bar=st.integers(0, 10**7))
def test_sums_and_correlation_equal_pandas(seed, window, n, first_bar):
    rng = np.random.default_rng(seed)
    x, y = rng.exponential(3.0, n), rng.normal(0.0, 1e-3, n)
    x[rng.random(n) < 0.02] = np.nan
    rolled = pd.Series(x).rolling(window)
    np.testing.assert_allclose(window_sum(x, window, first_bar), rolled.sum().to_numpy(), rtol=1e-12)
    if window > 2:
        twin = rolled.corr(pd.Series(y)).to_numpy()
        np.testing.assert_allclose(window_correlation(x, y, window, first_bar), twin, rtol=1e-7, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(x=hostile_series(), window=st.integers(1, 12), cut=st.integers(0, 60), first_bar=st.integers(0, 10**6))
def test_sums_are_the_same_bits_wherever_the_series_is_cut(x, window, cut, first_bar):
    cut = min(cut, len(x) - 1)
    later = x[cut:].copy()
    for whole, part in zip(
        (window_sum(x, window, first_bar), *window_moments(x, window, first_bar)),
        (window_sum(later, window, first_bar + cut), *window_moments(later, window, first_bar + cut)),
        strict=True,
    ):
        np.testing.assert_array_equal(part[window - 1 :], whole[cut + window - 1 :])


@pytest.mark.parametrize("level", [1e-5, 0.1, 1e5])
def test_a_constant_stretch_after_wild_ones_has_no_variance_at_all(level):
    x = np.concatenate([level * np.random.default_rng(0).lognormal(0, 1, 500), np.full(100, level)])
    mean, deviation, variance = window_moments(x, 30, 12345)
    assert (variance[-70:] == 0.0).all()
    assert (deviation[-70:] == 0.0).all()
    assert (mean[-70:] == level).all()
    assert np.isnan(window_correlation(x, x, 30, 12345)[-70:]).all()


def test_a_long_window_centred_on_its_one_outlier_keeps_ten_digits():
    window = 500
    x = 1e5 + np.random.default_rng(1).normal(0, 1e-6, 3 * window)
    x[window] += 1e5
    variance = window_moments(x, window, 0)[2]
    for t in (window, window + 200, 2 * window - 1):
        exact = [Fraction(float(v)) for v in x[t - window + 1 : t + 1]]
        centre = sum(exact) / window
        spread = sum((v - centre) ** 2 for v in exact) / window
        assert abs(Fraction(float(variance[t])) - spread) <= 1e-10 * spread
