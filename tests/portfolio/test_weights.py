"""Weights against closed forms and solvers of other makes; caps that hold exactly; what cannot be weighed says so."""

import math
from itertools import permutations
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from tests.portfolio.records import record
from toolkit.analysis.frames import TIME
from toolkit.bars.intervals import DAY_MS
from toolkit.errors import InputError, UnknownNameError
from toolkit.portfolio.schedule import check_weights
from toolkit.portfolio.track import track_from_trades
from toolkit.portfolio.weights import METHODS, Caps, weigh, weighing
from toolkit.portfolio.weights_caps import capped, largest_total

RISKY = ("inverse_volatility", "hrp", "min_variance", "max_sharpe", "cvar")
Array = np.ndarray[Any, Any]


def some_returns(n: int = 5, days: int = 120, seed: int = 7) -> Array:
    """Correlated returns of different risk, all with a profit."""
    random = np.random.default_rng(seed)
    common = random.normal(0.0, 0.01, (days, 1))
    returns = common + random.normal(0.002, 0.01, (days, n)) * np.linspace(0.5, 2.0, n)
    return returns - returns.mean(axis=0) + np.linspace(0.001, 0.002, n)


def values(weights: dict[str, float]) -> Array:
    return np.array(list(weights.values()))


@pytest.mark.parametrize("method", METHODS)
def test_weights_are_shares_of_the_whole(method: str) -> None:
    weights = values(weigh(record(some_returns()), method))
    assert (weights >= 0.0).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_columns_does_not_matter(method: str) -> None:
    returns, names = some_returns(4), ["d", "b", "a", "c"]
    first = weigh(record(returns, names), method, Caps(instance=0.4))
    for order in list(permutations(range(4)))[1::5]:
        other = weigh(record(returns[:, order], [names[k] for k in order]), method, Caps(instance=0.4))
        assert other == first
        assert list(other) == [names[k] for k in order]


@pytest.mark.parametrize("method", RISKY)
def test_the_unit_of_returns_does_not_matter(method: str) -> None:
    returns = some_returns(4)
    first, other = weigh(record(returns), method), weigh(record(returns * 1e-4), method)
    assert values(other) == pytest.approx(values(first), abs=1e-6)


def test_equal_shares_equally_and_winners_share_what_losers_do_not_get() -> None:
    returns = np.array([[0.1, -0.2, 0.0, 0.3], [0.1, 0.1, 0.01, -0.3]])
    assert weigh(record(returns), "equal") == {f"i0{k}": 0.25 for k in range(4)}
    found = weighing(record(returns), "winners")
    assert found.weights == {"i00": 0.5, "i01": 0.0, "i02": 0.5, "i03": 0.0}
    assert set(found.left_out) == {"i01", "i03"}


def test_inverse_volatility_by_hand() -> None:
    returns = np.array([[0.01, 0.02], [-0.01, -0.02], [0.01, 0.02], [-0.01, -0.02]])
    assert values(weigh(record(returns), "inverse_volatility")) == pytest.approx([2 / 3, 1 / 3])


def test_inverse_volatility_is_measured_on_the_days_of_each() -> None:
    returns = some_returns(2, 40)
    returns[:15, 1] = np.nan
    inverse = 1.0 / np.array([returns[:, 0].std(ddof=1), returns[15:, 1].std(ddof=1)])
    assert values(weigh(record(returns), "inverse_volatility")) == pytest.approx(inverse / inverse.sum())


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 5.0))
@settings(max_examples=20, deadline=None)
def test_two_assets_of_least_variance_in_closed_form(seed: int, scale: float) -> None:
    returns = np.random.default_rng(seed).normal(0.0, 0.01, (50, 2)) * [1.0, scale]
    (a, c), (_, b) = np.cov(returns.T)
    first = min(max((b - c) / (a + b - 2.0 * c), 0.0), 1.0)
    assert values(weigh(record(returns), "min_variance")) == pytest.approx([first, 1.0 - first], abs=1e-4)


def test_two_assets_of_hierarchical_risk_parity_have_inverse_variances() -> None:
    returns = some_returns(2)
    inverse = 1.0 / returns.var(axis=0, ddof=1)
    assert values(weigh(record(returns), "hrp")) == pytest.approx(inverse / inverse.sum())


def slsqp(goal: Any, n: int, rows: Array, limits: Array) -> Array:
    """The same problem by another solver, from an equal start."""
    held = [
        {"type": "eq", "fun": lambda w: w.sum() - 1.0},
        {"type": "ineq", "fun": lambda w: limits - rows @ w},
    ]
    start = np.full(n, 1.0 / n)
    found = minimize(goal, start, bounds=[(0.0, 1.0)] * n, constraints=held, options={"ftol": 1e-14, "maxiter": 500})
    assert found.success
    return np.asarray(found.x)


