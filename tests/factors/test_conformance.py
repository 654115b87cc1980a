"""The law of window exactness, held against every registered factor: same bars, same bits, whatever was loaded."""

from collections.abc import Iterable
from functools import cache

import numpy as np
import pytest
from _pytest.mark import ParameterSet

from tests.factors.cases import CASES, applies, case_id
from tests.factors.series import off_midnight, with_peer
from toolkit.bars.intervals import DAY_MS, INTERVAL_MS, interval_ms
from toolkit.bars.series import Bars, from_arrays
from toolkit.factors import factor_lookback, get_factor
from toolkit.strategy import lookback_start
from toolkit.types import FloatArray

INTERVALS = tuple(INTERVAL_MS)
BARS = {"1m": 4700, "3m": 1600, "5m": 1000}


def on(intervals: Iterable[str]) -> list[ParameterSet]:
    """Every case on every one of the intervals on which it is defined."""
    return [
        pytest.param(case, interval, id=f"{case_id(case)}-{interval}")
        for interval in intervals
        for case in CASES
        if applies(get_factor(case[0]), interval)
    ]


@cache
def history(interval: str) -> Bars:
    start = off_midnight(interval)
    return with_peer(7, BARS.get(interval, 420), interval, start_ms=start, unknown_volume=0.002)


def same_bits(a: FloatArray, b: FloatArray) -> bool:
    return a.tobytes() == b.tobytes() or bool(
        np.all((a == b) & (np.signbit(a) == np.signbit(b)) | np.isnan(a) & np.isnan(b))
    )


def tried_bars(bars: Bars, lookback: int, count: int, seed: int) -> list[int]:
    """Random bars with their lookback covered, and those on both sides of midnights."""
    rng = np.random.default_rng(seed)
    last = len(bars) - 1
    assert last > lookback
    near_midnight = np.flatnonzero(bars.ts % DAY_MS == 0)[-3:]
    picks = [*rng.integers(lookback - 1, last + 1, count), *near_midnight, *(near_midnight - 1), lookback - 1, last]
    return sorted({int(t) for t in picks if t >= lookback - 1})


@pytest.mark.parametrize(("case", "interval"), on(INTERVALS))
def test_a_window_of_the_lookback_gives_the_value_of_the_whole_history(case, interval):
    name, params = case
    bars = history(interval)
    whole = bars.factor(name, *params)
    step = bars.interval_ms
    lookback = factor_lookback(name, step, *params)
    for t in tried_bars(bars, lookback, 8, seed=len(name)):
        end = int(bars.ts[t]) + step
        window = bars.window(end - lookback * step, end)
        assert len(window) == lookback
        value = window.factor(name, *params)
        assert same_bits(value[-1:], whole[t : t + 1]), f"bar {t}: {value[-1]!r} on its lookback, {whole[t]!r} on all"


