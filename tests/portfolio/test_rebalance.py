"""Rebalancing: what a backtest decides is what cron decides, and nothing later changes it."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.portfolio.random_records import FIRST, FIRST_MS, random_record, record
from toolkit.bars.intervals import DAY_MS, HOUR_MS
from toolkit.errors import InputError, UnknownNameError
from toolkit.portfolio.rebalance import RebalancePolicy, decide, decisions, moments, rebalance, walk_forward
from toolkit.portfolio.selection import SelectionRule
from toolkit.portfolio.track import TrackRecord
from toolkit.portfolio.weights_caps import Caps

POLICY = RebalancePolicy("7d", "14d", SelectionRule("expectancy > 0", min_trades=3), "inverse_volatility")
START, END = FIRST_MS + 20 * DAY_MS, FIRST_MS + 60 * DAY_MS


def after(track: TrackRecord, moment_ms: int, seed: int) -> TrackRecord:
    """The same until the moment; afterwards other returns, other trades, and other ends of those that were open."""
    drawn = np.random.default_rng(seed)
    later = pl.col("date") >= FIRST + timedelta(days=(moment_ms - FIRST_MS) // DAY_MS)
    noise = [pl.when(later).then(pl.Series(drawn.normal(0, 5, len(track.returns)))).otherwise(pl.col(n)).alias(n)
             for n in track.instances]  # fmt: skip
    moment = pl.lit(moment_ms).cast(track.trades.schema["exit_ts"])
    open_then = pl.col("exit_ts") >= moment
    trades = track.trades.with_columns(
        pl.when(open_then).then(pl.Series(drawn.normal(0, 99, len(track.trades)))).otherwise(pl.col("pnl")).alias("pnl")
    )
    return TrackRecord(trades, track.returns.with_columns(noise), track.members)


def until(track: TrackRecord, moment_ms: int) -> TrackRecord:
    """What a store held at the moment: no day and no trade later than that."""
    last = FIRST + timedelta(days=(moment_ms - FIRST_MS) // DAY_MS)
    began = track.trades.filter(pl.col("entry_ts").cast(pl.Int64) < moment_ms)
    shut = pl.col("exit_ts").cast(pl.Int64) < moment_ms
    trades = began.with_columns(pl.when(shut).then(pl.col("exit_ts")).alias("exit_ts"))
    return TrackRecord(trades, track.returns.filter(pl.col("date") < last), track.members)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["equal", "winners", "inverse_volatility"]))
def test_backtest_and_cron_decide_alike(seed: int, method: str) -> None:
    track = random_record(seed)
    rule = SelectionRule("expectancy > 0", min_trades=3, max_correlation=0.7, top=4)
    policy = RebalancePolicy("7d", "14d", rule, method, Caps(symbol=0.75))
    schedule = walk_forward(track, START, END, policy)
    assert schedule.effective_ms.tolist() == moments(START, END, policy)
    for moment in moments(START, END, policy):
        cron = rebalance(until(track, moment), moment, policy)
        assert {name: w for name, w in schedule.at(moment).items() if w} == {n: w for n, w in cron.items() if w}
        assert sum(cron.values()) <= 1 + 1e-9


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(20, 59), st.integers(0, 23))
def test_the_future_changes_nothing(seed: int, day: int, hour: int) -> None:
    track, moment = random_record(seed), FIRST_MS + day * DAY_MS + hour * HOUR_MS
    before = decide(track, moment, POLICY)
    other = decide(after(track, moment, seed + 1), moment, POLICY)
    assert other.weights == before.weights
    assert other.selection.left_out == before.selection.left_out
    assert other.selection.figures.equals(before.selection.figures, null_equal=True)


def test_the_present_changes_something() -> None:
    """The wall of the test before is where it is said to be: one day earlier, and the decision differs."""
    track = random_record(8)
    figures = decide(track, START, POLICY).selection.figures
    assert not figures.equals(decide(after(track, START - DAY_MS, 1), START, POLICY).selection.figures)


def test_only_the_lookback_counts() -> None:
    track = random_record(9)
    moment = FIRST_MS + 40 * DAY_MS
    figures = decide(track, moment, POLICY).selection.figures
    window = track.returns["i1"].to_numpy()[26:40]
    assert figures["days"].to_list() == [14] * 6
    assert figures["total_return"][1] == pytest.approx(window.sum())
    inside = track.trades.filter(
        pl.col("instance") == "i1", pl.col("entry_ts").cast(pl.Int64).is_between(moment - 14 * DAY_MS, moment)
    )
    assert figures["trades"][1] == len(inside)


def test_moments_are_days_from_the_start() -> None:
    policy = RebalancePolicy(every="7d", lookback="14d")
    noon = START + 12 * HOUR_MS
    assert moments(noon, noon + 15 * DAY_MS, policy) == [noon, START + 7 * DAY_MS, START + 14 * DAY_MS]
    assert moments(START, START + 14 * DAY_MS, policy) == [START, START + 7 * DAY_MS]


def test_latency_moves_the_effect_not_the_decision() -> None:
    track = random_record(10)
    at_once = walk_forward(track, START, END, POLICY)
    late = RebalancePolicy(POLICY.every, POLICY.lookback, POLICY.rule, POLICY.method, latency="90m")
    delayed = walk_forward(track, START, END, late)
    assert (delayed.effective_ms - at_once.effective_ms == 90 * 60_000).all()
    assert (delayed.weights == at_once.weights).all()
    assert not any(delayed.at(START + 90 * 60_000 - 1).values())
    assert RebalancePolicy(latency="1.5s").latency_ms == 1500


def test_nothing_chosen_is_all_off_and_said() -> None:
    track = random_record(11)
    rule = SelectionRule("sharpe > 1000", min_trades=1)
    made = decisions(track, START, END, RebalancePolicy("7d", "14d", rule))
    assert all(not one.weights and one.note == "none of 6 instances keeps to the rule" for one in made)
    assert not walk_forward(track, START, END, RebalancePolicy("7d", "14d", rule)).weights.any()


def test_what_cannot_be_weighed_is_all_off_and_said() -> None:
    days = np.full((30, 2), -0.01)
    policy = RebalancePolicy("7d", "14d", SelectionRule(min_trades=0, by="total_return"), "winners")
    made = decide(record(days), FIRST_MS + 20 * DAY_MS, policy)
    assert made.weights == {}
    assert made.note.startswith("2 chosen, and they cannot be weighed: ")


def test_a_record_that_begins_too_late() -> None:
    with pytest.raises(InputError) as caught:
        walk_forward(random_record(12), FIRST_MS + 11 * DAY_MS, END, POLICY)
    assert "looks back 14d to 2022-12-30 00:00, and the records begin 3 days later, 2023-01-02" in str(caught.value)
    with pytest.raises(InputError, match="the records end 2023-03-03"):
        rebalance(random_record(12), END + 2 * DAY_MS, POLICY)
    with pytest.raises(InputError, match="no day"):
        rebalance(record(np.empty((0, 1))), END, POLICY)


def test_an_instance_that_was_listed_later_waits_for_its_record() -> None:
    returns = np.random.default_rng(13).normal(0.01, 0.01, (60, 2))
    returns[:30, 1] = np.nan
    schedule = walk_forward(record(returns), START, END, RebalancePolicy("7d", "14d", SelectionRule(min_trades=0)))
    on = schedule.weights[:, 1] > 0
    known = [(moment - FIRST_MS) // DAY_MS - 30 for moment in schedule.effective_ms.tolist()]
    assert on.tolist() == [days >= 2 for days in known]
    assert (schedule.weights.sum(axis=1) == 1).all()


def test_an_instance_whose_bars_ended_is_off() -> None:
    returns = np.random.default_rng(14).normal(0.01, 0.01, (60, 2))
    returns[30:, 1] = np.nan
    policy = RebalancePolicy("1d", "14d", SelectionRule(min_trades=0))
    track = record(returns)
    for day in range(20, 44):
        made = decide(track, FIRST_MS + day * DAY_MS, policy)
        assert (made.weights.get("i1", 0.0) > 0) == (day <= 30)
        if day > 30:
            assert made.selection.left_out["i1"] == f"has no bars since {FIRST + timedelta(days=29)}"
            assert made.weights == {"i0": 1.0}


@pytest.mark.parametrize(
    ("settings_", "says"),
    [
        ({"every": "12h"}, "`every` must be whole days such as '7d' (records are daily), was '12h'"),
        ({"every": "0d"}, "`every` must be whole days"),
        ({"lookback": "20bars"}, "`lookback` must be a time"),
        ({"lookback": "36h"}, "`lookback` must be whole days"),
        ({"latency": "7d"}, "`latency` '7d' must be shorter than `every` '7d'"),
        ({"latency": "soon"}, "`latency` must be a time"),
        ({"latency": 5}, "`latency` must be a time"),
    ],
)
def test_bad_policies(settings_: dict[str, str], says: str) -> None:
    with pytest.raises(InputError) as caught:
        RebalancePolicy(**settings_)  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_an_unknown_method() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'hrp'"):
        RebalancePolicy(method="hpr")
