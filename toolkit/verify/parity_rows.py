"""Two tables of one kind, row by row: which rows only one has, and which cells differ in any bit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from toolkit.errors import RunError
from toolkit.verify.bits import bits

_NUMBER, _ROW = "_number", "_row"


@dataclass(frozen=True)
class RowDifference:
    """One row that is not the same.

    a, b : the row as each run has it, None where it has none. columns : those that differ, all where one has no row.
    """

    table: str
    a: dict[str, Any] | None
    b: dict[str, Any] | None
    columns: tuple[str, ...]

    @property
    def row(self) -> dict[str, Any]:
        """The row, as one of them has it."""
        found = self.a if self.a is not None else self.b
        assert found is not None
        return found

    @property
    def alone(self) -> bool:
        """Only one of the runs has it."""
        return self.a is None or self.b is None


@dataclass(frozen=True)
class Compared:
    """Rows of each run, how many are equal, and those that are not."""

    a: int
    b: int
    equal: int
    rows: tuple[RowDifference, ...]


def compare_rows(table: str, a: pl.DataFrame, b: pl.DataFrame, key: Sequence[str]) -> Compared:
    """Pair the rows of two tables by their key and compare every cell; order does not count.

    Floats are equal by their bits, NaN and null are one, and so are the two zeros: a ledger keeps no sign of zero.

    Raises
    ------
    RunError : the tables do not have the same columns.
    """
    if set(a.columns) != set(b.columns):
        odd = sorted(set(a.columns) ^ set(b.columns))
        raise RunError(f"only one of the runs has {', '.join(odd)} in {table}; make both with one version")
    left, right = _numbered(a, key), _numbered(b.select(a.columns), key)
    on = [*key, _NUMBER]
    pairs = (
        left.select(on)
        .with_row_index("_a")
        .join(right.select(on).with_row_index("_b"), on=on, how="full", nulls_equal=True, maintain_order="left_right")
    )
    both = pairs.drop_nulls(["_a", "_b"])
    mine, theirs = a[both["_a"]], b.select(a.columns)[both["_b"]]
    unequal = {name: _unequal(table, name, mine[name], theirs[name]) for name in a.columns if name not in key}
    found = pl.DataFrame(unequal, schema=dict.fromkeys(unequal, pl.Boolean))
    odd_rows = found.with_row_index(_ROW).filter(pl.any_horizontal(pl.exclude(_ROW))) if unequal else pl.DataFrame()
    rows = []
    for odd_row in odd_rows.iter_rows(named=True):
        k = odd_row.pop(_ROW)
        columns = tuple(name for name, differs in odd_row.items() if differs)
        rows.append(RowDifference(table, mine.row(k, named=True), theirs.row(k, named=True), columns))
    paired = len(rows)
    rest = tuple(a.columns)
    rows += [RowDifference(table, r, None, rest) for r in a[_lonely(pairs, "_a", "_b")].iter_rows(named=True)]
    rows += [RowDifference(table, None, r, rest) for r in b[_lonely(pairs, "_b", "_a")].iter_rows(named=True)]
    return Compared(len(a), len(b), len(both) - paired, tuple(rows))


def _lonely(pairs: pl.DataFrame, mine: str, theirs: str) -> pl.Series:
    return pairs.filter(pl.col(theirs).is_null())[mine]


def _numbered(frame: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """With the number of each row among those of its key."""
    return frame.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).over(*key).alias(_NUMBER))


def _unequal(table: str, name: str, a: pl.Series, b: pl.Series) -> pl.Series:
    """bool, a row: the cells differ."""
    if a.dtype.is_float() and b.dtype.is_float():
        # Adding zero makes of -0.0 the other one, and changes nothing else.
        ours, others = (s.cast(pl.Float64).fill_null(float("nan")).to_numpy() + 0.0 for s in (a, b))
        return pl.Series(name, bits(ours) != bits(others))
    alike = (
        a.dtype == b.dtype
        or (a.dtype.is_integer() and b.dtype.is_integer())
        or (a.dtype.is_temporal() and b.dtype.is_temporal())
        or pl.Null in (a.dtype, b.dtype)
    )
    if not alike:
        raise RunError(
            f"{name} of {table} is {a.dtype} in one run and {b.dtype} in the other; make both with one version"
        )
    return a.ne_missing(b).alias(name)
