"""Bars in memory: filling, resampling, alignment, cutting; polars and naive loops are the oracles."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bars.minutes import START_MS, minutes, rows
from toolkit.bars.columns import COLUMNS, Columns
from toolkit.bars.intervals import DAY_MS, HOUR_MS, MINUTE_MS, interval_ms
from toolkit.bars.series import Bars, from_arrays
from toolkit.errors import BarsError, InputError, UnknownNameError


def bars_of(columns: Columns, interval: str = "1m", **more: object) -> Bars:
    return from_arrays(*(columns[name] for name in COLUMNS), interval=interval, **more)  # type: ignore[arg-type]


def oracle(columns: Columns, interval: str, base_ms: int = MINUTE_MS) -> dict[int, tuple[float, ...]]:
    """Groups by open time, from the given bars alone; polars' weeks begin on Monday."""
    out = (
        pl.DataFrame(columns)
        .with_columns(pl.from_epoch("ts", "ms").dt.truncate(interval).dt.epoch("ms").alias("group"))
        .group_by("group", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
        .sort("group")
    )
    first, last = int(columns["ts"][0]), int(columns["ts"][-1]) + base_ms
    step = interval_ms(interval)
    return {g: tuple(v) for g, *v in out.rows() if g >= first and g + step <= last}


def assert_resampled(bars: Bars, expected: dict[int, tuple[float, ...]]) -> None:
    have = {
        int(t): tuple(row)
        for t, f, *row in zip(
            bars.ts, bars.filled, bars.open, bars.high, bars.low, bars.close, bars.volume, strict=True
        )
        if not f
    }
    assert have.keys() == expected.keys()
    for ts, row in have.items():
        assert row[:4] == expected[ts][:4]
        # polars sums in another order.
        assert row[4] == pytest.approx(expected[ts][4], rel=1e-12, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2000),
    st.integers(2, 1500),
    st.sampled_from(["3m", "5m", "15m", "30m", "1h", "4h"]),
    st.floats(0.0, 0.95),
    st.integers(0, 2**31),
)
def test_resampling_against_polars(offset: int, n: int, interval: str, holes: float, seed: int) -> None:
    columns = minutes(n, start_ms=START_MS + offset * MINUTE_MS, seed=seed)
    keep = np.random.default_rng(seed).random(n) >= holes
    keep[[0, -1]] = True
    given_columns = rows(columns, keep)
    bars = bars_of(given_columns)
    assert len(bars) == n and int(bars.filled.sum()) == n - int(keep.sum())
    assert_resampled(bars.to(interval), oracle(given_columns, interval))


@pytest.mark.parametrize("interval", ["1d", "1w"])
def test_days_and_weeks_against_polars(interval: str) -> None:
    columns = minutes(24 * 40, start_ms=START_MS - 30 * HOUR_MS, step_ms=HOUR_MS)
    out = bars_of(columns, "1h").to(interval)
    assert_resampled(out, oracle(columns, interval, HOUR_MS))
    # The history begins on a Saturday evening: neither that day nor that week is whole.
    assert out.ts[0] == (START_MS - DAY_MS if interval == "1d" else START_MS)


def test_missing_bars_are_flat_and_do_not_enter_their_group() -> None:
    columns = minutes(10)
    columns["close"][3] = columns["high"][3]
    bars = bars_of(rows(columns, [0, 1, 2, 3, 7, 8, 9]))
    assert list(bars.filled) == [False] * 4 + [True] * 3 + [False] * 3
    for name in ("open", "high", "low", "close"):
        assert (getattr(bars, name)[4:7] == columns["close"][3]).all()
    assert (bars.volume[4:7] == 0).all()
    five = bars.to("5m")
    # The second group opens with its first bar that was there, not with the fill before it.
    assert five.open[1] == columns["open"][7] and five.low[1] == columns["low"][7:10].min()


def test_a_group_without_a_bar_is_flat_and_filled() -> None:
    columns = minutes(20)
    five = bars_of(rows(columns, [*range(5), *range(10, 20)])).to("5m")
    assert list(five.filled) == [False, True, False, False]
    assert five.open[1] == five.high[1] == five.low[1] == five.close[1] == columns["close"][4]
    assert five.volume[1] == 0