def test_least_variance_and_largest_sharpe_within_caps_by_another_solver() -> None:
    returns = some_returns(6, 200)
    strategies = ["x", "x", "x", "y", "y", "z"]
    rows = np.array([[one == name for one in strategies] for name in "xyz"], np.float64)
    caps, limits = Caps(strategy=0.4), np.full(3, 0.4)
    cov, mean = np.cov(returns.T) * 1e4, returns.mean(axis=0) * 1e2
    least = slsqp(lambda w: w @ cov @ w, 6, rows, limits)
    given_record = record(returns, strategy=strategies)
    assert values(weigh(given_record, "min_variance", caps)) == pytest.approx(least, abs=1e-3)
    best = slsqp(lambda w: -(w @ mean) / math.sqrt(w @ cov @ w), 6, rows, limits)
    assert values(weigh(given_record, "max_sharpe", caps)) == pytest.approx(best, abs=1e-3)


def test_cvar_by_its_linear_program() -> None:
    returns = some_returns(3, 60)
    # Rockafellar and Uryasev: least z + mean(max(0, -r w - z)) / 5 %, over weights, z and the excesses.
    days, n = returns.shape
    cost = np.concatenate([np.zeros(n), [1.0], np.full(days, 1.0 / (0.05 * days))])
    rows = np.hstack([-returns, -np.ones((days, 1)), -np.eye(days)])
    whole = np.concatenate([np.ones(n), np.zeros(days + 1)])[None, :]
    bounds = [(0.0, 1.0)] * n + [(None, None)] + [(0.0, None)] * days
    best = linprog(cost, rows, np.zeros(days), whole, [1.0], bounds=bounds)
    losses = -(returns @ values(weigh(record(returns), "cvar")))
    assert np.sort(losses)[-3:].mean() == pytest.approx(best.fun, rel=1e-5)


@st.composite
def cap_cases(draw: st.DrawFn) -> tuple[Array, Array, Array]:
    n = draw(st.integers(1, 7))
    raw = np.array(draw(st.lists(st.floats(0.01, 1.0), min_size=n, max_size=n)))
    groups, limits = [], []
    for _ in range(draw(st.integers(0, 3))):
        of = np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
        cap = draw(st.floats(0.05, 1.0))
        groups += [of == value for value in range(3)]
        limits += [cap] * 3
    return raw, np.array(groups, np.bool_).reshape(len(groups), n), np.array(limits)


@given(cap_cases())
@settings(deadline=None)
def test_caps_hold_exactly_and_nothing_idles_that_they_allow(case: tuple[Array, Array, Array]) -> None:
    raw, groups, limits = case
    weights = capped(raw, groups, limits)
    assert (weights >= 0.0).all()
    assert (groups @ weights <= limits + 1e-12).all()
    assert weights.sum() == pytest.approx(largest_total(groups, limits), abs=1e-5)


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=8), st.floats(0.05, 1.0))
def test_a_cap_on_each_instance_moves_the_rest_in_proportion(raw: list[float], cap: float) -> None:
    shares = np.array(raw) / sum(raw)
    weights = capped(shares, np.eye(len(raw), dtype=np.bool_), np.full(len(raw), cap))
    free = weights < cap - 1e-9
    # All that is not at its cap has grown by one and the same factor.
    factors = weights[free] / shares[free]
    assert factors == pytest.approx(np.full(free.sum(), factors.max(initial=1.0)))
    assert factors.max(initial=1.0) >= 1.0 - 1e-12
    assert weights.sum() == pytest.approx(min(1.0, cap * len(raw)))


