"""What the store keeps, gives back, and refuses."""

from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bars.minutes import SOURCE, START_MS, assert_same, contents, minutes, rows
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.store import ImportResult, Instrument, SeriesKey, Source, Store
from toolkit.errors import BarsError, InputError, StoreError, UnknownNameError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "bars.duckdb")


def test_bars_come_back_as_given(store: Store) -> None:
    given = minutes(3000)
    given["volume"][7] = np.nan
    assert store.write("Binance", "btcusdt", "1m", given, SOURCE) == ImportResult(3000, 0, 0)
    assert_same(store.read("binance", "BTC/USDT", "1m"), given)
    assert_same(
        store.read("binance", "BTC/USDT", "1m", START_MS + 60_000, START_MS + 180_000), rows(given, slice(1, 3))
    )
    assert store.last_ts("binance", "BTC-USDT", "1m") == given["ts"][-1]
    assert store.series_keys() == [SeriesKey("binance", "BTC/USDT", "1m")]


def test_ts_is_timestamp_ms_and_only_given_bars_are_stored(store: Store) -> None:
    given = rows(minutes(10), [0, 1, 2, 7, 8])
    store.write("binance", "BTC/USDT", "1m", given, SOURCE)
    with duckdb.connect(str(store.path), read_only=True) as connection:
        types = {name: kind for name, kind, *_ in connection.execute("DESCRIBE bars").fetchall()}
    assert types["ts"] == "TIMESTAMP_MS"
    info = store.series()[0]
    assert (info.rows, info.missing, info.first_ts, info.last_ts) == (5, 4, START_MS, START_MS + 8 * 60_000)


def test_importing_twice_changes_nothing(store: Store) -> None:
    store.write("binance", "BTC/USDT", "1m", minutes(500), SOURCE)
    before = contents(store.path)
    result = store.write("binance", "BTC/USDT", "1m", minutes(500), Source("file", "copy.csv", "1" * 64))
    assert result == ImportResult(0, 500, 0) and not result.changed
    assert contents(store.path) == before


def test_overlap_that_agrees_adds_only_the_new_bars(store: Store) -> None:
    given = minutes(100)
    store.write("binance", "BTC/USDT", "1m", rows(given, slice(20, 60)), SOURCE)
    assert store.write("binance", "BTC/USDT", "1m", given, SOURCE) == ImportResult(60, 40, 0)
    assert_same(store.read("binance", "BTC/USDT", "1m"), given)


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
def test_disagreement_names_the_first_bar_and_column(store: Store, column: str) -> None:
    given = minutes(100)
    for name, value in (("open", 100.0), ("high", 101.0), ("low", 99.0), ("close", 100.0), ("volume", 5.0)):
        given[name][40:43] = value
    store.write("binance", "BTC/USDT", "1m", given, SOURCE)
    before = contents(store.path)
    other = rows(given, slice(None))
    shift = {"open": 0.5, "high": 0.5, "low": -0.5, "close": 0.5, "volume": 0.5}[column]
    other[column][[41, 42]] += shift
    was, now = float(given[column][41]), float(other[column][41])
    with pytest.raises(
        StoreError, match=rf"2022-01-03 00:41 .*: {column} is {now} here and {was} in the store.*--replace"
    ):
        store.write("binance", "BTC/USDT", "1m", other, SOURCE)
    assert contents(store.path) == before


def test_unknown_volume_disagrees_with_a_known_one_and_agrees_with_itself(store: Store) -> None:
    given = minutes(10)
    given["volume"][3] = np.nan
    store.write("binance", "BTC/USDT", "1m", given, SOURCE)
    assert store.write("binance", "BTC/USDT", "1m", given, SOURCE) == ImportResult(0, 10, 0)
    given["volume"][3] = 1.0
    with pytest.raises(StoreError, match=r"volume is 1\.0 here and nan in the store"):
        store.write("binance", "BTC/USDT", "1m", given, SOURCE)


def test_replace_keeps_the_replaced_rows(store: Store) -> None:
    given = minutes(100)
    store.write("binance", "BTC/USDT", "1m", given, SOURCE)
    other = rows(given, slice(30, 60))
    other["volume"][:2] += 1.0
    second = Source("request", "GET /klines", "2" * 64)
    assert store.write("binance", "BTC/USDT", "1m", other, second, replace=True) == ImportResult(0, 28, 2)
    now = store.read("binance", "BTC/USDT", "1m")
    np.testing.assert_array_equal(now["volume"][30:60], other["volume"])
    np.testing.assert_array_equal(now["ts"], given["ts"])
    with duckdb.connect(str(store.path), read_only=True) as connection:
        kept = connection.execute("SELECT volume, import_id, replaced_by FROM replaced_bars ORDER BY ts").fetchall()
    assert kept == [(given["volume"][30], 1, 2), (given["volume"][31], 1, 2)]
    assert [(i.import_id, i.source, i.result) for i in store.imports()] == [
        (1, SOURCE, ImportResult(100, 0, 0)),
        (2, second, ImportResult(0, 28, 2)),
    ]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 40)), min_size=1, max_size=6))
