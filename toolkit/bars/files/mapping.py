"""Which column of a file is the open, the high, ...: named by the caller, else guessed from its header."""

import re
from collections.abc import Mapping, Sequence

from toolkit.bars.columns import COLUMNS, PRICES
from toolkit.errors import BarsError, InputError, UnknownNameError

# First match wins, so the surer names come first; compared in lower case without punctuation.
ALIASES: dict[str, tuple[str, ...]] = {
    "ts": (
        "ts", "opentime", "opentimestamp", "opentimems", "timestampms", "unixtimestamp", "unixtime", "unix", "epoch",
        "timestamp", "time", "datetime", "date", "candlebegintime", "starttime", "start", "begin", "begints",
        "timeperiodstart", "periodstart", "gmttime", "timeutc", "datetimeutc", "dateutc", "t",
    ),
    "open": ("open", "o", "openprice", "priceopen", "openpx"),
    "high": ("high", "h", "highprice", "pricehigh", "max", "highpx"),
    "low": ("low", "l", "lowprice", "pricelow", "min", "lowpx"),
    "close": ("close", "c", "closeprice", "priceclose", "last", "closepx"),
    "volume": ("volume", "v", "vol", "basevolume", "volumebase", "basevol", "volumetraded", "baseassetvolume", "qty"),
}  # fmt: skip


def parse_map(pairs: Sequence[str]) -> dict[str, str]:
    """`{"open": "o"}` of `["open=o"]`; commas separate too. `InputError` for a field that is none of `COLUMNS`."""
    out: dict[str, str] = {}
    for pair in (p for text in pairs for p in text.split(",") if p):
        field, equals, column = (part.strip() for part in pair.partition("="))
        if not equals or not column:
            raise InputError(f"--map must be written FIELD=COLUMN, such as open=o, was {pair!r}")
        if field not in COLUMNS:
            raise UnknownNameError("field of --map", field, COLUMNS)
        out[field] = column
    return out


def choose_columns(header: Sequence[str], named: Mapping[str, str], base: str | None, what: str) -> dict[str, str]:
    """Column of the file for each field; volume may be absent.

    Parameters
    ----------
    header : the file's column names. named : the caller's choices by field. base : base currency, for `Volume BTC`.

    Raises
    ------
    UnknownNameError : a named column is not in the file. BarsError : a field is neither named nor guessed.
    """
    plain = {_plain(column): column for column in reversed(header)}
    chosen: dict[str, str] = {}
    for field in COLUMNS:
        if field in named:
            if named[field] not in header:
                raise UnknownNameError(f"column of {what}", named[field], header, "(in --map)")
            chosen[field] = named[field]
            continue
        aliases = ALIASES[field]
        if field == "volume" and base:
            aliases = (*aliases, f"volume{base.lower()}")
        guess = next((plain[alias] for alias in aliases if alias in plain), None)
        if guess is not None:
            chosen[field] = guess
        elif field in (*PRICES, "ts"):
            raise BarsError(
                f"{what}: no column could be read as {field!r} among {', '.join(header)}; "
                f"name it with --map {field}=COLUMN"
            )
    return chosen


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]", "", column.lower())
