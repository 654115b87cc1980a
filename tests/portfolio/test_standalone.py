"""The record of members alone is that of their backtests, side by side."""

import numpy as np
import polars as pl
import pytest

from tests.portfolio.stored import END, START, make_store, members
from tests.portfolio.test_loading import alone
from toolkit.analysis.frames import TRADE_COLUMNS
from toolkit.analysis.result import BacktestResult
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars
from toolkit.bars.synthetic import synthetic_bars
from toolkit.engine.rules import Costs, TradeRules
from toolkit.errors import InputError
from toolkit.portfolio import standalone
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.portfolio.members import Member
from toolkit.portfolio.standalone import track_of
from toolkit.portfolio.track import TrackRecord


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> list[LoadedMember]:
    return load_members(members(), start=START, end=END, db=make_store(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def backtests(tmp_path_factory: pytest.TempPathFactory) -> list[BacktestResult]:
    db = make_store(tmp_path_factory.mktemp("again"))
    return [alone(member, db) for member in members()]


@pytest.fixture(scope="module")
def track(loaded: list[LoadedMember]) -> TrackRecord:
    return track_of(loaded)


def test_trades_are_those_of_backtests(track: TrackRecord, backtests: list[BacktestResult]) -> None:
    expected = pl.concat([b.trades for b in backtests])
    assert track.trades.columns == [*TRADE_COLUMNS, "family", "known_ts"]
    assert track.trades.drop("family", "known_ts").equals(expected)
    assert len(expected) > 200
    assert expected["exit_ts"].null_count() > 0


def test_daily_returns_are_the_backtests_profits(track: TrackRecord, backtests: list[BacktestResult]) -> None:
    dates = track.returns["date"]
    assert track.returns.columns == ["date", *(b.instance.id for b in backtests)]
    assert dates.dtype == pl.Date
    assert dates.cast(pl.Int32).diff().drop_nulls().unique().to_list() == [1]
    assert (str(dates[0]), str(dates[-1])) == ("2023-01-04", "2023-01-11")
    for b in backtests:
        days = ((b.equity["ts"].dt.timestamp("ms") - 1) // DAY_MS).cast(pl.Int32).cast(pl.Date)
        column = track.returns[b.instance.id]
        known = track.returns.filter(column.is_not_null())
        assert known["date"].equals(days.alias("date")), b.instance.id
        np.testing.assert_array_equal(known[b.instance.id], b.equity["pnl"])
        assert column.sum() == pytest.approx(b.metrics["total_return"], abs=1e-12)


def test_days_without_bars_are_null_and_days_without_a_position_zero(track: TrackRecord) -> None:
    listed = track.returns.select("date", pl.col("^.*ETHUSDT.*$"))
    ended = track.returns.select("date", pl.col("^.*SOLUSDT.*$"))
    for name in listed.columns[1:]:
        known = listed.filter(pl.col(name).is_not_null())["date"]
        assert (str(known[0]), str(known[-1])) == ("2023-01-06", "2023-01-11")
    for name in ended.columns[1:]:
        known = ended.filter(pl.col(name).is_not_null())["date"]
        assert (str(known[0]), str(known[-1])) == ("2023-01-04", "2023-01-07")
    assert not any(column.is_nan().any() for column in track.returns.iter_columns() if column.dtype == pl.Float64)


def test_members_and_families(track: TrackRecord, loaded: list[LoadedMember]) -> None:
    assert track.members.rows() == [
        (one.instance.id, one.member.strategy, one.member.symbol, one.member.interval, one.member.rules.side,
         one.member.family)
        for one in loaded
    ]  # fmt: skip
    family = dict(track.members.select("instance", "family").iter_rows())
    assert track.trades.select("instance", "family").unique().rows() != []
    assert all(family[i] == f for i, f in track.trades.select("instance", "family").unique().iter_rows())
    assert {"a", "volatility_breakout", "reversal_breakout", "trend_day"} == set(family.values())


@pytest.mark.parametrize("batch", [1, 5, 1000])
def test_one_thread_or_many_in_any_batches(
    batch: int, loaded: list[LoadedMember], track: TrackRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standalone, "BATCH", batch)
    for jobs in (1, 6):
        again = track_of(loaded, jobs=jobs)
        assert again.trades.equals(track.trades)
        assert again.returns.equals(track.returns)
        assert again.members.equals(track.members)


def test_a_member_that_never_trades_has_days_of_zero(loaded: list[LoadedMember]) -> None:
    from dataclasses import replace

    one = loaded[0]
    quiet = {
        side: leg._replace(entry_t=leg.entry_t[:0], distances=leg.distances[:, :0])
        for side, leg in one.prepared.legs.items()
    }
    idle = replace(one, prepared=replace(one.prepared, legs=quiet))
    track = track_of([idle])
    assert len(track.trades) == 0
    assert track.trades.columns == [*TRADE_COLUMNS, "family", "known_ts"]
    assert track.returns[one.instance.id].to_list() == [0.0] * 8


def test_no_members() -> None:
    with pytest.raises(InputError, match="a track record needs at least one instance, was given none"):
        track_of([])
    with pytest.raises(InputError, match="`jobs` must be at least 1, was 0"):
        track_of([], jobs=0)


def test_an_exit_inside_a_bar_is_known_at_its_close() -> None:
    bars = synthetic_bars(["SOL/USDT"], days=12, seed=4)["SOL/USDT"].to("5m")
    names = ("ts", "open", "high", "low", "close", "volume", "filled")
    stored = Bars("SOL/USDT", "synthetic", "5m", **{name: np.array(getattr(bars, name)) for name in names})
    rules = TradeRules(stop=0.004, target=0.006, max_hold="6h")
    member = Member("volatility_breakout", "SOL/USDT", "5m", {"window": 12}, rules, Costs())
    track = track_of(load_members([member], start=None, end=None, bars={"SOL/USDT": stored}))
    exits = track.trades.drop_nulls("exit_ts")["exit_ts"].dt.epoch("ms")
    assert len(exits) > 5
    inside = int(exits[3]) + 3 * 60_000
    assert inside - 3 * 60_000 not in track.known_at(inside).trades["exit_ts"].dt.epoch("ms").to_list()
    assert int(exits[3]) in track.known_at(int(exits[3]) + 5 * 60_000).trades["exit_ts"].dt.epoch("ms").to_list()
