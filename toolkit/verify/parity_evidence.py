"""What the first difference of a leg says of its cause."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import polars as pl

from toolkit.engine.sizing import REASONS, Reason
from toolkit.verify.parity_moments import ACCOUNT_COLUMNS, DECISION, FILL, UNPAID, Leg, Placed, ms, sides
from toolkit.verify.parity_rows import RowDifference
from toolkit.verify.parity_tables import RunTables


class Kind(StrEnum):
    """Why two runs differ."""

    BAR = "bar"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    VETO = "veto"
    SIZE = "size"
    FILL = "fill price"
    FEE = "fee"
    MANUAL = "manual act"
    ACCOUNT = "account"
    OTHER = "other"


# What may lie behind a difference: a bar of the symbol, the account.
BARS, ACCOUNT = "bars", "account"
_VETOES = {REASONS[Reason.VETOED], REASONS[Reason.REFUSED], REASONS[Reason.UNANSWERED]}
_OFF, _BY_HAND, _STALE = REASONS[Reason.OFF], REASONS[Reason.BY_HAND], REASONS[Reason.STALE]
# Rules that look at more of the account than an audit row tells.
_HIDDEN = {REASONS[r] for r in (
    Reason.NO_EQUITY, Reason.DAILY_LOSS, Reason.DRAWDOWN, Reason.OPPOSITE_LEG, Reason.MAX_OPEN_SYMBOL,
    Reason.MAX_OPEN_STRATEGY, Reason.MAX_SYMBOL, Reason.LEVERAGE, Reason.UNPAID,
)}  # fmt: skip
_VOLUME = REASONS[Reason.VOLUME]
_AT_MARKET = {"signal", "max_hold", "rule", "halt", "manual"}


@dataclass(frozen=True)
class Evidence:
    """A cause as the difference itself shows it.

    Attributes
    ----------
    row, column : where it shows. text : what it is, in words.
    behind : what it follows from where that differs earlier. exact : the bar of this very moment must differ.
    verbs : acts that would explain it.
    """

    kind: Kind
    row: RowDifference
    column: str
    text: str
    behind: frozenset[str] = field(default_factory=frozenset)
    exact: bool = False
    verbs: tuple[str, ...] = ()


class Look:
    """Rows of both runs beside a difference: the signal and the trade of a trade's id, None where there is none."""

    def __init__(self, a: RunTables, b: RunTables) -> None:
        self._runs = (a, b)

    def trade(self, trade_id: str) -> list[dict[str, Any] | None]:
        return [_one(run.tables["trades"], "trade_id", trade_id) for run in self._runs]

    def signal(self, trade_id: str) -> list[dict[str, Any] | None]:
        return [_one(run.tables["signals"], "signal_id", f"{trade_id}-signal") for run in self._runs]


def _one(frame: pl.DataFrame, column: str, value: str) -> dict[str, Any] | None:
    found = frame.filter(pl.col(column) == value)
    return found.row(0, named=True) if len(found) else None


def evidence(leg: Leg, first: Sequence[Placed], look: Look) -> Evidence:
    """What the differences that a leg begins to differ with, all of one moment and stage, say of their cause."""
    rows: dict[str, RowDifference] = {}
    for one in first:
        kind = f"{one.row.row['kind']} order" if one.row.table == "orders" else one.row.table
        rows.setdefault(kind, one.row)
    found = None
    if first[0].when[1] == DECISION:
        found = _decision(rows, look)
    elif first[0].when[1] == FILL:
        found = _fill(rows, look)
    return found or _last(rows)


def _decision(rows: dict[str, RowDifference], look: Look) -> Evidence | None:
    signal, audit, left = rows.get("signals"), rows.get("audit"), rows.get("exit order")
    for one in (signal, audit):
        if one is not None and one.alone:
            text = f"{_only(one)} has an entry signal"
            # An instance that is off makes no signals.
            return Evidence(Kind.SIGNAL, one, "signal", text, frozenset({BARS}), verbs=("disable", "enable"))
    if audit is not None and "price" in audit.columns:
        return Evidence(Kind.BAR, audit, "price", _cells(audit, "price"), frozenset({BARS}), exact=True)
    if signal is not None and "prediction" in signal.columns:
        return Evidence(Kind.VETO, signal, "prediction", _cells(signal, "prediction"), frozenset({BARS}))
    if audit is not None:
        return _decided(audit)
    if signal is not None:
        if "expires_ts" in signal.columns:
            return Evidence(Kind.TIMEOUT, signal, "expires_ts", _cells(signal, "expires_ts"))
        return _ended(signal)
    if left is not None and left.alone:
        found = look.trade(left.row["trade_id"])[left.a is None]
        # An exit that still waits at the end has no reason yet.
        why = "signal" if found is None or found["exit_reason"] == "open" else found["exit_reason"]
        return _leaving(left, {why}, f"{_only(left)} orders the exit ({why})")
    for name, column in (("trades", "qty"), ("trades", "weight"), ("entry order", "qty"), ("exit order", "qty")):
        if name in rows and column in rows[name].columns:
            return Evidence(Kind.SIZE, rows[name], column, _cells(rows[name], column))
    return None


