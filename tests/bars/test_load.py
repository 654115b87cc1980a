"""`load_bars`: which series it reads, what range, and what it refuses."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.bars.minutes import SOURCE, START_MS, minutes, rows
from toolkit.bars.intervals import DAY_MS, HOUR_MS, MINUTE_MS
from toolkit.bars.load import load_bars
from toolkit.bars.series import Bars
from toolkit.bars.store import Store
from toolkit.errors import InputError, LockstepError, UnknownNameError

DAYS = 3


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BTC: 1m and a longer native 1d on binance; ETH 1m with a hole; SOL 5m; LTC on two exchanges."""
    store = Store(tmp_path_factory.mktemp("load") / "bars.duckdb")
    store.write("binance", "BTC/USDT", "1m", minutes(DAYS * 1440), SOURCE)
    store.write("binance", "BTC/USDT", "1m", minutes(10, seed=9), SOURCE, origin="recorded")
    native = minutes(13, start_ms=START_MS - 10 * DAY_MS, step_ms=DAY_MS, seed=1)
    store.write("binance", "BTC/USDT", "1d", native, SOURCE)
    holed = rows(minutes(DAYS * 1440, seed=2), [*range(100), *range(180, DAYS * 1440)])
    store.write("binance", "ETH/USDT", "1m", holed, SOURCE)
    store.write("binance", "SOL/USDT", "5m", minutes(500, step_ms=5 * MINUTE_MS), SOURCE)
    for exchange in ("okx", "kraken"):
        store.write(exchange, "LTC/USDT", "1m", minutes(10), SOURCE)
    return store.path


def test_the_finest_series_is_the_base(db: Path) -> None:
    bars = load_bars("btcusdt", "1d", db=db)
    assert (bars.symbol, bars.exchange, bars.interval, bars.base.interval) == ("BTC/USDT", "binance", "1d", "1m")
    assert len(bars) == DAYS and not bars.native
    np.testing.assert_array_equal(bars.base.close, minutes(DAYS * 1440)["close"])


def test_a_named_base_and_native_bars(db: Path) -> None:
    assert len(load_bars("BTC/USDT", "1d", base="1d", db=db)) == 13
    bars = load_bars("BTC/USDT", "1m", "2022-01-04", "2022-01-05", native=["1d"], db=db)
    # Ten days of history before the minutes, and no day that had not closed by the end.
    assert list(bars.native["1d"].ts) == [START_MS + d * DAY_MS for d in range(-10, 2)]
    assert bars.at("1d", source="native").ts[0] == START_MS


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2022-01-03T01:00", "2022-01-03T02:00"),
        (START_MS + HOUR_MS, START_MS + 2 * HOUR_MS),
        (str(START_MS + HOUR_MS), "2022-01-03 02:00:00+00:00"),
        (datetime(2022, 1, 3, 1), datetime(2022, 1, 3, 2, tzinfo=UTC)),
    ],
)
def test_end_is_left_out(db: Path, start: str | int | datetime, end: str | int | datetime) -> None:
    bars = load_bars("BTC/USDT", "1m", start, end, db=db)
    assert (bars.ts[0], bars.ts[-1], len(bars)) == (START_MS + HOUR_MS, START_MS + 2 * HOUR_MS - MINUTE_MS, 60)


def test_warmup_is_loaded_where_it_is_stored(db: Path) -> None:
    assert load_bars("BTC/USDT", "1h", "2022-01-04", "2022-01-05", warmup_ms=DAY_MS, db=db).ts[0] == START_MS
    assert load_bars("BTC/USDT", "1h", "2022-01-04", "2022-01-05", warmup_ms=90 * DAY_MS, db=db).ts[0] == START_MS


def test_holes_are_filled_and_marked(db: Path) -> None:
    bars = load_bars("ETH/USDT", "1m", db=db)
    assert len(bars) == DAYS * 1440 and int(bars.filled.sum()) == 80
    assert bars.filled[100:180].all() and (bars.volume[100:180] == 0).all()


GAPS = ((300, 420), (423, 424), (900, 1400), (2500, 2501))
SPAN = 2880


@pytest.fixture(scope="module")
def gappy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two symbols on 1m with gaps, the second's elsewhere, and a native 1h of the first with a gap."""
    store = Store(tmp_path_factory.mktemp("gappy") / "bars.duckdb")
    for seed, (symbol, late) in enumerate((("BTC/USDT", 0), ("ETH/USDT", 77))):
        missing = {minute + late for a, b in GAPS for minute in range(a, b)}
        kept = [minute for minute in range(SPAN) if minute not in missing]
        store.write("binance", symbol, "1m", rows(minutes(SPAN, seed=seed), kept), SOURCE)
    hours = rows(minutes(48, step_ms=HOUR_MS, seed=5), [*range(10), *range(20, 48)])
    store.write("binance", "BTC/USDT", "1h", hours, SOURCE)
    return store.path


def assert_slice(part: Bars, whole: Bars, start_ms: int, end_ms: int) -> None:
    """Every column of `part` is that of the bars of `whole` that open from `start_ms` and close by `end_ms`."""
    kept = (whole.ts >= start_ms) & (whole.ts + whole.interval_ms <= end_ms)
    for name in ("ts", "open", "high", "low", "close", "volume", "filled"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[kept], err_msg=name)


