"""Extremes, pivots and the finite exponential mean against pandas and naive loops."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.factors.extremes import bars_since_max, window_max, window_min
from toolkit.factors.finite_ewm import ewm_bars, finite_ewm
from toolkit.factors.pivots import nearest_above, pivot_highs
from toolkit.types import FloatArray

# Few distinct values, so that ties are the rule.
tied = st.lists(st.integers(1, 6), max_size=80).map(lambda v: np.array(v, dtype=np.float64))


@settings(max_examples=150, deadline=None)
@given(x=tied, window=st.integers(1, 90))
def test_max_and_min_equal_pandas(x, window):
    rolled = pd.Series(x, dtype=np.float64).rolling(window)
    np.testing.assert_array_equal(window_max(x, window), rolled.max().to_numpy())
    np.testing.assert_array_equal(window_min(x, window), rolled.min().to_numpy())


@settings(max_examples=150, deadline=None)
@given(x=tied, window=st.integers(1, 90))
def test_bars_since_the_latest_of_equal_maxima(x, window):
    got = bars_since_max(x, window)
    for t in range(len(x)):
        if t < window - 1:
            assert np.isnan(got[t])
        else:
            newest_first = x[t - window + 1 : t + 1][::-1]
            assert got[t] == int(np.argmax(newest_first))


@settings(max_examples=150, deadline=None)
@given(
    x=tied, left=st.integers(1, 5), right=st.integers(1, 5), window=st.integers(1, 40), shift=st.floats(-2, 2)
)  # fmt: skip
def test_nearest_pivot_above_equals_a_scan_of_the_window(x, left, right, window, shift):
    pivots = pivot_highs(x, left, right)
    for p in range(len(x)):
        inside = left <= p < len(x) - right
        assert pivots[p] == (inside and x[p] > x[p - left : p].max() and x[p] >= x[p + 1 : p + right + 1].max())
    close = x + shift
    got = nearest_above(x, pivots, close, right, window)
    for t in range(len(x)):
        confirmed = range(max(0, t - window + 1 - right), t - right + 1)
        above = [x[p] for p in confirmed if pivots[p] and x[p] > close[t]]
        assert got[t] == min(above) if above else np.isnan(got[t])


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(0, 3000), window=st.integers(1, 30))
def test_finite_ewm_is_pandas_ewm_of_its_last_bars(seed, n, window):
    rng = np.random.default_rng(seed)
    x = 1e5 + np.cumsum(rng.normal(0, 1e-3, n))
    length = ewm_bars(window)
    got = finite_ewm(x, window, length)
    assert np.isnan(got[: length - 1]).all()
    for t in rng.integers(length - 1, n, 5) if n >= length else []:
        tail: FloatArray = x[t - length + 1 : t + 1]
        # pandas weighs with adjust=True exactly so when the series begins with the first of these bars.
        want = pd.Series(tail - 1e5).ewm(span=window, adjust=True).mean().iloc[-1] + 1e5
        np.testing.assert_allclose(got[t], want, rtol=0, atol=3e-11)


def test_finite_ewm_of_a_constant_is_the_constant():
    x = np.full(200, 0.1)
    assert (finite_ewm(x, 10, 40)[39:] == 0.1).all()


def test_what_the_finite_form_leaves_out_is_small():
    x = np.cumsum(np.random.default_rng(5).normal(0, 1, 5000))
    endless = pd.Series(x).ewm(span=50, adjust=False).mean().to_numpy()
    got = finite_ewm(x, 50, ewm_bars(50))
    assert np.nanmax(np.abs(got - endless)[1000:]) < 0.02 * np.std(x)
