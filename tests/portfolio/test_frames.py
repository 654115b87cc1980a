"""Tables of a portfolio against the tables of its instances one by one, and against each other, on random accounts."""

from functools import cache

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.portfolio.account_cases import compiled_run, random_account
from toolkit.analysis.frames import SIGNAL_COLUMNS, TRADE_COLUMNS, Naming, signal_frame, trade_frame
from toolkit.analysis.orders import ORDER_COLUMNS, order_frame
from toolkit.bars.intervals import DAY_MS
from toolkit.engine.sizing import REASONS, Reason
from toolkit.engine.types import ACCEPTED, TargetFill
from toolkit.portfolio import frames
from toolkit.portfolio.books import make_books
from toolkit.portfolio.simulate import PortfolioRun

SEEDS = range(24)


@cache
def account(seed: int) -> PortfolioRun:
    return compiled_run(random_account(seed))


def naming(run: PortfolioRun, member: int) -> Naming:
    one = run.members[member]
    return Naming(one.instance, one.bars.base.interval_ms)


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_are_those_of_each_instance_alone(seed: int) -> None:
    run = account(seed)
    trades, signals, orders = frames.trades_table(run), frames.signals_table(run), frames.orders_table(run)
    assert (tuple(trades.columns), tuple(signals.columns)) == (TRADE_COLUMNS, SIGNAL_COLUMNS)
    assert tuple(orders.columns) == ORDER_COLUMNS
    assert trades["weight"].to_list() == run.trade_weight.tolist()
    for k, loaded in enumerate(run.members):
        of_trade, of_signal = run.trade_member == k, run.signal_member == k
        own, named = trades.filter(pl.Series(of_trade)), naming(run, k)
        assert_frame_equal(own.drop("weight"), trade_frame(run.trades[of_trade], named).drop("weight"))
        said = ["signal_id", "instance", "ts", "side", "expires_ts", "closed_ts", "ignored_entries"]
        expected = signal_frame(run.signals[of_signal], named).select(said)
        assert_frame_equal(signals.filter(pl.Series(of_signal)).select(said), expected)
        states = {side: state for (member, side), state in run.states.items() if member == k}
        fill = TargetFill(loaded.prepared.rules.target_fill)
        alone = order_frame(
            run.trades[of_trade], run.signals[of_signal], states, named, notional=1.0, target_fill=fill
        )  # fmt: skip
        mine = orders.filter(pl.col("trade_id").str.starts_with(loaded.instance.digest))
        assert_frame_equal(mine.drop("qty"), alone.drop("qty"))
    assert len(orders) == orders["order_id"].n_unique()


