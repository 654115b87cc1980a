"""Markets that tests pull from: synthetic minutes, with a clock that stands a little after the last one."""

from tests.exchange.market import Market
from toolkit.bars.columns import Columns
from toolkit.bars.intervals import DAY_MS, MINUTE_MS
from toolkit.bars.synthetic import synthetic_columns

START_MS = 1_672_531_200_000  # 2023-01-01


def world(days: int = 4, symbols: tuple[str, ...] = ("BTC/USDT", "ETH/USDT"), history_bars: int = 10_000_000) -> Market:
    """`days` of minutes and half a day more, whose first minute is open: now is 2 s into it."""
    minutes = {symbol.replace("/", "_"): c for symbol, c in synthetic_columns(symbols, days=days + 1).items()}
    return Market(minutes, START_MS + days * DAY_MS + 2_000, history_bars)


def finished(market: Market, symbol: str, first: int = START_MS) -> Columns:
    """The minutes from `first` on that had closed when the clock started."""
    columns = market.minutes[symbol.replace("/", "_")]
    closed = (columns["ts"] >= first) & (columns["ts"] + MINUTE_MS <= market.now_ms)
    return {name: column[closed] for name, column in columns.items()}


def without(market: Market, symbol: str, first: int, last: int) -> None:
    """Take the minutes that open in `[first, last]` off the venue's books."""
    columns = market.minutes[symbol.replace("/", "_")]
    kept = (columns["ts"] < first) | (columns["ts"] > last)
    market.minutes[symbol.replace("/", "_")] = {name: column[kept] for name, column in columns.items()}
