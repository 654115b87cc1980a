"""Groups judged in pieces are judged as in one."""

from pathlib import Path

import numpy as np
import pytest

from tests.models.stored_case import FEATURES, make_data, members
from toolkit.models import evaluating
from toolkit.models.batches import Loading
from toolkit.models.evaluating import Joined, evaluate_groups, joined, pieces_of
from toolkit.models.evaluation import Proof
from toolkit.models.groups import grouped
from toolkit.models.parts import Part
from toolkit.models.recipe import Recipe
from toolkit.models.stored import stored_span
from toolkit.models.tally import BEFORE, Tally


def piece(first: int, count: int) -> Part:
    permuted = {"veto": np.arange(first, first + count, dtype=float)[:, None] + np.zeros(4)}
    part = Tally(7, {BEFORE: np.zeros(4), "veto": np.ones(4)}, permuted, rows=first, facts={"k": first}).part()
    return Part({**part.facts, "data": [first]}, part.arrays)


def test_pieces_hold_every_permutation_once() -> None:
    assert pieces_of(0) == [(0, 0)] and pieces_of(25) == [(0, 25)]
    assert pieces_of(99) == [(0, 25), (25, 25), (50, 25), (75, 24)]


def test_a_joined_part_has_the_permutations_of_all_pieces_and_the_first_failure() -> None:
    whole = Tally.of(joined([piece(0, 2), piece(2, 2), piece(4, 1)]))
    assert whole.permuted["veto"][:, 0].tolist() == [0, 1, 2, 3, 4]
    assert (whole.rows, whole.facts) == (0, {"k": 0})
    assert joined([piece(0, 2), Part(error="died"), Part(error="later")]).error == "died"
    both = Joined([piece(0, 1), piece(1, 1), piece(10, 1), Part(error="died")], 2)
    assert [part.error for part in both] == ["", "died"] and len(both) == 2
    assert both[0].facts["data"] == [0] and [part.error for part in both[1:]] == ["died"]


def test_pieces_make_what_one_makes(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_data(tmp_path_factory.mktemp("data"))
    db = folder / "bars.duckdb"
    mine = members()[:2]
    loading = Loading(*stored_span(mine, db), db)
    proof = Proof(("veto", "rank"), folds=2, permutations=3, seed=5)
    recipe = Recipe("logistic", features=FEATURES)
    (whole,) = evaluate_groups(grouped(mine), recipe, proof, loading, tmp_path / "one", jobs=1)
    monkeypatch.setattr(evaluating, "PIECE", 2)
    (pieced,) = evaluate_groups(grouped(mine), recipe, proof, loading, tmp_path / "two", jobs=2)
    assert len(list((tmp_path / "two").glob("*.npz"))) == 2
    assert whole.error == pieced.error == "" and whole.facts == pieced.facts
    assert set(whole.arrays) == set(pieced.arrays)
    for name, values in whole.arrays.items():
        assert np.array_equal(values, pieced.arrays[name]), name
