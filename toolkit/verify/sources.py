"""The bars that a proof runs on: what is stored, or, where nothing is, synthetic minutes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toolkit.bars.intervals import interval_ms
from toolkit.bars.load import load_bars
from toolkit.bars.moments import Moment
from toolkit.bars.series import Bars, utc
from toolkit.bars.store import SeriesKey, Store
from toolkit.bars.symbols import canonical_symbol
from toolkit.bars.synthetic import SYMBOLS, synthetic_bars
from toolkit.errors import InputError, UnknownNameError
from toolkit.strategy import Strategy

SYNTHETIC_DAYS = 400


@dataclass(frozen=True)
class Series:
    """Base series to test on, and where they came from, in words."""

    bars: tuple[Bars, ...]
    source: str


def find_series(
    strategies: Iterable[Strategy], symbol: str | None = None, start: Moment | None = None, end: Moment | None = None
) -> Series:
    """The finest stored series of every symbol (or of one), with the peers and native series that strategies name.

    Raises
    ------
    UnknownNameError : the symbol is not stored. InputError : the range holds no bars.
    """
    keys = [key for key in Store().series_keys() if key.origin == "official"]
    if not keys:
        return _synthetic(symbol)
    wanted = None if symbol is None else canonical_symbol(symbol)
    pairs = sorted({(k.exchange, k.symbol) for k in keys if wanted in (None, k.symbol)})
    if not pairs:
        raise UnknownNameError("symbol", str(wanted), {k.symbol for k in keys})
    named = list(strategies)
    found: list[Bars] = []
    for pair in pairs:
        try:
            found.append(_load(keys, pair, named, start, end))
        except InputError:
            # Symbols end at different times; a range that is empty for all of them is the caller's error.
            if pair == pairs[-1] and not found:
                raise
    span = f"{utc(min(int(b.ts[0]) for b in found))} to {utc(max(int(b.ts[-1]) for b in found))}"
    listed = ", ".join(f"{b.exchange} {b.symbol} {b.interval}" for b in found)
    return Series(tuple(found), f"stored bars of {listed}, {span} UTC")


def _load(
    keys: Sequence[SeriesKey],
    pair: tuple[str, str],
    strategies: Sequence[Strategy],
    start: Moment | None,
    end: Moment | None,
) -> Bars:
    exchange, symbol = pair
    own = {k.interval for k in keys if (k.exchange, k.symbol) == pair}
    base = min(own, key=interval_ms)
    alike = sorted(k.symbol for k in keys if k.exchange == exchange and k.interval == base and k.symbol != symbol)
    asked = {canonical_symbol(p) for s in strategies for p in s.peers}
    # One peer in any case, for the factors that read one.
    peers = sorted(asked & set(alike)) or alike[:1]
    native = sorted({n for s in strategies for n in s.native} & (own - {base}))
    return load_bars(symbol, base, start, end, exchange=exchange, native=native, peers=peers)


def _synthetic(symbol: str | None) -> Series:
    wanted = SYMBOLS[:2] if symbol is None else tuple(dict.fromkeys((canonical_symbol(symbol), SYMBOLS[0])))
    made = synthetic_bars(wanted, days=SYNTHETIC_DAYS)
    bars = tuple(_with_peers(made, name) for name in wanted[: None if symbol is None else 1])
    listed = " and ".join(b.symbol for b in bars)
    return Series(bars, f"synthetic minutes of {listed}, {SYNTHETIC_DAYS} days, since no bars are stored")


def _with_peers(made: dict[str, Bars], symbol: str) -> Bars:
    b = made[symbol]
    peers = {name: peer for name, peer in made.items() if name != symbol}
    return Bars(
        b.symbol, b.exchange, b.interval, b.ts, b.open, b.high, b.low, b.close, b.volume, b.filled, peers=peers
    )  # fmt: skip
