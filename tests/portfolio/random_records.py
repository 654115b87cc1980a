"""Stand-alone records made by chance, for the tests of selection and rebalancing."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from toolkit.analysis.frames import TIME
from toolkit.bars.intervals import DAY_MS, HOUR_MS
from toolkit.portfolio.track import TrackRecord
from toolkit.types import FloatArray

FIRST = date(2023, 1, 2)
FIRST_MS = int(datetime(2023, 1, 2, tzinfo=UTC).timestamp() * 1000)


def record(
    returns: FloatArray,
    trades: Sequence[tuple[str, int, int | None, float]] = (),
    names: Sequence[str] | None = None,
    first: date = FIRST,
) -> TrackRecord:
    """A record of daily returns float64[n_days, n] (NaN: no day) and trades (instance, entry ms, exit ms, profit)."""
    names = [f"i{k}" for k in range(returns.shape[1])] if names is None else list(names)
    days = [first + timedelta(days=k) for k in range(len(returns))]
    wide = pl.DataFrame({"date": pl.Series(days, dtype=pl.Date), **dict(zip(names, returns.T, strict=True))})
    table = pl.DataFrame(
        [
            {
                "trade_id": f"t{k}", "strategy": "s", "instance": name, "symbol": "BTC/USDT", "interval": "1h",
                "side": "long", "family": "s", "entry_ts": entry, "exit_ts": leave, "pnl": pnl, "return": pnl,
                "r_multiple": pnl * 50, "fees": 0.0,
            }
            for k, (name, entry, leave, pnl) in enumerate(trades)
        ],
        schema={
            "trade_id": pl.String, "strategy": pl.String, "instance": pl.String, "symbol": pl.String,
            "interval": pl.String, "side": pl.String, "family": pl.String, "entry_ts": pl.Int64, "exit_ts": pl.Int64,
            "pnl": pl.Float64, "return": pl.Float64, "r_multiple": pl.Float64, "fees": pl.Float64,
        },
    ).with_columns(pl.col("entry_ts", "exit_ts").cast(TIME))  # fmt: skip
    members = pl.DataFrame(
        {
            "instance": names,
            "strategy": [f"s{k % 2}" for k in range(len(names))],
            "symbol": ["BTC/USDT" if k % 3 else "ETH/USDT" for k in range(len(names))],
            "interval": ["1h"] * len(names),
            "side": ["long"] * len(names),
            "family": ["f"] * len(names),
        },
        schema=dict.fromkeys(("instance", "strategy", "symbol", "interval", "side", "family"), pl.String),
    )
    return TrackRecord(table, wide.with_columns(pl.col(pl.Float64).fill_nan(None)), members)


def random_record(seed: int, n_days: int = 60, n: int = 6) -> TrackRecord:
    """Instances that resemble each other more or less, a trade a day that ends where the day's profit is made."""
    drawn = np.random.default_rng(seed)
    common = drawn.normal(0.0, 0.01, (n_days, 2))
    returns = common @ drawn.normal(0.0, 1.0, (2, n)) + drawn.normal(0.001, 0.01, (n_days, n))
    returns[drawn.random((n_days, n)) < 0.3] = 0.0
    trades = [
        (f"i{k}", FIRST_MS + d * DAY_MS + HOUR_MS, FIRST_MS + d * DAY_MS + 5 * HOUR_MS, float(returns[d, k]))
        for d in range(n_days)
        for k in range(n)
        if returns[d, k] != 0.0
    ]
    return record(returns, trades)