def _decided(audit: RowDifference) -> Evidence:
    """An entry that was decided on in both runs, and got something else."""
    assert audit.a is not None and audit.b is not None
    columns, changed = set(audit.columns), {audit.a["reason"]} ^ {audit.b["reason"]}
    if changed & _VETOES:
        return Evidence(Kind.VETO, audit, "reason", _cells(audit, "reason"))
    if _STALE in changed:
        return Evidence(Kind.TIMEOUT, audit, "reason", _cells(audit, "reason"))
    if _BY_HAND in changed:
        return Evidence(Kind.MANUAL, audit, "reason", _cells(audit, "reason"), verbs=("halt", "resume"))
    if "weight" in columns or _OFF in changed:
        return Evidence(Kind.SIZE, audit, "weight", _cells(audit, "weight"), verbs=("enable", "disable"))
    account = sorted(columns & ACCOUNT_COLUMNS)
    behind = {ACCOUNT} if account or changed & _HIDDEN else set()
    if not account and ("asked" in columns or _VOLUME in changed):
        behind.add(BARS)
    column = "given" if "given" in columns else audit.columns[0]
    shown = [column, *(["reason"] if changed else []), *account]
    return Evidence(Kind.SIZE, audit, column, "; ".join(_cells(audit, name) for name in shown), frozenset(behind))


def _ended(signal: RowDifference) -> Evidence:
    """A signal that ended otherwise, or counted other entries."""
    column = next(n for n in (*("reason", "closed_ts", "ignored_entries"), *signal.columns) if n in signal.columns)
    ends, text = _words(signal, "reason"), _cells(signal, column)
    if "manual" in ends:
        return Evidence(Kind.MANUAL, signal, column, text, verbs=("close",))
    if "halt" in ends:
        return Evidence(Kind.SIZE, signal, column, text, frozenset({ACCOUNT}))
    if "exit_signal" in ends:
        return Evidence(Kind.SIGNAL, signal, column, text, frozenset({BARS}))
    if column in ("decision", "side", "instance"):
        return Evidence(Kind.OTHER, signal, column, text)
    return Evidence(Kind.TIMEOUT, signal, column, text, frozenset({BARS}))


def _leaving(row: RowDifference, why: set[Any], text: str) -> Evidence:
    """An exit for these reasons that only one of the runs made."""
    column = "exit_reason" if row.table == "trades" else "order"
    if "manual" in why:
        return Evidence(Kind.MANUAL, row, column, text, verbs=("close",))
    if "halt" in why:
        return Evidence(Kind.SIZE, row, column, text, frozenset({ACCOUNT}))
    if "max_hold" in why:
        return Evidence(Kind.TIMEOUT, row, column, text)
    if why & {"signal", "rule"}:
        return Evidence(Kind.SIGNAL, row, column, text, frozenset({BARS}))
    return Evidence(Kind.FILL, row, column, text, frozenset({BARS}))


def _fill(rows: dict[str, RowDifference], look: Look) -> Evidence | None:
    audit, trade, signal = rows.get("audit"), rows.get("trades"), rows.get("signals")
    if audit is not None:
        text = _cells(audit, "reason") if not audit.alone else f"{_only(audit)}: {UNPAID}"
        return Evidence(Kind.SIZE, audit, "reason", text, frozenset({ACCOUNT}))
    if trade is not None:
        return _unfilled(trade, look) if trade.alone else _filled(trade)
    if signal is not None:
        return _ended(signal)
    for row in rows.values():
        if "price" in row.columns and not row.alone:
            return Evidence(Kind.FILL, row, "price", _cells(row, "price"), frozenset({BARS}))
    return None