def test_a_range_holds_the_bars_that_all_history_has_there(gappy: Path) -> None:
    """Also where it begins, ends or lies in a gap: a value must not depend on where loaded history starts."""
    whole = load_bars("BTC/USDT", "1m", native=["1h"], peers=["ETH/USDT"], db=gappy)
    rng = np.random.default_rng(4)
    edges = np.array([m + d for a, b in GAPS for m in (a, b, (a + b) // 2, a + 77, b + 77) for d in (-1, 0, 1)])
    ranges = [np.sort(rng.choice(edges, 2, replace=False)) for _ in range(40)]
    ranges += [np.sort(rng.integers(0, SPAN, 2)) + (0, 5) for _ in range(15)]
    # Beyond what is stored, all in one gap, and off the grid.
    ranges += [np.array(r) for r in ((-50, 350), (1000, SPAN + 90), (950, 1200), (310.5, 1300.25))]
    for a, b in ranges:
        start, end = (int(START_MS + m * MINUTE_MS) for m in (a, b))
        part = load_bars("BTC/USDT", "1m", start, end, base="1m", native=["1h"], peers=["ETH/USDT"], db=gappy)
        grid_end = end + -(end - START_MS) % MINUTE_MS
        assert_slice(part, whole, start, grid_end)
        assert_slice(part.to("5m"), whole.to("5m"), start, grid_end)
        assert_slice(part.peers["ETH/USDT"], whole.peers["ETH/USDT"], start, grid_end)
        assert_slice(part.native["1h"], whole.native["1h"], 0, end)


def test_a_warmup_that_begins_in_a_gap_begins_there(gappy: Path) -> None:
    start = START_MS + 1450 * MINUTE_MS
    bars = load_bars("BTC/USDT", "1m", start, warmup_ms=100 * MINUTE_MS, db=gappy)
    assert (bars.ts[0], int(bars.filled[:100].sum())) == (start - 100 * MINUTE_MS, 50)
    assert set(bars.close[:50]) == {minutes(SPAN)["close"][899]}


def test_peers_come_with_it(db: Path) -> None:
    bars = load_bars("BTC/USDT", "5m", "2022-01-03", "2022-01-04", peers=["ETHUSDT", "SOL/USDT"], db=db)
    assert {name: b.interval for name, b in bars.peers.items()} == {"ETH/USDT": "1m", "SOL/USDT": "5m"}
    assert bars.peer("SOL/USDT").close[0] == bars.peers["SOL/USDT"].close[0]


def test_warmup_does_not_change_a_group(db: Path) -> None:
    late = load_bars("BTC/USDT", "1h", "2022-01-03T00:30", "2022-01-03T04:00", db=db)
    assert list(late.ts) == [START_MS + h * HOUR_MS for h in (1, 2, 3)]


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"symbol": "BTC/USDC"}, r"unknown symbol 'BTC/USDC': did you mean 'BTC/USDT'"),
        ({"symbol": "bitcoin"}, r"symbol 'bitcoin' must be written BASE/QUOTE"),
        ({"symbol": "BTC/USDT", "exchange": "binanec"}, r"unknown exchange 'binanec': did you mean 'binance'"),
        ({"symbol": "LTC/USDT", "exchange": "binance"}, r"unknown symbol of binance 'LTC/USDT'"),
        ({"symbol": "LTC/USDT"}, r"LTC/USDT is stored from 2 exchanges, kraken and okx; name one \(exchange='kraken'"),
        ({"symbol": "BTC/USDT", "interval": "1min"}, r"unknown interval '1min': did you mean"),
        ({"symbol": "SOL/USDT", "interval": "1m"}, r"interval '1m' is below the base interval '5m'"),
        ({"symbol": "BTC/USDT", "interval": "1h", "base": "1d"}, r"interval '1h' is below the base interval '1d'"),
        ({"symbol": "BTC/USDT", "interval": "1h", "base": "5m"}, r"unknown stored interval of binance BTC/USDT '5m'"),
        ({"symbol": "BTC/USDT", "native": ["1w"]}, r"unknown native interval of binance BTC/USDT '1w'"),
        ({"symbol": "BTC/USDT", "peers": ["XRP/USDT"]}, r"unknown symbol of binance 'XRP/USDT'"),
        ({"symbol": "BTC/USDT", "start": "2023-01-01"},
         r"no bars of binance BTC/USDT 1m from 2023-01-01 00:00 to the last: stored are 2022-01-03 00:00 to 2022"),
        ({"symbol": "BTC/USDT", "start": "2022-01-05", "end": "2022-01-04", "warmup_ms": 9 * DAY_MS},
         r"start must be before end, was 2022-01-05 00:00 and end 2022-01-04 00:00"),
        ({"symbol": "BTC/USDT", "start": "2022-01-04", "warmup_ms": 10**20 * MINUTE_MS},
         r"must not reach back beyond the year 1, was 100000000000000000000 bars of 1m .* choose shorter windows"),
        ({"symbol": "BTC/USDT", "start": "tomorrow"}, r"start must be an ISO date .* was 'tomorrow'"),
        ({"symbol": "BTC/USDT", "end": 1.5}, r"end must be an ISO date .* was 1\.5"),
        ({"symbol": "BTC/USDT", "interval": "1w"}, r"holds no complete bar of 1w between 2022-01-03 00:00 and"),
    ],
)  # fmt: skip
def test_refusals(db: Path, kwargs: dict[str, object], match: str) -> None:
    with pytest.raises(InputError, match=match):
        load_bars(**kwargs, db=db)  # type: ignore[arg-type]


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(LockstepError, match=r"no bars are stored in .*toolkit data import"):
        load_bars("BTC/USDT", db=tmp_path / "none.duckdb")
    assert not list(tmp_path.iterdir())


def test_names_are_the_nearest(db: Path) -> None:
    with pytest.raises(UnknownNameError, match="'SOL/USDT'"):
        load_bars("SOL/USD", "5m", db=db)
