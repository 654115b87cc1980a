"""`fit`: everything is fitted on the rows that it is given, and what cannot be learned from is one sentence."""

from dataclasses import replace

import numpy as np
import pytest

from toolkit.errors import InputError
from toolkit.models.backends.choices import BACKENDS
from toolkit.models.dataset import ROW, Dataset
from toolkit.models.fitting import fit
from toolkit.models.recipe import Recipe

NAMES = ("a", "b", "c", "one value", "never there")


def data(n: int = 240, seed: int = 1) -> Dataset:
    """The first column tells something; the fourth is constant, the fifth missing."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, len(NAMES)))
    x[:, 3], x[:, 4] = 1.0, np.nan
    x[::9, 1] = np.nan
    y = (x[:, 0] + 0.7 * rng.standard_normal(n) > 0.0).astype(np.float64)
    rows = np.zeros(n, ROW)
    rows["ts"] = np.arange(n)
    return Dataset(NAMES, x, rows, ("m",), ("s",), "win", y, np.ones(n), {})


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_every_backend_learns_from_raw_rows(name: str) -> None:
    made = fit(data(), Recipe(backend=name))
    assert made.chosen.tolist() == [0, 1, 2]
    fresh = data(seed=8)
    p = made.predict(fresh.x)
    assert np.isfinite(p).all()
    assert np.array_equal(p, np.array([made.predict(row[None])[0] for row in fresh.x]))
    if name != "constant":
        assert p[fresh.y == 1.0].mean() > p[fresh.y == 0.0].mean() + 0.2
    # Missing, infinite and unheard-of values are values too.
    odd = np.array([[np.nan] * 5, [np.inf] * 5, [-1e300] * 5])
    assert ((made.predict(odd) >= 0) & (made.predict(odd) <= 1)).all()
    assert made.facts["backend"] == name and made.facts["rows"] == 240
    assert made.facts["dataset"] == data().fingerprint


@pytest.mark.parametrize("balance", ["weights", "undersample", "oversample"])
def test_balance_and_selection_are_inside(balance: str) -> None:
    few = data(400)
    few = few.take((few.y == 0.0) | (np.arange(400) % 5 == 0))
    plain = fit(few, Recipe(backend="logistic")).predict(few.x).mean()
    made = fit(few, Recipe(backend="logistic", balance=balance, selection="mutual_information", keep=1))
    assert made.chosen.tolist() == [0]
    assert made.predict(few.x).mean() > plain + 0.1


def test_nothing_outside_of_the_rows_is_looked_at() -> None:
    whole = data()
    part = whole.take(np.arange(200))
    other = replace(whole, x=np.concatenate([whole.x[:200], whole.x[200:] * 1e6])).take(np.arange(200))
    recipe = Recipe(backend="logistic", selection="stability", keep=2, indicators=True)
    a, b = fit(part, recipe), fit(other, recipe)
    assert np.array_equal(a.predict(whole.x), b.predict(whole.x))


def test_what_cannot_be_learned_from_is_one_sentence() -> None:
    whole = data()
    with pytest.raises(InputError, match=r"needs at least 50 entry signals .* there are 10; take a longer period"):
        fit(whole.take(np.arange(10)), Recipe())
    with pytest.raises(InputError, match=r"all \d+ entry signals were worth taking by the label 'win'"):
        fit(whole.take(whole.y == 1.0), Recipe(min_trades=5))
    with pytest.raises(InputError, match=r"none of the 5 features has two different values in these 240 rows"):
        fit(replace(whole, x=np.full_like(whole.x, np.nan)), Recipe())
