"""Markets of `executor sandbox`: bars of a file, or seeded ones, part of them past and the rest to come."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from executor.sandbox.book import Candle, Listing, Venue
from executor.sandbox.steps import plain
from toolkit.bars.columns import PRICES, Columns
from toolkit.bars.files.names import parse_name
from toolkit.bars.files.parse import FileOptions, parse_file
from toolkit.bars.intervals import MINUTE_MS, floor_ts, interval_ms
from toolkit.bars.symbols import canonical_symbol
from toolkit.bars.synthetic import synthetic_columns
from toolkit.errors import InputError

QUOTE = "USDT"
_DEFAULT_SYMBOL = f"BTC/{QUOTE}"
# Of synthetic bars: minutes that are past when the market opens, and all of them.
_PAST_DAYS, _DAYS = 14, 60
_DAY_MINUTES = 1440


class Street(NamedTuple):
    """One market's bars. past : how many of them are history. source : where they are from, for people."""

    symbol: str
    columns: Columns
    step_ms: int
    past: int
    source: str


def from_file(text: str) -> Street:
    """Bars of a file, `FILE` or `SYMBOL=FILE`; the first half is past. Without a symbol its name says it, or it is BTC.

    Raises
    ------
    InputError : a symbol of another quote currency, or a single bar. BarsError : the file cannot be read as bars.
    """
    symbol, _, name = text.rpartition("=")
    path = Path(name).expanduser()
    found = _symbol(symbol or parse_name(path).symbol or _DEFAULT_SYMBOL)
    parsed = parse_file(path, FileOptions(exchange="sandbox", symbol=found))
    count = len(parsed.columns["ts"])
    if count < 2:
        raise InputError(f"{path} holds a single bar; half of the bars are the market's past, so it takes 2 or more")
    return Street(found, parsed.columns, interval_ms(parsed.interval), count // 2, f"bars of {path}")


def synthetic(symbols: Sequence[str], seed: int) -> list[Street]:
    """Minutes that are made up, see `toolkit.bars.synthetic`.

    Raises
    ------
    InputError : a symbol of another quote currency, none, or a seed below 0.
    """
    names = [_symbol(symbol) for symbol in symbols]
    source = f"synthetic bars of seed {seed}: made up, of no real market"
    return [
        Street(name, columns, MINUTE_MS, _PAST_DAYS * _DAY_MINUTES, source)
        for name, columns in synthetic_columns(names, days=_DAYS, seed=seed).items()
    ]


def listing_of(street: Street, venue: str, market: str) -> Listing:
    """A market whose steps fit its price. Fees are those of a new account: of spot buys at Gate in base."""
    price, base = float(street.columns["open"][street.past]), street.symbol.partition("/")[0]
    size = math.floor(math.log10(price))
    tick = float(plain(10.0 ** (size - 5)))
    if market == "swap":
        name, contract = f"{street.symbol}:{QUOTE}", float(plain(10.0**-size))
        return Listing(name, "swap", base, QUOTE, tick, 1.0, 1.0, 0.0, contract, 0.0005, 0.0002, "quote")
    lot = float(plain(10.0 ** -(size + 1)))
    fee_in, least = ("base", 3.0) if venue == "gate" else ("quote", 0.1)
    return Listing(street.symbol, "spot", base, QUOTE, tick, lot, lot, least, fee_in=fee_in)


def open_street(venue: Venue, street: Street, listing: Listing, now_ms: int) -> int:
    """Give the venue the past, up to now, and the script of what is to come; when that ends, epoch ms.

    The bars are moved in time by whole bars, so that the first one to come is the one that is open now.
    """
    ts = street.columns["ts"]
    moved = floor_ts(now_ms, street.step_ms) - int(ts[street.past])
    venue.remember(listing.symbol, _candles(street, listing, 0, street.past, moved))
    venue.script(listing.symbol, _candles(street, listing, street.past, len(ts), moved), street.step_ms)
    return int(ts[-1]) + moved + street.step_ms


def _candles(street: Street, listing: Listing, first: int, last: int, moved_ms: int) -> Iterator[Candle]:
    """Prices on ticks, volumes in the market's amounts; an unknown volume is 1."""
    columns = street.columns
    for at in range(first, last):
        opened, high, low, close = (
            round(round(float(columns[name][at]) / listing.tick) * listing.tick, 12) for name in PRICES
        )
        volume = float(np.nan_to_num(columns["volume"][at], nan=1.0)) / listing.contract_size
        yield Candle(int(columns["ts"][at]) + moved_ms, opened, high, low, close, round(volume, 8))


def _symbol(text: str) -> str:
    symbol = canonical_symbol(text)
    if symbol.partition("/")[2] != QUOTE:
        raise InputError(f"the local exchange's account is in {QUOTE}; name a symbol such as BTC/{QUOTE}, was {text!r}")
    return symbol
