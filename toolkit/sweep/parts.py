"""Parquet parts of an unfinished sweep, and the tables that are put together from them piece by piece."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pyarrow.parquet as pq

from toolkit.durable import durable
from toolkit.errors import RunError
from toolkit.sweep.plan import Plan, Unit

CSV_TIME = "%Y-%m-%dT%H:%M:%S%.3fZ"


def part_file(parts: Path, unit: Unit) -> Path:
    return parts / f"{unit.number:08d}.parquet"


def write_part(frame: pl.DataFrame, file: Path) -> None:
    """Write one part; it is there whole or not at all."""
    with stored(file) as out:
        frame.write_parquet(out)


def join_parts(plan: Plan, parts: Path, file: Path) -> None:
    """One table of all parts, in the order of the plan; one part at a time is in memory."""
    with stored(file) as out, Pieces(out) as pieces:
        for unit in plan.units():
            pieces.add(pl.read_parquet(part_file(parts, unit)))


class Pieces:
    """A Parquet table written frame by frame; all have the same columns."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "Pieces":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, frame: pl.DataFrame) -> None:
        piece = frame.to_arrow()
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._out, piece.schema, compression="zstd")
        self._writer.write_table(piece)


@contextmanager
def stored(file: Path) -> Iterator[BinaryIO]:
    """A file that takes its name once it is whole; a failure to write is a `RunError` that says why."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with durable(file) as out:
            yield out
    except (OSError, pl.exceptions.PolarsError) as error:
        why = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise RunError(
            f"{file.name} of the sweep cannot be written in {file.parent}: {why}; make room, or point LOCKSTEP_DATA "
            f"to another folder (what is finished is kept for --resume)"
        ) from error
