"""Moments as people write them, in epoch milliseconds."""

from datetime import UTC, date, datetime
from typing import TypeAlias

from toolkit.errors import InputError

Moment: TypeAlias = str | int | date | datetime


def to_ms(moment: Moment, what: str) -> int:
    """Epoch ms of an ISO date or date-time (without a zone: UTC), a `date`, a `datetime`, or epoch ms.

    Raises
    ------
    InputError : names `what` where the text is no ISO time.
    """
    if isinstance(moment, str):
        text = moment.strip()
        if text.isdigit() and len(text) > 8:
            return int(text)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise InputError(
                f"{what} must be an ISO date or time in UTC, such as 2022-01-31 or 2022-01-31T13:45, was {text!r}"
            ) from None
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    if isinstance(moment, date):
        return to_ms(datetime(moment.year, moment.month, moment.day, tzinfo=UTC), what)
    if isinstance(moment, bool) or not hasattr(moment, "__index__"):
        raise InputError(f"{what} must be an ISO date or epoch milliseconds, was {moment!r}")
    return int(moment)
