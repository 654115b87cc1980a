"""What members earn over a period: beside the track record, a plain sum over trades, and an account counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from tests.models.planted import FIRST_MS, planted_bars, planted_members
from toolkit.bars.intervals import DAY_MS, HOUR_MS
from toolkit.engine.rules import Costs, TradeRules
from toolkit.engine.types import ACCEPTED, LONG, VETOED, Judged
from toolkit.errors import InputError
from toolkit.models.outcome import Earned, Period, earned, earned_in_slots, paths, period, profits
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.portfolio.members import Member
from toolkit.portfolio.standalone import track_of
from toolkit.types import FloatArray

DAYS = 40
COSTS = Costs(taker_rate=0.0004, slippage_bps=2.0, funding_rate=0.0001)


@pytest.fixture(scope="module")
def loaded() -> list[LoadedMember]:
    """Both sides, with costs, funding and stops, on three symbols."""
    bars = {name: planted_bars(name, DAYS, k) for k, name in enumerate(("AAA/USDT", "BBB/USDT", "CCC/USDT"))}
    rules = TradeRules(side="both", stop=0.01, target=0.012, max_hold="30h", signal_timeout="6h")
    members = [Member("volatility_breakout", name, "1h", {"window": 12}, rules, COSTS) for name in bars]
    return load_members(members, bars=bars, start=FIRST_MS + 3 * DAY_MS, jobs=1)


@pytest.fixture(scope="module")
def whole(loaded: list[LoadedMember]) -> Period:
    return period(loaded, FIRST_MS, FIRST_MS + DAYS * DAY_MS)


def judged(one: LoadedMember, seed: int) -> dict[int, Judged]:
    rng, said = np.random.default_rng(seed), {}
    for side, leg in one.prepared.legs.items():
        n = len(leg.entry_t)
        scales = np.where(rng.random(n) < 0.4, 0.0, rng.random(n))
        verdicts = np.where(scales > 0, ACCEPTED, VETOED).astype(np.uint8)
        said[side] = Judged(verdicts, rng.random(n), scales, np.zeros(n, np.int64))
    return said


def test_without_models_the_days_are_those_of_the_track_record(loaded: list[LoadedMember], whole: Period) -> None:
    track = track_of(loaded, jobs=1).returns.drop("date").to_numpy()
    made = earned(whole)
    assert made.day0 == FIRST_MS // DAY_MS
    # The record begins with the first day that is traded, the period three days before.
    assert (made.daily[:, :3] == 0.0).all()
    assert (made.daily[:, 3:] == np.nan_to_num(track.T)).all()
    assert made.trades == sum(int((run.trades["exit_reason"] != 0).sum()) for run in paths(whole) if run)


def test_all_profits_are_in_the_days(loaded: list[LoadedMember], whole: Period) -> None:
    said = {one.instance.id: judged(one, k) for k, one in enumerate(loaded)}
    made = earned(whole, said)
    for k, (one, run) in enumerate(zip(whole.members, paths(whole, said), strict=True)):
        assert run is not None
        total = 0.0
        for trade in run.trades:
            says = said[one.instance.id][int(trade["side"])]
            at = one.prepared.legs[int(trade["side"])].entry_t.tolist().index(int(trade["signal_t"]))
            assert says.verdicts[at] == ACCEPTED
            total += says.scales[at] * float(profits(trade[None])[0])
        assert made.daily[k].sum() == pytest.approx(total, abs=1e-12)
        closed = run.trades[run.trades["exit_reason"] != 0]
        assert len(made.returns[made.member == k]) == len(closed)
    assert 0 < made.trades < earned(whole).trades


def test_a_period_looks_at_nothing_behind_it(loaded: list[LoadedMember]) -> None:
    """The days up to a moment are the same when everything after it is another history."""
    cut_ms = FIRST_MS + 17 * DAY_MS + 5 * HOUR_MS
    start_ms = FIRST_MS + 6 * DAY_MS
    said = {one.instance.id: judged(one, k) for k, one in enumerate(loaded)}
    for one in loaded:
        market = one.prepared.market
        n = cut_ms // HOUR_MS - market.t0
        other = market._replace(
            open=np.concatenate([market.open[:n], 2 * market.open[n:]]),
            low=np.concatenate([market.low[:n], 0.1 * market.low[n:]]),
            high=np.concatenate([market.high[:n], 9 * market.high[n:]]),
            close=np.concatenate([market.close[:n], 3 * market.close[n:]]),
        )
        changed = replace(one, prepared=replace(one.prepared, market=other))
        a, b = (earned(period([who], start_ms, cut_ms), said) for who in (one, changed))
        assert (a.daily == b.daily).all()
        assert (a.returns == b.returns).all()
        assert a.daily.shape == (1, 12)
        # Up to the day of the cut it is what the longer period shows, too: trades open there are marked at its close.
        longer = earned(period([one], start_ms, FIRST_MS + DAYS * DAY_MS), said)
        assert (longer.daily[:, :11] == a.daily[:, :11]).all()
        assert a.trades > 3


def test_a_member_without_bars_in_the_period_earns_nothing(loaded: list[LoadedMember]) -> None:
    after = period(loaded, FIRST_MS + (DAYS + 5) * DAY_MS, FIRST_MS + (DAYS + 9) * DAY_MS)
    made = earned(after)
    assert made.daily.shape == (3, 4)
    assert not made.daily.any()
    assert made.trades == 0
    assert earned_in_slots(after, 1).trades == 0
    before = earned(period(loaded, FIRST_MS - 9 * DAY_MS, FIRST_MS - 2 * DAY_MS))
    assert not before.daily.any()
    with pytest.raises(InputError, match="must end after it begins"):
        period(loaded, FIRST_MS, FIRST_MS)


def test_some_of_the_members() -> None:
    made = Earned(5, np.arange(6.0).reshape(3, 2), np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 2, 1, 2]))
    some = made.of([2, 0])
    assert some.daily.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert some.returns.tolist() == [0.1, 0.2, 0.4]
    assert some.member.tolist() == [1, 0, 0]
    assert some.pooled.tolist() == [4.0, 6.0]


# Slots: all of these members want in at the same hours.


@pytest.fixture(scope="module")
def rivals() -> Period:
    loaded = planted_members(DAYS, symbols=3)
    return period(loaded, FIRST_MS + 3 * DAY_MS, FIRST_MS + DAYS * DAY_MS)


def likely(rivals: Period, p: FloatArray) -> dict[str, dict[int, Judged]]:
    """Everything is accepted, with one probability a member."""
    said = {}
    for one, name, chance in zip(rivals.members, rivals.ids, p.tolist(), strict=True):
        n = len(one.prepared.legs[LONG].entry_t)
        said[name] = {
            LONG: Judged(np.full(n, ACCEPTED, np.uint8), np.full(n, chance), np.ones(n), np.zeros(n, np.int64))
        }
    return said


def test_slots_go_to_the_likeliest(rivals: Period) -> None:
    alone = earned(rivals)
    for first in range(3):
        p = np.full(3, 0.4)
        p[first] = 0.6
        made = earned_in_slots(rivals, 1, likely(rivals, p))
        assert set(made.member.tolist()) == {first}
        assert made.daily[first] == pytest.approx(alone.daily[first], rel=1e-6, abs=1e-9)
    weighed = earned_in_slots(rivals, 1, likely(rivals, np.array([0.1, 0.2, 0.3])), by_prediction=False)
    assert set(weighed.member.tolist()) == {sorted(range(3), key=lambda k: rivals.ids[k])[0]}


def test_enough_slots_leave_nobody_out(rivals: Period) -> None:
    alone, together = earned(rivals), earned_in_slots(rivals, 3)
    assert together.trades == alone.trades
    assert together.daily == pytest.approx(alone.daily, rel=1e-6, abs=1e-9)
    assert earned_in_slots(rivals, 2).trades < alone.trades
    with pytest.raises(InputError, match=r"`slots` must be at least 1, was 0"):
        earned_in_slots(rivals, 0)