def test_overlapping_caps_find_the_split_that_leaves_nothing_idle() -> None:
    told = {"strategy": ["s", "s", "t"], "symbol": ["X", "Y", "X"]}
    found = weighing(record(some_returns(3), **told), "equal", Caps(strategy=0.5, symbol=0.5))
    assert values(found.weights) == pytest.approx([0.0, 0.5, 0.5], abs=1e-6)
    assert found.idle == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_caps_that_nothing_can_fill_leave_money_idle(method: str) -> None:
    given_record = record(some_returns(4), strategy=["x", "x", "y", "y"], family=["f"] * 4)
    found = weighing(given_record, method, Caps(strategy=0.3, family=0.5))
    weights = values(found.weights)
    assert weights.sum() == pytest.approx(0.5, abs=1e-6)
    assert found.idle == pytest.approx(0.5, abs=1e-6)
    assert max(weights[:2].sum(), weights[2:].sum()) <= 0.3 + 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_what_never_trades_or_has_no_bars_gets_nothing_and_is_named(method: str) -> None:
    returns = some_returns(4, 60)
    returns[:, 1], returns[:, 2] = 0.0, np.nan
    found = weighing(record(returns), method)
    assert found.weights["i01"] == found.weights["i02"] == 0.0
    assert found.left_out == {"i01": "closed no trade on these days", "i02": "has no bars on these days"}
    assert sum(found.weights.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("method", RISKY)
def test_what_has_no_risk_or_too_short_a_record_gets_nothing(method: str) -> None:
    returns = some_returns(4, 60)
    returns[:, 0], returns[:40, 1] = 0.001, np.nan
    found = weighing(record(returns), method)
    assert "same return" in found.left_out["i00"]
    assert "20 of 60 days: too short" in found.left_out["i01"]
    assert found.weights["i00"] == found.weights["i01"] == 0.0


@pytest.mark.parametrize("method", ("hrp", "min_variance", "max_sharpe", "cvar"))
def test_joint_methods_learn_on_the_days_that_all_have(method: str) -> None:
    returns = some_returns(3, 60)
    late = returns.copy()
    late[:20, 2] = np.nan
    found = weighing(record(late), method)
    assert found.days == 40
    assert found.weights == weigh(record(returns[20:]), method)


@pytest.mark.parametrize("method", METHODS)
def test_one_instance_gets_all(method: str) -> None:
    assert weigh(record(some_returns(1)), method) == {"i00": 1.0}


@pytest.mark.parametrize("method", METHODS)
def test_equal_columns_and_fewer_days_than_instances_are_weighed(method: str) -> None:
    one = some_returns(1)
    same = values(weigh(record(np.hstack([one, one, one])), method))
    assert same.sum() == pytest.approx(1.0)
    few = values(weigh(record(some_returns(12, 5)), method, Caps(instance=0.25)))
    assert few.sum() == pytest.approx(1.0)
    assert few.max() <= 0.25 + 1e-12


@pytest.mark.parametrize(
    ("method", "returns", "said"),
    [
        ("equal", np.zeros((9, 2)), "no instance to weigh: i00 closed no trade on these days, and 1 more"),
        ("equal", np.empty((0, 2)), "i00 has no bars on these days"),
        ("equal", np.empty((5, 0)), "no instance to weigh; give a record"),
        ("winners", -np.ones((3, 1)), "i00 made no profit on these days; learn from a longer range"),
        ("inverse_volatility", np.ones((5, 1)), "i00 has the same return on each of 5 days"),
        ("hrp", np.ones((1, 2)), "at least 2 days on which all 2 instances have bars, found 1"),
        ("max_sharpe", some_returns(3) - 0.1, "none of 3 has one on these 120 days"),
    ],
)
def test_nothing_to_weigh_is_said(method: str, returns: Array, said: str) -> None:
    with pytest.raises(InputError, match=said):
        weigh(record(returns), method)


def test_days_that_no_two_share_are_said() -> None:
    returns = some_returns(2, 20)
    returns[:10, 0] = returns[10:, 1] = np.nan
    with pytest.raises(InputError, match="2 days on which all 2 instances have bars, found 0"):
        weigh(record(returns), "hrp")


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'min_variance'"):
        weigh(record(some_returns()), "min_varianc")


@pytest.mark.parametrize("cap", [0.0, -0.1, 1.01, math.nan, math.inf])
def test_a_cap_is_a_share(cap: float) -> None:
    with pytest.raises(InputError, match="the cap on a symbol must be a share above 0 and at most 1"):
        Caps(symbol=cap)


def test_checked_weights_are_of_all_instances() -> None:
    assert check_weights({"b": 0.4}, ["a", "b"]) == {"a": 0.0, "b": 0.4}
    assert check_weights(dict.fromkeys("abcdefghij", 0.1), "abcdefghij")["j"] == 0.1


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"a": 0.0}, "sum to nothing"),
        ({}, "sum to nothing"),
        ({"a": -0.1, "b": 0.5}, "weight of a must not be negative, was -0.1"),
        ({"a": math.nan}, "weight of a must be a finite number, was nan"),
        ({"a": math.inf}, "finite number, was inf"),
        ({"a": 0.7, "b": 0.7}, "at most 1, was 1.4"),
        ({"c": 0.7}, "unknown instance 'c'"),
        ({"a": "much"}, "finite number, was 'much'"),
    ],
)
def test_weights_that_are_none_are_refused(weights: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_weights(weights, ["a", "b"])


def test_a_trade_without_profit_or_loss_is_a_trade() -> None:
    trades = pl.DataFrame(
        {
            "instance": ["idle", "idle", "busy", "busy"], "strategy": "s", "symbol": "BTC/USDT", "side": "long",
            "entry_ts": [DAY_MS, 6 * DAY_MS] * 2, "exit_ts": [2 * DAY_MS, 7 * DAY_MS] * 2,
            "pnl": [0.0, 0.0, 10.0, -5.0],
        }
    )  # fmt: skip
    track = track_from_trades(trades.with_columns(pl.col("entry_ts", "exit_ts").cast(TIME)))
    assert weigh(track, "equal") == {"busy": 0.5, "idle": 0.5}
    assert weighing(track, "winners").left_out == {"idle": "made no profit on these days"}
    risk = weighing(track, "inverse_volatility").left_out
    assert risk == {"idle": "has the same return on each of 7 days: it has no risk to measure"}
