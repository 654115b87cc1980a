"""The law of window exactness for sparse factors: the same bits whatever was loaded, asked together or alone."""

from functools import cache

import numpy as np
import pytest

from tests.factors.engines.cases import CASES, afresh, bits, history
from tests.factors.test_conformance import noise_after, shaken
from toolkit.bars.intervals import DAY_MS, interval_ms
from toolkit.bars.series import Bars
from toolkit.factors import factor_lookback, factor_names, get_factor
from toolkit.strategy import lookback_start
from toolkit.types import FloatArray, IntArray

Case = tuple[str, tuple[int | str, ...], str]


@cache
def series(interval: str) -> Bars:
    return history(interval)


@cache
def chosen(case: Case) -> IntArray:
    """Bars with their lookback covered: the first and the last of them, and some others."""
    name, params, interval = case
    lookback = factor_lookback(name, interval_ms(interval), *params)
    last = len(series(interval)) - 1
    return np.array(sorted({lookback - 1, *np.random.default_rng(5).integers(lookback, last, 4).tolist(), last}))


@cache
def whole(case: Case) -> FloatArray:
    """Values at the chosen bars, asked together of all history."""
    name, params, interval = case
    with afresh():
        return series(interval).factor_at(chosen(case), name, *params)


def cut(bars: Bars, first: int, last: int) -> Bars:
    """The bars `first .. last`."""
    return bars.window(int(bars.ts[first]), int(bars.ts[last]) + bars.interval_ms)


def case_id(case: Case) -> str:
    return f"{case[0]}{case[1]}-{case[2]}"


def test_every_sparse_factor_is_tried():
    assert {name for name, _, _ in CASES} == {name for name in factor_names() if get_factor(name).sparse}


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_a_window_of_the_lookback_gives_the_value_of_the_whole_history(case):
    name, params, interval = case
    bars, lookback = series(interval), factor_lookback(name, interval_ms(interval), *params)
    assert np.isfinite(whole(case)).sum() > 2
    for t, value in zip(chosen(case).tolist(), whole(case).tolist(), strict=True):
        alone = cut(bars, t - lookback + 1, t)
        with afresh():
            assert bits(alone.factor_at(np.array([lookback - 1]), name, *params)) == bits([value]), f"bar {t}"
        short = cut(bars, t - lookback + 2, t)
        assert np.isnan(short.factor_at(np.array([lookback - 2]), name, *params)).all()


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_later_bars_change_nothing_nor_does_where_history_starts(case):
    name, params, interval = case
    bars, at = series(interval), chosen(case)
    lookback = factor_lookback(name, interval_ms(interval), *params)
    t = int(at[2])
    first = int(np.random.default_rng(t).integers(0, t - lookback + 2))
    later = cut(bars, first, len(bars) - 1)
    for other, place in ((noise_after(bars, t), t), (later, t - first), (noise_after(later, t - first), t - first)):
        assert bits(other.factor_at(np.array([place]), name, *params)) == bits(whole(case)[2:3])


# Prophet's days are below; a likeliest state may stay the likeliest, and has the lookback of its probability.
@pytest.mark.parametrize("case", [c for c in CASES if "tsfresh" in c[0] or "probability" in c[0]], ids=case_id)
def test_the_lookback_is_not_larger_than_it_needs_to_be(case):
    """A changed bar at its far end shows somewhere, one before it nowhere."""
    name, params, interval = case
    bars, lookback = series(interval), factor_lookback(name, interval_ms(interval), *params)
    seen = False
    for t in range(lookback + 40, lookback + 40 + 42):
        value = bits(bars.factor_at(np.array([t]), name, *params))
        assert bits(shaken(bars, t - lookback).factor_at(np.array([t]), name, *params)) == value
        seen |= bits(shaken(bars, t - lookback + 1).factor_at(np.array([t]), name, *params)) != value
        if seen:
            break
    assert seen


