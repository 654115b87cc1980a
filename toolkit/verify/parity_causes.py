"""First causes of what differs between two runs, and how much follows from each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from toolkit.bars.intervals import interval_ms
from toolkit.verify.parity_evidence import ACCOUNT, BARS, Evidence, Kind, Look, evidence, shown
from toolkit.verify.parity_moments import ACT, BAR, Leg, Placed, Traded, When, placed, traded
from toolkit.verify.parity_rows import RowDifference
from toolkit.verify.parity_tables import RunTables

_MOVES = ("orders", "trades")


@dataclass(frozen=True)
class Cause:
    """A first cause.

    Attributes
    ----------
    ts_ms : the moment it shows at. instance, side, symbol : whose it is, "" = not of one leg, or of no symbol.
    column : where it shows. text : both values, A's first, or what was done.
    rows : how many differing rows of each table follow from it, its own counted. legs : of how many legs.
    """

    kind: Kind
    ts_ms: int
    instance: str
    side: str
    symbol: str
    column: str
    text: str
    rows: Mapping[str, int]
    legs: int

    @property
    def total(self) -> int:
        """All rows that follow from it."""
        return sum(self.rows.values())


@dataclass(eq=False)
class _Root:
    """A cause while its rows are counted; `last_ms` is the close of the last bar of one."""

    kind: Kind
    when: When
    text: str
    column: str = ""
    leg: Leg = ("", "")
    symbol: str = ""
    last_ms: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    legs: set[Leg] = field(default_factory=set)


def attribute(
    rows: Sequence[RowDifference], a: RunTables, b: RunTables, start_ms: int
) -> tuple[list[Cause], list[tuple[RowDifference, int]]]:
    """Every difference with the number of its first cause (counted from 0), and the causes, the earliest first.

    A leg's path follows from its first difference, and the account's from the first one that moved it: entries that
    are sized by another equity or exposure, and marks, follow from that. `start_ms` : of the period.
    """
    known = traded(a, b)
    work = _Attribution(a, b, known, placed(rows, known))
    return work.causes(start_ms)


class _Attribution:
    def __init__(self, a: RunTables, b: RunTables, known: Mapping[str, Traded], items: list[Placed]) -> None:
        self._runs = (a, b)
        self._known = known
        self._legs: dict[Leg, list[Placed]] = {}
        self._account: list[Placed] = []
        self._of: dict[int, _Root] = {}
        self._items = items
        bars = [one for one in items if one.row.table == "bars"]
        for one in items:
            if one.leg is not None:
                self._legs.setdefault(one.leg, []).append(one)
            elif one.row.table != "bars":
                self._account.append(one)
        self._bars = self._bar_roots(bars)
        self._acts = _Acts(a, b)

    def causes(self, start_ms: int) -> tuple[list[Cause], list[tuple[RowDifference, int]]]:
        look, waiting, moves = Look(*self._runs), [], [*self._moved_by_bars(), *self._acts.cash()]
        if self._runs[0].capital != self._runs[1].capital and None not in (r.capital for r in self._runs):
            text = f"capital: {shown(self._runs[0].capital)} | {shown(self._runs[1].capital)}"
            moves.append(((start_ms, ACT), _Root(Kind.ACCOUNT, (start_ms, ACT), text, "capital")))
        for leg, rows in self._legs.items():
            said = evidence(leg, [one for one in rows if one.when == rows[0].when], look)
            if ACCOUNT in said.behind:
                waiting.append((rows[0].when, leg, said))
                continue
            root = self._root(leg, rows[0], said)
            self._give(leg, root)
            moves += [(one.when, root) for one in rows if one.row.table in _MOVES][:1]
        self._follow_account(waiting, min(moves, key=lambda one: one[0], default=None))
        return self._counted()

    def _follow_account(self, waiting: list[tuple[When, Leg, Evidence]], first: tuple[When, _Root] | None) -> None:
        """Give what the account decides to the first cause that moved it; what came before that is a cause itself."""
        mark = self._account[0] if self._account else None
        for when, leg, said in sorted(waiting, key=lambda one: (one[0], one[1])):
            if mark is not None and mark.when < when and (first is None or first[0] > mark.when):
                first = (mark.when, self._marked(mark))
            if first is None or first[0] > when:
                first = (when, self._root(leg, self._legs[leg][0], said))
            self._give(leg, first[1])
        for one in self._account:
            if first is None or first[0] > one.when:
                first = (one.when, self._marked(one))
            self._of[id(one)] = first[1]

    def _marked(self, mark: Placed) -> _Root:
        column = mark.row.columns[0]
        row = mark.row
        text = f"only {'A' if row.b is None else 'B'} has the row" if row.alone else ""
        if row.a is not None and row.b is not None:
            text = f"{column}: {shown(row.a[column])} | {shown(row.b[column])}"
        return _Root(Kind.ACCOUNT, mark.when, text, column)

    def _give(self, leg: Leg, root: _Root) -> None:
        root.legs.add(leg)
        for one in self._legs[leg]:
            self._of[id(one)] = root

    def _root(self, leg: Leg, first: Placed, said: Evidence) -> _Root:
        """The cause behind a leg's first difference: an act or a bar before it, or the difference itself."""
        if said.verbs:
            act = self._acts.before(said.verbs, leg, self._known.get(leg[0]), said, first.when)
            if act is not None:
                return act
        if BARS in said.behind:
            bar = self._bar(first.symbol, first.when, said.exact)
            if bar is not None:
                return bar
        kind, text = said.kind, said.text
        if kind is Kind.BAR and all(run.bars is not None for run in self._runs):
            kind, text = Kind.OTHER, f"{text}, though no bar of it differs"
        if kind is Kind.MANUAL:
            text = f"{text}, and no act is recorded"
        return _Root(kind, first.when, text, said.column, leg, first.symbol)

    def _bar(self, symbol: str, when: When, exact: bool) -> _Root | None:
        """The first bar of the symbol that differs; where the very bar must, that one if it does."""
        found = [one for one in self._bars if one.symbol == symbol and one.when <= when]
        if exact:
            found = [one for one in found if when[0] <= one.last_ms] or found
        return min(found, key=lambda one: one.when, default=None)

    def _bar_roots(self, bars: list[Placed]) -> list[_Root]:
        """A cause a series and stretch of bars that differ without a bar between them that does not."""
        roots: list[_Root] = []
        going: dict[tuple[str, str, str], _Root] = {}
        for one in bars:
            row = one.row
            key, step = (row.row["exchange"], row.row["symbol"], row.row["base"]), interval_ms(row.row["base"])
            root = going.get(key)
            if root is None or root.last_ms + step != one.when[0]:
                root = _Root(Kind.BAR, one.when, _bar_text(row), row.columns[0], ("", ""), one.symbol)
                going[key] = root
                roots.append(root)
            root.last_ms = one.when[0]
            self._of[id(one)] = root
        return roots

    def _moved_by_bars(self) -> list[tuple[When, _Root]]:
        """When each bar's difference was first one of the account: a trade on its symbol was marked at it."""
        if not self._bars:
            return []
        columns = ("symbol", "instance", "entry_ts", "exit_ts")
        trades = pl.concat([run.tables["trades"].select(columns) for run in self._runs])
        trades = trades.with_columns(pl.col("entry_ts", "exit_ts").cast(pl.Int64))
        moved = []
        for root in self._bars:
            held = trades.filter(
                (pl.col("symbol") == root.symbol)
                & (pl.col("entry_ts") < root.last_ms)
                & (pl.col("exit_ts").is_null() | (pl.col("exit_ts") >= root.when[0]))
            )
            if len(held):
                moved.append(((root.when[0], BAR), root))
        return moved

    def _counted(self) -> tuple[list[Cause], list[tuple[RowDifference, int]]]:
        for one in self._items:
            self._of[id(one)].rows[one.row.table] += 1
        roots = sorted({id(r): r for r in self._of.values()}.values(), key=lambda r: (r.when, r.leg, r.kind))
        number = {id(root): k for k, root in enumerate(roots)}
        # What a run never said when it came to be was there at its end.
        last_ms = max(run.end_ms for run in self._runs)
        causes = [
            Cause(r.kind, min(r.when[0], last_ms), *r.leg, r.symbol, r.column, r.text, dict(r.rows), len(r.legs))
            for r in roots
        ]
        return causes, [(one.row, number[id(self._of[id(one)])]) for one in self._items]