def _unfilled(trade: RowDifference, look: Look) -> Evidence:
    """A trade that only one of the runs has, of a signal that both took."""
    other = look.signal(trade.row["trade_id"])[trade.a is not None]
    end = None if other is None else other["reason"]
    text = f"only {_only(trade)} fills the entry" + (f"; the other's signal ended: {end}" if end else "")
    if end == "expired":
        return Evidence(Kind.TIMEOUT, trade, "entry_ts", text, frozenset({BARS}))
    if end in (UNPAID, "halt"):
        return Evidence(Kind.SIZE, trade, "entry_ts", text, frozenset({ACCOUNT}))
    if end == "manual":
        return Evidence(Kind.MANUAL, trade, "entry_ts", text, verbs=("close",))
    kind = Kind.SIGNAL if end == "exit_signal" or other is None else Kind.FILL
    return Evidence(kind, trade, "entry_ts", text, frozenset({BARS}))


def _filled(trade: RowDifference) -> Evidence | None:
    """A trade of both runs that was filled or closed otherwise."""
    columns, bars = set(trade.columns), frozenset({BARS})
    assert trade.a is not None and trade.b is not None

    def seen(kind: Kind, column: str, behind: frozenset[str] = bars, exact: bool = False) -> Evidence:
        return Evidence(kind, trade, column, _cells(trade, column), behind, exact)

    if "entry_ts" in columns:
        return seen(Kind.FILL, "entry_ts")
    if "expected_entry_price" in columns:
        return seen(Kind.BAR, "expected_entry_price", exact=True)
    if "entry_price" in columns:
        return seen(Kind.FILL, "entry_price")
    for name in ("stop_price", "target_price"):
        if name in columns:
            return seen(Kind.SIGNAL, name)
    if columns & {"exit_ts", "exit_reason"}:
        why = {trade.a["exit_reason"], trade.b["exit_reason"]}
        differing = why - {"open"} if len(why) == 1 or "open" in why else why
        shown = "exit_reason" if "exit_reason" in columns else "exit_ts"
        return _leaving(trade, differing, _cells(trade, shown))
    if "expected_exit_price" in columns:
        at_market = trade.a["exit_reason"] in _AT_MARKET
        return seen(Kind.BAR if at_market else Kind.FILL, "expected_exit_price", exact=at_market)
    if "exit_price" in columns:
        return seen(Kind.FILL, "exit_price")
    for name in ("fees", "funding"):
        if name in columns:
            return seen(Kind.FEE, name, frozenset())
    for name in ("mae", "mfe"):
        if name in columns:
            return seen(Kind.BAR, name, exact=True)
    return None


def _last(rows: dict[str, RowDifference]) -> Evidence:
    """What is known at the end of the runs alone, and what no rule explains."""
    trade, signal = rows.get("trades"), rows.get("signals")
    if (
        trade is not None
        and not trade.alone
        and set(trade.columns) & {"pnl", "mae", "mfe"}
        and not trade.row["exit_ts"]
    ):
        column = "pnl" if "pnl" in trade.columns else "mae"
        if column in trade.columns:
            return Evidence(Kind.BAR, trade, column, _cells(trade, column), frozenset({BARS}), exact=True)
    if signal is not None and not signal.alone:
        return _ended(signal)
    row = next(iter(rows.values()))
    column = row.columns[0]
    text = f"only {_only(row)} has the row" if row.alone else _cells(row, column)
    return Evidence(Kind.OTHER, row, column, text, frozenset({BARS}) if row.alone else frozenset())


def _words(row: RowDifference, column: str) -> set[Any]:
    return {one[column] for one in sides(row)}


def _only(row: RowDifference) -> str:
    return "A" if row.b is None else "B"


def _cells(row: RowDifference, column: str) -> str:
    """`column: A's value | B's value`."""
    if row.a is None or row.b is None:
        return f"only {_only(row)} has the row"
    return f"{column}: {shown(row.a[column])} | {shown(row.b[column])}"


def shown(value: Any) -> str:
    """A cell as a person reads it, floats whole."""
    from toolkit.bars.series import utc

    if value is None:
        return "none"
    return (
        utc(ms(value) or 0) if hasattr(value, "timestamp") else repr(value) if isinstance(value, float) else str(value)
    )