@pytest.mark.parametrize("seed", SEEDS)
def test_profits_of_instances_add_up_to_the_account_every_day(seed: int) -> None:
    run = account(seed)
    books, equity = make_books(run), frames.equity_table(run)
    largest = max(run.capital, float(np.abs(books.pnl).max(initial=0.0)))
    np.testing.assert_allclose(books.pnl.sum(axis=0), equity["pnl"].to_numpy(), rtol=1e-9, atol=1e-9 * largest)
    made = frames.trades_table(run)["pnl"].sum()
    assert equity["equity"][-1] - run.capital == pytest.approx(made, rel=1e-9, abs=1e-9 * largest)
    returns = frames.instance_returns(run, books, equity)
    daily = returns.group_by("date").agg(pl.col("return", "pnl").sum()).sort("date")
    if daily.height:
        assert len(daily) == len(equity)
        ends = equity["ts"].dt.offset_by("-1ms").dt.date().cast(pl.Date)
        assert daily["date"].to_list() == ends.to_list()
        np.testing.assert_allclose(daily["return"], equity["return"], rtol=1e-9, atol=1e-9 * largest / run.capital)
    assert (books.low <= 0.0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_audit_explains_every_signal(seed: int) -> None:
    run = account(seed)
    audit, signals = frames.audit_table(run), frames.signals_table(run)
    paid = audit.filter(pl.col("reason") != REASONS[Reason.UNPAID])
    assert len(paid) == len(signals)
    assert paid["ts"].to_list() == signals["ts"].to_list()
    unpaid = pl.Series(run.signal_reason == Reason.UNPAID)
    assert len(audit) - len(paid) == unpaid.sum()
    for row, signal, late in zip(paid.iter_rows(named=True), signals.iter_rows(named=True), unpaid, strict=True):
        assert row["instance"] == signal["instance"]
        if row["decision"] == "accepted":
            assert row["given"] == row["asked"] and row["reason"] == REASONS[Reason.FULL]
        elif row["decision"] == "clipped":
            assert 0.0 < row["given"] < row["asked"]
        else:
            assert row["given"] == 0.0 and signal["reason"] == row["reason"]
            assert signal["decision"] == row["decision"]
        if row["given"] > 0.0:
            assert signal["decision"] == ("rejected" if late else "accepted")
            assert row["given_notional"] == row["given"] * row["price"]
    assert (audit["decision"] == "vetoed").sum() == (run.audit["reason"] == Reason.VETOED).sum()


@pytest.mark.parametrize("seed", SEEDS)
def test_shadows_are_of_refused_signals_at_the_size_they_asked_for(seed: int) -> None:
    run = account(seed)
    signals = frames.signals_table(run)
    accepted = pl.Series(run.signals["decision"] == ACCEPTED)
    assert signals.filter(accepted)["shadow_pnl"].null_count() == accepted.sum()
    asked = run.audit[run.audit["reason"] != Reason.UNPAID]["asked"]
    without = pl.Series(np.isnan(asked))
    assert signals.filter(without)["shadow_pnl"].null_count() == without.sum()


def test_unfilled_entries_have_the_quantity_that_was_given() -> None:
    seen = 0
    for seed in SEEDS:
        run = account(seed)
        orders = frames.orders_table(run).filter(kind="entry")
        ids = frames.signals_table(run)["signal_id"].str.strip_suffix("-signal")
        given = run.audit[run.audit["reason"] != Reason.UNPAID]["given"]
        size = dict(zip(ids, given, strict=True))
        unfilled = orders.filter(pl.col("price").is_null())
        seen += len(unfilled)
        for trade_id, qty in unfilled.select("trade_id", "qty").iter_rows():
            assert qty == size[trade_id] > 0.0
    assert seen > 5


@pytest.mark.parametrize("seed", SEEDS)
def test_stand_alone_trades_get_the_weight_of_their_moment(seed: int) -> None:
    run, schedule = account(seed), random_account(seed).schedule
    trades = frames.trades_table(run)
    found = frames.weighted(trades, schedule)
    for row in found.iter_rows(named=True):
        at_ms = int(row["signal_ts"].timestamp() * 1000)
        assert row["weight"] == schedule.at(at_ms).get(row["instance"], 0.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_say_from_when_they_hold(seed: int) -> None:
    run, schedule = account(seed), random_account(seed).schedule
    table = frames.weights_table(schedule, run.start_ms)
    assert (table["effective_from"].cast(pl.Int64) >= run.start_ms).all()
    for (moment,), rows in table.partition_by("effective_from", as_dict=True).items():
        at = schedule.at(int(moment.timestamp() * 1000))
        assert dict(rows.select("instance", "weight").iter_rows()) == at


def marked_path(run: PortfolioRun) -> tuple[np.ndarray, np.ndarray]:
    """The account's equity at each minute's end, without funding: every trade followed on its own bars' closes."""
    at = np.arange(run.start_ms, run.end_ms + 1, 60_000)
    worth = np.full(len(at), run.capital)
    for trade, member in zip(run.trades, run.trade_member, strict=True):
        base = run.members[member].bars.base
        step = base.interval_ms
        t0 = int(base.ts[0]) // step
        done = trade["exit_reason"] != 0
        entered, left = at >= (trade["entry_t"] + 1) * step, done & (at >= (trade["exit_t"] + 1) * step)
        last = np.clip(at // step - 1 - t0, 0, len(base) - 1)
        mark = np.where(left, trade["exit_price"], base.close[last])
        made = trade["side"] * trade["qty"] * (mark - trade["entry_price"]) - trade["entry_fee"]
        worth += np.where(entered, made - np.where(left, trade["exit_fee"], 0.0), 0.0)
    return at, worth


@pytest.mark.parametrize("seed", SEEDS)
def test_no_minute_of_a_day_is_below_its_bound(seed: int) -> None:
    run = account(seed)
    books = make_books(run)
    at, worth = marked_path(run)
    for day in range(len(books.low)):
        begin = max(run.start_ms, (books.day0 + day) * DAY_MS)
        inside = (at >= begin) & (at <= (books.day0 + day + 1) * DAY_MS)
        if inside.any():
            fall = worth[inside].min() - worth[inside][0]
            assert fall >= books.low[day] - 1e-7 * run.capital, (seed, day)
