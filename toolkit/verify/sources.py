"""The bars that a proof runs on: what is stored, or, where nothing is, synthetic minutes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toolkit.bars.intervals import floor_ts, interval_ms
from toolkit.bars.load import load_bars
from toolkit.bars.moments import Moment, check_range, to_ms
from toolkit.bars.series import Bars, utc
from toolkit.bars.store import SeriesKey, Store
from toolkit.bars.symbols import canonical_symbol
from toolkit.bars.synthetic import SYMBOLS, synthetic_bars
from toolkit.errors import InputError, UnknownNameError
from toolkit.strategy import Strategy

SYNTHETIC_DAYS = 400


@dataclass(frozen=True)
class Series:
    """Base series to test on, where they came from and which are left out, in words."""

    bars: tuple[Bars, ...]
    source: str
    skipped: tuple[str, ...] = ()


def find_series(
    strategies: Iterable[Strategy], symbol: str | None = None, start: Moment | None = None, end: Moment | None = None
) -> Series:
    """The finest stored series of every symbol (or of one), with the peers and native series that strategies name.

    A symbol without bars in the range is left out and named in `skipped`.

    Raises
    ------
    UnknownNameError : the symbol is not stored. InputError : the range holds no bars of any symbol.
    """
    store = Store()
    keys = [key for key in store.series_keys() if key.origin == "official"]
    if not keys:
        return _synthetic(symbol)
    wanted = None if symbol is None else canonical_symbol(symbol)
    pairs = sorted({(k.exchange, k.symbol) for k in keys if wanted in (None, k.symbol)})
    if not pairs:
        raise UnknownNameError("symbol", str(wanted), {k.symbol for k in keys})
    named = list(strategies)
    with store.reader() as reader:
        within = [key for key in keys if _has_bars(key, reader.span(key), start, end)]
    found: list[Bars] = []
    skipped: list[str] = []
    for exchange, name in pairs:
        base = min(
            (k for k in keys if (k.exchange, k.symbol) == (exchange, name)), key=lambda k: interval_ms(k.interval)
        )
        if base in within:
            found.append(_load(within, base, named, start, end))
        else:
            skipped.append(f"{base}: no bars in the range")
    if not found:
        raise InputError(
            f"no bars of {' or '.join(f'{e} {s}' for e, s in pairs)} from {'the first' if start is None else start} to "
            f"{'the last' if end is None else end}; choose a range within what `toolkit data list` shows"
        )
    span = f"{utc(min(int(b.ts[0]) for b in found))} to {utc(max(int(b.ts[-1]) for b in found))}"
    listed = ", ".join(f"{b.exchange} {b.symbol} {b.interval}" for b in found)
    return Series(tuple(found), f"stored bars of {listed}, {span} UTC", tuple(skipped))


def _has_bars(key: SeriesKey, stored: tuple[int, int] | None, start: Moment | None, end: Moment | None) -> bool:
    """Whether `load_bars` finds a bar of this series that opens in the range, filled or not."""
    start_ms = None if start is None else to_ms(start, "start")
    end_ms = None if end is None else to_ms(end, "end")
    check_range(start_ms, end_ms)
    if stored is None:
        return False
    step = interval_ms(key.interval)
    first = stored[0] if start_ms is None else max(stored[0], floor_ts(start_ms + step - 1, step))
    last = stored[1] if end_ms is None else min(stored[1], floor_ts(end_ms - 1, step))
    return first <= last


def _load(
    within: Sequence[SeriesKey],
    base: SeriesKey,
    strategies: Sequence[Strategy],
    start: Moment | None,
    end: Moment | None,
) -> Bars:
    """The series with those of its peers and native series that have bars in the range."""
    exchange, symbol, interval = base.exchange, base.symbol, base.interval
    alike = sorted(k.symbol for k in within if (k.exchange, k.interval) == (exchange, interval) and k.symbol != symbol)
    asked = {canonical_symbol(p) for s in strategies for p in s.peers}
    # One peer in any case, for the factors that read one.
    peers = sorted(asked & set(alike)) or alike[:1]
    higher = {k.interval for k in within if (k.exchange, k.symbol) == (exchange, symbol)} - {interval}
    native = sorted({n for s in strategies for n in s.native} & higher)
    return load_bars(symbol, interval, start, end, exchange=exchange, base=interval, native=native, peers=peers)


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
