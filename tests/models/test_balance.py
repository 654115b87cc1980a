"""Unequal classes: what is learned from weighs the same on both sides."""

import numpy as np
import pytest

from toolkit.models.balance import BALANCES, balanced

Y = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
WEIGHT = np.linspace(0.5, 1.5, 8)


@pytest.mark.parametrize("how", sorted(BALANCES))
def test_rows_ascend_weights_have_a_mean_of_one_and_seeds_decide(how: str) -> None:
    found, again = balanced(Y, WEIGHT, how, 3), balanced(Y, WEIGHT, how, 3)
    assert (np.diff(found.rows) >= 0).all()
    assert found.weight.mean() == pytest.approx(1.0)
    assert np.array_equal(found.rows, again.rows) and np.array_equal(found.weight, again.weight)


def test_each_way_does_what_its_words_say() -> None:
    assert balanced(Y, WEIGHT, "none", 0).rows.tolist() == list(range(8))
    weighed = balanced(Y, WEIGHT, "weights", 0)
    assert weighed.weight[Y == 1.0].sum() == pytest.approx(weighed.weight[Y == 0.0].sum())
    under = balanced(Y, WEIGHT, "undersample", 0).rows
    assert sorted(Y[under].tolist()) == [0.0, 0.0, 1.0, 1.0]
    assert len(set(under.tolist())) == 4
    over = balanced(Y, WEIGHT, "oversample", 0).rows
    assert Y[over].sum() == 6 and len(over) == 12
    assert set(np.flatnonzero(Y == 0.0).tolist()) <= set(over.tolist())
