"""A pull against a local exchange, ccxt unmodified: complete, resumable, honest about what is not there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exchange import Fault, GateServer
from tests.exchange.faults import Kind
from tests.exchange.worlds import START_MS, finished, without, world
from toolkit.bars.columns import COLUMNS, Columns
from toolkit.bars.download import Retry, Venue, ccxt_options
from toolkit.bars.pull import Progress, pull
from toolkit.bars.store import Instrument, Source, Store
from toolkit.errors import InputError, StoreError, UnknownNameError, VenueError

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
QUICK = Retry(tries=4, first_pause_secs=0.001)


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer(world()) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "bars.duckdb")


def venue(server: GateServer, **settings: Any) -> Venue:
    return Venue("gate", server.ccxt_options(), **{"retry": QUICK, **settings})


def stored(store: Store, symbol: str = "BTC/USDT", interval: str = "1m") -> Columns:
    return store.read("gate", symbol, interval)


def assert_same(a: Columns, b: Columns) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_all_finished_bars_are_stored_and_the_open_one_is_not(server: GateServer, store: Store) -> None:
    seen: list[Progress] = []
    report = pull(venue(server), store, "btc-usdt", "1m", START_MS, on_progress=seen.append)
    expected = finished(server.market, "BTC/USDT")
    assert_same(stored(store), expected)
    assert report.rows.rows_new == len(expected["ts"])
    assert server.market.now_ms - report.until_ms == 2_000
    assert (seen[-1].done_bars, seen[-1].total_bars) == (4 * 1440, 4 * 1440)
    assert [p.done_bars for p in seen] == sorted(p.done_bars for p in seen)


def test_the_halt_is_reported_and_asked_for_only_once(server: GateServer, store: Store) -> None:
    report = pull(venue(server), store, "BTC/USDT", "1m", START_MS)
    holes = np.diff(finished(server.market, "BTC/USDT")["ts"]) // MINUTE - 1
    assert [gap.bars for gap in report.missing] == holes[holes > 0].tolist()
    server.faults.plan()
    again = pull(venue(server), store, "BTC/USDT", "1m", START_MS)
    assert (again.rows.rows_new, again.pages, server.faults.requests) == (0, 0, 0)
    assert again.missing == report.missing


def test_source_and_instrument_are_kept(server: GateServer, store: Store) -> None:
    pull(venue(server), store, "BTC/USDT", "1h", START_MS)
    (record,) = store.imports()
    assert (record.source.kind, record.source.name) == (
        "request", "gate fetch_ohlcv BTC/USDT 1h since 2023-01-01 00:00",
    )  # fmt: skip
    assert len(record.source.sha256) == 64
    assert store.instrument("gate", "BTC/USDT") == Instrument("gate", "BTC/USDT", 0.01, 1e-05, 0.0001, 3.0)


def test_it_goes_on_after_the_last_stored_bar(server: GateServer, store: Store) -> None:
    half = START_MS + 2 * DAY
    pull(venue(server), store, "BTC/USDT", "1m", START_MS, half)
    server.faults.plan()
    report = pull(venue(server), store, "BTC/USDT")
    assert int(server.queries[-server.faults.requests]["from"]) * 1000 == half - MINUTE
    assert report.rows.rows_same >= 1
    assert_same(stored(store), finished(server.market, "BTC/USDT"))


def test_an_earlier_since_is_filled_in_front(server: GateServer, store: Store) -> None:
    pull(venue(server), store, "BTC/USDT", "1m", START_MS + 3 * DAY)
    server.faults.plan()
    pull(venue(server), store, "BTC/USDT", "1m", START_MS + DAY)
    assert server.faults.requests <= 4
    assert_same(stored(store), finished(server.market, "BTC/USDT", START_MS + DAY))


def test_a_pull_stopped_in_front_of_stored_bars_is_completed(server: GateServer, store: Store) -> None:
    pull(venue(server), store, "BTC/USDT", "1m", START_MS + 3 * DAY)
    server.faults.plan(Fault("bad_gateway", first=2, times=99))
    with pytest.raises(VenueError, match="kept: run the same command later"):
        pull(venue(server), store, "BTC/USDT", "1m", START_MS)
    assert len(stored(store)["ts"]) == 1440 + 1000
    server.faults.plan()
    pull(venue(server), store, "BTC/USDT", "1m", START_MS)
    assert_same(stored(store), finished(server.market, "BTC/USDT"))


def test_holes_of_an_imported_file_are_filled(server: GateServer, store: Store) -> None:
    whole = finished(server.market, "BTC/USDT")
    kept = (whole["ts"] < START_MS + HOUR) | (whole["ts"] >= START_MS + 20 * HOUR)
    some = {name: column[kept] for name, column in whole.items()}
    store.write("gate", "BTC/USDT", "1m", some, Source("file", "bars.csv", "0" * 64))
    server.faults.plan()
    report = pull(venue(server), store, "BTC/USDT", "1m", START_MS)
    assert report.rows.rows_new == 19 * 60
    assert_same(stored(store), whole)


@pytest.mark.parametrize("kind", ["bad_gateway", "rate_limit", "cut_body", "cut_json", "reset"])
def test_a_fault_is_asked_again_and_nothing_is_lost(server: GateServer, store: Store, kind: Kind) -> None:
    said: list[str] = []
    server.faults.plan(Fault(kind, first=2, times=2), Fault(kind, first=6))
    pull(venue(server, on_retry=said.append), store, "BTC/USDT", "1m", START_MS)
    assert len(said) == 3
    assert all("asking again" in one for one in said)
    assert_same(stored(store), finished(server.market, "BTC/USDT"))


def test_a_rate_limit_says_how_long_to_wait(server: GateServer, store: Store) -> None:
    pauses: list[float] = []
    server.faults.plan(Fault("rate_limit", first=1, secs=17))
    pull(venue(server, sleep=pauses.append), store, "BTC/USDT", "1h", START_MS)
    assert pauses == [17.0]


def test_a_slow_answer_times_out_and_is_asked_again(server: GateServer, store: Store) -> None:
    said: list[str] = []
    server.faults.plan(Fault("slow", first=1, secs=1.0))
    options = server.ccxt_options() | {"timeout": 200}
    pull(Venue("gate", options, retry=QUICK, on_retry=said.append), store, "BTC/USDT", "1h", START_MS)
    assert "RequestTimeout" in said[0]
    assert len(stored(store, interval="1h")["ts"]) == 96


def test_pauses_grow_and_end_in_one_sentence(server: GateServer, store: Store) -> None:
    pauses: list[float] = []
    server.faults.plan(Fault("bad_gateway", first=1, times=99))
    retry = Retry(tries=5, first_pause_secs=1.0, longest_pause_secs=4.0)
    with pytest.raises(VenueError, match=r"gave no usable answer to 5 requests .*502 Bad Gateway"):
        pull(venue(server, retry=retry, sleep=pauses.append), store, "BTC/USDT", "1m", START_MS)
    assert server.faults.requests == 5
    for pause, longest in zip(pauses, (1.0, 2.0, 4.0, 4.0), strict=True):
        assert longest / 2 <= pause <= longest


def test_repeated_boundary_bars_count_once(server: GateServer, store: Store) -> None:
    server.market.repeat_boundary = True
    pull(venue(server), store, "BTC/USDT", "1m", START_MS)
    assert_same(stored(store), finished(server.market, "BTC/USDT"))


def test_an_open_bar_that_was_not_asked_for_is_dropped(server: GateServer, store: Store) -> None:
    server.market.newest_too = True
    # A minute is absent, so that ccxt's own limit on the number of rows lets the open bar through.
    without(server.market, "BTC/USDT", START_MS + 4 * DAY - HOUR, START_MS + 4 * DAY - HOUR)
    pull(venue(server), store, "BTC/USDT", "1m", START_MS + 4 * DAY - 10 * HOUR)
    assert_same(stored(store), finished(server.market, "BTC/USDT", START_MS + 4 * DAY - 10 * HOUR))


def test_absent_minutes_at_a_page_boundary_are_gaps_and_end_nothing(server: GateServer, store: Store) -> None:
    first = START_MS + 990 * MINUTE
    without(server.market, "BTC/USDT", first, first + 19 * MINUTE)
    report = pull(venue(server), store, "BTC/USDT", "1m", START_MS)
    assert (report.missing[0].first_ts, report.missing[0].bars) == (first, 20)
    assert_same(stored(store), finished(server.market, "BTC/USDT"))


def test_a_hole_longer_than_pages_is_jumped_by_daily_candles(store: Store) -> None:
    market = world(days=14)
    without(market, "BTC/USDT", START_MS + DAY, START_MS + 12 * DAY)
    with GateServer(market) as server:
        report = pull(venue(server), store, "BTC/USDT", "1m", START_MS - 300 * DAY)
        assert_same(stored(store), finished(market, "BTC/USDT"))
        assert report.first_ts == START_MS
        assert server.faults.requests < 15


def test_bars_before_the_history_limit_are_refused_and_said(store: Store) -> None:
    with GateServer(world(history_bars=2_000)) as server:
        report = pull(venue(server), store, "BTC/USDT", "1m", START_MS)
        # The venue counts from a moment inside the open minute: the 2,000th bar back is the open one's.
        first = server.market.now_ms - 2_000 - 1_999 * MINUTE
        assert report.served_from_ts == first
        assert report.lost_bars == (first - START_MS) // MINUTE
        assert_same(stored(store), finished(server.market, "BTC/USDT", first))


def test_a_range_wholly_before_the_limit_stores_nothing(store: Store) -> None:
    with GateServer(world(history_bars=2_000)) as server:
        report = pull(venue(server), store, "BTC/USDT", "1m", START_MS, START_MS + DAY)
    assert (report.first_ts, report.rows.rows_new, report.lost_bars) == (None, 0, 1440)
    assert report.served_from_ts == START_MS + 4 * DAY - 1_999 * MINUTE


def test_a_venue_that_refuses_everything_is_an_error_not_a_limit(store: Store) -> None:
    with GateServer(world(history_bars=-5)) as server, pytest.raises(VenueError, match="refuses recent bars too"):
        pull(venue(server), store, "BTC/USDT", "1m", START_MS)


def test_a_bar_that_the_venue_changed_is_named_and_replace_settles_it(server: GateServer, store: Store) -> None:
    middle = START_MS + DAY
    pull(venue(server), store, "BTC/USDT", "1m", START_MS, middle)
    server.market.minutes["BTC_USDT"]["volume"][1439] += 1.0
    with pytest.raises(StoreError, match=r"2023-01-01 23:59 .*volume is .* --replace"):
        pull(venue(server), store, "BTC/USDT", "1m", START_MS)
    assert len(stored(store)["ts"]) == 1440
    server.market.minutes["BTC_USDT"]["volume"][100] += 1.0
    report = pull(venue(server), store, "BTC/USDT", "1m", START_MS, replace=True)
    assert report.rows.rows_replaced == 2
    assert_same(stored(store), finished(server.market, "BTC/USDT"))


@pytest.mark.parametrize(
    ("exchange", "symbol", "interval", "kind", "said"),
    [
        ("gat", "BTC/USDT", "1m", UnknownNameError, "unknown exchange 'gat': did you mean 'gate'"),
        ("gate", "BTC/USDC", "1m", UnknownNameError, "unknown symbol on gate 'BTC/USDC': did you mean 'BTC/USDT'"),
        ("gate", "BTC/USDT", "3m", InputError, "gate does not offer interval '3m', only 10s, 1m, 5m"),
    ],
)
def test_unknown_names_say_what_was_meant(
    server: GateServer, store: Store, exchange: str, symbol: str, interval: str, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        pull(Venue(exchange, server.ccxt_options(), retry=QUICK), store, symbol, interval, START_MS)
    assert not store.path.exists()


def test_without_since_there_must_be_something_stored(server: GateServer, store: Store) -> None:
    with pytest.raises(InputError, match="name a --since"):
        pull(venue(server), store, "BTC/USDT")


def test_an_empty_range_is_refused(server: GateServer, store: Store) -> None:
    with pytest.raises(InputError, match="no finished 1m bar opens from 2023-01-05 00:00 to 2023-01-05 00:00"):
        pull(venue(server), store, "BTC/USDT", "1m", START_MS + 4 * DAY)


def test_an_exchange_that_is_not_there_is_one_sentence() -> None:
    with GateServer(world(days=1)) as server:
        options = server.ccxt_options()
    with pytest.raises(VenueError, match="gate gave no usable answer to 4 requests for its markets"):
        Venue("gate", options, retry=QUICK)


@pytest.mark.parametrize("text", ["{", "[1]", "7"])
def test_options_must_be_a_json_object(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("LOCKSTEP_CCXT_OPTIONS", text)
    with pytest.raises(InputError, match="LOCKSTEP_CCXT_OPTIONS must be a JSON object"):
        ccxt_options()
