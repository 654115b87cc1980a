"""Durations as people write them ("4h", "20bars"), converted once to base bars."""

import re
from typing import TypeAlias

from toolkit.bars.intervals import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS
from toolkit.errors import InputError

# A time ("90m", "4h", "2d", "1w"), signal-interval bars ("20bars"), or a plain count of signal-interval bars.
Duration: TypeAlias = str | int

_UNIT_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": WEEK_MS}
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([mhdw])")
_BARS = re.compile(r"(\d+)\s*bars?")


def time_ms(name: str, value: Duration) -> int:
    """Milliseconds of a time such as "8h"; bars are refused."""
    found = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise InputError(f"`{name}` must be a time such as '8h' or '1d', was {value!r}")
    return round(float(found[1]) * _UNIT_MS[found[2]])


def to_base_bars(name: str, value: Duration | None, signal_ms: int, base_ms: int) -> int:
    """Base bars of a duration, 0 for None.

    Raises
    ------
    InputError : not a duration, less than one bar, or a time that is no whole number of base bars.
    """
    if value is None:
        return 0
    text = f"{value}bars" if isinstance(value, int) and not isinstance(value, bool) else value
    bars = _BARS.fullmatch(text.strip()) if isinstance(text, str) else None
    if bars is not None:
        span = int(bars[1]) * signal_ms
    else:
        try:
            span = time_ms(name, value)
        except InputError:
            raise InputError(
                f"`{name}` must be a time such as '4h' or signal bars such as '20bars', was {value!r}"
            ) from None
    if span <= 0:
        raise InputError(f"`{name}` must be at least 1 bar, was {value!r}; leave it out for none")
    if span % base_ms:
        raise InputError(
            f"`{name}` must be a whole number of base bars of {base_ms // MINUTE_MS} minutes, was {value!r}"
        )
    return span // base_ms
