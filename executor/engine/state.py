"""The account in the ledger: read at a start, written with every event."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from executor.engine.account import Account, Saved, as_record
from executor.engine.signals import Traded
from executor.feed.base import ClosedBar, Series
from executor.ledger import Ledger, number
from toolkit.engine.sizing import LimitRates
from toolkit.engine.types import NO_ORDER, NO_SIGNAL, SIGNAL
from toolkit.portfolio.limits import Instrument, Limits
from toolkit.types import Records

ACCOUNT = "SELECT moment_ms, money, clock, seq FROM account"
LEGS = "SELECT leg, instance, state, signal FROM legs ORDER BY leg"
WEIGHTS = """
SELECT w.effective_ms, w.instance, w.weight * coalesce(i.enabled, 1) AS weight
FROM weights w LEFT JOIN instances i ON i.id = w.instance
ORDER BY w.effective_ms, w.instance
"""
STILL_SENT = """
SELECT DISTINCT o.instance FROM venue_orders v JOIN orders o ON o.order_id = v.order_id
WHERE v.seen IN ('NEW', 'UNKNOWN', 'OPEN', 'FIRED')
"""
NEWEST_BARS = """
SELECT ts, open, high, low, close, volume, filled FROM bars
WHERE exchange = ? AND symbol = ? AND base = ? AND ts < ? ORDER BY ts DESC LIMIT ?
"""


@dataclass(frozen=True)
class Plan:
    """What a deployment says: who trades, and what the account keeps to."""

    members: Sequence[Traded]
    limits: Limits
    instruments: Mapping[str, Instrument]

    def rates(self) -> LimitRates:
        return self.limits.rates()


LoadPlan = Callable[[Ledger, Collection[str]], Plan]


@dataclass(frozen=True)
class Kept:
    """A ledger's account. moment_ms : of the last event, -1 = none yet; seq : its number."""

    moment_ms: int
    seq: int
    saved: Saved | None
    busy: frozenset[str]


def read(ledger: Ledger) -> Kept:
    """The account as it was left; instances that still trade, wait or block, or have orders at a venue, are `busy`."""
    legs: dict[str, Records] = {}
    signals: dict[str, Records] = {}
    busy: set[str] = {row["instance"] for row in ledger.rows(STILL_SENT)}
    for row in ledger.rows(LEGS):
        state = as_record(row["state"])
        legs[row["leg"]] = state
        if row["signal"] is not None:
            signals[row["leg"]] = as_record(row["signal"], SIGNAL)
        if state["active"] or state["order_kind"] != NO_ORDER or state["status"] != NO_SIGNAL:
            busy.add(row["instance"])
    found = ledger.rows(ACCOUNT)
    if not found:
        return Kept(-1, 0, None, frozenset())
    money, clock = np.frombuffer(found[0]["money"]), np.frombuffer(found[0]["clock"], np.int64)
    return Kept(
        found[0]["moment_ms"], found[0]["seq"], Saved(legs, signals, money.copy(), clock.copy()), frozenset(busy)
    )


def schedule(ledger: Ledger, applied_ms: int | None) -> tuple[list[tuple[int, dict[str, float]]], int]:
    """Rows of weights from the one of `applied_ms`, which holds now, on, and its position (-1: None, none does yet)."""
    rows: dict[int, dict[str, float]] = {}
    for row in ledger.rows(WEIGHTS):
        rows.setdefault(row["effective_ms"], {})[row["instance"]] = number(row["weight"])
    kept = [
        (effective, weights) for effective, weights in rows.items() if applied_ms is None or effective >= applied_ms
    ]
    return kept, 0 if applied_ms in rows else -1


def newest_bars(ledger: Ledger, series: Series, before_ms: int, count: int) -> list[ClosedBar]:
    """Up to `count` recorded bars that end right before `before_ms`, oldest first, without a hole among them."""
    found: list[ClosedBar] = []
    expected = before_ms - series.base_ms
    for row in ledger.rows(NEWEST_BARS, (*series, before_ms, count)):
        if row["ts"] != expected:
            break
        found.append(ClosedBar(row[0], row[1], row[2], row[3], row[4], number(row[5]), bool(row[6])))
        expected -= series.base_ms
    return found[::-1]


def account_row(account: Account, moment_ms: int, seq: int) -> dict[str, object]:
    return {
        "id": 1, "moment_ms": moment_ms, "money": account.ledger.money.tobytes(),
        "clock": account.ledger.clock.tobytes(), "seq": seq,
    }  # fmt: skip


def bar_row(series: Series, bar: ClosedBar, source: str, event: int | None, recorded_ms: int) -> dict[str, object]:
    return {
        "exchange": series.exchange, "symbol": series.symbol, "base": series.base, "ts": bar.ts, "open": bar.open,
        "high": bar.high, "low": bar.low, "close": bar.close, "volume": bar.volume, "filled": int(bar.filled),
        "source": source, "event": event, "recorded_ms": recorded_ms,
    }  # fmt: skip
