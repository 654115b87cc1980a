"""Track records for tests: returns given as arrays, trades where they matter."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from toolkit.analysis.frames import TIME
from toolkit.portfolio.track import TrackRecord

DAY = 86_400_000
FIRST = date(2022, 1, 1)
FIRST_MS = 1_640_995_200_000


def trade_rows(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """A trades table; times are epoch ms."""
    filled = [
        {
            "trade_id": f"t{k}", "strategy": row.get("instance", "a"), "instance": "a", "symbol": "BTC/USDT",
            "interval": "1h", "side": "long", "exit_ts": None, "pnl": 0.0, "fees": 0.0, **row,
        }
        for k, row in enumerate(rows)
    ]  # fmt: skip
    kinds = {"entry_ts": pl.Int64, "exit_ts": pl.Int64, "pnl": pl.Float64, "return": pl.Float64}
    overrides = {k: v for k, v in kinds.items() if not filled or k in filled[0]}
    return pl.DataFrame(filled, schema_overrides=overrides).with_columns(pl.col("entry_ts", "exit_ts").cast(TIME))


def record(
    returns: np.ndarray[Any, Any], names: list[str] | None = None, **members: list[str]
) -> TrackRecord:  # fmt: skip
    """A record of `returns`, float64[days, n] with NaN for days without bars; no trades.

    members : strategy, symbol, family, ... of each instance where a test needs them.
    """
    n = returns.shape[1]
    names = names or [f"i{k:02d}" for k in range(n)]
    days = [FIRST + timedelta(days=k) for k in range(len(returns))]
    columns = {name: pl.Series(returns[:, k], dtype=pl.Float64).fill_nan(None) for k, name in enumerate(names)}
    told = {"strategy": names, "symbol": ["BTC/USDT"] * n, "interval": ["1h"] * n, "side": ["long"] * n, **members}
    told.setdefault("family", told["strategy"])
    table = pl.DataFrame({"instance": names, **told})
    empty = {"instance": pl.String, "entry_ts": TIME, "exit_ts": TIME, "pnl": pl.Float64}
    wide = pl.DataFrame({"date": pl.Series(days, dtype=pl.Date), **columns})
    return TrackRecord(pl.DataFrame(schema=empty), wide, table)
