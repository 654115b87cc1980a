"""What a file's name says of its bars: exchange, symbol, interval."""

import re
from dataclasses import dataclass
from pathlib import Path

from toolkit.bars.symbols import canonical_symbol
from toolkit.errors import BarsError, InputError

# Folders of these names hold one exchange's files, as freqtrade lays them out; in a file's name they count in any case.
EXCHANGES = (
    "binance", "binanceus", "bingx", "bitfinex", "bitget", "bitmart", "bitstamp", "bitvavo", "bybit", "coinbase",
    "cryptocom", "gate", "gateio", "htx", "hyperliquid", "kraken", "krakenfutures", "kucoin", "mexc", "okx", "poloniex",
)  # fmt: skip

_SUFFIX = re.compile(r"(\.(parquet|pq|feather|ipc|arrow|json|csv|txt|zip|gz))+$", re.IGNORECASE)
_INTERVAL = r"(?P<interval>\d+[smhdwMHDW])"
_WORDS = {"minute": "1m", "hour": "1h", "hourly": "1h", "day": "1d", "daily": "1d", "d": "1d"}
_BINANCE = re.compile(rf"^(?P<symbol>[A-Z0-9]+)-{_INTERVAL}-\d{{4}}-\d{{2}}(-\d{{2}})?$")
_FREQTRADE = re.compile(rf"^(?P<symbol>[A-Za-z0-9_]+)-{_INTERVAL}(?:-(?P<kind>[A-Za-z_]+))?$")
_UNDERSCORED = re.compile(rf"^(?P<rest>.+)_(?:{_INTERVAL}|(?P<word>(?i:{'|'.join(_WORDS)})))$")


@dataclass(frozen=True)
class NamedBars:
    """What is known of a file's bars before it is opened; None = the name does not say."""

    exchange: str | None = None
    symbol: str | None = None
    interval: str | None = None


def parse_name(path: Path) -> NamedBars:
    """Read `exchange_SYMBOL_interval`, Binance's `SYMBOL-interval-YYYY-MM` or freqtrade's `BASE_QUOTE-interval`.

    An interval in the first may be a word (`_minute`, `_hour`, `_d`).

    Raises
    ------
    BarsError : a freqtrade file of mark prices or funding rates, which are not bars that traded.
    """
    stem = _SUFFIX.sub("", path.name)
    if found := _BINANCE.match(stem):
        return NamedBars("binance", canonical_symbol(found["symbol"]), _interval(found["interval"]))
    folder = next((p.name.lower() for p in path.resolve().parents if p.name.lower() in EXCHANGES), None)
    if found := _FREQTRADE.match(stem):
        if found["kind"] not in (None, "spot", "futures"):
            raise BarsError(
                f"{path.name} holds {found['kind']} candles, not bars that traded; import the spot or futures file"
            )
        return NamedBars(folder, _symbol(found["symbol"]), _interval(found["interval"]))
    if found := _UNDERSCORED.match(stem):
        exchange, _, symbol = found["rest"].partition("_")
        interval = _WORDS[found["word"].lower()] if found["word"] else _interval(found["interval"])
        # `binance_BTCUSDT` begins with an exchange, `BTC_USDT` does not.
        is_exchange = exchange.islower() or exchange.lower() in EXCHANGES
        if symbol and is_exchange and (known := _symbol(symbol)):
            return NamedBars(exchange.lower(), known, interval)
        return NamedBars(folder, _symbol(found["rest"]), interval)
    return NamedBars(folder)


def _symbol(text: str) -> str | None:
    try:
        return canonical_symbol(text)
    except InputError:
        return None


def _interval(text: str) -> str:
    # Only the month's M is told apart by its case.
    return text if text.endswith("M") else text.lower()
