"""Cells of a trades.csv as values; a `ValueError` says what the cell must be."""

import math
from datetime import UTC, datetime

_SIDES = {"long": "long", "buy": "long", "short": "short", "sell": "short"}
_LEAST_MS, _END_MS = 0, 7_258_118_400_000  # years 1970 to 2199
_LEAST_EPOCH_S, _LEAST_EPOCH_MS = 1e8, 1e11  # both March 1973: smaller numbers are dates such as 20220131, or no times
_TIME = (
    "a time in the years 1970 to 2199: ISO, such as 2022-01-31T13:45 (UTC), or epoch seconds or milliseconds"
)  # fmt: skip


def side_of(text: str) -> str:
    """`long` or `short`, of long, short, buy or sell."""
    side = _SIDES.get(text.lower())
    if side is None:
        raise ValueError("long or short (or buy or sell)")
    return side


LARGEST = 1e15


def number_of(text: str) -> float:
    """A finite number from -1e15 to 1e15: sums of larger ones lose their digits, or overflow."""
    try:
        number = float(text)
    except ValueError:
        raise ValueError("a finite number with a decimal point") from None
    if not math.isfinite(number):
        raise ValueError("a finite number (leave it empty where it is not known)")
    if abs(number) > LARGEST:
        raise ValueError(f"a number from -{LARGEST:g} to {LARGEST:g}")
    return number


def time_of(text: str) -> int:
    """Epoch ms of an ISO time (without a zone: UTC; `/` for `-` will do) or of epoch seconds or milliseconds."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if number >= _LEAST_EPOCH_S and math.isfinite(number):
        ms = round(number if number >= _LEAST_EPOCH_MS else number * 1000.0)
    else:
        ms = _iso_ms(text)
    if not _LEAST_MS <= ms < _END_MS:
        raise ValueError(_TIME)
    return ms


def _iso_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.removesuffix(" UTC").replace("/", "-"))
    except ValueError:
        raise ValueError(_TIME) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000.0)