def test_the_lookback_of_prophet_reaches_to_the_first_fitted_day():
    bars = series("1d")
    lookback = factor_lookback("prophet_trend", DAY_MS, 30, 5)
    assert lookback == 34
    closed = bars.close_ts // DAY_MS
    t = int(np.flatnonzero(closed % 5 == 4)[20])
    value = bits(bars.factor_at(np.array([t]), "prophet_trend", 30, 5))
    assert bits(shaken(bars, t - lookback + 1).factor_at(np.array([t]), "prophet_trend", 30, 5)) != value
    assert bits(shaken(bars, t - lookback).factor_at(np.array([t]), "prophet_trend", 30, 5)) == value
    # What closed after the anchor is not fitted on.
    assert bits(shaken(bars, t - 3).factor_at(np.array([t]), "prophet_trend", 30, 5)) == value


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_bars_in_any_order_and_number(case):
    name, params, interval = case
    bars, at = series(interval), chosen(case)
    order = np.array([3, 0, len(at) - 1, len(at) - 1, 1, 3])
    assert bits(bars.factor_at(at[order], name, *params)) == bits(whole(case)[order])
    assert bars.factor_at(at[:0], name, *params).shape == (0,)
    early = bars.factor_at(np.array([0, 1]), name, *params)
    assert np.isnan(early).all()


@pytest.mark.parametrize(
    "case", [("market_state_hmm", (2, 60, 30), "1d"), ("tsfresh", (12, "mean"), "1d")], ids=case_id
)
def test_asked_of_all_bars_it_gives_the_same(case):
    name, params, interval = case
    bars = cut(series(interval), 3, 130)
    values = bars.factor(name, *params)
    assert values.shape == (len(bars),)
    assert not values.flags.writeable
    lookback = factor_lookback(name, DAY_MS, *params)
    assert np.isnan(values[: lookback - 1]).all()
    assert np.isfinite(values[lookback - 1 :]).all()
    at = np.array([lookback - 1, 120, 100])
    assert bits(bars.factor_at(at, name, *params)) == bits(values[at])


@pytest.mark.parametrize(
    "case",
    [("market_state_hmm_probability", (2, 50, 4), "1h"), ("tsfresh", (20, "kurtosis"), "1h")], ids=case_id
)  # fmt: skip
def test_on_higher_intervals_as_known_at_each_close(case):
    name, params, interval = case
    fine = series("5m")
    lookback = factor_lookback(name, interval_ms(interval), *params)
    at = np.array([len(fine) - 1, len(fine) - 30])
    values = fine.at(interval).factor_at(at, name, *params)
    assert bits(values) == bits(fine.at(interval).factor(name, *params)[at])
    for t, value in zip(at.tolist(), values.tolist(), strict=True):
        start = lookback_start({"signal": 1, interval: lookback}, "5m", int(fine.ts[t]))
        window = fine.window(start, int(fine.close_ts[t]))
        assert bits(window.at(interval).factor_at(np.array([len(window) - 1]), name, *params)) == bits([value])


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_a_market_that_stands_still_and_one_without_volume_are_no_errors(case):
    name, params, interval = case
    b = series(interval)
    flat = np.full(len(b), 100.0)
    for volume in (np.zeros(len(b)), np.full(len(b), np.nan)):
        still = Bars("S", "x", interval, b.ts.copy(), flat, flat.copy(), flat.copy(), flat.copy(), volume,
                     np.zeros(len(b), np.bool_))  # fmt: skip
        values = still.factor_at(np.array([len(b) - 1]), name, *params)
        assert not np.isinf(values).any()
        if name in ("tsfresh_volume", "prophet_residual") or name.startswith("market_state"):
            assert np.isnan(values).all()


def test_unknown_volume_is_in_no_window_of_volume():
    bars = series("5m")
    unknown = int(np.flatnonzero(np.isnan(bars.volume))[2])
    at = np.arange(unknown - 1, unknown + 22)
    values = bars.factor_at(at, "tsfresh_volume", 20, "mean_abs_change")
    assert np.isnan(values).tolist() == [np.isnan(bars.volume[t - 19 : t + 1]).any() for t in at.tolist()]
    assert np.isfinite(bars.factor_at(at, "tsfresh", 20, "mean_abs_change")).all()
