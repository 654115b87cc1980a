"""What the comparison of two runs came to, for people and for machines."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from toolkit.bars.series import utc
from toolkit.verify.parity_causes import Cause
from toolkit.verify.parity_evidence import shown
from toolkit.verify.parity_rows import RowDifference
from toolkit.verify.parity_tables import Period

# Without these there was nothing to certify.
NEEDED = ("signals", "orders", "trades", "audit", "equity")
_MOST_SHOWN = 20
_COLUMNS = {
    "cause": pl.Int64, "kind": pl.String, "table": pl.String, "row": pl.String, "column": pl.String, "a": pl.String,
    "b": pl.String,
}  # fmt: skip
_NAMES = ("signal_id", "order_id", "trade_id", "exchange", "symbol", "base", "ts", "instance", "side")


@dataclass(frozen=True)
class Count:
    """How many rows of one kind each run has in the common period, and how many are equal to the last bit.

    `different` : rows of both that are not the same, and those that only one of them has.
    """

    kind: str
    a: int
    b: int
    equal: int
    different: int


@dataclass(frozen=True)
class ParityReport:
    """What the comparison of two runs came to.

    Attributes
    ----------
    a, b : the runs' names. period : what both cover.
    counts : rows of each table, and signals by what was decided on them.
    causes : first causes of what differs, the earliest first. rows : each row that differs, and its cause's number.
    warnings : what a reader must know, one sentence each.
    """

    a: str
    b: str
    period: Period
    counts: tuple[Count, ...]
    causes: tuple[Cause, ...] = ()
    rows: tuple[tuple[RowDifference, int], ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Nothing that the runs did differs, and there is a common period; bars are what they saw, not did."""
        return all(row.table == "bars" for row, _ in self.rows) and self.period.start_ms < self.period.end_ms

    @property
    def empty(self) -> tuple[str, ...]:
        """Kinds that a certificate needs and of which no row was compared."""
        return tuple(one.kind for one in self.counts if one.kind in NEEDED and not max(one.a, one.b))

    @property
    def certified(self) -> bool:
        """Signals, decisions, orders, trades, audit rows and equity are there, and equal to the last bit."""
        return self.equal and not self.empty

    @property
    def ok(self) -> bool:
        return self.certified

    @property
    def why_not(self) -> str:
        """Why there is no certificate, in words; "" = there is one."""
        if not all(row.table == "bars" for row, _ in self.rows):
            tables = Counter(row.table for row, _ in self.rows)
            counts = ", ".join(f"{n:,} of {table}" for table, n in tables.items())
            return f"{len(self.rows):,} rows differ ({counts}), of {len(self.causes):,} first causes"
        if not self.equal:
            return "the runs have no period in common"
        return f"no {', no '.join(self.empty)} were compared" if self.empty else ""

    def frame(self) -> pl.DataFrame:
        """A row a differing cell or lacking row: cause (its number, from 1), kind, table, row, column, a, b."""
        cells: list[tuple[Any, ...]] = []
        for row, number in self.rows:
            head = (number + 1, str(self.causes[number].kind), row.table, _name(row))
            if row.alone:
                cells.append((*head, "", "there" if row.a else "missing", "there" if row.b else "missing"))
            elif row.a is not None and row.b is not None:
                cells += [(*head, column, shown(row.a[column]), shown(row.b[column])) for column in row.columns]
        return pl.DataFrame(cells, schema=_COLUMNS, orient="row")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as JSON can hold it."""
        return {
            "certified": self.certified,
            "equal": self.equal,
            "why_not": self.why_not or None,
            "a": self.a,
            "b": self.b,
            "start_ms": self.period.start_ms,
            "end_ms": self.period.end_ms,
            "counts": {
                one.kind: {"a": one.a, "b": one.b, "equal": one.equal, "different": one.different}
                for one in self.counts
            },
            "causes": [{**asdict(one), "total": one.total} for one in self.causes],
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        span = f"{utc(self.period.start_ms)} to {utc(self.period.end_ms)} UTC"
        lines = [f"A {self.a}", f"B {self.b}", span, f"{'':<10} {'A':>9} {'B':>9} {'equal':>9} {'different':>9}"]
        lines += [f"{one.kind:<10} {one.a:>9,} {one.b:>9,} {one.equal:>9,} {one.different:>9,}" for one in self.counts]
        if self.causes:
            lines += ["", f"{'first cause':<12} {'at (UTC)':<16} {'rows':>8} {'legs':>5}  where, and what (A | B)"]
            for one in self.causes[:_MOST_SHOWN]:
                where = " ".join(word for word in (one.instance, one.side) if word) or one.symbol or "the account"
                lines.append(f"{one.kind:<12} {utc(one.ts_ms):<16} {one.total:>8,} {one.legs:>5}  {where}: {one.text}")
            if len(self.causes) > _MOST_SHOWN:
                lines.append(f"... and {len(self.causes) - _MOST_SHOWN:,} more")
        lines += [f"warning: {text}" for text in self.warnings]
        verdict = "certified: equal bit for bit" if self.certified else f"NOT certified: {self.why_not}"
        return "\n".join([*lines, verdict])


def _name(row: RowDifference) -> str:
    """What names the row: its own id, or its moment and whose it is."""
    said = row.row
    own = f"{row.table.removesuffix('s')}_id"
    return str(said[own]) if own in said else " ".join(shown(said[name]) for name in _NAMES if name in said)
