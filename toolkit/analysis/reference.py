"""What stands beside a strategy's figures: buying the first bar and holding to the last."""

import math

import numpy as np

from toolkit.analysis.metrics import DAYS_PER_YEAR
from toolkit.types import FloatArray

REFERENCE: dict[str, str] = {
    "buy_and_hold_return": "return of buying the first open and holding to the last close, without costs",
    "buy_and_hold_sharpe": "Sharpe ratio of its daily returns",
    "buy_and_hold_max_drawdown": "its largest fall from a peak of daily closes, a fraction of the peak",
    "combinations_tried": "how many combinations were looked at to find this one; the best of many is luck in part",
}
"""Figures that stand beside `METRICS`, with their definitions."""


def buy_and_hold(first_open: float, daily_close: FloatArray) -> dict[str, float]:
    """The three figures of buy and hold, NaN where they are not defined.

    Parameters
    ----------
    first_open : open of the first traded bar. daily_close : float64[n_days], the last close of each day (UTC).
    """
    if not len(daily_close):
        return dict.fromkeys(list(REFERENCE)[:3], math.nan)
    prices = np.concatenate([[first_open], daily_close])
    returns = prices[1:] / prices[:-1] - 1.0
    deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    peaks = np.maximum.accumulate(prices)
    return {
        "buy_and_hold_return": float(prices[-1] / prices[0] - 1.0),
        "buy_and_hold_sharpe": float(returns.mean()) / deviation * math.sqrt(DAYS_PER_YEAR) if deviation else math.nan,
        "buy_and_hold_max_drawdown": float(((peaks - prices) / peaks).max()),
    }
