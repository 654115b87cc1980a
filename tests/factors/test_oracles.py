"""Every factor against a plain reading of its definition: one window at a time, in extended precision.

Tolerance 1e-9 of the value's own scale; prices of 1e-5, 1e2 and 1e5. (Bit equality is for test_conformance.)
"""

from fractions import Fraction
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factors.series import MONDAY_MS, PEER, market, with_peer
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars
from toolkit.factors import factor_names, get_factor
from toolkit.types import FloatArray

Wide = np.longdouble
NAN = float("nan")


def wide(values: FloatArray) -> np.ndarray:
    return np.asarray(values, dtype=Wide)


def variance(x: np.ndarray) -> np.longdouble:
    return ((x - x.mean()) ** 2).mean()


def ratio(a: np.longdouble | float, b: np.longdouble | float) -> np.longdouble | float:
    return a / b if b != 0 else NAN


def line(y: np.ndarray) -> tuple[np.longdouble, np.longdouble | float]:
    x = np.arange(len(y), dtype=Wide) - Wide(len(y) - 1) / 2
    d = y - y.mean()
    return (x * d).sum() / (x * x).sum(), ratio((x * d).sum() ** 2, (x * x).sum() * (d * d).sum())


def correlated(x: np.ndarray, y: np.ndarray) -> np.longdouble | float:
    if len(set(x.tolist())) == 1 or len(set(y.tolist())) == 1:
        return NAN
    dx, dy = x - x.mean(), y - y.mean()
    return ratio((dx * dy).sum(), np.sqrt((dx * dx).sum() * (dy * dy).sum()))


class View:
    """Windows of a series that end with bar `t`, oldest first, in extended precision."""

    def __init__(self, bars: Bars, t: int) -> None:
        self.bars, self.t = bars, t

    def last(self, column: str, count: int) -> np.ndarray:
        return wide(getattr(self.bars, column)[self.t - count + 1 : self.t + 1])

    def day(self, column: str) -> np.ndarray:
        today = self.bars.ts // DAY_MS == self.bars.ts[self.t] // DAY_MS
        today[self.t + 1 :] = False
        return wide(getattr(self.bars, column)[today])

    def true_ranges(self, count: int) -> np.ndarray:
        h, low, c = self.last("high", count), self.last("low", count), self.last("close", count + 1)[:-1]
        return np.maximum(np.maximum(h - low, abs(h - c)), abs(low - c))

    def directional_index(self, count: int) -> np.longdouble | float:
        rise, fall = np.diff(self.last("high", count + 1)), -np.diff(self.last("low", count + 1))
        up = np.where((rise > fall) & (rise > 0), rise, 0).sum()
        down = np.where((fall > rise) & (fall > 0), fall, 0).sum()
        # Divided by the true range as Wilder writes it; the kernel leaves out what cancels.
        true = self.true_ranges(count).sum()
        if true == 0 or up + down == 0:
            return 0.0
        return 100 * abs(up / true - down / true) / (up / true + down / true)

    def levels(self, column: str, left: int, right: int, window: int, sign: int) -> list[float]:
        x = sign * getattr(self.bars, column)
        found = []
        for confirmed in range(self.t - window + 1, self.t + 1):
            p = confirmed - right
            if all(x[p] > v for v in x[p - left : p]) and all(x[p] >= v for v in x[p + 1 : p + right + 1]):
                found.append(float(x[p]))
        return found


def terciles(v: View, w: int, span: int) -> float:
    """Ranks of values that have oracles of their own: nearly equal ones may change places in extended precision."""

    def third(name: str) -> float:
        x = v.bars.factor(name, span)[v.t - w + 1 : v.t + 1]
        place = Fraction(int(np.sum(x < x[-1])) * 2 + int(np.sum(x == x[-1])), 2 * w)
        return NAN if np.isnan(x).any() else 0.0 if place < Fraction(1, 3) else 1.0 if place <= Fraction(2, 3) else 2.0

    return 3.0 * third("realised_volatility") + third("roc")


def efficiency(v: View, w: int) -> np.longdouble | float:
    close = v.last("close", w + 1)
    return ratio(abs(close[-1] - close[0]), abs(np.diff(close)).sum())


