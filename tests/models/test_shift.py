"""PSI and KS beside scipy and plain counting, and what chance makes of them."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import ks_2samp

from toolkit.models.shift import BINS, POINTS, ks_chance, ks_distance, shift, sketch, sketch_from
from toolkit.types import FloatArray

some = st.one_of(
    arrays(np.float64, st.integers(1, 80), elements=st.floats(-1e5, 1e5)),
    arrays(np.float64, st.integers(1, 80), elements=st.sampled_from([-1.0, 0.0, 1.0, 2.5, np.nan, np.inf])),
)


@given(some, some)
def test_the_distance_is_that_of_scipy(a: FloatArray, b: FloatArray) -> None:
    there = [one[np.isfinite(one)] for one in (a, b)]
    if not len(there[0]) or not len(there[1]):
        assert np.isnan(ks_distance(a, b))
        return
    # Of one row each scipy divides by nothing on the way to its probability.
    with np.errstate(divide="ignore"):
        assert ks_distance(a, b) == pytest.approx(ks_2samp(*there, method="asymp").statistic, abs=1e-12)


@given(some, some)
def test_a_sketch_of_few_values_is_exact_and_one_of_many_is_never_above(a: FloatArray, b: FloatArray) -> None:
    exact, found = ks_distance(a, b), shift(sketch(a), b)
    if np.isnan(exact):
        assert np.isnan(found.ks)
        return
    assert found.ks <= exact + 1e-9
    if set(b[np.isfinite(b)].tolist()) <= set(sketch(a).points.tolist()):
        assert found.ks == pytest.approx(exact, abs=1e-12)


@given(some)
def test_nothing_is_as_far_from_itself_as_chance_would_have_it(a: FloatArray) -> None:
    found = shift(sketch(a), a)
    assert found.psi == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(found.ks) or found.ks < 1e-8
    assert found.missing == found.missing_before == pytest.approx(np.mean(~np.isfinite(a)))


@given(some, some)
def test_what_a_bundle_keeps_says_the_same(a: FloatArray, b: FloatArray) -> None:
    before = sketch(a)
    again = sketch_from(json.loads(json.dumps(before.table(), allow_nan=False)))
    assert len(again.points) <= POINTS
    assert shift(again, b) == pytest.approx(tuple(shift(before, b)), abs=1e-6, nan_ok=True)


def by_counting(a: FloatArray, b: FloatArray, edges: list[float]) -> float:
    """PSI over `(-inf, e0], ..., (en, inf)`, bins that are empty in both left out."""
    ends = [-np.inf, *edges, np.inf]
    counts = [[((x > lo) & (x <= hi)).sum() for lo, hi in pairwise(ends)] for x in (a, b)]
    there = [k for k in range(len(edges) + 1) if counts[0][k] or counts[1][k]]
    p, q = (np.array([(one[k] + 0.5) / (sum(one) + 0.5 * len(there)) for k in there]) for one in counts)
    return float(sum((q - p) * np.log(q / p)))


def test_the_index_is_counted_over_deciles_of_the_first_sample() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=1_000), rng.normal(0.4, 1.3, size=300)
    deciles = np.sort(a)[[99, 199, 299, 399, 499, 599, 699, 799, 899]]
    assert shift(sketch(a), b).psi == pytest.approx(by_counting(a, b, deciles.tolist()), rel=0.02)


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1), st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, 9.0])))
def test_few_values_are_bins_of_their_own_with_room_for_new_ones(a: list[float], b: list[float]) -> None:
    edges = [np.nextafter(min(a), -np.inf), *sorted(set(a))]
    found = shift(sketch(np.array(a)), np.array(b))
    if b:
        assert found.psi == pytest.approx(by_counting(np.array(a), np.array(b), edges), abs=1e-9)
    else:
        assert np.isnan(found.psi)


def test_a_rare_side_that_becomes_the_common_one_is_seen() -> None:
    """Quantiles alone would not see a value that one row in twenty has."""
    for rare, common in ((-1.0, 1.0), (1.0, -1.0)):
        before = np.where(np.arange(400) % 20 == 0, rare, common)
        assert shift(sketch(before), np.full(100, rare)).psi > 2
    assert shift(sketch(np.full(100, 3.0)), np.full(100, 4.0)).psi > 2
    assert shift(sketch(np.full(100, 3.0)), np.full(100, 2.0)).psi > 2


def test_values_that_go_missing_are_a_shift() -> None:
    x = np.random.default_rng(0).normal(size=500)
    found = shift(sketch(x), np.where(np.arange(500) % 2 == 0, np.nan, x))
    assert found.psi > 0.5
    assert (found.missing_before, found.missing) == (0.0, 0.5)
    gone = shift(sketch(x), np.full(50, np.nan))
    assert gone.psi > 2
    assert np.isnan(gone.ks)
    never = shift(sketch(np.full(50, np.nan)), x)
    assert never.psi > 2
    assert np.isnan(never.ks_p)


def test_without_rows_nothing_is_said() -> None:
    empty, x = np.empty(0), np.arange(50.0)
    for found in (shift(sketch(empty), x), shift(sketch(x), empty), shift(sketch(empty), empty)):
        assert np.isnan([found.psi, found.ks, found.ks_p]).all()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_chance_is_what_it_says(seed: int) -> None:
    """Of samples of the same distribution about one in twenty lies beyond it."""
    rng, beyond, unlikely = np.random.default_rng(seed), 0, 0
    for _ in range(200):
        found = shift(sketch(rng.normal(size=300)), rng.normal(size=80))
        beyond += found.psi > found.psi_chance
        unlikely += found.ks_p < 0.05
    assert beyond <= 25
    assert unlikely <= 25


def test_the_probability_of_a_distance_is_scipys() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=400), rng.normal(0.1, size=300)
    found = ks_2samp(a, b, method="asymp")
    assert ks_chance(float(found.statistic), 400, 300) == pytest.approx(found.pvalue, rel=0.15)
    assert np.isnan(ks_chance(np.nan, 0, 5))
    assert BINS < POINTS
