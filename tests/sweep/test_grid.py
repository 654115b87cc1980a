"""Axes and spaces: what ranges hold, that samples follow their seed, and what is refused."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import InputError
from toolkit.sweep.grid import Axis, Sample, Space, parse_axis


@pytest.mark.parametrize(
    ("written", "values"),
    [
        (7, (7,)),
        ("2atr(14)", ("2atr(14)",)),
        (None, (None,)),
        ([10, 20, 30], (10, 20, 30)),
        ([0.02, "signal", "2%"], (0.02, "signal", "2%")),
        ({"from": 10, "to": 50, "step": 20}, (10, 30, 50)),
        ({"from": 10, "to": 55, "step": 20}, (10, 30, 50)),
        ({"from": 0.1, "to": 0.5, "step": 0.1}, (0.1, 0.2, 0.3, 0.4, 0.5)),
        ({"from": 0, "to": 1, "num": 5}, (0.0, 0.25, 0.5, 0.75, 1.0)),
        ({"from": 1, "to": 1000, "num": 4, "log": True}, (1.0, 10.0, 100.0, 1000.0)),
        ({"from": 1, "to": 3, "step": 1, "form": "{}h"}, ("1h", "2h", "3h")),
        ({"from": 1, "to": 2, "step": 0.5, "form": "{}atr(14)"}, ("1atr(14)", "1.5atr(14)", "2atr(14)")),
    ],
)
def test_axis_holds_what_is_written(written: Any, values: tuple[Any, ...]) -> None:
    assert parse_axis("x", written).values == values


def test_whole_parameters_get_whole_numbers_once() -> None:
    axis = parse_axis("window", {"from": 1, "to": 4, "num": 9}, integer=True)
    assert axis.values == (1, 2, 3, 4)
    assert all(type(v) is int for v in axis.values)


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ([], "no values"),
        ([1, 2, 1], "twice"),
        ({"from": 1, "to": 0, "step": 1}, "at or below"),
        ({"from": 1, "to": 2, "step": 0}, "above 0"),
        ({"from": 1, "to": 2, "step": -1}, "above 0"),
        ({"from": 1, "to": 2, "step": 1, "num": 3}, "not both"),
        ({"from": 0, "to": 2, "num": 3, "log": True}, "above 0"),
        ({"from": 1, "to": 2, "step": 1, "log": True}, "takes `num`"),
        ({"from": 1, "to": 2, "num": 0}, "from 1"),
        ({"from": 1, "stop": 2}, "did you mean"),
        ({"from": 1}, "needs a number for `to`"),
        ({"from": "1h", "to": "4h", "step": "1h"}, "form"),
        ({"from": 0, "to": 1, "step": 1e-9}, "at most"),
        ({"from": 1, "to": 2, "step": 1, "form": "h"}, "{}"),
        ({"from": 1, "to": 2, "num": 2, "log": "x"}, "`log` of 'x' must be true or false, was 'x'"),
    ],
)
def test_bad_axis_is_refused_by_name(written: Any, part: str) -> None:
    with pytest.raises(InputError, match=r"'x'|`x`") as error:
        parse_axis("x", written)
    assert part in str(error.value)


@given(st.lists(st.integers(1, 5), min_size=0, max_size=4), st.data())
def test_grid_is_the_product_in_order(sizes: list[int], data: st.DataObject) -> None:
    axes = tuple(Axis(f"a{k}", tuple(range(n))) for k, n in enumerate(sizes))
    space = Space(axes)
    whole = list(product(*(a.values for a in axes)))
    assert len(space) == len(whole)
    assert [tuple(space.point(i).values()) for i in range(len(space))] == whole
    first = data.draw(st.integers(0, len(whole) - 1))
    part = space.codes(np.arange(first, len(whole)))
    assert [tuple(int(c) for c in row) for row in part] == whole[first:]


def test_a_range_without_step_needs_a_sample() -> None:
    axis = parse_axis("x", {"from": 1.0, "to": 2.0})
    with pytest.raises(InputError, match="sample"):
        Space((axis,))
    assert len(Space((axis,), Sample("lhs", 5))) == 5


AXES = (
    parse_axis("window", {"from": 10, "to": 500}),
    parse_axis("stop", {"from": 0.001, "to": 0.1, "log": True}),
    parse_axis("kind", ["a", "b", "c"]),
)


@pytest.mark.parametrize("method", ["random", "lhs"])
def test_sample_follows_its_seed(method: str) -> None:
    points = [[Space(AXES, Sample(method, 50, seed)).point(i) for i in range(50)] for seed in (1, 1, 2)]
    assert points[0] == points[1] != points[2]
    for point in points[0]:
        assert 10 <= point["window"] <= 500
        assert type(point["window"]) is int
        assert 0.001 <= point["stop"] <= 0.1
        assert point["kind"] in "abc"


def test_latin_hypercube_covers_every_axis_evenly() -> None:
    space = Space((parse_axis("u", {"from": 0.0, "to": 1.0}), parse_axis("k", list(range(10)))), Sample("lhs", 40, 3))
    codes = space.codes(np.arange(40))
    assert sorted(np.floor(codes[:, 0] * 40).astype(int)) == list(range(40))
    assert np.bincount(codes[:, 1].astype(int)).tolist() == [4] * 10


def test_random_sample_of_a_grid_has_no_point_twice_and_is_never_larger() -> None:
    axes = (Axis("a", tuple(range(7))), Axis("b", tuple(range(5))))
    drawn = Space(axes, Sample("random", 20, 4))
    points = [tuple(drawn.point(i).values()) for i in range(len(drawn))]
    assert len(set(points)) == len(points) == 20
    assert len(Space(axes, Sample("random", 1000, 4))) == 35


def test_sampled_points_that_fall_together_are_kept_once() -> None:
    space = Space((parse_axis("n", {"from": 1, "to": 3}),), Sample("lhs", 300, 0))
    assert sorted(space.point(i)["n"] for i in range(len(space))) == [1, 2, 3]


@given(st.floats(0.0, 1.0, exclude_max=True))
def test_codes_stay_inside(u: float) -> None:
    for axis in (*AXES, parse_axis("n", {"from": 2, "to": 9, "log": True})):
        code = float(axis.codes(np.array([u]))[0])
        if axis.finite:
            assert code in range(len(axis.values))
        else:
            assert axis.low <= code <= axis.high * (1 + 1e-12)


@pytest.mark.parametrize(("method", "n", "seed"), [("sobol", 5, 0), ("lhs", 0, 0), ("lhs", 5, -1), ("lhs", True, 0)])
def test_bad_sample_is_refused(method: str, n: int, seed: int) -> None:
    with pytest.raises(InputError):
        Sample(method, n, seed)
