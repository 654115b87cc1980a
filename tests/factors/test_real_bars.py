"""Window exactness on real minutes, through the exchange halt of 2023-03-24."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars, from_arrays
from toolkit.factors import factor_lookback, factor_names, get_factor

HALT_DAY_MS = 1_679_616_000_000  # 2023-03-24 00:00 UTC
COLUMNS = ("ts", "open", "high", "low", "close", "volume")
pytestmark = pytest.mark.real_data


def minutes(symbol: str, peers: dict[str, Bars]) -> Bars:
    folder = os.environ.get("LOCKSTEP_REAL_DATA")
    if not folder:
        pytest.skip("LOCKSTEP_REAL_DATA does not name a folder of real bars")
    near = pl.col("ts").is_between(HALT_DAY_MS - 2 * DAY_MS, HALT_DAY_MS + 2 * DAY_MS)
    table = pl.scan_parquet(Path(folder) / f"binance_{symbol}_1m.parquet").filter(near).sort("ts").collect()
    return from_arrays(*(table[c].to_numpy() for c in COLUMNS), interval="1m", symbol=symbol, peers=peers)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return minutes("BTCUSDT", {"BTC/USDT": minutes("ETHUSDT", {})})


@pytest.mark.parametrize("interval", ["1m", "5m", "15m"])
@pytest.mark.parametrize("name", [name for name in factor_names() if not get_factor(name).sparse])
def test_on_its_lookback_as_on_all_bars_before_in_and_after_the_halt(bars, name, interval):
    series = bars.to(interval)
    assert series.filled.any() or interval == "15m"
    step = series.interval_ms
    params = [min(int(p.default), 30) if isinstance(p.default, int) else p.default for p in get_factor(name).params]
    lookback = factor_lookback(name, step, *params)
    whole = series.factor(name, *params)
    resumed = int(np.searchsorted(series.ts, HALT_DAY_MS + 14 * 3_600_000))
    picks = {resumed + k * 7 for k in range(-12, 12)} | set(np.random.default_rng(0).integers(lookback, len(series), 8))
    for t in picks:
        end = int(series.ts[t]) + step
        value = series.window(end - lookback * step, end).factor(name, *params)[-1]
        assert value == whole[t] or (np.isnan(value) and np.isnan(whole[t]))
