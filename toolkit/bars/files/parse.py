"""One file to checked columns: its name, its table, its columns, its time stamps."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from toolkit.bars.columns import VALUES, Columns, checked
from toolkit.bars.files.mapping import choose_columns
from toolkit.bars.files.names import NamedBars, parse_name
from toolkit.bars.files.tables import read_table
from toolkit.bars.files.times import infer_interval, to_epoch_ms
from toolkit.bars.intervals import interval_ms
from toolkit.bars.series import utc
from toolkit.bars.symbols import canonical_symbol
from toolkit.errors import BarsError, InputError, LockstepError
from toolkit.types import IntArray


@dataclass(frozen=True)
class FileOptions:
    """What the caller says of the files, over what their names and headers say; None = not said.

    stamp : "close" where a bar carries the time at which it ended; it is shifted back by one interval.
    columns : column of the file by field (`{"open": "o"}`).
    """

    exchange: str | None = None
    symbol: str | None = None
    interval: str | None = None
    stamp: Literal["open", "close"] = "open"
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ParsedFile:
    """Checked bars of one file; `chosen` is the file's column for each field.

    newest_first : the file's rows were strictly descending, and `columns` are the other way round.
    """

    path: Path
    exchange: str
    symbol: str
    interval: str
    columns: Columns
    chosen: Mapping[str, str]
    sha256: str
    newest_first: bool = False


def parse_file(path: Path, options: FileOptions | None = None) -> ParsedFile:
    """Read and check one file.

    Raises
    ------
    BarsError : the file cannot be read, or its first offending bar. InputError : the exchange or symbol is not said.
    """
    options = options or FileOptions()
    if options.stamp not in ("open", "close"):
        raise InputError(f"--stamp must be 'open' or 'close', was {options.stamp!r}")
    try:
        return _parse(path, options)
    except LockstepError:
        raise
    # A damaged file raises whatever its decoder raises: EOFError, zlib.error, RuntimeError, a panic of polars, ...
    except (Exception, pl.exceptions.PanicException) as error:
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise BarsError(
            f"{path.name} cannot be read as {path.suffix[1:].lower()} ({reason}); it is truncated, damaged or of "
            f"another format: fetch it again"
        ) from None


def _parse(path: Path, options: FileOptions) -> ParsedFile:
    what = path.name
    said = parse_name(path)
    table = read_table(path)
    exchange, symbol = _identity(said, options, what)
    chosen = choose_columns(table.columns, options.columns, symbol.partition("/")[0], what, options.stamp)
    if not table.height:
        raise BarsError(f"{what}: holds no bars")
    ts = to_epoch_ms(table[chosen["ts"]], what, ends=options.stamp == "close")
    columns: Columns = {"ts": ts, **{name: _floats(table[chosen[name]], what) for name in VALUES if name in chosen}}
    newest_first = _newest_first(ts, what)
    if newest_first:
        columns = {name: values[::-1] for name, values in columns.items()}
        ts = columns["ts"]
    interval = options.interval or said.interval or infer_interval(ts, what)
    step = interval_ms(interval)
    if options.stamp == "close":
        columns["ts"] = ts - step
    counted = f"{what} (newest first, its rows counted from the last)" if newest_first else what
    clean = checked(columns, interval, counted, rows=True)
    if len(ts) > 2 and not np.any(np.diff(ts) == step):
        raise BarsError(
            f"{what}: no two bars are {interval} apart, the nearest are {int(np.diff(ts).min()) / 60_000:g} minutes; "
            f"name the interval they have with --interval"
        )
    with path.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    return ParsedFile(path, exchange, symbol, interval, clean, chosen, sha256, newest_first)


def _newest_first(ts: IntArray, what: str) -> bool:
    """Whether the rows run strictly backwards; `BarsError` where they run neither way."""
    gap = np.diff(ts)
    if not (gap < 0).any():
        return False
    if (gap < 0).all():
        return True
    i = int(np.argmax(gap < 0)) + 1
    raise BarsError(
        f"{what}: rows are not in order: row {i + 1} must be later than row {i} ({utc(int(ts[i - 1]))}), was "
        f"{utc(int(ts[i]))}; sort the file by time"
    )


def _identity(said: NamedBars, options: FileOptions, what: str) -> tuple[str, str]:
    symbol = canonical_symbol(options.symbol) if options.symbol else said.symbol
    if symbol is None:
        raise InputError(f"the symbol cannot be told from the name {what!r}; name it with --symbol, such as BTC/USDT")
    exchange = options.exchange or said.exchange
    if exchange is None:
        raise InputError(
            f"the exchange cannot be told from the name {what!r}; name it with --exchange, such as binance"
        )
    return exchange.lower(), symbol


def _floats(column: pl.Series, what: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    elif not (column.dtype.is_numeric() or column.dtype == pl.Null):
        raise BarsError(
            f"{what}: column {column.name!r} must hold numbers, holds {column.dtype}; name another with --map"
        )
    numbers = column.cast(pl.Float64, strict=False)
    if numbers.null_count() > column.null_count():
        i = int((numbers.is_null() & column.is_not_null()).arg_max() or 0)
        raise BarsError(f"{what}: row {i + 1} must have a number in column {column.name!r}, was {column[i]!r}")
    return numbers.fill_null(float("nan")).to_numpy()
