"""A table of columns into a CSV or Parquet file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from toolkit.durable import durable
from toolkit.errors import InputError

SUFFIXES = (".csv", ".parquet")


def check_table_path(path: Path, overwrite: bool) -> None:
    """`InputError` where the suffix names no format, the folder is missing, or a file is there already."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"a table's file must end in .csv or .parquet, was {str(path)!r}")
    if not path.parent.is_dir():
        raise InputError(f"folder {str(path.parent)!r} does not exist; make it, or name another file")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; name another file with --out, or add --overwrite")


def write_table(path: Path, columns: Mapping[str, NDArray[Any] | Sequence[str]]) -> int:
    """Write columns of one length and return the number of rows; the file appears whole or not at all.

    A float that is NaN becomes a missing value (an empty field in CSV); `ts`, int64 epoch ms, becomes a UTC time.

    Raises
    ------
    InputError : the suffix is neither `.csv` nor `.parquet`, or the file cannot be written.
    """
    check_table_path(path, overwrite=True)
    series = []
    for name, values in columns.items():
        one = pl.Series(name, values, strict=True)
        if name == "ts":
            one = one.cast(pl.Int64).cast(pl.Datetime("ms", "UTC"))
        elif isinstance(values, np.ndarray) and values.dtype == np.float64:
            one = one.fill_nan(None)
        series.append(one)
    table = pl.DataFrame(series)
    try:
        with durable(path) as file:
            if path.suffix == ".csv":
                table.write_csv(file, datetime_format="%Y-%m-%dT%H:%M:%SZ")
            else:
                table.write_parquet(file)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path} cannot be written ({error}); check its folder, permissions and free space") from None
    return len(table)