@pytest.mark.parametrize(("case", "interval"), on(["1m", "15m", "1d", "1w"]))
def test_wherever_the_history_starts_covered_values_are_the_same(case, interval):
    name, params = case
    bars = history(interval)
    whole = bars.factor(name, *params)
    lookback = factor_lookback(name, bars.interval_ms, *params)
    for start in (1, 13, len(bars) // 3, len(bars) - lookback - 2):
        later = bars.window(int(bars.ts[start]), int(bars.ts[-1]) + 1)
        values = later.factor(name, *params)
        assert same_bits(values[lookback - 1 :], whole[start + lookback - 1 :])


@pytest.mark.parametrize("interval", ["1m", "1h"])
@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_later_bars_change_nothing(case, interval):
    name, params = case
    bars = history(interval)
    whole = bars.factor(name, *params)
    lookback = factor_lookback(name, bars.interval_ms, *params)
    for t in tried_bars(bars, lookback, 3, seed=1):
        values = noise_after(bars, t).factor(name, *params)
        assert same_bits(values[: t + 1], whole[: t + 1])


def noise_after(bars: Bars, t: int) -> Bars:
    def altered(one: Bars) -> Bars:
        rng = np.random.default_rng(t)
        later = one.ts > bars.ts[t]
        factor = np.where(later, rng.uniform(0.2, 5.0, len(one)), 1.0)
        columns = [c * factor for c in (one.open, one.high, one.low, one.close)]
        volume = np.where(later, rng.exponential(50.0, len(one)), one.volume)
        return from_arrays(one.ts, *columns, volume, interval=one.interval, symbol=one.symbol)

    own = altered(bars)
    return Bars(
        own.symbol, own.exchange, own.interval, own.ts, own.open, own.high, own.low, own.close, own.volume, own.filled,
        peers={symbol: altered(peer) for symbol, peer in bars.peers.items()},
    )  # fmt: skip


@pytest.mark.parametrize("interval", ["1m", "4h", "1d"])
@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_shape_dtype_and_early_bars(case, interval):
    name, params = case
    found = get_factor(name)
    bars = history(interval)
    values = bars.factor(name, *params)
    lookback = factor_lookback(name, bars.interval_ms, *params)
    assert values.shape == (len(bars),)
    assert values.dtype == np.float64
    assert not np.isinf(values).any()
    assert not np.isnan(values).all()
    if found.day_state:
        partial_day = bars.ts < -(-int(bars.ts[0]) // DAY_MS) * DAY_MS
        assert np.isnan(values[partial_day]).all()
    else:
        assert np.isnan(values[: lookback - 1]).all()


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_histories_too_short_are_nan_and_never_an_error(case):
    name, params = case
    bars = history("1h")
    lookback = factor_lookback(name, bars.interval_ms, *params)
    start = int(bars.ts[0])
    for count in {0, 1, 2, lookback - 1}:
        short = bars.window(start, start + count * bars.interval_ms)
        values = short.factor(name, *params)
        assert values.shape == (count,)
        if count < lookback and not get_factor(name).day_state:
            assert np.isnan(values).all()


@pytest.mark.parametrize("case", [c for c in CASES if not get_factor(c[0]).day_state], ids=case_id)
def test_the_declared_lookback_is_not_larger_than_it_needs_to_be(case):
    """A changed bar at the far end of the lookback shows in the value somewhere; a changed bar before it never does."""
    name, params = case
    bars = history("5m")
    whole = bars.factor(name, *params)
    lookback = factor_lookback(name, bars.interval_ms, *params)
    seen = False
    for t in np.random.default_rng(3).integers(lookback, len(bars), 60):
        oldest = int(t) - lookback + 1
        seen |= not same_bits(shaken(bars, oldest).factor(name, *params)[t : t + 1], whole[t : t + 1])
        before = shaken(bars, oldest - 1).factor(name, *params)[t : t + 1]
        assert same_bits(before, whole[t : t + 1])
    rarely_reaches_back = name in ("support", "resistance", "minutes_since_midnight", "weekday")
    assert seen or rarely_reaches_back


def shaken(bars: Bars, at: int) -> Bars:
    """The same bars with one replaced by a wild one."""
    columns = [c.copy() for c in (bars.open, bars.high, bars.low, bars.close, bars.volume)]
    for column, value in zip(columns, (150.0, 300.0, 20.0, 80.0, 1e4), strict=True):
        column[at] = value
    return Bars(
        bars.symbol, bars.exchange, bars.interval, bars.ts.copy(), *columns, bars.filled.copy(), peers=bars.peers
    )


@pytest.mark.parametrize(("interval", "higher"), [("1m", "3m"), ("5m", "15m"), ("15m", "1h"), ("4h", "1d")])
@pytest.mark.parametrize("case", [c for c in CASES if c[1][:1] in ((), (3,), (60,))], ids=case_id)
def test_on_higher_intervals_a_window_of_whole_higher_bars_is_enough(case, interval, higher):
    name, params = case
    bars = history(interval)
    step = interval_ms(higher)
    lookback = factor_lookback(name, step, *params)
    whole = bars.at(higher).factor(name, *params)
    assert np.isfinite(whole).any()
    for t in tried_bars(bars, (lookback + 1) * step // bars.interval_ms + 1, 6, seed=2):
        start = lookback_start({"signal": 1, higher: lookback}, bars.interval, int(bars.ts[t]))
        window = bars.window(start, int(bars.ts[t]) + bars.interval_ms)
        assert same_bits(window.at(higher).factor(name, *params)[-1:], whole[t : t + 1])


@pytest.mark.parametrize("case", [c for c in CASES if get_factor(c[0]).day_state], ids=case_id)
@pytest.mark.parametrize("interval", ["1m", "15m", "4h", "1d"])
def test_factors_of_the_day_need_no_more_than_the_day_so_far(case, interval):
    """What `{"1d": 0}` declares; the gap also reads the close of the day before."""
    name, params = case
    bars = history(interval)
    whole = bars.factor(name, *params)
    for t in tried_bars(bars, factor_lookback(name, bars.interval_ms, *params), 8, seed=4):
        days = 1 if name == "gap" else 0
        start = lookback_start({"signal": 1, "1d": days}, interval, int(bars.ts[t]))
        window = bars.window(start, int(bars.ts[t]) + bars.interval_ms)
        assert same_bits(window.factor(name, *params)[-1:], whole[t : t + 1])
