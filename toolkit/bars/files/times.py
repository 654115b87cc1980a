"""Time stamps of files as epoch milliseconds."""

from datetime import UTC, datetime

import numpy as np
import polars as pl

from toolkit.bars.intervals import INTERVAL_MS
from toolkit.errors import BarsError
from toolkit.types import IntArray

# An epoch's unit by its size: seconds reach 1e11 in the year 5138, and each finer unit begins in 1973.
_MS_FROM, _US_FROM, _NS_FROM = 10**11, 10**14, 10**17


def to_epoch_ms(column: pl.Series, what: str) -> IntArray:
    """int64[n] epoch ms of dates, date-times (without a zone: UTC), ISO text, or epochs in s, ms, us or ns.

    The unit of an epoch is told from its size, row by row: Binance's files change from ms to us on 2025-01-01.

    Raises
    ------
    BarsError : a row is empty, is no time, or is finer than a millisecond.
    """
    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise BarsError(f"{what}: row {row + 1} must have a time in column {column.name!r}, was empty")
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return _whole_ms(column.cast(pl.Datetime("ns", _zone(column))).dt.epoch("ns").to_numpy(), what, column.name)
    if column.dtype == pl.String:
        numbers = column.cast(pl.Float64, strict=False)
        if numbers.null_count():
            return _iso_ms(column, what)
        column = column.cast(pl.Int64, strict=False) if column.str.contains(r"^\d+$").all() else numbers
    if column.dtype.is_integer():
        return _epoch_ms(column.cast(pl.Int64).to_numpy(), what, column.name)
    if column.dtype.is_float():
        values = column.to_numpy()
        if not np.isfinite(values).all():
            raise BarsError(f"{what}: column {column.name!r} must hold times, has a value that is not finite")
        # Fractions of a second are exact to the millisecond in a double.
        seconds = np.abs(values) < _MS_FROM
        return _epoch_ms(np.where(seconds, np.round(values * 1000), values).astype(np.int64), what, column.name)
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


def _zone(column: pl.Series) -> str | None:
    return column.dtype.time_zone if isinstance(column.dtype, pl.Datetime) else None


def _epoch_ms(values: IntArray, what: str, name: str) -> IntArray:
    size = np.abs(values)
    ms = np.where(size < _MS_FROM, values * 1000, values)
    ms = np.where(size >= _US_FROM, values // 1000, ms)
    ms = np.where(size >= _NS_FROM, values // 1_000_000, ms)
    lost = ((size >= _US_FROM) & (values % 1000 != 0)) | ((size >= _NS_FROM) & (values % 1_000_000 != 0))
    _refuse_finer(lost, what, name, values)
    return ms.astype(np.int64)


def _whole_ms(ns: IntArray, what: str, name: str) -> IntArray:
    _refuse_finer(ns % 1_000_000 != 0, what, name, ns)
    return ns // 1_000_000


def _refuse_finer(lost: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], what: str, name: str, shown: IntArray) -> None:
    if lost.any():
        i = int(np.argmax(lost))
        raise BarsError(f"{what}: row {i + 1} must open on a whole millisecond, {name!r} was {int(shown[i])}")


def _iso_ms(column: pl.Series, what: str) -> IntArray:
    out = np.empty(len(column), np.int64)
    for i, text in enumerate(column):
        try:
            moment = datetime.fromisoformat(text.strip().removesuffix(" UTC"))
        except ValueError:
            raise BarsError(
                f"{what}: row {i + 1} must have an ISO time (2022-01-31 13:45:00) or an epoch in column "
                f"{column.name!r}, was {text!r}"
            ) from None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        out[i] = round(aware.timestamp() * 1000)
    return out