def test_unknown_volume_makes_the_groups_volume_unknown() -> None:
    columns = minutes(10)
    columns["volume"][2] = np.nan
    volume = bars_of(columns).to("5m").volume
    assert np.isnan(volume[0]) and volume[1] == pytest.approx(columns["volume"][5:].sum())


def test_a_value_comes_from_the_last_closed_bar() -> None:
    bars = bars_of(minutes(3 * 1440))
    daily, aligned = bars.to("1d"), bars.at("1d")
    for i in (0, 1438, 1439, 1440, 2878, 2879, 4318, 4319):
        closed = [d for d in range(3) if daily.ts[d] + DAY_MS <= bars.ts[i] + MINUTE_MS]
        expected = daily.close[closed[-1]] if closed else np.nan
        assert aligned.close[i] == expected or (np.isnan(aligned.close[i]) and not closed)
        assert aligned.ts[i] == (daily.ts[closed[-1]] if closed else -1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 700), st.integers(1, 900), st.sampled_from(["5m", "15m", "1h", "4h"]), st.integers(1, 899))
def test_what_is_seen_does_not_change_when_more_history_follows(offset: int, n: int, interval: str, cut: int) -> None:
    columns = minutes(n, start_ms=START_MS + offset * MINUTE_MS)
    whole = bars_of(columns)
    part = whole.window(int(whole.ts[0]), int(whole.ts[0]) + min(cut, n) * MINUTE_MS)
    np.testing.assert_array_equal(part.at(interval).close, whole.at(interval).close[: len(part)])
    np.testing.assert_array_equal(part.at(interval).volume, whole.at(interval).volume[: len(part)])


def test_native_series_only_when_named_and_only_once_closed() -> None:
    native = bars_of(minutes(3, step_ms=DAY_MS, seed=5), "1d")
    bars = bars_of(minutes(2 * 1440), native={"1d": native})
    seen = bars.at("1d", source="native").close
    assert np.isnan(seen[1438]) and seen[1439] == native.close[0]
    assert bars.at("1d").close[1439] == bars.close[1439]
    cut = bars.window(START_MS, START_MS + DAY_MS)
    assert len(cut.native["1d"]) == 1
    with pytest.raises(UnknownNameError, match="unknown native interval '1w'"):
        bars.at("1w", source="native")
    with pytest.raises(InputError, match="'resampled' or 'native', was 'venue'"):
        bars.at("1d", source="venue")


def test_peers_are_read_on_this_clock() -> None:
    other = bars_of(minutes(60, start_ms=START_MS + 10 * MINUTE_MS, seed=3))
    bars = bars_of(minutes(60), peers={"ETH/USDT": other})
    close = bars.to("5m").peer("ETH/USDT").close
    assert np.isnan(close[:2]).all() and close[2] == other.close[4]
    with pytest.raises(UnknownNameError, match="'ETH/USTD': did you mean 'ETH/USDT'"):
        bars.peer("ETH/USTD")


def test_arrays_are_frozen_and_the_callers_are_not() -> None:
    columns = minutes(10)
    bars = bars_of(columns)
    with pytest.raises(ValueError, match="read-only"):
        bars.close[0] = 1.0
    columns["close"][0] = columns["close"][0]
    assert columns["close"].flags.writeable


def test_empty_bars() -> None:
    bars = bars_of(minutes(0))
    assert len(bars) == len(bars.to("1h")) == 0 and "empty" in repr(bars)
    assert len(bars.at("1h").close) == 0


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("ts", START_MS + 3 * MINUTE_MS, "duplicate"),
        ("ts", START_MS + 2 * MINUTE_MS, "sort by ts"),
        ("ts", START_MS + 4 * MINUTE_MS + 1, "1m grid"),
        ("close", np.nan, "finite close"),
        ("low", 0.0, "positive low"),
        ("high", 0.01, "high below its low"),
        ("open", 1e6, "open between"),
        ("volume", -1.0, "negative volume"),
    ],
)
def test_rules_of_a_series(name: str, value: float, match: str) -> None:
    columns = minutes(10)
    columns[name][4] = value
    with pytest.raises(BarsError, match=rf"SERIES 1m: bar 4 .*{match}"):
        bars_of(columns)


def test_columns_of_different_lengths() -> None:
    columns = minutes(10)
    columns["close"] = columns["close"][:9]
    with pytest.raises(BarsError, match=r"one length, were \[9, 10\]"):
        bars_of(columns)
