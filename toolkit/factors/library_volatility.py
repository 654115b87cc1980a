"""Factors of size: how much price and volume move, and how unusual the newest value is."""

from math import log

import numpy as np

from toolkit.bars.series import Bars
from toolkit.factors.elementwise import log_returns, ratio, squared_log_ranges, true_range
from toolkit.factors.registry import Param, factor
from toolkit.factors.rolling import absolute_bar, window_correlation, window_moments, window_sum
from toolkit.types import FloatArray

WINDOW = Param("window", 20)
SPREAD_WINDOW = Param("window", 20, minimum=2)
ATR_WINDOW = Param("window", 14)


@factor("atr", params=[ATR_WINDOW], lookback=lambda interval_ms, window: window + 1)
def atr(bars: Bars, window: int) -> FloatArray:
    """Average true range of the last `window` bars, price units: a simple mean in place of Wilder's endless one."""
    true = bars.memo("true_range", lambda: true_range(bars.high, bars.low, bars.close))
    return window_sum(true, window, absolute_bar(bars)) / window


@factor("natr", params=[ATR_WINDOW], lookback=lambda interval_ms, window: window + 1)
def natr(bars: Bars, window: int) -> FloatArray:
    """Average true range of the last `window` bars, as a fraction of the close."""
    return bars.factor("atr", window) / bars.close


@factor("std", params=[SPREAD_WINDOW], lookback=lambda interval_ms, window: window)
def std(bars: Bars, window: int) -> FloatArray:
    """Standard deviation (divisor `window`) of the last `window` closes, price units."""
    return np.sqrt(window_moments(bars.close, window, absolute_bar(bars))[2])


@factor("zscore", params=[SPREAD_WINDOW], lookback=lambda interval_ms, window: window)
def zscore(bars: Bars, window: int) -> FloatArray:
    """Close minus the mean of the last `window` closes, in their standard deviations; NaN if all are equal."""
    _, deviation, variance = window_moments(bars.close, window, absolute_bar(bars))
    return ratio(deviation, np.sqrt(variance))


@factor("realised_volatility", params=[SPREAD_WINDOW], lookback=lambda interval_ms, window: window + 1)
def realised_volatility(bars: Bars, window: int) -> FloatArray:
    """Standard deviation (divisor `window`) of the last `window` log returns of the close; a bar's, not annualised."""
    return np.sqrt(window_moments(_returns(bars), window, absolute_bar(bars))[2])


@factor("parkinson_volatility", params=[WINDOW], lookback=lambda interval_ms, window: window)
def parkinson_volatility(bars: Bars, window: int) -> FloatArray:
    """Parkinson's (1980) volatility from highs and lows of the last `window` bars; a bar's, not annualised."""
    total = window_sum(squared_log_ranges(bars.high, bars.low), window, absolute_bar(bars))
    return np.sqrt(total / (window * 4.0 * log(2.0)))


@factor("volume_ratio", params=[WINDOW], lookback=lambda interval_ms, window: window)
def volume_ratio(bars: Bars, window: int) -> FloatArray:
    """Volume over the mean volume of the last `window` bars, this one included; NaN if all are 0 or one is unknown."""
    return ratio(bars.volume, window_sum(bars.volume, window, absolute_bar(bars)) / window)


@factor(
    "correlation",
    params=[Param("window", 60, minimum=2), Param("symbol", "BTC/USDT")],
    lookback=lambda interval_ms, window, symbol: window + 1,
)
def correlation(bars: Bars, window: int, symbol: str) -> FloatArray:
    """Correlation, -1 to 1, of the last `window` log returns with those of another symbol, read through `bars.peer`.

    NaN if either side is constant, and where the other symbol has no bar of the same time for one of the closes: a
    price that has gone stale is not a return of zero. Bars filled inside its series are flat bars, as everywhere.
    """
    peer = bars.peer(symbol)
    close = np.where(peer.ts == bars.ts, peer.close, np.nan)
    return window_correlation(_returns(bars), log_returns(close), window, absolute_bar(bars))


def _returns(bars: Bars) -> FloatArray:
    return bars.memo("log_returns", lambda: log_returns(bars.close))
