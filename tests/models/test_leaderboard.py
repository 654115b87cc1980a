"""Trials ranked: all groups together, the worthless last, and nothing learned is nothing changed."""

import numpy as np
import pytest

from toolkit.errors import RunError
from toolkit.models.fitness import sortino
from toolkit.models.grid import Space, space_of
from toolkit.models.leaderboard import best, failed_groups, leaderboard
from toolkit.models.parts import Part
from toolkit.models.recipe import Recipe
from toolkit.models.searching import before_ranked
from toolkit.models.tally import BEFORE, Tally

DAYS = 200
SPACE = space_of({"backend": ["constant", "logistic"], "method": ["veto", "rank"]}, Recipe("constant"))


def part(space: Space, learning: int, gains: dict[str, float], *, trades: int = 100, seed: int = 0) -> Part:
    """Days of a group under one way of learning: `gains` (a day) by method."""
    rng = np.random.default_rng(seed)
    before = rng.normal(0.0, 1.0, DAYS)
    daily = {BEFORE: before}
    counts = {BEFORE: 300}
    for trial in space.trials:
        if trial.learning != learning:
            continue
        if trial.recipe.method == "rank":
            daily[before_ranked(trial.recipe)] = before * 0.5
            counts[before_ranked(trial.recipe)] = 200
        base = before * 0.5 if trial.recipe.method == "rank" else before
        daily[str(trial.number)] = base + gains[trial.recipe.method]
        counts[str(trial.number)] = trades
    return Tally(19_000, daily, trades=counts, members=2, rows=50).part()


def test_trials_are_ranked_by_the_gain_of_all_groups_together() -> None:
    found = {
        (0, "a"): part(SPACE, 0, {"veto": 0.0, "rank": 0.1}, seed=1),
        (0, "b"): part(SPACE, 0, {"veto": 0.0, "rank": 0.1}, seed=2),
        (1, "a"): part(SPACE, 1, {"veto": 0.3, "rank": 0.0}, seed=1),
        (1, "b"): part(SPACE, 1, {"veto": 0.3, "rank": 0.0}, seed=2),
    }
    board = leaderboard(SPACE, found)
    assert board["method"].to_list()[:2] == ["veto", "rank"]
    assert board["backend"].to_list()[:2] == ["logistic", "constant"]
    first = board.row(0, named=True)
    before = sum(Tally.of(found[1, name]).daily[BEFORE] for name in "ab")
    assert first["sortino_before"] == pytest.approx(float(sortino(np.asarray(before))))
    assert first["score"] == pytest.approx(first["sortino_after"] - first["sortino_before"])
    assert (first["trades_before"], first["trades_after"], first["error"]) == (600, 200, "")
    assert best(SPACE, board).recipe.backend == "logistic"
    assert board.filter(method="rank")["trades_before"].to_list() == [400, 400]


def test_a_group_without_a_model_trades_as_before() -> None:
    found = {
        (0, "a"): part(SPACE, 0, {"veto": 0.1, "rank": 0.1}, seed=1),
        (1, "a"): Part(error="a, logistic: one class only"),
    }
    board = leaderboard(SPACE, found)
    failed = board.filter(backend="logistic")
    assert failed["score"].to_list() == [0.0, 0.0]
    assert failed["error"].to_list() == ["a, logistic: one class only"] * 2
    assert failed_groups(SPACE, found) == {}


def test_a_group_without_any_result_is_left_out_and_told() -> None:
    found = {
        (0, "a"): part(SPACE, 0, {"veto": 0.1, "rank": 0.1}),
        (1, "a"): part(SPACE, 1, {"veto": 0.1, "rank": 0.1}),
        (0, "b"): Part(error="b: no bars"),
        (1, "b"): Part(error="b: no bars at all"),
    }
    assert leaderboard(SPACE, found)["trades_before"].to_list()[0] in (200, 300)
    assert failed_groups(SPACE, found) == {"b": "b: no bars"}
    with pytest.raises(RunError, match="b: no bars"):
        leaderboard(SPACE, {key: one for key, one in found.items() if key[1] == "b"})


def test_few_trades_come_last_and_win_nothing() -> None:
    few = {
        (0, "a"): part(SPACE, 0, {"veto": 0.9, "rank": 0.9}, trades=10),
        (1, "a"): part(SPACE, 1, {"veto": 0.1, "rank": 0.05}, trades=40),
    }
    board = leaderboard(SPACE, few)
    assert board["backend"].to_list() == ["logistic", "logistic", "constant", "constant"]
    none = {key: part(SPACE, key[0], {"veto": 0.9, "rank": 0.9}, trades=10) for key in few}
    with pytest.raises(RunError, match=r"none of 4 ways has a defined score and 30 trades .*the most are 10"):
        best(SPACE, leaderboard(SPACE, none))
