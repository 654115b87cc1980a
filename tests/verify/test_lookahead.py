"""The proof is green on honest strategies and on every factor, and red on each planted cheat."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from toolkit.bars.series import Bars, from_arrays
from toolkit.bars.synthetic import synthetic_bars
from toolkit.errors import InputError, UnknownNameError
from toolkit.factors import Param, factor, factor_names
from toolkit.factors.registry import factors_apart
from toolkit.strategy import Signals, Strategy
from toolkit.types import FloatArray, IntArray
from toolkit.verify.lookahead import LookaheadConfig, verify_lookahead
from toolkit.verify.needed import smallest_lookback
from toolkit.verify.noise import NoiseFuture
from toolkit.verify.points import choose
from toolkit.verify.results import LookaheadReport
from toolkit.verify.sources import Series
from toolkit.verify.subjects import StrategySubject, differing_names, factor_subjects, strategy_subjects

CHEATS = ("tests.verify.cheats",)
FEW = LookaheadConfig(points=6, variations=0, factors=False)


@pytest.fixture(scope="module")
def series() -> Series:
    made = synthetic_bars(("BTC/USDT", "ETH/USDT"), days=40)
    b = made["BTC/USDT"]
    bars = Bars(
        b.symbol, b.exchange, b.interval, b.ts, b.open, b.high, b.low, b.close, b.volume, b.filled,
        peers={"ETH/USDT": made["ETH/USDT"]},
    )  # fmt: skip
    return Series((bars,), "synthetic")


def look(name: str, series: Series, modules: tuple[str, ...] | None = CHEATS) -> LookaheadReport:
    config = LookaheadConfig(points=8, variations=1, factors=False, modules=modules)
    return verify_lookahead([name], config, series=series)


@pytest.mark.parametrize(
    ("cheat", "check", "array"),
    [
        ("cheat_behind_a_switch", "future", "enter_long"),
        ("cheat_target_peeks", "future", "target_distance"),
        ("cheat_centred_window", "future", "enter_long"),
        ("cheat_daily_open_join", "future", "enter_long"),
        ("cheat_stop_peeks", "future", "stop_distance"),
        ("cheat_understated_lookback", "lookback", "enter_long"),
    ],
)
def test_a_planted_cheat_is_caught_and_named_on_every_interval(
    cheat: str, check: str, array: str, series: Series
) -> None:
    report = look(cheat, series)
    assert not report.ok
    found = [f for f in report.findings if (f.check, f.array) == (check, array)]
    assert {f.interval for f in found} == {"1m", "3m", "5m", "15m", "1h"}
    said = str(found[0])
    base = series.bars[0].to(found[0].interval)
    assert int(base.ts[found[0].index]) == found[0].ts_ms
    for part in (cheat, "BTC/USDT", found[0].interval, array, f"index {found[0].index}", repr(found[0].expected)):
        assert part in said
    assert differs(found[0].expected, found[0].found)


def differs(a: float | bool, b: float | bool) -> bool:
    return a != b and not (np.isnan(a) and np.isnan(b))


@pytest.mark.parametrize(
    ("cheat", "given"), [("cheat_behind_a_switch", {"peek": True}), ("cheat_target_peeks", {"target_r": 2})]
)
def test_a_cheat_behind_a_default_is_caught_with_given_values_too(
    cheat: str, given: dict[str, Any], series: Series
) -> None:
    config = LookaheadConfig(points=4, variations=0, factors=False, intervals=("15m",), modules=CHEATS)
    honest = verify_lookahead([cheat], config, series=series)
    assert honest.ok
    assert honest.never_varied[cheat][0] == next(iter(given))
    caught = verify_lookahead([cheat], replace(config, params=given), series=series)
    assert not caught.ok
    assert next(iter(given)) not in caught.never_varied.get(cheat, [])
    with pytest.raises(InputError, match="those of one strategy"):
        verify_lookahead([], replace(config, params=given), series=series)


def test_only_the_stop_of_the_stop_cheat_peeks(series: Series) -> None:
    report = look("cheat_stop_peeks", series)
    assert {f.array for f in report.findings} == {"stop_distance"}


def test_an_understated_lookback_is_told_the_one_that_suffices(series: Series) -> None:
    report = look("cheat_understated_lookback", series)
    assert all(n.declared == 20 for n in report.needed)
    assert all(n.smallest is not None and 20 < n.smallest <= 41 for n in report.needed)
    assert {f.check for f in report.findings} == {"lookback"}


def test_no_lookback_suffices_for_one_who_looks_ahead(series: Series) -> None:
    assert all(n.smallest is None for n in look("cheat_centred_window", series).needed)


@pytest.mark.parametrize("name", ["volatility_breakout", "trend_day", "reversal_breakout"])
def test_an_honest_strategy_is_green(name: str, series: Series) -> None:
    config = LookaheadConfig(
        points=4, variations=1, factors=False, intervals=("1m", "15m", "1h"), modules=("research.strategies",)
    )
    report = verify_lookahead([name], config, series=series)
    assert report.findings == []
    assert {c.interval for c in report.coverage} == {"1m", "15m", "1h"}
    assert all(n.smallest is not None and n.smallest <= n.declared for n in report.needed)
    assert sum(c.entries for c in report.coverage) > 0
    assert report.ok


def test_every_factor_is_tested_and_green(series: Series) -> None:
    config = LookaheadConfig(points=6, variations=0, intervals=("1h",), modules=("research.strategies",))
    report = verify_lookahead(["volatility_breakout"], config, series=series)
    assert report.findings == []
    assert any(c.subject == "factors" for c in report.coverage)
    tested = {spec.name for subject in factor_subjects("1h", ["ETH/USDT"]) for spec in subject.specs}
    assert tested == set(factor_names())


def test_a_sparse_factor_that_peeks_or_reaches_back_farther_than_it_says_is_caught(series: Series) -> None:
    with factors_apart():

        @factor("later", params=[Param("ahead", 3)], lookback=lambda interval_ms, ahead: 2, sparse=True)
        def later(bars: Bars, indices: IntArray, ahead: int) -> FloatArray:
            """The close so many bars later, over this one."""
            there = np.minimum(indices + ahead, len(bars) - 1)
            return bars.close[there] / bars.close[indices]

        @factor("so_far", lookback=lambda interval_ms: 5, sparse=True)
        def so_far(bars: Bars, indices: IntArray) -> FloatArray:
            """Mean close since loaded history began."""
            return np.array([bars.close[: i + 1].mean() for i in indices.tolist()])

        config = LookaheadConfig(points=6, variations=0, intervals=("1h",), modules=("research.strategies",))
        report = verify_lookahead(["trend_day"], config, series=series)
    found = {(f.check, f.array.partition("(")[0].removeprefix("1d:")) for f in report.findings}
    assert {("future", "later"), ("lookback", "so_far")} <= found
    assert {name for _, name in found} == {"later", "so_far"}


class _Params(NamedTuple):
    window: int = 30


def _own(lookback: int, running: bool) -> Strategy:
    """Close over its mean of `window` bars, the mean from a running sum (which remembers) or from the window."""

    def function(bars: Bars, p: _Params) -> Signals:
        mean = np.full(len(bars), np.nan)
        total = np.cumsum(bars.close)
        for t in range(p.window - 1, len(bars)):
            window = bars.close[t - p.window + 1 : t + 1].sum()
            mean[t] = (total[t] - (total[t - p.window] if t >= p.window else 0.0) if running else window) / p.window
        none = np.zeros(len(bars), np.bool_)
        over = bars.close > mean
        return Signals(over, none, none, over, mean, np.full(len(bars), np.nan))

    return Strategy("own", function, _Params, ("1h",), lambda p: lookback)


def _subject(strategy: Strategy, series: Series) -> tuple[StrategySubject, Bars]:
    return StrategySubject(strategy, strategy.params()), series.bars[0].to("1h")


@pytest.mark.parametrize(("running", "ok"), [(False, True), (True, False)])
def test_a_running_sum_drifts_and_is_found_out(running: bool, ok: bool, series: Series) -> None:
    subject, bars = _subject(_own(30, running), series)
    whole = subject.arrays(bars)
    points = choose(bars, whole, 400, 5, np.random.default_rng(1))
    smallest = smallest_lookback(subject, bars, points, whole, 30)
    assert (smallest == 30) == ok


def test_a_generous_lookback_is_seen_to_be_so(series: Series) -> None:
    subject, bars = _subject(_own(90, False), series)
    whole = subject.arrays(bars)
    points = choose(bars, whole, 400, 5, np.random.default_rng(1))
    assert smallest_lookback(subject, bars, points, whole, 90) == 30


def test_noise_replaces_what_is_not_known_and_nothing_else(series: Series) -> None:
    bars = series.bars[0].to("1h")
    at = 500
    noisy = NoiseFuture(bars, np.random.default_rng(1)).after(int(bars.close_ts[at]))
    for name in ("open", "high", "low", "close", "volume", "filled"):
        a, b = getattr(bars, name), getattr(noisy, name)
        np.testing.assert_array_equal(a[: at + 1], b[: at + 1])
    assert (bars.close[at + 1 :] != noisy.close[at + 1 :]).all()
    assert (noisy.low <= np.minimum(noisy.open, noisy.close)).all()
    assert (noisy.high >= np.maximum(noisy.open, noisy.close)).all()
    cut = int(np.searchsorted(bars.base.ts, bars.close_ts[at]))
    peer, noisy_peer = bars.peers["ETH/USDT"], noisy.peers["ETH/USDT"]
    np.testing.assert_array_equal(peer.close[:cut], noisy_peer.close[:cut])
    assert (peer.close[cut:] != noisy_peer.close[cut:]).all()


def test_noise_moves_with_the_moment_in_both_directions(series: Series) -> None:
    bars = series.bars[0].to("1h")
    noise = NoiseFuture(bars, np.random.default_rng(1))
    for at in (500, 700, 300, 301, len(bars) - 1):
        noisy = noise.after(int(bars.close_ts[at]))
        np.testing.assert_array_equal(bars.close[: at + 1], noisy.close[: at + 1])
        assert (bars.close[at + 1 :] != noisy.close[at + 1 :]).all()


def test_points_are_entries_exits_neighbours_and_others(series: Series) -> None:
    bars = series.bars[0].to("1h")
    n = len(bars)
    enter, leave = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    enter[[300, 500]], leave[[50, 600]] = True, True
    points = choose(bars, {"enter_long": enter, "exit_long": leave}, 100, 5, np.random.default_rng(1))
    assert {299, 300, 301, 499, 500, 501, 599, 600, 601} <= set(points.index.tolist())
    assert (points.entries, points.exits) == (2, 1)
    assert points.index.min() >= 100
    assert points.index.max() < n
    assert len(points.index) > 15


def test_random_parameters_keep_their_types_and_what_is_off() -> None:
    strategy = _own(30, False)
    subjects = strategy_subjects(strategy, 3, np.random.default_rng(1))
    assert len(subjects) == 4
    assert subjects[0].params == _Params()
    assert all(isinstance(s.params.window, int) and 15 <= s.params.window <= 45 for s in subjects)


class _Mixed(NamedTuple):
    flag: bool = True
    off: float = 0.0
    none: int = 0
    one: int = 1
    below: float = -2.0
    back: int = -1
    tiny: float = 1e-9
    mode: str = "slow"


def _quiet(check: Callable[[_Mixed], None]) -> Strategy:
    def function(bars: Bars, p: _Mixed) -> Signals:
        check(p)
        none, nan = np.zeros(len(bars), np.bool_), np.full(len(bars), np.nan)
        return Signals(none, none, none, none, nan, nan)

    return Strategy("quiet", function, _Mixed, ("1h",), lambda p: 1)


@pytest.mark.parametrize("seed", range(20))
def test_the_first_random_set_changes_every_number_and_switch(seed: int) -> None:
    subjects = strategy_subjects(_quiet(lambda p: None), 3, np.random.default_rng(seed))
    first = subjects[1].params
    assert differing_names(first, _Mixed()) == set(_Mixed._fields) - {"mode"}
    assert len(subjects) == 4
    for p in (s.params for s in subjects[1:]):
        assert p.below < 0
        assert p.back < 0
        assert p.off >= 0
        assert p.none >= 0
        assert p.tiny > 0
        assert all(type(a) is type(b) for a, b in zip(p, _Mixed(), strict=True))
    pinned = strategy_subjects(_quiet(lambda p: None), 2, np.random.default_rng(seed), {"mode": "fast", "off": 3})
    assert {(s.params.mode, s.params.off) for s in pinned} == {("fast", 3.0)}


def test_a_text_is_listed_and_the_rest_is_varied(series: Series) -> None:
    report = _look_at(_quiet(lambda p: None), series)
    assert report.never_varied == {"quiet": ["mode"]}
    assert report.ok


def test_what_a_strategy_refuses_in_company_is_varied_alone_and_said(series: Series) -> None:
    def check(p: _Mixed) -> None:
        if not p.flag and p.off:
            raise InputError("off needs flag")
        if p.back != -1:
            raise InputError("back is fixed")

    report = _look_at(_quiet(check), series)
    assert report.never_varied == {"quiet": ["back", "mode"]}
    assert any("quiet(" in text and "back is fixed" in text for text in report.skipped)
    assert report.ok


def _look_at(strategy: Strategy, series: Series) -> LookaheadReport:
    config = LookaheadConfig(points=2, factors=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.verify.lookahead.get_strategy", lambda name, modules: strategy)
        return verify_lookahead([strategy.name], config, series=series)


def test_a_lookback_longer_than_the_history_is_skipped_and_not_ok() -> None:
    bars = synthetic_bars(("BTC/USDT",), days=2)["BTC/USDT"]
    report = verify_lookahead(
        ["trend_day"], LookaheadConfig(points=2, factors=False, intervals=("1h",)), series=Series((bars,), "two days")
    )
    assert "longer than the history" in report.skipped[0]
    assert not report.ok


def test_bad_input_is_said(series: Series) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'trend_day'"):
        verify_lookahead(["trend_days"], FEW, series=series)
    with pytest.raises(InputError, match="`points` must be at least 1, was 0"):
        LookaheadConfig(points=0)
    with pytest.raises(UnknownNameError, match="unknown interval"):
        LookaheadConfig(intervals=("7m",))


@pytest.mark.real_data
def test_green_on_real_bars_and_red_on_a_cheat() -> None:
    folder = os.environ.get("LOCKSTEP_REAL_DATA")
    if not folder:
        pytest.skip("LOCKSTEP_REAL_DATA names no folder with real bars")
    frame = pl.read_parquet(Path(folder) / "binance_BTCUSDT_1m.parquet").slice(600_000, 60 * 1440)
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    real = Series((from_arrays(**columns, interval="1m", symbol="BTC/USDT"),), "real")
    config = LookaheadConfig(
        points=4, variations=0, factors=False, intervals=("1m", "1h"), modules=("research.strategies",)
    )  # fmt: skip
    report = verify_lookahead([], config, series=real)
    assert report.findings == []
    assert len({c.subject for c in report.coverage}) >= 5
    assert not look("cheat_understated_lookback", real).ok
