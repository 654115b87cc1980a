"""Cleaning: fitted on the training part, each value by itself."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toolkit.models.cleaning import cleaning_from, fit_cleaning

VALUES = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([np.nan, np.inf, -np.inf]))


def table(n: int = 400) -> np.ndarray:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((n, 3)) * [1.0, 100.0, 0.001] + [0.0, 5.0, -3.0]
    x[::7, 1] = np.nan
    return x


def test_values_are_clipped_imputed_and_scaled() -> None:
    x = table()
    cleaning = fit_cleaning(x, clip=0.01, indicators=True)
    done = cleaning.clean(x)
    assert done.shape == (400, 4)
    assert cleaning.names(("a", "b", "c")) == ("a", "b", "c", "missing b")
    assert np.array_equal(done[:, 3], np.isnan(x[:, 1]).astype(float))
    np.testing.assert_allclose(done[:, :3].mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(done[:, :3].std(axis=0), 1.0, atol=1e-9)
    low, high = np.nanquantile(x, [0.01, 0.99], axis=0)
    far = cleaning.clean(np.array([[1e9, 1e9, 1e9], [-1e9, -1e9, -1e9]]))
    edges = cleaning.clean(np.array([high, low]))
    assert np.array_equal(far, edges)
    filled = cleaning.clean(np.full((1, 3), np.nan))[0, :3]
    np.testing.assert_array_equal(filled, cleaning.clean(np.nanmedian(x, axis=0)[None])[0, :3])


def test_missing_values_stay_where_the_model_takes_them() -> None:
    x = table()
    done = fit_cleaning(x, clip=0.0, impute=False, scale=False, indicators=False).clean(x)
    assert np.array_equal(done, x, equal_nan=True)


def test_a_column_of_one_value_is_not_divided_by_nothing() -> None:
    x = np.column_stack([np.ones(20), np.arange(20.0)])
    assert np.isfinite(fit_cleaning(x, clip=0.005, indicators=False).clean(x)).all()


@given(arrays(np.float64, (7, 3), elements=VALUES))
def test_a_row_is_cleaned_the_same_alone_and_all_of_it_is_finite(x: np.ndarray) -> None:
    cleaning = fit_cleaning(table(), clip=0.005, indicators=True)
    done = cleaning.clean(x)
    assert np.isfinite(done).all()
    assert np.array_equal(done, np.concatenate([cleaning.clean(x[k : k + 1]) for k in range(len(x))]))


def test_it_survives_json_to_the_bit() -> None:
    for impute in (True, False):
        cleaning = fit_cleaning(table(), clip=0.005, impute=impute, scale=impute, indicators=True)
        again = cleaning_from(json.loads(json.dumps(cleaning.table(), allow_nan=False)))
        assert np.array_equal(cleaning.clean(table()), again.clean(table()), equal_nan=True)
