"""One spelling for a symbol: `BTC/USDT`, and `BTC/USDT:USDT` for a swap settled in USDT."""

import re

from toolkit.errors import InputError

# Longest first, so that BTCFDUSD is BTC/FDUSD and not BTCFD/USD.
QUOTES = (
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDP", "USDD", "USD1", "USDE", "BIDR", "IDRT",
    "USD", "EUR", "GBP", "TRY", "BRL", "JPY", "AUD", "RUB", "UAH", "ZAR", "PLN", "MXN", "ARS", "KRW", "CHF", "CAD",
    "BTC", "ETH", "BNB", "DAI", "PAX", "XRP", "TRX", "DOGE",
)  # fmt: skip

_SEPARATED = re.compile(r"^([A-Z0-9.]+)[/_-]([A-Z0-9]+)(?:[:_]([A-Z0-9]+))?$")
_JOINED = re.compile(r"^[A-Z0-9.]+$")


def canonical_symbol(text: str) -> str:
    """`BTC/USDT` for any of `BTC/USDT`, `btcusdt`, `BTC-USDT`, `BTC_USDT`; `BTC_USDT_USDT` is `BTC/USDT:USDT`.

    Raises
    ------
    InputError : neither separated nor ending in a known quote currency.
    """
    upper = text.strip().upper()
    parts = _SEPARATED.match(upper)
    if parts:
        base, quote, settle = parts.groups()
        return f"{base}/{quote}:{settle}" if settle else f"{base}/{quote}"
    if _JOINED.match(upper):
        for quote in sorted(QUOTES, key=len, reverse=True):
            if upper.endswith(quote) and len(upper) > len(quote):
                return f"{upper[: -len(quote)]}/{quote}"
    raise InputError(f"symbol {text!r} must be written BASE/QUOTE, such as BTC/USDT (or BTC/USDT:USDT for a swap)")
