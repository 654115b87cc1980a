"""Bars and experiments that the sweep's tests share."""

from functools import cache
from typing import Any

from toolkit.bars.series import Bars
from toolkit.bars.synthetic import synthetic_bars

SYMBOLS = ("BTC/USDT", "ETH/USDT")


@cache
def five_minutes() -> dict[str, Bars]:
    """Twelve days of two symbols on 5m, halts and empty bars included."""
    return synthetic_bars(SYMBOLS, days=12, interval="5m", seed=3)


def table(**changes: Any) -> dict[str, Any]:
    """A small experiment: two strategies, two symbols, two intervals, sides and rules; `changes` over its keys."""
    return {
        "symbols": list(SYMBOLS),
        "intervals": ["5m", "15m"],
        "strategies": [
            {"name": "volatility_breakout", "params": {"window": [10, 20, 40], "expansion": [1.0, 1.5]}},
            {"name": "reversal_breakout", "params": {"window": [30], "stretch": [3.0, 5.0]}},
        ],
        "rules": {
            "side": ["long", "short", "both"],
            "stop": ["signal", 0.01, "2atr(10)"],
            "target": ["2R", "none"],
            "max_hold": ["4h", "30bars", "none"],
        },
        **changes,
    }
