"""Weights over time."""

import numpy as np
import pytest

from toolkit.errors import InputError
from toolkit.portfolio.schedule import WeightSchedule


def test_static_weights_hold_always_and_what_is_not_named_is_off() -> None:
    schedule = WeightSchedule.static({"a": 0.6}, ["a", "b"])
    assert schedule.at(0) == schedule.at(2**60) == {"a": 0.6, "b": 0.0}
    assert schedule.largest_sum == 0.6


def test_a_row_holds_from_its_moment_on() -> None:
    schedule = WeightSchedule(("a", "b"), np.array([100, 200]), np.array([[0.5, 0.5], [1.0, 0.0]]))
    assert schedule.at(99) == {"a": 0.0, "b": 0.0}
    assert schedule.at(100) == schedule.at(199) == {"a": 0.5, "b": 0.5}
    assert schedule.at(200) == {"a": 1.0, "b": 0.0}
    assert schedule.of(["b", "c", "a"]).at(200) == {"b": 0.0, "c": 0.0, "a": 1.0}


@pytest.mark.parametrize(
    ("effective", "weights", "sentence"),
    [
        ([100], [[0.5]], r"must be float64\[1, 2\]"),
        ([200, 100], [[0.5, 0.5], [1.0, 0.0]], "must ascend"),
        ([100], [[-0.5, 0.5]], "finite and not negative"),
        ([100], [[np.nan, 0.5]], "finite and not negative"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(
    effective: list[int], weights: list[list[float]], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        WeightSchedule(("a", "b"), np.array(effective), np.array(weights))


def test_weights_of_an_instance_that_is_not_there_are_refused() -> None:
    with pytest.raises(InputError, match="is not among"):
        WeightSchedule.static({"z": 1.0}, ["z"]).of(["a"])
