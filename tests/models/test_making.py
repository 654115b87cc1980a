"""Datasets: nothing that comes later is in a row but its label, and that is known no earlier than it says."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.stand_in import FEATURES, first_ms, members, minutes
from toolkit.bars.intervals import MINUTE_MS
from toolkit.bars.series import Bars, from_arrays
from toolkit.engine.rules import TradeRules
from toolkit.engine.types import ACCEPTED, VETOED, Judged
from toolkit.errors import InputError
from toolkit.models.dataset import Dataset
from toolkit.models.features import Entries, default_features, entries_of, feature_values, features_start
from toolkit.models.judging import resimulate
from toolkit.models.labels import LabelRule
from toolkit.models.making import NEVER_FILLED, STILL_OPEN, make_dataset
from toolkit.models.uniqueness import weights
from toolkit.portfolio.loading import LoadedMember, load_members

DAYS, WARM_DAYS = 16, 6
LABELS = (LabelRule(), LabelRule("r"), LabelRule("barrier", max_hold="6h"))
WIDE = (*FEATURES, "1h:slope_pct(20)", "4h:rsi(5)", "day_position", "1d:range_pct(3)", "target_distance")


@cache
def bars() -> Mapping[str, Bars]:
    return minutes(DAYS)


@cache
def loaded() -> tuple[LoadedMember, ...]:
    return tuple(load_members(members(), bars=bars(), start=first_ms(bars(), WARM_DAYS), jobs=1))


@cache
def whole(label: LabelRule = LABELS[0]) -> Dataset:
    return make_dataset(loaded(), WIDE, label=label, jobs=1)


def until(end_ms: int) -> list[LoadedMember]:
    """The same members on bars of which none opens at `end_ms` or later."""
    cut = {name: one.window(int(one.ts[0]), end_ms) for name, one in bars().items()}
    return load_members(members(), bars=cut, start=first_ms(bars(), WARM_DAYS), jobs=1)


def other_after(end_ms: int, seed: int) -> list[LoadedMember]:
    """The same members on bars that are other ones from `end_ms` on."""
    changed = {}
    for name, one in bars().items():
        rng = np.random.default_rng(seed)
        n = int(np.searchsorted(one.ts, end_ms))
        close = one.close * np.exp(np.concatenate([np.zeros(n), np.cumsum(2e-3 * rng.standard_normal(len(one) - n))]))
        opened = np.where(np.arange(len(one)) < n, one.open, np.concatenate([[one.open[0]], close[:-1]]))
        high = np.where(np.arange(len(one)) < n, one.high, np.maximum(opened, close))
        low = np.where(np.arange(len(one)) < n, one.low, np.minimum(opened, close))
        volume = np.where(np.arange(len(one)) < n, one.volume, rng.random(len(one)))
        changed[name] = from_arrays(
            one.ts.copy(), opened, high, low, close, volume, interval="1m", symbol=name, exchange=one.exchange
        )
    return load_members(members(), bars=changed, start=first_ms(bars(), WARM_DAYS), jobs=1)


def judged_at_random(seed: int, share: float) -> dict[str, dict[int, Judged]]:
    rng = np.random.default_rng(seed)
    said: dict[str, dict[int, Judged]] = {}
    for one in loaded():
        for side, leg in one.prepared.legs.items():
            n = len(leg.entry_t)
            verdicts = np.where(rng.random(n) < share, VETOED, ACCEPTED).astype(np.uint8)
            legs = said.setdefault(one.instance.id, {})
            legs[side] = Judged(verdicts, rng.random(n), np.ones(n), np.zeros(n, np.int64))
    return said


moments = st.integers((WARM_DAYS + 1) * 1440, DAYS * 1440 - 5).map(lambda m: first_ms(bars()) + m * MINUTE_MS)


def same(a: Dataset, b: Dataset) -> None:
    assert (a.features, a.members, a.label) == (b.features, b.members, b.label)
    assert a.rows.tobytes() == b.rows.tobytes()
    assert a.x.tobytes() == b.x.tobytes()
    assert a.y.tobytes() == b.y.tobytes()
    assert a.weight.tobytes() == b.weight.tobytes()
    assert a.fingerprint == b.fingerprint


@settings(max_examples=25, deadline=None)
@given(moments, st.sampled_from(LABELS))
def test_up_to_a_moment_it_is_what_the_bars_up_to_then_make(end_ms: int, label: LabelRule) -> None:
    found = make_dataset(loaded(), WIDE, label=label, end_ms=end_ms, jobs=1)
    same(found, make_dataset(until(end_ms), WIDE, label=label, jobs=1))
    assert (found.rows["known"] <= end_ms).all()


@settings(max_examples=20, deadline=None)
@given(moments, st.integers(0, 99), st.sampled_from(LABELS))
def test_other_bars_later_change_nothing_that_was_known(end_ms: int, seed: int, label: LabelRule) -> None:
    before, after = whole(label), make_dataset(other_after(end_ms, seed), WIDE, label=label, jobs=1)
    a, b = (one.known_by(end_ms) for one in (before, after))
    assert a.rows.tobytes() == b.rows.tobytes()
    assert (a.x.tobytes(), a.y.tobytes()) == (b.x.tobytes(), b.y.tobytes())
    # What was decided by then was seen by then, whatever became of it.
    a, b = (one.take(one.rows["ts"] <= end_ms) for one in (before, after))
    key = ["member", "side", "t"]
    _, in_a, in_b = np.intersect1d(a.rows[key], b.rows[key], return_indices=True)
    assert len(in_a) >= min(len(a), len(b)) - 8
    assert a.x[in_a].tobytes() == b.x[in_b].tobytes()


def test_a_row_is_what_the_window_of_its_features_gives() -> None:
    data, rng = whole(), np.random.default_rng(1)
    for number in rng.choice(len(data), 30, replace=False).tolist():
        row, one = data.rows[number], loaded()[int(data.rows[number]["member"])]
        interval, ts = one.instance.interval, int(row["ts"])
        bar_ms = ts - one.bars.interval_ms
        window = one.bars.window(features_start(WIDE, interval, bar_ms), ts)
        assert int(window.close_ts[-1]) == ts
        leg = one.prepared.legs[int(row["side"])]
        every = entries_of(one.bars, leg, one.prepared.rules, int(row["side"]))
        at = int(np.searchsorted(leg.entry_t, row["t"]))
        entries = Entries(
            np.array([len(window) - 1], np.int64), int(row["side"]),
            *(distance[at : at + 1] for distance in every[2:]),
        )  # fmt: skip
        assert feature_values(window, entries, WIDE).tobytes() == data.x[number : number + 1].tobytes()


def test_every_signal_has_a_row_or_a_reason() -> None:
    data = whole()
    signals = [resimulate(one, None).signals for one in loaded()]
    assert len(data) + sum(data.left_out.values()) == sum(map(len, signals)) > 150
    assert set(data.left_out) <= {NEVER_FILLED, STILL_OPEN}
    assert (data.rows["decision"] == ACCEPTED).all()
    assert (data.rows["known"] > data.rows["ts"]).all()
    moments = data.rows["ts"].tolist()
    assert moments == sorted(moments)
    assert (data.rows["ts"] == (data.rows["t"] + 1) * MINUTE_MS).all()
    assert data.symbols == ("BTC/USDT", "BTC/USDT", "ETH/USDT", "ETH/USDT")
    assert data.weight.tolist() == weights(data.rows["ts"], data.rows["known"], data.symbol).tolist()


def test_a_refused_signal_is_labelled_by_the_trade_it_would_have_made() -> None:
    """Told by a path on which it alone is taken."""
    said = judged_at_random(3, 0.5)
    data = make_dataset(loaded(), FEATURES, judged=said, jobs=1)
    refused = np.flatnonzero(data.rows["decision"] == VETOED)
    assert 40 < len(refused) < len(data)
    for number in refused[:: max(1, len(refused) // 25)].tolist():
        row, one = data.rows[number], loaded()[int(data.rows[number]["member"])]
        legs = {}
        for side, leg in one.prepared.legs.items():
            mine = (leg.entry_t == row["t"]) & (side == row["side"])
            verdicts, none = np.where(mine, ACCEPTED, VETOED).astype(np.uint8), np.zeros(len(mine))
            legs[side] = Judged(verdicts, none, none, none.astype(np.int64))
        # Nothing before it is in its way: the path begins with it.
        alone = replace(one, prepared=replace(one.prepared, start_t=int(row["t"])))
        (trade,) = resimulate(alone, legs).trades
        costs = trade["entry_fee"] + trade["exit_fee"] - trade["funding"]
        gain = trade["side"] * trade["qty"] * (trade["exit_price"] - trade["entry_price"]) - costs
        assert row["ret"] == pytest.approx(gain / (trade["qty"] * trade["entry_price"]), rel=1e-12)
        assert row["known"] == (trade["exit_t"] + 1) * MINUTE_MS
        assert row["exit_reason"] == trade["exit_reason"]


def test_what_a_model_refuses_changes_the_rows_that_follow() -> None:
    none, all_ = (make_dataset(loaded(), FEATURES, judged=judged_at_random(1, share), jobs=1) for share in (0.0, 1.0))
    assert none.fingerprint == make_dataset(loaded(), FEATURES, jobs=1).fingerprint
    # Without a timeout a refused signal closes at once, so more of them follow.
    assert len(all_) > len(none)
    assert (all_.rows["decision"] == VETOED).all()


def test_rows_do_not_depend_on_threads_or_on_members_beside() -> None:
    same(whole(), make_dataset(loaded(), WIDE, jobs=3))
    alone = make_dataset(loaded()[2:3], WIDE, jobs=1)
    mine = whole().take(whole().rows["member"] == 2)
    assert alone.x.tobytes() == mine.x.tobytes()
    assert alone.rows["ts"].tolist() == mine.rows["ts"].tolist()


def test_members_on_several_intervals_share_the_default_features() -> None:
    """Columns are those that the longest of their intervals has, too."""
    data = make_dataset(loaded()[:2], jobs=1)
    assert {one.instance.interval for one in loaded()[:2]} == {"5m", "15m"}
    assert data.features == default_features(["15m", "5m"])
    assert np.isfinite(data.x).mean() > 0.9


def test_signals_that_never_fill_or_stay_open_have_no_row() -> None:
    """Trading stops at some time: orders after it never fill, and trades that are open then stay so."""
    stop_ms = first_ms(bars(), 12)
    halted = {}
    for name, one in bars().items():
        volume = np.where(one.ts < stop_ms, one.volume, 0.0)
        halted[name] = from_arrays(
            one.ts.copy(), one.open, one.high, one.low, one.close, volume, interval="1m", symbol=name,
            exchange=one.exchange,
        )  # fmt: skip
    # Every second member holds on to its first trade for ever.
    holds = [None, "2h"]
    held = [
        replace(one, rules=TradeRules(stop=0.3, target=0.3, exits=(), entry_ttl="15m", max_hold=holds[k % 2]))
        for k, one in enumerate(members())
    ]
    found = load_members(held, bars=halted, start=first_ms(bars(), WARM_DAYS), jobs=1)
    data = make_dataset(found, FEATURES, jobs=1)
    assert data.left_out[NEVER_FILLED] > 0
    assert data.left_out[STILL_OPEN] > 0
    assert (data.rows["known"] <= stop_ms).all()


def test_before_the_first_outcome_it_is_empty() -> None:
    data = make_dataset(loaded(), FEATURES, end_ms=first_ms(bars(), WARM_DAYS), jobs=1)
    assert (len(data), data.x.shape, dict(data.left_out)) == (0, (0, len(FEATURES)), {})
    assert len(data.weight) == 0


def test_what_cannot_be_made_is_said() -> None:
    with pytest.raises(InputError, match="at least one instance"):
        make_dataset([])
    with pytest.raises(InputError, match="`jobs` must be at least 1, was 0"):
        make_dataset(loaded(), FEATURES, jobs=0)
    with pytest.raises(InputError, match="shorter interval than 5m"):
        make_dataset(loaded(), ["1m:rsi(10)"], jobs=1)
    with pytest.raises(InputError, match="named twice"):
        make_dataset(loaded(), ["rsi(10)", "rsi(10)"], jobs=1)


def test_parts_of_a_dataset() -> None:
    data = whole()
    known_ms = int(np.median(data.rows["known"]))
    part = data.known_by(known_ms)
    assert 0 < len(part) < len(data)
    assert (part.rows["known"] <= known_ms).all()
    both = [data.of_strategy(name) for name in dict.fromkeys(data.strategies)]
    assert sum(map(len, both)) == len(data)
    assert part.fingerprint != data.fingerprint
    assert part.features == data.features
