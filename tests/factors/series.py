"""Series with what real bars have: filled gaps, bars without volume, unknown volume, ties on a tick grid."""

import numpy as np

from toolkit.bars.intervals import DAY_MS, interval_ms
from toolkit.bars.series import Bars, from_arrays

MONDAY_MS = 1_704_067_200_000  # 2024-01-01 00:00 UTC
PEER = "PEER/USDT"


def market(
    seed: int, n: int, interval: str = "1m", *, start_ms: int = MONDAY_MS, price: float = 100.0, tick: float = 0.01,
    unknown_volume: float = 0.0, peers: dict[str, Bars] | None = None, symbol: str = "SERIES",
) -> Bars:  # fmt: skip
    """`n` bars: a random walk on a tick grid, with quiet stretches, missing, untraded and (asked for) unknown bars."""
    rng = np.random.default_rng(seed)
    step = interval_ms(interval)
    quiet = np.repeat(rng.random(n // 20 + 1) < 0.15, 20)[:n]
    moves = np.where(quiet, 0.0, rng.normal(0.0, 4.0, n)).round()
    close = price + tick * np.cumsum(moves)
    close = np.maximum(close, tick * 10)
    open_ = np.concatenate(([price], close[:-1])) + tick * rng.integers(-1, 2, n) * ~quiet
    high = np.maximum(open_, close) + tick * rng.integers(0, 4, n) * ~quiet
    low = np.minimum(open_, close) - tick * rng.integers(0, 4, n) * ~quiet
    volume = rng.exponential(5.0, n)
    volume[quiet | (rng.random(n) < 0.05)] = 0.0
    volume[rng.random(n) < unknown_volume] = np.nan
    ts = start_ms + step * np.arange(n, dtype=np.int64)
    kept = rng.random(n) > 0.03
    kept[[0, -1]] = True
    columns = [c[kept] for c in (ts, open_, high, low, close, volume)]
    return from_arrays(*columns, interval=interval, symbol=symbol, peers=peers)


def with_peer(seed: int, n: int, interval: str = "1m", *, start_ms: int = MONDAY_MS, **given: float) -> Bars:
    """A market with a peer that begins a little later and has gaps of its own."""
    late = n // 10
    peer = market(seed + 1000, n - late, interval, start_ms=start_ms + late * interval_ms(interval), symbol=PEER)
    return market(seed, n, interval, start_ms=start_ms, peers={PEER: peer}, **given)


def off_midnight(interval: str, seed: int = 0) -> int:
    """A start that is on the grid of `interval` and, where that is shorter than a day, inside a day."""
    step = interval_ms(interval)
    return MONDAY_MS + (7 + seed) * DAY_MS // step * step * (step < DAY_MS) + step * (5 if step < DAY_MS else 0)
