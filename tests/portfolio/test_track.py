"""The wall: what is known at a moment does not change, whatever happens at or after it."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.portfolio.records import DAY, FIRST_MS, trade_rows
from toolkit.errors import InputError
from toolkit.portfolio.track import FOREIGN_CAPITAL, TrackRecord, money_only, track_from_trades

SPAN = 12 * DAY


@st.composite
def trades(draw: st.DrawFn, earliest: int = 0) -> dict[str, Any]:
    """A trade of `a` or `b` entered from `earliest` on (ms from the record's beginning), some still open."""
    entry = draw(st.integers(earliest // 3_600_000, SPAN // 3_600_000))
    hours = draw(st.none() | st.integers(0, 60))
    return {
        "instance": draw(st.sampled_from("ab")),
        "entry_ts": FIRST_MS + entry * 3_600_000,
        "exit_ts": None if hours is None else FIRST_MS + (entry + hours) * 3_600_000,
        "return": draw(st.floats(-0.5, 0.5)),
        "pnl": 1.0,
    }


def marked(rows: list[dict[str, Any]], days: int = 16) -> TrackRecord:
    """A record whose calendar does not hang on its trades, as that of simulated members."""
    frame = {name: [0.0] * days for name in "ab"}
    for row in rows:
        if row["exit_ts"] is not None:
            frame[row["instance"]][min((row["exit_ts"] - FIRST_MS) // DAY, days - 1)] += row["return"]
    dates = pl.Series(range(FIRST_MS // DAY, FIRST_MS // DAY + days), dtype=pl.Int32).cast(pl.Date)
    members = pl.DataFrame({"instance": ["a", "b"], "strategy": ["a", "b"]})
    # Numbers of trades hang on how many there are; all else is compared.
    table = trade_rows([{**ROW, "return": 0.0}, *rows])[1:].drop("trade_id")
    return TrackRecord(table, pl.DataFrame({"date": dates, **frame}), members)


ROW = {"instance": "a", "entry_ts": FIRST_MS, "exit_ts": FIRST_MS + DAY, "pnl": 2.0}


def same(one: TrackRecord, other: TrackRecord) -> bool:
    return one.trades.equals(other.trades) and one.returns.equals(other.returns) and one.members.equals(other.members)


@given(
    st.lists(trades(), max_size=12), st.lists(trades(), max_size=6), st.integers(0, SPAN // 3_600_000), st.data()
)  # fmt: skip
def test_nothing_at_or_after_the_moment_changes_what_is_known(
    past: list[dict[str, Any]], others: list[dict[str, Any]], hour: int, data: st.DataObject
) -> None:
    moment = FIRST_MS + hour * 3_600_000
    lookback = data.draw(st.none() | st.integers(1, 15 * 24).map(lambda hours: hours * 3_600_000))
    settled = [row for row in past if row["exit_ts"] is not None and row["exit_ts"] < moment]
    # Everything that ends at or after the moment is replaced by other trades that do.
    future = [row for row in others if row["exit_ts"] is None or row["exit_ts"] >= moment]
    open_then = [row for row in past if row not in settled]
    told, otherwise = marked([*settled, *open_then]), marked([*settled, *future])
    assert same(told.known_at(moment, lookback), otherwise.known_at(moment, lookback))


@given(st.lists(trades(), min_size=1, max_size=12), st.integers(0, SPAN // 3_600_000), st.integers(1, 300))
def test_what_is_known_is_what_a_loop_over_rows_finds(rows: list[dict[str, Any]], hour: int, hours: int) -> None:
    moment, since = FIRST_MS + hour * 3_600_000, FIRST_MS + (hour - hours) * 3_600_000
    known = marked(rows).known_at(moment, hours * 3_600_000)
    expected = [
        row["return"] for row in rows
        if row["exit_ts"] is not None and row["exit_ts"] < moment and row["entry_ts"] >= since
    ]  # fmt: skip
    assert known.trades["return"].to_list() == expected
    days = [FIRST_MS + k * DAY for k in range(16)]
    expected_days = [day for day in days if day >= since and day + DAY <= moment]
    assert known.returns["date"].cast(pl.Int32).cast(pl.Int64).to_list() == [day // DAY for day in expected_days]


def test_a_day_is_known_when_it_has_ended_and_a_trade_after_its_exit() -> None:
    record = marked([{**ROW, "return": 0.1, "exit_ts": FIRST_MS + DAY}])
    assert record.known_at(FIRST_MS + DAY - 1).returns.height == 0
    assert record.known_at(FIRST_MS + DAY).returns.height == 1
    assert record.known_at(FIRST_MS + DAY).trades.height == 0
    assert record.known_at(FIRST_MS + DAY + 1).trades.height == 1


def test_a_lookback_begins_with_whole_days_and_entries() -> None:
    record = marked([{**ROW, "return": 0.1}])
    whole = record.known_at(FIRST_MS + 3 * DAY, 3 * DAY)
    assert (whole.trades.height, whole.returns.height) == (1, 3)
    less = record.known_at(FIRST_MS + 3 * DAY, 3 * DAY - 1)
    assert (less.trades.height, less.returns.height) == (0, 2)


def test_a_range_takes_whole_days_and_only_their_trades() -> None:
    record = marked([{**ROW, "return": 0.1}, {**ROW, "return": 0.2, "exit_ts": FIRST_MS + 4 * DAY}])
    some = record.between(FIRST_MS, FIRST_MS + 3 * DAY)
    assert (some.trades["return"].to_list(), some.returns.height) == ([0.1], 3)
    assert same(record.between(None, None), record)


def test_some_of_the_instances_keep_the_order() -> None:
    record = marked([{**ROW, "return": 0.1}, {**ROW, "instance": "b", "return": 0.2}])
    assert record.only(["b"]).instances == ["b"]
    assert record.only(["b"]).trades["return"].to_list() == [0.2]
    assert record.only(["b", "a", "unknown"]).instances == ["a", "b"]


def test_profit_of_a_foreign_trade_counts_on_the_day_of_its_exit() -> None:
    rows = [
        {**ROW, "exit_ts": FIRST_MS + 2 * DAY, "return": 0.1},
        {**ROW, "exit_ts": FIRST_MS + 2 * DAY + 5, "return": 0.2},
        {**ROW, "instance": "b", "side": "short", "exit_ts": FIRST_MS + 3 * DAY, "return": -0.3},
        {**ROW, "instance": "b", "exit_ts": None, "return": 9.0},
    ]
    record = track_from_trades(trade_rows(rows))
    assert record.returns["a"].to_list() == pytest.approx([0.0, 0.0, 0.3, 0.0])
    assert record.returns["b"].to_list() == [0.0, 0.0, 0.0, -0.3]
    assert record.trades.height == 4
    assert record.members.select("instance", "side", "family").rows() == [("a", "long", "a"), ("b", "both", "b")]


def test_money_is_divided_by_one_capital_where_returns_are_missing() -> None:
    rows = trade_rows([{**ROW, "pnl": 500.0}, {**ROW, "instance": "b", "pnl": -250.0}])
    assert money_only(rows)
    assert track_from_trades(rows).returns["a"].to_list() == [0.0, 500.0 / FOREIGN_CAPITAL]
    assert track_from_trades(rows, capital=1000.0).returns["b"].to_list() == [0.0, -0.25]


def test_before_and_after_its_file_nothing_is_known_of_an_instance() -> None:
    rows = [
        {**ROW, "source": "one"},
        {**ROW, "instance": "b", "entry_ts": FIRST_MS + 2 * DAY, "exit_ts": FIRST_MS + 3 * DAY, "source": "two"},
    ]
    returns = track_from_trades(trade_rows(rows), capital=1.0).returns
    assert returns["a"].to_list() == [0.0, 2.0, None, None]
    assert returns["b"].to_list() == [None, None, 0.0, 2.0]


def test_days_without_any_trade_are_there() -> None:
    rows = [ROW, {**ROW, "entry_ts": FIRST_MS + 40 * DAY, "exit_ts": FIRST_MS + 40 * DAY}]
    assert track_from_trades(trade_rows(rows)).returns.height == 41


@pytest.mark.parametrize(
    ("table", "capital", "said"),
    [
        (trade_rows([ROW]).drop("side"), None, r"missing: \['side'\]"),
        (trade_rows([{**ROW, "exit_ts": None}]), None, "none of the 1 trades has an exit"),
        (trade_rows([ROW]), 0.0, "capital must be a positive amount of money, was 0.0"),
    ],
)
def test_no_record_of_what_cannot_be_one(table: pl.DataFrame, capital: float | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        track_from_trades(table, capital)
