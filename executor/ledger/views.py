"""The ledger for people: plain dicts and lists, ready for JSON (NaN and infinity are None, times epoch ms).

Every function sees one state of the ledger, whatever the daemon writes meanwhile.
"""

import math
import time
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from executor.ledger.ledger import Ledger, Row
from executor.ledger.lock import holder
from toolkit.engine.account import HALTED, SAID
from toolkit.engine.sizing import BY_HAND_HALT, DAILY_LOSS_HALT, DRAWDOWN_HALT, REASONS, STALE_HALT, Reason
from toolkit.engine.types import ExitReason, SignalEnd
from toolkit.errors import UnknownNameError

Fact: TypeAlias = dict[str, Any]

DAY_MS = 86_400_000
HALT_NAMES = {DAILY_LOSS_HALT: "daily_loss", DRAWDOWN_HALT: "drawdown", BY_HAND_HALT: "by_hand", STALE_HALT: "stale"}
GROUPS = ("strategy", "symbol", "currency")

_DEPLOYMENT = """
    SELECT id, checksum, loaded_ms, effective_from_ms, previous, backtest FROM deployments
    WHERE id = (SELECT value FROM meta WHERE key = 'deployment')
"""
_MARK = """
    SELECT ts_ms, equity, cash, gross, net, open_trades FROM (
        SELECT ts_ms, equity, cash, gross, net, open_trades, 1 AS rank FROM equity
        UNION ALL SELECT ts_ms, equity, cash, gross, net, open_trades, 0 AS rank FROM days
    ) ORDER BY ts_ms DESC, rank DESC LIMIT 1
"""
_MIDNIGHT = "SELECT ts_ms, equity FROM days WHERE ts_ms <= ? ORDER BY ts_ms DESC LIMIT 1"
_FLOWS = """
    SELECT total(CASE kind WHEN 'withdrawal' THEN -abs(amount) ELSE amount END) FROM cash_flows
    WHERE ts_ms > ? AND ts_ms <= ?
"""
_COUNTS = """
    SELECT (SELECT count(*) FROM trades WHERE status = 'ACTIVE') AS open_trades,
           (SELECT count(*) FROM orders WHERE status IN ('NEW', 'OPEN')) AS working_orders,
           (SELECT count(*) FROM signals WHERE "end" = 0) AS live_signals,
           (SELECT count(*) FROM instances WHERE enabled = 1) AS enabled_instances,
           (SELECT count(*) FROM notices WHERE sent_ms IS NULL) AS unsent_notices
"""
_DISABLED = "SELECT id, strategy, symbol, note FROM instances WHERE enabled = 0 ORDER BY id"
_FEED = "SELECT exchange, symbol, base, last_ts, last_seen_ms, state FROM feed ORDER BY exchange, symbol, base"
_SESSIONS = "SELECT id, started_ms, ended_ms, pid, version, ended_how FROM sessions ORDER BY id DESC LIMIT ?"
_WAITING = "SELECT id, ts_ms, verb, target, value, \"by\" FROM commands WHERE status = 'waiting' ORDER BY id"
_UNPROTECTED = """
    SELECT u.trade_id, t.symbol, (? - u.from_ms) / 1000.0 AS secs, u.why
    FROM unprotected AS u LEFT JOIN trades AS t USING (trade_id) WHERE u.until_ms IS NULL ORDER BY u.from_ms
"""
_LONGEST = "SELECT coalesce(max(coalesce(until_ms, ?) - from_ms), 0) / 1000.0 FROM unprotected"
_SYMBOL_HALTS = "SELECT symbol, from_ms, reason FROM symbol_halts WHERE until_ms IS NULL ORDER BY symbol"
_LAST_HALT = "SELECT ts_ms, until_ms, equity FROM halts WHERE kind = ? ORDER BY id DESC LIMIT 1"
_EQUITY = "SELECT ts_ms, equity, cash, gross, net, open_trades FROM equity WHERE ts_ms >= ? ORDER BY ts_ms"