def rsi(v: View, w: int) -> np.longdouble | float:
    moves = np.diff(v.last("close", w + 1))
    return ratio(100 * moves[moves > 0].sum(), abs(moves).sum())


def since(values: np.ndarray, best: np.longdouble) -> float:
    return float(len(values) - 1 - max(i for i, value in enumerate(values) if value == best))


def zscore(v: View, w: int) -> np.longdouble | float:
    close = v.last("close", w)
    return NAN if len(set(close.tolist())) == 1 else (close[-1] - close.mean()) / np.sqrt(variance(close))


def finite_ewm(v: View, w: int) -> np.longdouble:
    decay = 1 - Wide(2) / (w + 1)
    weights = decay ** np.arange(4 * w - 1, -1, -1)
    return (weights * v.last("close", 4 * w)).sum() / weights.sum()


def correlation(v: View, w: int, symbol: str) -> np.longdouble | float:
    peer = v.bars.peers[symbol]
    at = {int(ts): close for ts, close in zip(peer.ts, peer.close, strict=True)}
    other = wide(np.array([at.get(int(ts), NAN) for ts in v.bars.ts[v.t - w : v.t + 1]]))
    return NAN if np.isnan(other).any() else correlated(np.diff(np.log(v.last("close", w + 1))), np.diff(np.log(other)))


