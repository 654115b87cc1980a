"""What models see: columns that are there on every interval, history that is enough, other symbols."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.stand_in import COSTS, first_ms, minutes
from toolkit.bars.intervals import DAY_MS, INTERVAL_MS, MINUTE_MS
from toolkit.bars.store import Source, Store
from toolkit.bars.synthetic import synthetic_columns
from toolkit.engine.rules import TradeRules
from toolkit.errors import InputError, UnknownNameError
from toolkit.factors.table import parse_spec
from toolkit.models.features import (
    OF_SIGNAL,
    Entries,
    check_features,
    default_features,
    feature_peers,
    feature_values,
    features_start,
)
from toolkit.models.making import make_dataset
from toolkit.portfolio.loading import load_members
from toolkit.portfolio.members import Member

NOTHING = np.full(1, np.nan)
CORRELATION = "correlation(60, ETH/USDT)"


def entry(bar: int, side: int = 1, stop: float = np.nan, target: float = np.nan) -> Entries:
    return Entries(np.array([bar], np.int64), side, np.array([stop]), np.array([target]))


@given(st.sets(st.sampled_from(sorted(INTERVAL_MS, key=lambda name: INTERVAL_MS[name])), min_size=1))
def test_the_default_features_are_there_on_each_of_the_intervals(intervals: set[str]) -> None:
    names = default_features(intervals)
    assert check_features(names, intervals) == names
    assert set(OF_SIGNAL) <= set(names)
    # No column is a price: rows of different symbols and years compare.
    prices = {"range", "atr", "support", "resistance", "donchian_high", "donchian_low"}
    assert not prices & {parse_spec(name).name for name in names if name not in OF_SIGNAL}


def test_the_signal_itself_is_seen_in_fractions_of_the_close() -> None:
    bars = minutes(1)["BTC/USDT"]
    (row,) = feature_values(bars, entry(700, -1, 50.0, 125.0), ["target_distance", "side", "stop_distance"])
    assert row.tolist() == [125.0 / bars.close[700], -1.0, 50.0 / bars.close[700]]


def test_history_that_begins_at_its_start_is_enough_and_a_bar_later_is_not() -> None:
    """Each default feature of its own: the same value to the bit; from a higher bar later on, another or none."""
    bars = minutes(45)["BTC/USDT"].to("15m")
    bar_ms = int(bars.ts[-1])
    lost = 0
    for name in (n for n in default_features(["15m"]) if n not in OF_SIGNAL):
        start_ms = features_start([name], "15m", bar_ms)
        at, later = (bars.window(ms, bar_ms + bars.interval_ms) for ms in (start_ms, start_ms + DAY_MS))
        whole = feature_values(bars, entry(len(bars) - 1), [name])
        assert feature_values(at, entry(len(at) - 1), [name]).tobytes() == whole.tobytes(), name
        assert np.isfinite(whole).all(), name
        if len(later):
            lost += feature_values(later, entry(len(later) - 1), [name]).tobytes() != whole.tobytes()
    assert lost > 5


def test_the_start_of_several_is_that_of_the_longest() -> None:
    day = 19_400 * DAY_MS
    alone = {name: features_start([name], "1h", day) for name in ("rsi(10)", "1d:natr(14)", "side")}
    assert alone["side"] == day
    assert features_start(alone, "1h", day) == alone["1d:natr(14)"] < alone["rsi(10)"]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "at least one feature"),
        (["rsi(10)", "rsi( 10 )"], "named twice"),
        (["5m:rsi(10)"], "of a shorter interval than 15m"),
        (["rsy(10)"], "unknown factor 'rsy'"),
        (["stop_distnace"], "unknown factor"),
        (["rsi(0)"], "rsi"),
    ],
)
def test_features_that_cannot_be_are_said(names: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        check_features(names, ["15m"])


def test_names_are_spelled_in_one_way() -> None:
    assert check_features([" rsi(10)", "1d:natr( 14 )", "side "], ["5m", "1h"]) == ("rsi(10)", "1d:natr(14)", "side")


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve days of two symbols."""
    store = Store(tmp_path_factory.mktemp("stored") / "bars.duckdb")
    for symbol, columns in synthetic_columns(("BTC/USDT", "ETH/USDT"), days=12, seed=5).items():
        store.write("synthetic", symbol, "1m", columns, Source("request", "test", "0"))
    return store.path


def stored(symbols: list[str]) -> list[Member]:
    rules = TradeRules(side="both", stop=0.004, target=0.006, max_hold="2h")
    return [Member("volatility_breakout", symbol, "5m", {"window": 12}, rules, COSTS) for symbol in symbols]


def test_other_symbols_that_features_name_are_loaded_and_missing_for_their_own_entries(db: Path) -> None:
    names = (CORRELATION, f"1h:{CORRELATION}", "rsi(10)")
    assert feature_peers(("side", *names, "correlation(9, ETHUSDT)")) == ("ETH/USDT",)
    start = first_ms(minutes(1)) + 6 * DAY_MS
    loaded = load_members(stored(["BTC/USDT", "ETH/USDT"]), start=start, db=db, features=names, jobs=1)
    data = make_dataset(loaded, names, jobs=1)
    mine = np.array([data.symbols[k] == "BTC/USDT" for k in data.rows["member"]])
    assert 20 < mine.sum() < len(data)
    assert np.isfinite(data.x[mine]).all()
    assert np.isnan(data.x[~mine][:, :2]).all()
    assert np.isfinite(data.x[~mine][:, 2]).all()
    bars = minutes(12)
    closes = [np.log(bars[name].to("5m").close) for name in ("BTC/USDT", "ETH/USDT")]
    for number in np.flatnonzero(mine)[:20].tolist():
        at = int(np.searchsorted(bars["BTC/USDT"].to("5m").close_ts, data.rows["ts"][number]))
        a, b = (np.diff(one[at - 60 : at + 1]) for one in closes)
        assert data.x[number, 0] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-9)


def test_the_history_that_features_need_is_loaded_before_the_start(db: Path) -> None:
    """The strategy alone would look back half a day."""
    start, names = first_ms(minutes(1)) + 8 * DAY_MS, ("1d:range_pct(4)", "rsi(10)")
    with_, without = (
        load_members(stored(["BTC/USDT"]), start=start, db=db, features=features, jobs=1)[0] for features in (names, ())
    )
    assert int(with_.bars.ts[0]) <= features_start(names, "5m", start) < int(without.bars.ts[0])
    assert int(without.bars.ts[0]) > start - DAY_MS
    assert with_.prepared.start_t == without.prepared.start_t == start // MINUTE_MS
    assert np.isfinite(make_dataset([with_], names, jobs=1).x).all()
    assert np.isnan(make_dataset([without], names, jobs=1).x[:20, 0]).all()


def test_a_peer_that_is_not_stored_is_named(db: Path) -> None:
    with pytest.raises((InputError, UnknownNameError), match="XRP/USDT"):
        load_members(stored(["BTC/USDT"]), db=db, features=("correlation(60, XRP/USDT)",), jobs=1)
