"""Stored bars into memory: `load_bars`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from toolkit.bars.columns import COLUMNS
from toolkit.bars.intervals import floor_ts, interval_ms, require_multiple
from toolkit.bars.moments import EARLIEST_MS, Moment, check_range, to_ms
from toolkit.bars.series import Bars, from_arrays, utc
from toolkit.bars.store import Reader, SeriesKey, Store
from toolkit.bars.symbols import canonical_symbol
from toolkit.errors import InputError, UnknownNameError


def load_bars(
    symbol: str,
    interval: str = "1m",
    start: Moment | None = None,
    end: Moment | None = None,
    *,
    exchange: str | None = None,
    base: str | None = None,
    native: Sequence[str] = (),
    peers: Sequence[str] = (),
    warmup_ms: int = 0,
    db: Path | str | None = None,
) -> Bars:
    """Bars of a symbol on an interval, resampled from the finest stored series that divides it.

    Parameters
    ----------
    symbol : in any spelling that `canonical_symbol` reads (`BTC/USDT`, `BTCUSDT`).
    start, end : first moment, and the first moment that is left out; ISO text or epoch ms, UTC. None = all.
    exchange : may be left out where only one exchange has the symbol.
    base : stored interval to resample from, instead of the finest.
    native : stored higher series to attach for `bars.at(interval, source="native")`, with all their history to `end`.
    peers : other symbols of the same exchange to attach for `bars.peer(symbol)`.
    warmup_ms : so much earlier history is loaded too, where it is stored.
    db : the database, `bars.duckdb` in the data folder unless named.

    Returns
    -------
    Bars on `interval`, their `base` attached; missing bars are filled flat and marked `filled`. They are the bars that
    all history has in this range, to the bit: also where the range begins or ends between two stored bars.

    Raises
    ------
    UnknownNameError : symbol, exchange or interval is not stored. InputError : the exchange must be named, the
    interval is below the base, the range is empty or holds no bars, or the warm-up reaches back beyond the calendar.
    StoreError : the database cannot be used.
    """
    step = interval_ms(interval)
    start_ms = None if start is None else to_ms(start, "start")
    end_ms = None if end is None else to_ms(end, "end")
    check_range(start_ms, end_ms)
    if start_ms is None:
        warmup_ms = 0
    elif start_ms - warmup_ms < EARLIEST_MS:
        raise InputError(
            f"the history before start must not reach back beyond the year 1, was {warmup_ms // step} bars of "
            f"{interval} (the longest lookback) before {utc(start_ms)}; choose shorter windows"
        )
    store = Store(Path(db) if db is not None else None)
    with store.reader() as reader:
        keys = [key for key in reader.series_keys() if key.origin == "official"]
        venue = _exchange(keys, canonical_symbol(symbol), exchange, store.path)
        main = _base(keys, venue, canonical_symbol(symbol), interval, base)
        higher = {name: _load(reader, _native(keys, main, name), None, _last_open(end_ms, name), 0) for name in native}
        others: dict[str, Bars] = {}
        for peer in map(canonical_symbol, peers):
            _exchange(keys, peer, venue, store.path)
            others[peer] = _load(reader, _base(keys, venue, peer, interval, base), start_ms, end_ms, warmup_ms)
        bars = _load(reader, main, start_ms, end_ms, warmup_ms, native=higher, peers=others)
    out = bars.to(interval)
    if not len(out):
        raise InputError(
            f"{main} holds no complete bar of {interval} between {utc(int(bars.ts[0]))} and "
            f"{utc(int(bars.ts[-1]) + bars.interval_ms)}; widen the range to at least {step // 60_000} minutes"
        )
    return out


def stored_until(
    symbol: str, interval: str, *, exchange: str | None = None, base: str | None = None, db: Path | str | None = None
) -> int:
    """Close (epoch ms) of the newest stored bar that `load_bars` would resample from; the same errors."""
    store = Store(Path(db) if db is not None else None)
    with store.reader() as reader:
        keys = [key for key in reader.series_keys() if key.origin == "official"]
        venue = _exchange(keys, canonical_symbol(symbol), exchange, store.path)
        main = _base(keys, venue, canonical_symbol(symbol), interval, base)
        span = reader.span(main)
    if span is None:
        raise _empty_range(main, None, None, None)
    return span[1] + interval_ms(main.interval)


def _load(
    reader: Reader,
    key: SeriesKey,
    start_ms: int | None,
    end_ms: int | None,
    warmup_ms: int,
    *,
    native: Mapping[str, Bars] | None = None,
    peers: Mapping[str, Bars] | None = None,
) -> Bars:
    """The slice of all that is stored, filled, that opens in `[start_ms - warmup_ms, end_ms)`."""
    step, stored = interval_ms(key.interval), reader.span(key)
    from_ms = None if start_ms is None else start_ms - warmup_ms
    if stored is None:
        raise _empty_range(key, None, start_ms, end_ms)
    first = stored[0] if from_ms is None else max(stored[0], floor_ts(from_ms + step - 1, step))
    last = stored[1] if end_ms is None else min(stored[1], floor_ts(end_ms - 1, step))
    if first > last:
        raise _empty_range(key, stored, start_ms, end_ms)
    columns = reader.read(key, from_ms, end_ms)
    if not len(columns["ts"]) or columns["ts"][0] > first:
        before = reader.last_before(key, first)
        columns = {name: np.concatenate([before[name], columns[name]]) for name in COLUMNS}
    ts, o, h, lo, c, v = (columns[name] for name in COLUMNS)
    # The store checked these arrays when they were written.
    return from_arrays(
        ts, o, h, lo, c, v,
        interval=key.interval, symbol=key.symbol, exchange=key.exchange, native=native, peers=peers,
        span=(first, last), checked=True,
    )  # fmt: skip


def _last_open(end_ms: int | None, interval: str) -> int | None:
    """End of the opens of the bars that have closed by `end_ms`."""
    return None if end_ms is None else end_ms - interval_ms(interval) + 1


def _exchange(keys: list[SeriesKey], symbol: str, exchange: str | None, path: Path) -> str:
    if not keys:
        raise InputError(
            f"no bars are stored in {path}; bring some in with `toolkit data import` or `toolkit data pull`"
        )
    with_symbol = sorted({key.exchange for key in keys if key.symbol == symbol})
    if exchange is not None:
        venue = exchange.lower()
        if venue not in {key.exchange for key in keys}:
            raise UnknownNameError("exchange", venue, {key.exchange for key in keys})
        if venue not in with_symbol:
            raise UnknownNameError(f"symbol of {venue}", symbol, {key.symbol for key in keys if key.exchange == venue})
        return venue
    if not with_symbol:
        raise UnknownNameError("symbol", symbol, {key.symbol for key in keys})
    if len(with_symbol) > 1:
        raise InputError(
            f"{symbol} is stored from {len(with_symbol)} exchanges, {' and '.join(with_symbol)}; name one "
            f"(exchange={with_symbol[0]!r}, or --exchange {with_symbol[0]})"
        )
    return with_symbol[0]


def _base(keys: list[SeriesKey], exchange: str, symbol: str, interval: str, named: str | None) -> SeriesKey:
    """The finest stored series that divides the interval, or the named one."""
    step = interval_ms(interval)
    stored = {key.interval: key for key in keys if key.exchange == exchange and key.symbol == symbol}
    if named is not None:
        interval_ms(named)
        if named not in stored:
            raise UnknownNameError(f"stored interval of {exchange} {symbol}", named, stored)
        require_multiple(interval, named)
        return stored[named]
    dividing = [name for name in stored if step % interval_ms(name) == 0]
    if not dividing:
        require_multiple(interval, min(stored, key=interval_ms))
    return stored[min(dividing, key=interval_ms)]


def _native(keys: list[SeriesKey], main: SeriesKey, interval: str) -> SeriesKey:
    interval_ms(interval)
    stored = {key.interval: key for key in keys if key.exchange == main.exchange and key.symbol == main.symbol}
    if interval not in stored:
        raise UnknownNameError(
            f"native interval of {main.exchange} {main.symbol}", interval, stored, "(import it, or resample instead)"
        )
    return stored[interval]


def _empty_range(key: SeriesKey, span: tuple[int, int] | None, start_ms: int | None, end_ms: int | None) -> InputError:
    asked = (
        f"from {'the first' if start_ms is None else utc(start_ms)} to {'the last' if end_ms is None else utc(end_ms)}"
    )
    stored = f"stored are {utc(span[0])} to {utc(span[1])}" if span else "none are stored"
    return InputError(f"no bars of {key} {asked}: {stored}; choose a range within, or import more")