# Parameters of `Only`; a currency is the part of a symbol before its slash.
_ONLY = """
    (:strategy IS NULL OR i.strategy = :strategy) AND (:symbol IS NULL OR x.symbol = :symbol)
    AND (:currency IS NULL OR substr(x.symbol, 1, instr(x.symbol || '/', '/') - 1) = :currency)
    AND (:instance IS NULL OR x.instance = :instance)
"""
_TRADES = f"""
    SELECT x.*, i.interval, COALESCE((
        SELECT b.close FROM bars AS b WHERE b.exchange = i.exchange AND b.symbol = i.symbol AND b.base = i.base
        ORDER BY b.ts DESC LIMIT 1), x.entry_price) AS mark
    FROM trades AS x LEFT JOIN instances AS i ON i.id = x.instance
    WHERE (:status IS NULL OR x.status = :status) AND (x.exit_ms IS NULL OR x.exit_ms >= :since) AND {_ONLY}
    ORDER BY x.entry_ms DESC, x.trade_id LIMIT :limit
"""
_ORDERS = f"""
    SELECT x.*, i.strategy FROM orders AS x LEFT JOIN instances AS i ON i.id = x.instance
    WHERE (NOT :working OR x.status IN ('NEW', 'OPEN'))
        AND (x.closed_ms IS NULL OR x.closed_ms >= :since) AND {_ONLY}
    ORDER BY x.created_ms DESC, x.order_id LIMIT :limit
"""
_SIGNALS = f"""
    SELECT x.*,
        (SELECT a.asked FROM audit AS a WHERE a.ts_ms = x.ts_ms AND a.instance = x.instance AND a.side = x.side
         ORDER BY a.id LIMIT 1) AS asked,
        (SELECT a.given FROM audit AS a WHERE a.ts_ms = x.ts_ms AND a.instance = x.instance AND a.side = x.side
         ORDER BY a.id LIMIT 1) AS given
    FROM signals AS x LEFT JOIN instances AS i ON i.id = x.instance
    WHERE x.ts_ms >= :since AND {_ONLY} ORDER BY x.ts_ms DESC, x.signal_id LIMIT :limit
"""


@dataclass(frozen=True)
class Only:
    """Which rows are wanted; None = any. currency : what is bought and sold, "BTC" of "BTC/USDT"."""

    strategy: str | None = None
    symbol: str | None = None
    currency: str | None = None
    instance: str | None = None


ANY = Only()


def status(ledger: Ledger, now_ms: int | None = None) -> Fact:
    """The account at a glance: what `executor status` and the page's head say.

    `today` is the profit since the last 00:00 UTC before the newest mark, deposits and withdrawals left out. `daemon`
    is the pid that holds the ledger's lock, None where none does. A feed's `age_secs` is None in a replay, `venue` in
    all but a live account.
    """
    now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    with ledger.snapshot():
        mode = ledger.meta("mode")
        mark = _one(ledger, _MARK)
        deployment = _one(ledger, _DEPLOYMENT)
        sessions = _all(ledger, _SESSIONS, (5,))
        return {
            "ledger": str(ledger.path),
            "account": ledger.meta("account"),
            "mode": mode,
            "currency": ledger.meta("currency"),
            "daemon": holder(ledger.path),
            "moment_ms": ledger.value("SELECT moment_ms FROM account"),
            "deployment": deployment,
            **(_one(ledger, _COUNTS) or {}),
            "mark": mark,
            "today": _today(ledger, mark),
            "halts": _halts(ledger),
            "disabled": _all(ledger, _DISABLED),
            "feed": [_aged(row, now, mode) for row in _all(ledger, _FEED)],
            "session": sessions[0] if sessions else None,
            "sessions": sessions,
            "session_count": ledger.value("SELECT count(*) FROM sessions"),
            "waiting_commands": _all(ledger, _WAITING),
            "venue": _venue(ledger, now) if mode == "live" else None,
        }


def trades(
    ledger: Ledger, only: Only = ANY, *, status: str | None = None, since_ms: int = 0, limit: int = 1000
) -> list[Fact]:
    """Trades that are open or were closed since, newest first.

    `status` "ACTIVE" or "CLOSED" leaves the others out. An open one has its `pnl` at the `mark`, its series' last
    close, the fee of its exit not yet counted; `notional` is at the mark, or at the exit.
    """
    params = {"status": status, "since": since_ms, "limit": limit, **vars(only)}
    return [_trade(row) for row in ledger.rows(_TRADES, params)]


def positions(ledger: Ledger, by: str = "symbol") -> list[Fact]:
    """Open trades added up by "strategy", "symbol" or "currency" (what is bought and sold), in the order of names.

    Raises
    ------
    UnknownNameError : another grouping.
    """
    if by not in GROUPS:
        raise UnknownNameError("grouping", by, GROUPS)
    groups: dict[str, list[Fact]] = {}
    for trade in trades(ledger, status="ACTIVE", limit=-1):
        key = trade["symbol"].partition("/")[0] if by == "currency" else trade[by]
        groups.setdefault(key, []).append(trade)
    return [_position(by, name, groups[name]) for name in sorted(groups)]


def orders(
    ledger: Ledger, only: Only = ANY, *, working: bool = True, since_ms: int = 0, limit: int = 1000
) -> list[Fact]:
    """Orders that work, newest first; with `working` False also those that ended since."""
    params = {"working": working, "since": since_ms, "limit": limit, **vars(only)}
    return [_plain(row) for row in ledger.rows(_ORDERS, params)]


