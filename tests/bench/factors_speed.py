"""A year of 1m bars through the factors, beside pandas' rolling windows (for R² and slope: its rolling covariance).

The values are compared first, then each side is timed warm, the best of five. pandas keeps running sums: it is quick,
and its values depend on where the history begins; these are the price it is compared at.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from toolkit.bars.series import Bars, from_arrays
from toolkit.factors import compute, factor_names, get_factor
from toolkit.types import FloatArray

N = 525_600
WINDOW = 100


def year() -> Bars:
    """A year of 1m bars of a random walk, with another symbol attached."""

    def walk(seed: int, symbol: str, peers: dict[str, Bars]) -> Bars:
        rng = np.random.default_rng(seed)
        close = 30_000 * np.exp(np.cumsum(rng.normal(0, 5e-4, N)))
        open_ = np.concatenate((close[:1], close[:-1]))
        high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0, 2e-4, N)))
        low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0, 2e-4, N)))
        ts = 1_640_995_200_000 + 60_000 * np.arange(N)
        return from_arrays(
            ts, open_, high, low, close, rng.exponential(1, N), interval="1m", symbol=symbol, peers=peers
        )

    return walk(1, "ETH/USDT", {"BTC/USDT": walk(2, "BTC/USDT", {})})


def twins(bars: Bars) -> dict[str, Callable[[], "pd.Series[float]"]]:
    """What pandas offers for the same values over `WINDOW` bars."""
    high, low, close, volume = (pd.Series(getattr(bars, c)) for c in ("high", "low", "close", "volume"))
    other = pd.Series(bars.peers["BTC/USDT"].close)
    x = pd.Series(np.arange(N, dtype=np.float64))
    w = WINDOW

    def returns(prices: "pd.Series[float]") -> "pd.Series[float]":
        return np.log(prices).diff()

    def true_range() -> "pd.Series[float]":
        before = close.shift()
        return np.maximum(high, before) - np.minimum(low, before)

    return {
        "rolling_max": lambda: high.rolling(w).max(),
        "range": lambda: high.rolling(w).max() - low.rolling(w).min(),
        "donchian_high": lambda: high.rolling(w).max().shift(),
        "sma": lambda: close.rolling(w).mean(),
        "std": lambda: close.rolling(w).std(ddof=0),
        "zscore": lambda: (close - close.rolling(w).mean()) / close.rolling(w).std(ddof=0),
        "atr": lambda: true_range().rolling(w).mean().where(x >= w),
        "realised_volatility": lambda: returns(close).rolling(w).std(ddof=0),
        "efficiency_ratio": lambda: close.diff(w).abs() / close.diff().abs().rolling(w).sum(),
        "slope": lambda: close.rolling(w).cov(x, ddof=0) / ((w * w - 1) / 12),
        "r_squared": lambda: close.rolling(w).corr(x) ** 2,
        "volume_ratio": lambda: volume / volume.rolling(w).mean(),
        "correlation": lambda: returns(close).rolling(w).corr(returns(other)),
        "ewm": lambda: close.ewm(span=w).mean(),
    }


def best_ms(work: Callable[[], Any], repeats: int = 5) -> float:
    """Milliseconds of the quickest of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def from_scratch(bars: Bars, name: str) -> Callable[[], FloatArray]:
    """The factor with nothing memoised; windows of `WINDOW` bars, other parameters by default."""
    params = tuple(WINDOW if p.name == "window" else p.default for p in get_factor(name).params)

    def work() -> FloatArray:
        bars._memo.clear()
        return compute(name, bars, params)

    return work


def run() -> list[dict[str, Any]]:
    """Rows of the benchmark table; the last one is the slowest of all factors."""
    bars = year()
    rows: list[dict[str, Any]] = []
    for name, twin in twins(bars).items():
        ours = from_scratch(bars, name)
        # The exponential mean leaves out exp(-8) of its weight, which pandas keeps.
        tolerance = 1e-3 if name == "ewm" else 1e-5
        both = np.isfinite(values := ours())
        np.testing.assert_allclose(values[both], twin().to_numpy()[both], rtol=tolerance, atol=1e-7)
        mine, theirs = best_ms(ours), best_ms(twin)
        rows.append(_row(f"factor {name}({WINDOW}), a year of 1m bars", mine, f"pandas {theirs:.1f} ms", theirs / mine))
    times = {name: best_ms(from_scratch(bars, name), 3) for name in factor_names() if not get_factor(name).sparse}
    slowest = max(times, key=lambda name: times[name])
    rows.append(_row(f"all {len(times)} factors in turn, a year of 1m bars", sum(times.values()), "", None))
    rows.append(_row(f"slowest factor, {slowest}", times[slowest], "", None))
    return rows


def _row(what: str, value_ms: float, peer: str, ratio: float | None) -> dict[str, Any]:
    return {"what": what, "value": f"{value_ms:.1f} ms", "peer": peer, "ratio": ratio, "bar": "reported"}


if __name__ == "__main__":
    for row in run():
        ratio = "" if row["ratio"] is None else f"{row['ratio']:6.1f}x"
        print(f"{row['what']:55s} {row['value']:>10s}  {row['peer']:18s} {ratio}")
