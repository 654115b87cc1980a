"""When a difference between two runs came to be, and whose it is: its leg's, or the account's.

Of what happens at one moment, the close of a base bar, bars come first, then what fills on them, then what is decided
at their close, then the account's mark: the order of the engine.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from toolkit.bars.intervals import interval_ms
from toolkit.engine.sizing import REASONS, Reason
from toolkit.verify.parity_rows import RowDifference
from toolkit.verify.parity_tables import RunTables

ACT, BAR, FILL, DECISION, MARK = range(5)
NEVER = (2**62, MARK)
ACCOUNT_COLUMNS = frozenset({"equity", "gross_exposure", "net_exposure", "open_trades"})
# What an entry asks for follows from equity; where it got the same, nothing followed from that.
_ASKED = frozenset({"asked", "asked_notional"})
UNPAID = REASONS[Reason.UNPAID]
_AT_OPEN = ("trade_closed", "expired", UNPAID)
_DECIDED = frozenset({"prediction", "decision", "expires_ts", "instance", "side"})
_SENT = frozenset({"qty", "weight", "prediction", "strategy", "instance", "params", "symbol", "interval", "side"})
_ENTERED = frozenset({"entry_ts", "entry_price", "expected_entry_price", "stop_price", "target_price"})
_PAID = frozenset({"fees", "funding"})
# Where the trade ended elsewhere, what it paid follows from that.
_LEFT = frozenset({"exit_ts", "exit_price", "exit_reason"})
_ORDERED = frozenset({"trade_id", "kind", "side", "type", "qty"})
_UNKNOWN_BASE_MS = 60_000

When = tuple[int, int]
Leg = tuple[str, str]


@dataclass(frozen=True)
class Traded:
    """What an instance trades: strategy, symbol, the length of its base bars."""

    strategy: str
    symbol: str
    base_ms: int


@dataclass(frozen=True)
class Placed:
    """A difference with its leg (None: the account's), the moment and stage that it came at, and its symbol."""

    row: RowDifference
    leg: Leg | None
    when: When
    symbol: str


def traded(a: RunTables, b: RunTables) -> dict[str, Traded]:
    """What each instance of either run trades; a symbol's bars say the base where nothing else does."""
    bases: dict[str, str] = {}
    for run in (a, b):
        if run.bars is not None:
            bases |= dict(run.bars.select("symbol", "base").unique().iter_rows())
    found: dict[str, Traded] = {}
    for run in (a, b):
        for table in ("audit", "trades"):
            rows = run.tables[table].select("instance", "strategy", "symbol").unique().drop_nulls()
            for instance, strategy, symbol in rows.iter_rows():
                base = run.series[instance][2] if instance in run.series else bases.get(symbol)
                if instance not in found or instance in run.series:
                    found[instance] = Traded(strategy, symbol, interval_ms(base) if base else _UNKNOWN_BASE_MS)
    return found


def placed(rows: Iterable[RowDifference], known: Mapping[str, Traded]) -> list[Placed]:
    """Every difference with its leg and moment, the earliest first."""
    by_digest = {instance.rpartition("-")[2]: instance for instance in known}
    found = [_place(row, known, by_digest) for row in rows]
    return sorted(found, key=lambda one: (one.when, one.leg or ("", ""), one.row.table))


def ms(value: Any) -> int | None:
    """Epoch milliseconds of a cell that holds a time."""
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    return None if value is None else int(value)


def sides(row: RowDifference) -> list[dict[str, Any]]:
    """The row of each run that has it."""
    return [one for one in (row.a, row.b) if one is not None]


def _place(row: RowDifference, known: Mapping[str, Traded], by_digest: Mapping[str, str]) -> Placed:
    said = row.row
    if row.table == "bars":
        return Placed(row, None, (int(said["ts"]) + interval_ms(said["base"]), BAR), said["symbol"])
    if row.table == "equity":
        return Placed(row, None, (ms(said["ts"]) or 0, MARK), "")
    if row.table == "orders":
        digest, _, rest = str(said["trade_id"]).partition("-")
        leg = (by_digest.get(digest, digest), "long" if rest.startswith("L") else "short")
    else:
        leg = (str(said["instance"]), str(said["side"]))
    one = known.get(leg[0], Traded("", "", _UNKNOWN_BASE_MS))
    moments = {"signals": _signal, "audit": _audit, "orders": _order, "trades": _trade}
    when = moments[row.table](row, one.base_ms)
    state_only = row.table == "audit" and not row.alone and _state_only(set(row.columns))
    return Placed(row, None if state_only else leg, when, one.symbol)


def _state_only(columns: set[str]) -> bool:
    """The account was another one, and the entry got the same."""
    return bool(columns & ACCOUNT_COLUMNS) and not columns - ACCOUNT_COLUMNS - _ASKED


def _earliest(row: RowDifference, column: str, base_ms: int, stage: int) -> When:
    """The first of a time of both runs, in the bar that opens then."""
    times = [ms(one[column]) for one in sides(row)]
    return min(((t + base_ms, stage) for t in times if t is not None), default=NEVER)


def _signal(row: RowDifference, base_ms: int) -> When:
    ends = []
    for one in sides(row):
        closed = ms(one["closed_ts"])
        if closed is not None:
            at_open = one["reason"] in _AT_OPEN
            ends.append((closed + base_ms, FILL) if at_open else (closed, DECISION))
    end = min(ends, default=NEVER)
    unpaid = any(one["reason"] == UNPAID for one in sides(row))
    decided = set(row.columns) & _DECIDED - ({"decision"} if unpaid else set())
    refused = all(one["decision"] != "accepted" for one in sides(row)) and not unpaid
    if row.alone or decided or ("reason" in row.columns and refused):
        return _earliest(row, "ts", 0, DECISION)
    return end


def _audit(row: RowDifference, base_ms: int) -> When:
    unpaid = any(one["reason"] == UNPAID for one in sides(row))
    return _earliest(row, "ts", 0, FILL if unpaid else DECISION)


def _order(row: RowDifference, base_ms: int) -> When:
    rests = row.row["kind"] in ("stop", "target")
    made = _earliest(row, "created_ts", base_ms, FILL) if rests else _earliest(row, "created_ts", 0, DECISION)
    if row.alone or set(row.columns) & _ORDERED:
        return made
    closed = _earliest(row, "closed_ts", base_ms, FILL)
    return closed if closed != NEVER else made


def _trade(row: RowDifference, base_ms: int) -> When:
    columns = set(row.columns)
    if not row.alone and columns & _SENT:
        return _earliest(row, "signal_ts", 0, DECISION)
    if row.alone or columns & _ENTERED or (columns & _PAID and not columns & _LEFT):
        return _earliest(row, "entry_ts", base_ms, FILL)
    return _earliest(row, "exit_ts", base_ms, FILL)
