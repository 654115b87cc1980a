"""Moments as people write them, in epoch milliseconds."""

from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

from toolkit.bars.series import utc
from toolkit.errors import InputError

Moment: TypeAlias = str | int | date | datetime

# What the calendar holds: the years 1 to 9999.
EARLIEST_MS = -62_135_596_800_000
_LATEST_MS = 253_402_300_799_999
# A number below is no epoch in ms of a market's life (March 1973) but epoch seconds, or a date such as 20220308.
_LEAST_EPOCH_MS = 10**11
_FORMS = (
    "an ISO date or time in UTC, such as 2022-01-31 or 2022-01-31T13:45, or epoch milliseconds, such as 1643587200000"
)


def to_ms(moment: Moment, what: str) -> int:
    """Epoch ms of an ISO date or date-time (without a zone: UTC), a `date`, a `datetime`, or epoch ms.

    Raises
    ------
    InputError : names `what` where the text is no ISO time, or a number is too small (epoch seconds) or too large for
    epoch milliseconds.
    """
    if isinstance(moment, str):
        text = moment.strip()
        if text.isdecimal() and len(text) > 8:
            # No valid number is longer, and Python refuses to read thousands of digits.
            return _epoch_ms(int(text), text, what) if len(text) <= 20 else _epoch_ms(_LATEST_MS + 1, text, what)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise InputError(f"{what} must be {_FORMS}, was {text!r}") from None
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # Whole milliseconds, rounded half to even as `timestamp()` would be; near year 1 a zone leads out of range.
        ms = round((aware - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
        if not EARLIEST_MS <= ms <= _LATEST_MS:
            raise InputError(f"{what} must be in the years 1 to 9999 UTC, was {moment.isoformat()}")
        return ms
    if isinstance(moment, date):
        return to_ms(datetime(moment.year, moment.month, moment.day, tzinfo=UTC), what)
    if isinstance(moment, bool) or not hasattr(moment, "__index__"):
        raise InputError(f"{what} must be {_FORMS}, was {moment!r}")
    return _epoch_ms(int(moment), str(moment), what)


def _epoch_ms(number: int, text: str, what: str) -> int:
    if number < _LEAST_EPOCH_MS:
        raise InputError(f"{what} must be {_FORMS}, was {text}: too small for epoch milliseconds")
    if number > _LATEST_MS:
        raise InputError(f"{what} must be {_FORMS}, was {text[:30]}: too large, beyond the year 9999")
    return number


def check_range(start_ms: int | None, end_ms: int | None) -> None:
    """`InputError` where a range does not begin before it ends; None is open."""
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise InputError(f"start must be before end, was {utc(start_ms)} and end {utc(end_ms)}")