def signals(ledger: Ledger, since_ms: int = 0, only: Only = ANY, *, limit: int = 1000) -> list[Fact]:
    """Entry signals decided since, newest first, each with why it was taken or not (`why`) and how it ended.

    `asked` and `given` are the quantities of its audit row.
    """
    params = {"since": since_ms, "limit": limit, **vars(only)}
    return [_signal(row) for row in ledger.rows(_SIGNALS, params)]


def equity_curve(ledger: Ledger, since_ms: int = 0) -> list[Fact]:
    """Marks of the account since, oldest first: one an hour and one at each trade."""
    return _all(ledger, _EQUITY, (since_ms,))


def _today(ledger: Ledger, mark: Fact | None) -> Fact | None:
    if mark is None or mark["equity"] is None:
        return None
    midnight = mark["ts_ms"] // DAY_MS * DAY_MS
    # Before its first midnight an account is what was put into it.
    row = _one(ledger, _MIDNIGHT, (midnight,)) or {"ts_ms": -1, "equity": 0.0}
    if row["equity"] is None:
        return None
    flows = ledger.value(_FLOWS, (row["ts_ms"], mark["ts_ms"]))
    start = row["equity"] + flows
    pnl = mark["equity"] - start
    return {"since_ms": midnight, "pnl": pnl, "share": pnl / start if start > 0 else None}


def _venue(ledger: Ledger, now_ms: int) -> Fact:
    """What only a live account has: trades without their stop at the venue, symbols that take no entries, the last look
    at the venue.
    """
    return {
        "unprotected": _all(ledger, _UNPROTECTED, (now_ms,)),
        "longest_unprotected_secs": ledger.value(_LONGEST, (now_ms,)),
        "halted_symbols": _all(ledger, _SYMBOL_HALTS),
        "reconciled_ms": ledger.value("SELECT max(ts_ms) FROM reconciliations"),
    }


def _halts(ledger: Ledger) -> list[Fact]:
    """Halts in force, by the account's rules and by hand."""
    clock = ledger.value("SELECT clock FROM account")
    if clock is None:
        return []
    state = np.frombuffer(clock, np.int64)
    found = []
    for kind in dict.fromkeys(int(state[which]) for which in (HALTED, SAID)):
        if kind in HALT_NAMES:
            last = _one(ledger, _LAST_HALT, (kind,)) or {"ts_ms": None, "until_ms": None, "equity": None}
            found.append({"kind": HALT_NAMES[kind], **last})
    return found


def _aged(row: Fact, now_ms: int, mode: str | None) -> Fact:
    seen = row["last_seen_ms"]
    age = None if mode == "replay" or seen is None else (now_ms - seen) / 1000
    return {**row, "age_secs": age}


def _trade(row: Row) -> Fact:
    trade = _plain(row)
    direction = -1.0 if trade["side"] == "short" else 1.0
    is_open = trade["status"] == "ACTIVE"
    price, qty = trade["mark"] if is_open else trade["exit_price"], trade["qty"]
    if is_open:
        trade["pnl"] = None
    else:
        del trade["mark"]
    trade["notional"] = None
    if price is not None and qty is not None:
        trade["notional"] = qty * price
        if is_open and trade["entry_price"] is not None:
            paid = (trade["entry_fee"] or 0.0) - (trade["funding"] or 0.0)
            trade["pnl"] = direction * qty * (price - trade["entry_price"]) - paid
    trade["exit_reason"] = ExitReason(trade["exit_reason"]).name.lower()
    return trade


def _position(by: str, name: str, members: list[Fact]) -> Fact:
    long = math.fsum(t["notional"] or 0.0 for t in members if t["side"] != "short")
    short = math.fsum(t["notional"] or 0.0 for t in members if t["side"] == "short")
    return {
        by: name,
        "trades": len(members),
        "long": long,
        "short": short,
        "gross": long + short,
        "net": long - short,
        "pnl": math.fsum(t["pnl"] or 0.0 for t in members),
    }


def _signal(row: Row) -> Fact:
    signal = _plain(row)
    reason = Reason(signal["reason"])
    signal["reason"] = reason.name.lower()
    signal["why"] = REASONS[reason]
    signal["end"] = SignalEnd(signal["end"]).name.lower()
    return signal


def _plain(row: Row) -> Fact:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in zip(row.keys(), row, strict=True)
    }


def _all(ledger: Ledger, sql: str, params: tuple[object, ...] = ()) -> list[Fact]:
    return [_plain(row) for row in ledger.rows(sql, params)]


def _one(ledger: Ledger, sql: str, params: tuple[object, ...] = ()) -> Fact | None:
    found = _all(ledger, sql, params)
    return found[0] if found else None