def test_pieces_in_any_order_make_one_sorted_series(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[int, int]]
) -> None:
    store = Store(tmp_path_factory.mktemp("pieces") / "bars.duckdb")
    whole = minutes(130)
    have: set[int] = set()
    for start, length in pieces:
        wanted = set(range(start, start + length))
        result = store.write("x", "A/USD", "1m", rows(whole, slice(start, start + length)), SOURCE)
        assert result == ImportResult(len(wanted - have), len(wanted & have), 0)
        have |= wanted
    assert_same(store.read("x", "A/USD", "1m"), rows(whole, sorted(have)))


def test_recorded_and_official_bars_are_both_kept(store: Store) -> None:
    official, live = minutes(10), minutes(10, seed=1)
    store.write("binance", "BTC/USDT", "1m", live, SOURCE, origin="recorded")
    store.write("binance", "BTC/USDT", "1m", official, SOURCE)
    assert_same(store.read("binance", "BTC/USDT", "1m"), official)
    assert_same(store.read("binance", "BTC/USDT", "1m", origin="recorded"), live)


def test_a_batch_is_kept_whole_or_not_at_all(store: Store) -> None:
    store.write("binance", "ETH/USDT", "1m", minutes(10), SOURCE)
    before = contents(store.path)
    with pytest.raises(StoreError, match="disagrees"), store.batch() as batch:
        batch.write(SeriesKey("binance", "BTC/USDT", "1m"), minutes(10), SOURCE)
        batch.write(SeriesKey("binance", "ETH/USDT", "1m"), minutes(10, seed=1), SOURCE)
    assert contents(store.path) == before


def test_fingerprint_follows_the_bars_and_not_their_source(tmp_path: Path) -> None:
    one, two = Store(tmp_path / "one.duckdb"), Store(tmp_path / "two.duckdb")
    given = minutes(50)
    one.write("binance", "BTC/USDT", "1m", given, SOURCE)
    for piece in (slice(25, 50), slice(0, 25)):
        two.write("binance", "BTC/USDT", "1m", rows(given, piece), Source("request", "page", "3" * 64))
    assert one.fingerprint("binance", "BTC/USDT", "1m") == two.fingerprint("binance", "BTC/USDT", "1m")
    part = one.fingerprint("binance", "BTC/USDT", "1m", START_MS, START_MS + 60_000)
    assert part != one.fingerprint("binance", "BTC/USDT", "1m")


def test_a_store_that_does_not_exist_reads_as_empty_and_is_not_made(store: Store) -> None:
    assert store.series() == [] and store.series_keys() == [] and store.imports() == []
    assert store.last_ts("binance", "BTC/USDT", "1m") is None
    assert len(store.read("binance", "BTC/USDT", "1m")["ts"]) == 0
    assert not store.path.exists()


def test_bars_before_the_epoch_and_far_away_are_read_back(store: Store) -> None:
    given = minutes(3, start_ms=-10 * DAY_MS, step_ms=DAY_MS)
    store.write("x", "A/USD", "1d", given, SOURCE)
    assert_same(store.read("x", "A/USD", "1d"), given)


def test_instrument_rules_are_kept_and_renewed(store: Store) -> None:
    assert store.instrument("binance", "BTC/USDT") is None
    store.put_instrument(Instrument("Binance", "BTCUSDT", tick=0.01, lot=1e-5))
    store.put_instrument(Instrument("binance", "BTC/USDT", tick=0.1, lot=1e-5, min_notional=5.0))
    assert store.instrument("binance", "btc-usdt") == Instrument("binance", "BTC/USDT", 0.1, 1e-5, None, 5.0)


def test_bad_bars_make_no_store(store: Store) -> None:
    given = minutes(10)
    given["close"][4] = np.nan
    with pytest.raises(BarsError, match=r"given\.csv \(binance BTC/USDT 1m\): bar 4 .* finite close"):
        store.write("binance", "BTC/USDT", "1m", given, SOURCE)
    with pytest.raises(UnknownNameError, match="'2m'"):
        store.write("binance", "BTC/USDT", "2m", minutes(10), SOURCE)
    with pytest.raises(InputError, match="BASE/QUOTE"):
        store.write("binance", "whatever", "1m", minutes(10), SOURCE)
    with pytest.raises(BarsError, match="'open' is missing"):
        store.write("binance", "BTC/USDT", "1m", {"ts": minutes(3)["ts"]}, SOURCE)
    with pytest.raises(BarsError, match="holds no bars"):
        store.write("binance", "BTC/USDT", "1m", minutes(0), SOURCE)
    assert not store.path.exists()
