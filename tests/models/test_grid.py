"""Trials of a grid: every point once, ways of learning shared, and what cannot be a recipe refused."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import InputError
from toolkit.models.grid import APPLYING, SMALL, read_grid, space_of
from toolkit.models.recipe import Recipe

AXES: dict[str, Any] = {
    "backend": ["constant", "logistic"],
    "selection": ["none", "mutual_information"],
    "keep": [5, 10],
    "fitness": ["sortino", "sharpe"],
    "method": ["veto", "kelly", "rank"],
}


def test_the_small_grid_is_small() -> None:
    space = space_of(SMALL, Recipe())
    assert len(space.learning) == 6
    # Kelly and rank choose nothing by a fitness, so each is one trial a way of learning.
    assert len(space.trials) == 6 * (2 * 2 + 2)
    assert [trial.number for trial in space.trials] == list(range(len(space.trials)))


@given(st.sets(st.sampled_from(sorted(AXES)), min_size=1))
def test_trials_of_one_way_differ_only_in_how_they_are_applied(names: set[str]) -> None:
    space = space_of({name: AXES[name] for name in names}, Recipe())
    tables = [trial.recipe.table() for trial in space.trials]
    assert len({str(table) for table in tables}) == len(tables)
    for trial, table in zip(space.trials, tables, strict=True):
        way = space.learning[trial.learning].table()
        assert {k: v for k, v in table.items() if k not in APPLYING} == {
            k: v for k, v in way.items() if k not in APPLYING
        }


def test_a_budget_draws_ways_of_learning_with_their_trials() -> None:
    whole = space_of(AXES, Recipe())
    some = space_of(AXES, Recipe(), budget=3, seed=4)
    assert (len(whole.learning), len(some.learning)) == (8, 3)
    assert some == space_of(AXES, Recipe(), budget=3, seed=4)
    assert some.learning != space_of(AXES, Recipe(), budget=3, seed=5).learning
    assert len(some.trials) == 3 * len(whole.trials) // 8
    assert space_of(AXES, Recipe(), budget=100).learning == whole.learning


def test_blocks_are_laid_over_the_axes_beside_them(tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    file.write_text(
        'method = ["veto", "quantile"]\n[[grid]]\nbackend = "logistic"\n[[grid]]\nbackend = ["lightgbm"]\n'
        'features = [["rsi(14)"], ["rsi(14)", "side"]]\nsettings = [{leaves = 7}, {leaves = 15}]\n'
    )
    space = space_of(read_grid(file), Recipe())
    assert [recipe.backend for recipe in space.learning] == ["logistic", *["lightgbm"] * 4]
    assert {recipe.features for recipe in space.learning[1:]} == {("rsi(14)",), ("rsi(14)", "side")}
    assert {recipe.settings["leaves"] for recipe in space.learning[1:]} == {7, 15}
    assert len(space.trials) == 10


def test_settings_of_the_base_are_for_its_own_backend_and_method() -> None:
    base = Recipe("lightgbm", {"leaves": 7}, method="kelly", options={"cap": 0.5})
    space = space_of({"backend": ["lightgbm", "logistic"], "method": ["kelly", "veto"]}, base)
    found = {(one.recipe.backend, one.recipe.method): one.recipe for one in space.trials}
    assert dict(found["lightgbm", "kelly"].settings) == {"leaves": 7}
    assert dict(found["lightgbm", "kelly"].options) == {"cap": 0.5}
    assert not found["logistic", "veto"].settings and not found["logistic", "veto"].options


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ({}, "at least one axis"),
        ({"backend": []}, "axis `backend` of a grid must have at least one value"),
        ({"backends": ["logistic"]}, "unknown axis of a grid 'backends': did you mean 'backend'"),
        ({"seed": [1, 2]}, "unknown axis of a grid 'seed'"),
        ({"backend": ["logistik"]}, "trial backend = 'logistik': .*did you mean 'logistic'"),
        ({"selection": ["none", "luck"]}, "trial selection = 'luck'"),
        ({"grid": {}}, "must be a list of tables"),
        ({"method": ["veto"], "options": [{"cap": 0.5}]}, "unknown option of veto 'cap'"),
    ],
)
def test_what_is_no_grid_is_refused(grid: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        space_of(grid, Recipe())


@pytest.mark.parametrize("budget", [0, True, 1.5])
def test_a_budget_is_a_whole_number(budget: Any) -> None:
    with pytest.raises(InputError, match="`budget` must be a whole number of at least 1"):
        space_of(AXES, Recipe(), budget=budget)