def _bar_text(row: RowDifference) -> str:
    where = f"{row.row['exchange']} {row.row['base']}"
    if row.alone:
        return f"{where}: only {'A' if row.b is None else 'B'} has the bar"
    assert row.a is not None and row.b is not None
    return f"{where}: " + "; ".join(f"{c}: {shown(row.a[c])} | {shown(row.b[c])}" for c in row.columns)


class _Acts:
    """What people did in one run and not in the other."""

    def __init__(self, a: RunTables, b: RunTables) -> None:
        mine, theirs = (Counter(_named(act) for act in run.acts) for run in (a, b))
        self._roots = [
            (act, which, _Root(Kind.MANUAL, (act[0], ACT), _said(act, which), act[1]))
            for which, only in (("A", mine - theirs), ("B", theirs - mine))
            for act in only
        ]

    def cash(self) -> list[tuple[When, _Root]]:
        """Money that was paid in or out moves the account."""
        return [(root.when, root) for act, _, root in self._roots if act[1] in ("deposit", "withdraw")]

    def before(self, verbs: Sequence[str], leg: Leg, known: Traded | None, said: Evidence, when: When) -> _Root | None:
        """The last of these acts on the leg before a moment; where only one run has the signal, of the other one."""
        names = {leg[0], "*", "", *((known.strategy, known.symbol) if known is not None else ())}
        trades = f"{leg[0].rpartition('-')[2]}-{leg[1][:1].upper()}-"
        lacking = None
        if said.kind is Kind.SIGNAL:
            lacking = "B" if said.row.b is None else "A"
        found = [
            (act, root)
            for act, which, root in self._roots
            if act[1] in verbs and root.when <= when and lacking in (None, which)
            and (act[1] in ("halt", "resume") or act[2] in names or act[2].startswith(trades))
        ]  # fmt: skip
        if not found:
            return None
        act, root = max(found, key=lambda one: one[1].when)
        return None if said.kind is Kind.SIGNAL and act[1] == "enable" else root


def _named(act: Mapping[str, Any]) -> tuple[int, str, str, float | None]:
    return int(act["ts_ms"]), str(act["verb"]), str(act.get("target") or ""), act.get("value")


def _said(act: tuple[int, str, str, float | None], which: str) -> str:
    words = [act[1], act[2], "" if act[3] is None else f"{act[3]:,.2f}"]
    return f"{' '.join(word for word in words if word)} (only in {which})"
