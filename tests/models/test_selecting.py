"""Feature selection: what tells something is kept, and the choice depends on nothing but rows and seed."""

import numpy as np
import pytest

from toolkit.models.backends.base import TrainingSet
from toolkit.models.selecting import SELECTIONS, select


def rows(n: int = 500) -> TrainingSet:
    """Columns 2 and 5 of eight tell something."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((n, 8))
    y = (1.5 * x[:, 2] - 1.5 * x[:, 5] + rng.standard_normal(n) > 0.0).astype(np.float64)
    return TrainingSet(tuple("abcdefgh"), x, y, np.ones(n))


@pytest.mark.parametrize("how", sorted(set(SELECTIONS) - {"none"}))
def test_what_tells_something_is_found_and_equal_seeds_agree(how: str) -> None:
    data = rows()
    found = select(data, how, 2, seed=1)
    assert found.tolist() == [2, 5]
    assert np.array_equal(select(data, how, 3, seed=1), select(data, how, 3, seed=1))
    assert {2, 5} <= set(select(data, how, 3, seed=1).tolist())


def test_how_many_are_kept() -> None:
    data = rows(100)
    assert select(data, "none", 2, seed=0).tolist() == list(range(8))
    assert len(select(data, "mutual_information", None, seed=0)) == 2
    assert len(select(data, "mutual_information", 99, seed=0)) == 8
