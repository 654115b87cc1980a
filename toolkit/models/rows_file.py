"""A dataset as a table that other programs read."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.durable import durable
from toolkit.engine.types import ACCEPTED, LONG, ExitReason
from toolkit.errors import InputError, RunError
from toolkit.models.dataset import Dataset

if TYPE_CHECKING:
    import polars as pl

KINDS = (".csv", ".parquet")


def rows_frame(data: Dataset) -> "pl.DataFrame":
    """A row a signal: whose it is, when it was decided and known, what became of it, label, weight, and the features.

    Moments are UTC; null is missing.
    """
    import polars as pl

    rows = data.rows
    moment = pl.Datetime("ms", "UTC")
    head = {
        "instance": pl.Series([data.members[k] for k in rows["member"].tolist()], dtype=pl.String),
        "strategy": pl.Series([data.strategies[k] for k in rows["member"].tolist()], dtype=pl.String),
        "side": pl.Series(np.where(rows["side"] == LONG, "long", "short"), dtype=pl.String),
        "ts": pl.Series(rows["ts"]).cast(moment),
        "known": pl.Series(rows["known"]).cast(moment),
        "accepted": pl.Series(rows["decision"] == ACCEPTED),
        "exit_reason": pl.Series([ExitReason(k).name.lower() for k in rows["exit_reason"].tolist()], dtype=pl.String),
        "return": pl.Series(rows["ret"]),
        "r_multiple": pl.Series(rows["r"]).fill_nan(None),
        "label": pl.Series(data.y.astype(np.int8)),
        "weight": pl.Series(data.weight),
    }
    values = {name: pl.Series(data.x[:, k]).fill_nan(None) for k, name in enumerate(data.features)}
    # A feature is named like a column of the head where it is the signal's own side.
    return pl.DataFrame({**head, **{f"x.{name}" if name in head else name: one for name, one in values.items()}})


def check_kind(path: Path) -> None:
    """`InputError` for a file that is neither CSV nor Parquet by its name."""
    if path.suffix not in KINDS:
        raise InputError(f"a table of rows must be a file that ends in {' or '.join(KINDS)}, was {path.name!r}")


def write_frame(frame: "pl.DataFrame", path: Path) -> None:
    """Write a table as CSV or Parquet, by the file's name, whole or not at all.

    Raises
    ------
    InputError : neither of them. RunError : it cannot be written.
    """
    check_kind(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with durable(path) as file:
            if path.suffix == ".csv":
                frame.write_csv(file, datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ")
            else:
                frame.write_parquet(file)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}; make room, or name another") from error
