"""Raw columns of a series, as a file or a request gives them and as the store returns them."""

import hashlib
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolkit.bars.series import check_columns
from toolkit.errors import BarsError

PRICES = ("open", "high", "low", "close")
VALUES = (*PRICES, "volume")
COLUMNS = ("ts", *VALUES)

# ts: int64[n], open times in epoch ms; open, high, low, close, volume: float64[n].
Columns: TypeAlias = dict[str, NDArray[Any]]


def checked(columns: Mapping[str, Any], interval: str, what: str, *, rows: bool = False) -> Columns:
    """The six columns as contiguous int64 / float64 arrays; volume may be left out (NaN, unknown).

    Parameters
    ----------
    rows : messages say `row 1`, as of a file, where they would say `bar 0`.

    Raises
    ------
    BarsError : a column is missing or empty, or a bar breaks a rule of a series; names `what` and the first such bar.
    """
    missing = [name for name in (*PRICES, "ts") if name not in columns]
    if missing:
        raise BarsError(f"{what}: column {missing[0]!r} is missing; columns must be {', '.join(COLUMNS)}")
    out: Columns = {"ts": np.ascontiguousarray(columns["ts"], dtype=np.int64)}
    for name in PRICES:
        out[name] = np.ascontiguousarray(columns[name], dtype=np.float64)
    volume = columns.get("volume")
    out["volume"] = np.full(len(out["ts"]), np.nan) if volume is None else np.ascontiguousarray(volume, np.float64)
    if not len(out["ts"]):
        raise BarsError(f"{what}: holds no bars")
    check_columns(*(out[name] for name in COLUMNS), interval=interval, what=what, rows=rows)
    return out


def fingerprint(columns: Columns) -> str:
    """sha256 of the columns' names and values: equal bars give equal text, wherever they came from."""
    digest = hashlib.sha256()
    for name in COLUMNS:
        digest.update(name.encode())
        # NaN has many bit patterns; all of them are the same missing volume.
        values = columns[name]
        canonical = np.where(np.isnan(values), np.nan, values) if name == "volume" else values
        digest.update(np.ascontiguousarray(canonical).data)
    return digest.hexdigest()