def opening(v: View, column: str, minutes: int) -> np.ndarray | None:
    minute = (v.bars.ts % DAY_MS) // 60_000
    today = (v.bars.ts // DAY_MS == v.bars.ts[v.t] // DAY_MS) & (minute < minutes)
    return None if today[v.t + 1 :].any() else getattr(v.bars, column)[today]


def of_day(v: View) -> tuple[np.longdouble, np.longdouble, np.longdouble]:
    return v.day("high").max(), v.day("low").min(), v.day("close")[-1]


def gap(v: View) -> np.longdouble | float:
    first = int(np.flatnonzero(v.bars.ts // DAY_MS == v.bars.ts[v.t] // DAY_MS)[0])
    return Wide(v.bars.open[first]) / Wide(v.bars.close[first - 1]) - 1


def nearest(levels: list[float], close: float) -> float:
    return min((level for level in levels if level > close), default=NAN)


def spread(v: View, w: int) -> np.longdouble:
    return v.last("high", w).max() - v.last("low", w).min()


ORACLES = {
    "range": spread,
    "range_pct": lambda v, w: spread(v, w) / v.last("close", 1)[0],
    "rolling_max": lambda v, w: v.last("high", w).max(),
    "rolling_min": lambda v, w: v.last("low", w).min(),
    "bars_since_max": lambda v, w: since(v.last("high", w), v.last("high", w).max()),
    "bars_since_min": lambda v, w: since(v.last("low", w), v.last("low", w).min()),
    "donchian_high": lambda v, w: v.last("high", w + 1)[:-1].max(),
    "donchian_low": lambda v, w: v.last("low", w + 1)[:-1].min(),
    "support": lambda v, a, b, w: -nearest(v.levels("low", a, b, w, -1), -v.bars.close[v.t]),
    "resistance": lambda v, a, b, w: nearest(v.levels("high", a, b, w, 1), v.bars.close[v.t]),
    "sma": lambda v, w: v.last("close", w).mean(),
    "ewm": finite_ewm,
    "efficiency_ratio": efficiency,
    "adx": lambda v, w: sum(View(v.bars, v.t - k).directional_index(w) for k in range(w)) / Wide(w),
    "slope": lambda v, w: line(v.last("close", w))[0],
    "slope_pct": lambda v, w: line(v.last("close", w))[0] / v.last("close", 1)[0],
    "r_squared": lambda v, w: NAN if len(set(v.last("close", w).tolist())) == 1 else line(v.last("close", w))[1],
    "rsi": rsi,
    "roc": lambda v, w: v.last("close", 1)[0] / v.last("close", w + 1)[0] - 1,
    "atr": lambda v, w: v.true_ranges(w).mean(),
    "natr": lambda v, w: v.true_ranges(w).mean() / v.last("close", 1)[0],
    "std": lambda v, w: np.sqrt(variance(v.last("close", w))),
    "zscore": zscore,
    "market_state_terciles": terciles,
    "realised_volatility": lambda v, w: np.sqrt(variance(np.diff(np.log(v.last("close", w + 1))))),
    "parkinson_volatility": lambda v, w: np.sqrt(
        (np.log(v.last("high", w) / v.last("low", w)) ** 2).mean() / (4 * Wide(log(2)))
    ),
    "volume_ratio": lambda v, w: ratio(v.last("volume", 1)[0], v.last("volume", w).mean()),
    "correlation": correlation,
    "day_open": lambda v: v.day("open")[0],
    "day_high": lambda v: of_day(v)[0],
    "day_low": lambda v: of_day(v)[1],
    "day_range": lambda v: of_day(v)[0] - of_day(v)[1],
    "day_position": lambda v: ratio(of_day(v)[2] - of_day(v)[1], of_day(v)[0] - of_day(v)[1]),
    "opening_range_high": lambda v, m: NAN if (x := opening(v, "high", m)) is None else x.max(),
    "opening_range_low": lambda v, m: NAN if (x := opening(v, "low", m)) is None else x.min(),
    "gap": gap,
    "minutes_since_midnight": lambda v: (v.bars.ts[v.t] + v.bars.interval_ms) % DAY_MS // 60_000,
    "weekday": lambda v: ((v.bars.ts[v.t] + v.bars.interval_ms - MONDAY_MS) // DAY_MS) % 7,
}
PRICES = {"a hundredth of a cent": (1e-5, 1e-9), "hundreds": (100.0, 0.01), "large and nearly still": (1e5, 1e-4)}


def expected(bars: Bars, name: str, params: tuple[int | str, ...], picks: list[int]) -> FloatArray:
    return np.array([float(ORACLES[name](View(bars, t), *params)) for t in picks])


def params_of(name: str, window: int) -> tuple[int | str, ...]:
    special: dict[str, tuple[int | str, ...]] = {
        "support": (2, 3, window),
        "resistance": (2, 3, window),
        "correlation": (window, PEER),
        "market_state_terciles": (window, 5),
        "opening_range_high": (30,),
        "opening_range_low": (30,),
    }
    clock = name.startswith("day_") or name in ("gap", "weekday", "minutes_since_midnight")
    return special.get(name, () if clock else (window,))


def scale_of(values: FloatArray) -> float:
    """What an error is measured against: the value itself, and for signed values their usual size."""
    usual = float(np.nanmedian(np.abs(values))) if np.isfinite(values).any() else 0.0
    return max(usual, 1e-300)


def test_every_factor_has_an_oracle():
    assert sorted(ORACLES) == [name for name in factor_names() if not get_factor(name).sparse]


@pytest.mark.parametrize("window", [2, 7, 30])
@pytest.mark.parametrize("level", PRICES)
@pytest.mark.parametrize("name", ORACLES)
def test_equals_its_definition_at_every_price_level(name, level, window):
    price, tick = PRICES[level]
    bars = with_peer(3, 900, "5m", price=price, tick=tick, unknown_volume=0.01)
    params = params_of(name, window)
    rng = np.random.default_rng(window)
    picks = sorted({int(t) for t in rng.integers(300, 900, 120)} | {575, 576, 577, 863, 864})
    got = bars.factor(name, *params)[picks]
    want = expected(bars, name, params, picks)
    assert np.isfinite(want).any()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9 * scale_of(want))


@pytest.mark.parametrize("name", ORACLES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_equals_its_definition_on_random_series(name, data):
    seed = data.draw(st.integers(0, 10_000))
    window = data.draw(st.integers(2, 25))
    interval = data.draw(st.sampled_from(["15m", "1h", "4h", "1d"]))
    bars = market(seed, 160, interval, unknown_volume=0.02)
    bars = Bars(**{**fields(bars), "peers": {PEER: market(seed + 1, 150, interval, symbol=PEER)}})
    params = params_of(name, window)
    picks = sorted({data.draw(st.integers(110, 159)) for _ in range(5)})
    got = bars.factor(name, *params)[picks]
    want = expected(bars, name, params, picks)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9 * scale_of(want))


def fields(bars: Bars) -> dict[str, object]:
    names = ("symbol", "exchange", "interval", "ts", "open", "high", "low", "close", "volume", "filled")
    return {name: getattr(bars, name) for name in names}
