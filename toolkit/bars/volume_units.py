"""In which unit ccxt gives the volume of candles."""

import math
from collections.abc import Mapping
from typing import Any

# For linear contracts, read in ccxt's source of each venue. For venues that are in neither set it is not known.
_CONTRACTS = frozenset({"gate", "kucoin", "kucoinfutures"})
_BASE_UNITS = frozenset({"binance", "binanceusdm", "bybit", "okx"})


def volume_unit(exchange: str, market: Mapping[str, Any]) -> float:
    """Base units in one unit of the volumes that `fetch_ohlcv` gives of a ccxt market; NaN where it is not known."""
    if not market["contract"]:
        return 1.0
    if market["linear"] and exchange in _CONTRACTS:
        return float(market["contractSize"] or math.nan)
    return 1.0 if market["linear"] and exchange in _BASE_UNITS else math.nan
