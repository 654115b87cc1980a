"""Time stamps of files as epoch milliseconds."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from toolkit.bars.intervals import INTERVAL_MS
from toolkit.errors import BarsError
from toolkit.types import BoolArray, IntArray

# An epoch's unit by its size: seconds reach 1e11 in the year 5138, and each finer unit begins in 1973.
_MS_FROM, _US_FROM, _NS_FROM = 10**11, 10**14, 10**17
_PER_MS = {"ms": 1, "us": 1000, "ns": 1_000_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What nanoseconds of 64 bits can hold; a later time is an epoch of a mistaken unit.
_EARLIEST_MS, _LATEST_MS = (
    int((datetime(year, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()) * 1000 for year in (1678, 2262)
)


def to_epoch_ms(column: pl.Series, what: str, *, ends: bool = False) -> IntArray:
    """int64[n] epoch ms of dates, date-times (without a zone: UTC), ISO text, or epochs in s, ms, us or ns.

    The unit of an epoch is told from its size, row by row: Binance's files change from ms to us on 2025-01-01.

    Parameters
    ----------
    ends : times at which bars ended; the last millisecond or microsecond of a second (12:00:59.999) is the next second.

    Raises
    ------
    BarsError : a row is empty, is no time, is finer than a millisecond, or is outside the years 1678 to 2261.
    """
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise BarsError(f"{what}: row {row + 1} must have a time in column {column.name!r}, was empty")
    values, per_ms = _units(column, what)
    ms = values // per_ms
    lost = values % per_ms
    if ends:
        last = (ms % 1000 == 999) & ((lost == 0) | (lost * 1000 >= per_ms * 999))
        ms, lost = ms + last, np.where(last, 0, lost)
    _refuse(lost != 0, "must open on a whole millisecond", column, what)
    _refuse((ms < _EARLIEST_MS) | (ms >= _LATEST_MS), "must have a time in the years 1678 to 2261", column, what)
    return ms


def _units(column: pl.Series, what: str) -> tuple[IntArray, IntArray]:
    """int64[n] times since the epoch, and int64[n] how many of a row's unit make a millisecond."""
    if column.dtype == pl.Date:
        column = column.cast(pl.Datetime("ms"))
    if isinstance(column.dtype, pl.Datetime):
        return column.to_physical().to_numpy(), np.full(len(column), _PER_MS[column.dtype.time_unit])
    if column.dtype == pl.String:
        numbers = column.cast(pl.Float64, strict=False)
        if numbers.null_count():
            return _iso_us(column, what), np.full(len(column), 1000)
        whole = column.cast(pl.Int64, strict=False)
        column = numbers if whole.null_count() else whole
    if column.dtype.is_float():
        floats = column.to_numpy()
        _refuse(~(np.abs(floats) < 2**63), "must have a time", column, what)
        # Fractions of a second are exact to the millisecond in a double.
        seconds = np.abs(floats) < _MS_FROM
        return _epoch(np.where(seconds, np.round(floats * 1000), floats).astype(np.int64))
    if column.dtype.is_integer():
        whole = column.cast(pl.Int64, strict=False)
        _refuse(whole.is_null().to_numpy(), "must have a time", column, what)
        return _epoch(whole.to_numpy())
    raise BarsError(
        f"{what}: column {column.name!r} must hold times, holds {column.dtype}; name another with --map ts="
    )


def infer_interval(ts: IntArray, what: str) -> str:
    """Name of the interval that is the most common spacing of the bars."""
    if len(ts) < 2:
        raise BarsError(f"{what}: the interval cannot be told from {len(ts)} bar(s); name it with --interval")
    spacing, count = np.unique(np.diff(ts), return_counts=True)
    step = int(spacing[np.argmax(count)])
    for name, length in INTERVAL_MS.items():
        if length == step:
            return name
    raise BarsError(
        f"{what}: bars are mostly {step / 1000:g} s apart, which is none of {', '.join(INTERVAL_MS)}; "
        f"resample them to one of these first, or name the interval with --interval"
    )


def _epoch(values: IntArray) -> tuple[IntArray, IntArray]:
    size = np.abs(values)
    per_ms = np.select([size < _US_FROM, size < _NS_FROM], [1, 1000], 1_000_000)
    return np.where(size < _MS_FROM, values * 1000, values), per_ms


def _refuse(bad: BoolArray, rule: str, column: pl.Series, what: str) -> None:
    if bad.any():
        i = int(np.argmax(bad))
        raise BarsError(f"{what}: row {i + 1} {rule} in column {column.name!r}, was {column[i]}")


def _iso_us(column: pl.Series, what: str) -> IntArray:
    out = np.empty(len(column), np.int64)
    for i, text in enumerate(column):
        try:
            moment = datetime.fromisoformat(text.removesuffix(" UTC"))
        except ValueError:
            raise BarsError(
                f"{what}: row {i + 1} must have an ISO time (2022-01-31 13:45:00) or an epoch in column "
                f"{column.name!r}, was {text!r}"
            ) from None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        out[i] = (aware - _EPOCH) // timedelta(microseconds=1)
    return out
