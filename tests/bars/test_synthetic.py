"""Synthetic minutes: reproducible, and with what real ones have."""

import hashlib

import numpy as np
import pytest

from toolkit.bars.columns import Columns
from toolkit.bars.series import Bars, check_columns
from toolkit.bars.synthetic import ASSETS, EXCHANGE, SYMBOLS, synthetic_bars, synthetic_columns
from toolkit.errors import InputError
from toolkit.types import FloatArray

MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def year() -> dict[str, Bars]:
    return synthetic_bars(days=365)


def digest(columns: Columns) -> str:
    return hashlib.sha256(b"".join(columns[name].tobytes() for name in sorted(columns))).hexdigest()


def returns(bars: Bars) -> FloatArray:
    return np.diff(np.log(bars.close))


def autocorrelation(values: FloatArray, lag: int) -> float:
    return float(np.corrcoef(values[lag:], values[:-lag])[0, 1])


def test_equal_arguments_give_equal_bytes_and_another_seed_others() -> None:
    first, again, other = (synthetic_columns(days=4, seed=seed) for seed in (7, 7, 8))
    for symbol in SYMBOLS:
        assert digest(first[symbol]) == digest(again[symbol])
        assert digest(first[symbol]) != digest(other[symbol])


@pytest.mark.parametrize("days", [1, 3, 8])
def test_more_days_only_add_to_the_end(days: int) -> None:
    short, long = synthetic_columns(days=days), synthetic_columns(days=days + 67)
    for symbol in SYMBOLS:
        for name, column in short[symbol].items():
            assert column.tobytes() == long[symbol][name][: len(column)].tobytes()


def test_a_symbol_does_not_depend_on_the_others_asked_for() -> None:
    alone = synthetic_columns(["ETH/USDT"], days=4)["ETH/USDT"]
    assert digest(alone) == digest(synthetic_columns(["SOL/USDT", "ETH/USDT"], days=4)["ETH/USDT"])


@pytest.mark.parametrize("symbols", [SYMBOLS, ("DOGE/USDT", "X/Y", "PEPE/USDT", "LINK/BTC")])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_columns_are_valid_bars_on_the_tick(symbols: tuple[str, ...], seed: int) -> None:
    for symbol, c in synthetic_columns(symbols, days=30, seed=seed).items():
        check_columns(
            c["ts"], c["open"], c["high"], c["low"], c["close"], c["volume"], interval="1m", what=f"synthetic {symbol}"
        )
        tick = ASSETS[symbol].tick if symbol in ASSETS else None
        for name in ("open", "high", "low", "close"):
            if tick:
                ticks = c[name] / tick
                assert np.abs(ticks - np.round(ticks)).max() < 1e-6
        empty = c["volume"] == 0
        assert (c["high"][empty] == c["low"][empty]).all()


def test_bars_say_that_they_are_synthetic_and_resample() -> None:
    hours = synthetic_bars(["BTC/USDT"], days=3, interval="1h")["BTC/USDT"]
    assert (hours.exchange, hours.interval, hours.base.interval, len(hours)) == (EXCHANGE, "1h", "1m", 72)


def test_symbols_move_together_but_not_as_one(year: dict[str, Bars]) -> None:
    r = {symbol: returns(bars) for symbol, bars in year.items()}
    for a, b in (("BTC/USDT", "ETH/USDT"), ("BTC/USDT", "SOL/USDT"), ("ETH/USDT", "SOL/USDT")):
        assert 0.4 < np.corrcoef(r[a], r[b])[0, 1] < 0.95


def test_volatility_clusters_and_returns_do_not(year: dict[str, Bars]) -> None:
    for bars in year.values():
        r = returns(bars)
        assert autocorrelation(np.abs(r), 1) > 0.15
        assert autocorrelation(np.abs(r), 60) > 0.1
        assert abs(autocorrelation(r, 1)) < 0.05
        assert np.mean((r / r.std()) ** 4) > 6  # fat tails: 3 for a normal


def test_volatility_and_volume_have_a_daily_season(year: dict[str, Bars]) -> None:
    for bars in year.values():
        hour = bars.ts[1:] // 3_600_000 % 24
        size = np.abs(returns(bars))
        assert size[hour == 14].mean() > 1.3 * size[hour == 20].mean()
        assert bars.volume[1:][hour == 14].mean() > 1.5 * bars.volume[1:][hour == 20].mean()


def test_jumps_are_there(year: dict[str, Bars]) -> None:
    r = returns(year["BTC/USDT"])
    day = np.abs(r).reshape(-1)[: len(r) // 1440 * 1440].reshape(-1, 1440)
    assert (day.max(axis=1) > 6 * np.median(day, axis=1) / 0.6745).mean() > 0.1


def test_thin_symbols_have_more_minutes_without_volume(year: dict[str, Bars]) -> None:
    share = {symbol: float((bars.volume[~bars.filled] == 0).mean()) for symbol, bars in year.items()}
    assert 0 < share["BTC/USDT"] < share["ETH/USDT"] < share["SOL/USDT"] < 0.05


def test_a_halt_stops_all_symbols_after_minutes_without_volume(year: dict[str, Bars]) -> None:
    filled = {symbol: bars.filled for symbol, bars in year.items()}
    missing = np.flatnonzero(filled["BTC/USDT"])
    assert 30 <= len(missing) < 1440
    assert 2 * 1440 <= missing[0] < 3 * 1440
    for symbol, bars in year.items():
        assert (filled[symbol] == filled["BTC/USDT"]).all()
        assert (bars.volume[missing[0] - 20 : missing[0]] == 0).all()
    columns = synthetic_columns(days=3)["BTC/USDT"]
    assert np.diff(columns["ts"]).max() >= 31 * MINUTE_MS


def test_most_bars_open_at_the_last_close(year: dict[str, Bars]) -> None:
    for bars in year.values():
        assert 0.8 < (bars.open[1:] == bars.close[:-1]).mean() < 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"days": 0}, "days must be at least 1, was 0"),
        ({"start": "soon"}, "start must be a date such as 2023-01-01, was 'soon'"),
        ({"start": "2023-01-01T05:00"}, "without a time of day"),
        ({"seed": -1}, "seed must not be negative, was -1"),
        ({"symbols": ()}, "at least one symbol"),
    ],
)
def test_bad_arguments_are_one_sentence(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        synthetic_columns(**arguments)  # type: ignore[arg-type]
