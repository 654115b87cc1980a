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
        "timeperiodstart", "periodstart", "timeopen", "gmttime", "timeutc", "datetimeutc", "dateutc", "t",
    ),
    "open": ("open", "o", "openprice", "priceopen", "openpx"),
    "high": ("high", "h", "highprice", "pricehigh", "max", "highpx"),
    "low": ("low", "l", "lowprice", "pricelow", "min", "lowpx"),
    "close": ("close", "c", "closeprice", "priceclose", "last", "closepx"),
    "volume": ("volume", "v", "vol", "basevolume", "volumebase", "basevol", "volumetraded", "baseassetvolume", "qty"),
}  # fmt: skip
# Names of the time at which a bar ended.
CLOSE_TIMES = (
    "closetime", "closetimestamp", "closetimems", "timeclose", "endtime", "timeend", "candleendtime", "timeperiodend",
    "periodend", "endts", "end",
)  # fmt: skip
_SAYS_OPEN = re.compile("open|start|begin")


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


def choose_columns(
    header: Sequence[str], named: Mapping[str, str], base: str | None, what: str, stamp: str = "open"
) -> dict[str, str]:
    """Column of the file for each field; volume may be absent.

    Parameters
    ----------
    header : the file's column names. named : the caller's choices by field. base : base currency, for `Volume BTC`.
    stamp : "close" looks for the time at which a bar ended, and takes no column that says when it opened.

    Raises
    ------
    UnknownNameError : a named column is not in the file. BarsError : a field is neither named nor guessed, or the time
        named for `stamp="close"` is that of the open.
    """
    plain = {_plain(column): column for column in reversed(header)}
    chosen: dict[str, str] = {}
    for field in COLUMNS:
        if field in named:
            if named[field] not in header:
                raise UnknownNameError(f"column of {what}", named[field], header, "(in --map)")
            chosen[field] = named[field]
            if field == "ts" and stamp == "close":
                _refuse_open_time(named[field], what)
            continue
        aliases = _times(plain, stamp, what) if field == "ts" else ALIASES[field]
        if field == "volume" and base:
            aliases = (*aliases, f"volume{base.lower()}")
        guess = next((plain[alias] for alias in aliases if alias in plain), None)
        if guess is not None:
            chosen[field] = guess
        elif field in (*PRICES, "ts"):
            raise BarsError(
                f"{what}: no column could be read as {field!r} among {', '.join(header)}; "
                f"name it with --map {field}=COLUMN"
                f"{_closing(plain) if field == 'ts' and stamp == 'open' else ''}"
            )
    return chosen


def _times(plain: Mapping[str, str], stamp: str, what: str) -> tuple[str, ...]:
    if stamp == "open":
        return ALIASES["ts"]
    if not any(alias in plain for alias in CLOSE_TIMES):
        # Beside an open time, a column called just `date` is the same moment once more.
        for alias in ALIASES["ts"]:
            if alias in plain:
                _refuse_open_time(plain[alias], what)
    return (*CLOSE_TIMES, *(alias for alias in ALIASES["ts"] if not _SAYS_OPEN.search(alias)))


def _refuse_open_time(column: str, what: str) -> None:
    if _SAYS_OPEN.search(_plain(column)):
        raise BarsError(
            f"{what}: --stamp close must have the time at which a bar closed, and column {column!r} says when it "
            f"opened; leave --stamp out, or name the close time with --map ts=COLUMN"
        )


def _closing(plain: Mapping[str, str]) -> str:
    found = next((plain[alias] for alias in CLOSE_TIMES if alias in plain), None)
    return f", or import by its {found!r} with --stamp close" if found else ""


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]", "", column.lower())
