"""What a moment changed, as rows of the ledger and intents for the broker."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from executor.broker.base import Intent, Kind, Order, Status, Verb
from executor.engine.account import Account, Leg, side_name
from executor.engine.model import Verdict
from toolkit.engine.account import N_AUDIT, N_DAYS, N_HALTS, N_SIGNALS, N_TRADES
from toolkit.engine.identity import leg_id, trade_id
from toolkit.engine.types import (
    ACCEPTED,
    ENTRY_ORDER,
    EXIT_ORDER,
    LONG,
    VETOED,
    ExitReason,
    SignalEnd,
    TargetFill,
)  # fmt: skip
from toolkit.types import Records, Row

# As in a run's tables: these end on a bar's open or inside it, the others at a close.
_AT_OPEN = (SignalEnd.TRADE_CLOSED, SignalEnd.EXPIRED, SignalEnd.UNPAID)
_STOPS = (ExitReason.STOP, ExitReason.TRAIL)
_UNSEEN = ("last_t", "queued", "ahead_best", "ahead_worst", "ahead_ignored", "signal_row")


@dataclass
class Changes:
    """Rows by table, in the order that they are written, and what the broker is asked afterwards."""

    puts: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    updates: list[tuple[str, dict[str, object], dict[str, object]]] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)

    def put(self, table: str, row: dict[str, object]) -> None:
        self.puts.setdefault(table, []).append(row)

    def update(self, table: str, key: dict[str, object], changes: dict[str, object]) -> None:
        self.updates.append((table, key, changes))


class Recorder:
    """Compares an account before and after each half of a moment."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.names = tuple(leg_id(leg.traded.instance_id, leg.side) for leg in account.legs)

    def changed(self, before: Records) -> list[int]:
        """Legs whose state is another than in `before` (the bar they stand on, and what is ahead, aside)."""
        old, new = before.copy(), self._account.state.copy()
        for name in _UNSEEN:
            old[name], new[name] = 0, 0
        width = old.dtype.itemsize
        differ = (old.view(np.uint8).reshape(-1, width) != new.view(np.uint8).reshape(-1, width)).any(axis=1)
        return [int(k) for k in np.flatnonzero(differ)]

    def after_settling(self, before: Records, seq: int) -> Changes:
        """Fills, cancelled entries, closed trades: what the broker's half did."""
        changes, tape = Changes(), self._account.tape
        closed = {int(tape.trade_leg[k]): tape.trades[k] for k in range(int(self._account.ledger.counts[N_TRADES]))}
        for k in sorted({*self.changed(before), *closed}):
            self._settled(k, before[k], closed.get(k), seq, changes)
        return changes

    def after_managing(self, middle: Records, seq: int, moment_ms: int) -> Changes:
        """Cancelled entries, exits, trails and new entries: what the strategy's half did; and the account's records."""
        changes = Changes()
        for k in self.changed(middle):
            self._managed(k, middle[k], seq, changes)
        self.signals(seq, changes)
        self._audit(seq, changes)
        self._marks(changes)
        return changes

    def legs(self, before: Records, seq: int) -> list[dict[str, object]]:
        """Rows of `legs` that changed over the whole moment, with their live signals."""
        tape, rows = self._account.tape, []
        for k in self.changed(before):
            leg, row = self._account.legs[k], self._account.state[k]
            live = row["status"] != 0 and row["signal_row"] >= 0
            rows.append({
                "leg": self.names[k], "instance": leg.traded.instance_id, "side": leg.side, "state": row.tobytes(),
                "signal": tape.signals[int(row["signal_row"])].tobytes() if live else None,
                "base_ms": leg.traded.series.base_ms, "updated_seq": seq,
            })  # fmt: skip
        return rows

    def _settled(self, k: int, before: Row, record: Row | None, seq: int, changes: Changes) -> None:
        leg, row = self._account.legs[k], self._account.state[k]
        base_ms = leg.traded.series.base_ms
        signal_t = int(before["signal_t"])
        if before["order_kind"] == ENTRY_ORDER:
            filled_now = bool(row["active"]) and int(row["trade_signal_t"]) == signal_t
            entered = filled_now or (record is not None and int(record["signal_t"]) == signal_t)
            if entered:
                self._entered(k, row if filled_now else None, record, seq, changes)
            elif row["order_kind"] != ENTRY_ORDER:
                self._cancelled(k, before, seq, changes)
        if record is not None:
            self._closed(k, record, seq, changes)
        elif row["order_kind"] == EXIT_ORDER and before["order_kind"] != EXIT_ORDER:
            self.exit_ordered(leg, row, base_ms, seq, changes)

    def _entered(self, k: int, row: Row | None, record: Row | None, seq: int, changes: Changes) -> None:
        """An entry order filled; its trade may be closed again on the same bar (`record`)."""
        leg = self._account.legs[k]
        base_ms = leg.traded.series.base_ms
        facts = facts_of(row) if row is not None else _of_record(record)
        name = self.trade(leg, facts["signal_t"])
        entry_ms = facts["entry_t"] * base_ms
        changes.update("orders", {"order_id": f"{name}-entry"}, {
            "status": Status.CLOSED.value, "price": facts["entry_price"], "closed_ms": entry_ms, "seq": seq,
        })  # fmt: skip
        changes.put("fills", _fill(name, "entry", entry_ms, facts["entry_price"], facts, "entry_fee", seq))
        target = facts["target"]
        if row is not None:
            changes.put("trades", self.trade_row(k, name, facts, seq))
            for kind, level in ((Kind.STOP, facts["first_stop"]), (Kind.TARGET, target)):
                if not math.isnan(level):
                    self.protect(leg, name, kind, level, facts["qty"], entry_ms, seq, changes)

    def protect(
        self, leg: Leg, name: str, kind: Kind, level: float, qty: float, created_ms: int, seq: int, changes: Changes
    ) -> None:  # fmt: skip
        order = Order(
            f"{name}-{kind.value}", name, leg.traded.instance_id, leg.traded.series.symbol, kind, _side(leg, False),
            self._type(leg, kind), qty, level, created_ms,
        )  # fmt: skip
        changes.put("orders", _order_row(order, Status.NEW, seq))
        changes.intents.append(Intent(Verb.SUBMIT, order))

    def _closed(self, k: int, record: Row, seq: int, changes: Changes) -> None:
        """A trade closed: the order that closed it filled, its siblings are cancelled."""
        leg = self._account.legs[k]
        base_ms = leg.traded.series.base_ms
        facts = _of_record(record)
        name, exit_ms = self.trade(leg, facts["signal_t"]), int(record["exit_t"]) * base_ms
        reason = ExitReason(int(record["exit_reason"]))
        by = Kind.STOP if reason in _STOPS else Kind.TARGET if reason is ExitReason.TARGET else Kind.EXIT
        same_bar = facts["entry_t"] == int(record["exit_t"])
        level = float(record["expected_exit_price"])
        for kind, price in ((Kind.STOP, facts["first_stop"]), (Kind.TARGET, facts["target"])):
            if math.isnan(price):
                continue
            status = Status.CLOSED if kind is by else Status.CANCELLED
            shown = level if kind is by and kind is Kind.STOP else price
            order = Order(
                f"{name}-{kind.value}", name, leg.traded.instance_id, leg.traded.series.symbol, kind,
                _side(leg, False), self._type(leg, kind), facts["qty"], shown, facts["entry_t"] * base_ms,
            )  # fmt: skip
            if same_bar:
                changes.put("orders", {**_order_row(order, status, seq), "closed_ms": exit_ms})
            else:
                changes.update("orders", {"order_id": order.order_id}, {
                    "status": status.value, "price": shown, "closed_ms": exit_ms, "seq": seq,
                })  # fmt: skip
                if kind is not by:
                    changes.intents.append(Intent(Verb.CANCEL, order, reason.name.lower()))
        price = float(record["exit_price"])
        if by is Kind.EXIT:
            changes.update("orders", {"order_id": f"{name}-exit"}, {
                "status": Status.CLOSED.value, "price": price, "closed_ms": exit_ms, "seq": seq,
            })  # fmt: skip
        facts["exit_fee"] = float(record["exit_fee"])
        changes.put("fills", _fill(name, by.value, exit_ms, price, facts, "exit_fee", seq))
        changes.put("trades", self._closed_row(k, name, record, seq))

    def _managed(self, k: int, before: Row, seq: int, changes: Changes) -> None:
        leg, row = self._account.legs[k], self._account.state[k]
        base_ms = leg.traded.series.base_ms
        if before["order_kind"] == ENTRY_ORDER and (
            row["order_kind"] != ENTRY_ORDER or row["signal_t"] != before["signal_t"]
        ):
            self._cancelled(k, before, seq, changes)
        if row["order_kind"] == EXIT_ORDER and before["order_kind"] != EXIT_ORDER:
            self.exit_ordered(leg, row, base_ms, seq, changes)
        if row["active"] and before["active"] and row["stop"] != before["stop"]:
            self._trailed(leg, row, base_ms, seq, changes)
        if row["order_kind"] == ENTRY_ORDER and (
            before["order_kind"] != ENTRY_ORDER or row["signal_t"] != before["signal_t"]
        ):
            created_ms = (int(row["order_t"]) + 1) * base_ms
            name = trade_id(leg.traded.instance_id, leg.side, created_ms)
            order = Order(
                f"{name}-entry", name, leg.traded.instance_id, leg.traded.series.symbol, Kind.ENTRY, _side(leg, True),
                "market", float(row["signal_qty"]), math.nan, created_ms,
            )  # fmt: skip
            changes.put("orders", _order_row(order, Status.NEW, seq))
            changes.intents.append(Intent(Verb.SUBMIT, order))

    def _cancelled(self, k: int, before: Row, seq: int, changes: Changes) -> None:
        """A waiting entry is gone: why and when its signal says."""
        leg, base_ms = self._account.legs[k], self._account.legs[k].traded.series.base_ms
        signal_t = int(before["signal_t"])
        end, closed_ms = SignalEnd.EXIT_SIGNAL, (int(self._account.state[k]["last_t"]) + 1) * base_ms
        for row in self._rows_of(k):
            if int(row["t"]) == signal_t and row["end"] != 0:
                end, closed_ms = SignalEnd(int(row["end"])), _closed_ms(row, base_ms)
        name = self.trade(leg, signal_t)
        changes.update("orders", {"order_id": f"{name}-entry"}, {
            "status": Status.CANCELLED.value, "reason": end.name.lower(), "closed_ms": closed_ms, "seq": seq,
        })  # fmt: skip
        order = Order(
            f"{name}-entry", name, leg.traded.instance_id, leg.traded.series.symbol, Kind.ENTRY, _side(leg, True),
            "market", float(before["signal_qty"]), math.nan, (signal_t + 1) * base_ms,
        )  # fmt: skip
        changes.intents.append(Intent(Verb.CANCEL, order, end.name.lower()))

    def exit_ordered(self, leg: Leg, row: Row, base_ms: int, seq: int, changes: Changes) -> None:
        name = self.trade(leg, int(row["trade_signal_t"]))
        order = Order(
            f"{name}-exit", name, leg.traded.instance_id, leg.traded.series.symbol, Kind.EXIT, _side(leg, False),
            "market", float(row["qty"]), math.nan, (int(row["order_t"]) + 1) * base_ms,
        )  # fmt: skip
        reason = ExitReason(int(row["order_reason"])).name.lower()
        changes.put("orders", {**_order_row(order, Status.NEW, seq), "reason": reason})
        changes.intents.append(Intent(Verb.SUBMIT, order, reason))

    def _trailed(self, leg: Leg, row: Row, base_ms: int, seq: int, changes: Changes) -> None:
        name, level = self.trade(leg, int(row["trade_signal_t"])), float(row["stop"])
        order = Order(
            f"{name}-stop", name, leg.traded.instance_id, leg.traded.series.symbol, Kind.STOP, _side(leg, False),
            self._type(leg, Kind.STOP), float(row["qty"]), level, int(row["entry_t"]) * base_ms,
        )  # fmt: skip
        changes.update("trades", {"trade_id": name}, {"stop_now": level, "seq": seq})
        changes.intents.append(Intent(Verb.AMEND, order))

    def signals(self, seq: int, changes: Changes) -> None:
        """New entry signals, and the ends of those that were live."""
        tape, n = self._account.tape, len(self._account.legs)
        for k in range(n):
            row = tape.signals[k]
            if row["end"] != 0:
                self._signal_ended(k, row, tape.signal_reason[k], changes)
                row["end"] = 0
        for j in range(n, int(self._account.ledger.counts[N_SIGNALS])):
            k, row = int(tape.signal_leg[j]), tape.signals[j]
            leg, base_ms = self._account.legs[k], self._account.legs[k].traded.series.base_ms
            decision = int(row["decision"])
            expires = int(row["expires_t"])
            changes.put("signals", {
                "signal_id": f"{self.trade(leg, int(row['t']))}-signal", "leg": self.names[k],
                **self._who(leg), "t": int(row["t"]), "ts_ms": (int(row["t"]) + 1) * base_ms,
                "price": float(row["price"]),
                "decision": "accepted" if decision == ACCEPTED else "vetoed" if decision == VETOED else "rejected",
                "reason": int(tape.signal_reason[j]), "end": int(row["end"]),
                "closed_ms": _closed_ms(row, base_ms) if row["end"] != 0 else None,
                "expires_ms": (expires + 1) * base_ms if expires >= 0 else None, "ignored": int(row["ignored"]),
                **_said(self._account.said.get(k)), "seq": seq,
            })  # fmt: skip

    def _signal_ended(self, k: int, row: Row, reason: int, changes: Changes) -> None:
        leg, base_ms = self._account.legs[k], self._account.legs[k].traded.series.base_ms
        said: dict[str, object] = {
            "end": int(row["end"]), "closed_ms": _closed_ms(row, base_ms), "ignored": int(row["ignored"]),
        }  # fmt: skip
        if int(row["end"]) == SignalEnd.UNPAID:
            said |= {"reason": int(reason), "decision": "rejected"}
        changes.update("signals", {"signal_id": f"{self.trade(leg, int(row['t']))}-signal"}, said)

    def _audit(self, seq: int, changes: Changes) -> None:
        for row in self._account.tape.audit[: int(self._account.ledger.counts[N_AUDIT])]:
            one = self._account.members[int(row["member"])]
            changes.put("audit", {
                "seq": seq, "ts_ms": int(row["ts"]), "instance": one.instance_id, "strategy": one.strategy.name,
                "symbol": one.series.symbol, "side": side_name(int(row["side"])), "reason": int(row["reason"]),
                **{name: float(row[name]) for name in ("asked", "given", "price", "weight", "equity", "gross", "net")},
                "open_trades": int(row["open_trades"]),
            })  # fmt: skip

    def _marks(self, changes: Changes) -> None:
        counts, tape = self._account.ledger.counts, self._account.tape
        for row in tape.days[: int(counts[N_DAYS])]:
            day = {name: row[name].item() for name in row.dtype.names or ()}
            changes.put("days", {"ts_ms": day.pop("ts"), **day})
        for row in tape.halts[: int(counts[N_HALTS])]:
            changes.put("halts", {
                "ts_ms": int(row["ts"]), "kind": int(row["kind"]), "until_ms": int(row["until_ts"]),
                "equity": float(row["equity"]),
            })  # fmt: skip

    def _rows_of(self, k: int) -> Iterator[Row]:
        """The leg's signals of this moment: its live one, and those that are new."""
        tape, n = self._account.tape, len(self._account.legs)
        yield tape.signals[k]
        for j in range(n, int(self._account.ledger.counts[N_SIGNALS])):
            if tape.signal_leg[j] == k:
                yield tape.signals[j]

    def trade_row(self, k: int, name: str, facts: Mapping[str, Any], seq: int) -> dict[str, object]:
        leg, row = self._account.legs[k], self._account.state[k]
        base_ms = leg.traded.series.base_ms
        return {
            "trade_id": name, "leg": self.names[k], **self._who(leg), "status": "ACTIVE",
            "signal_ms": (facts["signal_t"] + 1) * base_ms, "entry_ms": facts["entry_t"] * base_ms, "exit_ms": None,
            "entry_price": facts["entry_price"], "exit_price": math.nan,
            "expected_entry_price": facts["expected_price"], "expected_exit_price": math.nan, "qty": facts["qty"],
            "stop_price": facts["first_stop"], "target_price": facts["target"], "stop_now": float(row["stop"]),
            "exit_reason": 0, "entry_fee": facts["entry_fee"], "exit_fee": math.nan, "funding": facts["funding"],
            "best": facts["best"], "worst": facts["worst"], "other_price": math.nan, "exit_order_ms": None,
            "weight": float(row["trade_weight"]), "deployment": leg.traded.deployment, "pnl": None, "seq": seq,
        }  # fmt: skip

    def _closed_row(self, k: int, name: str, record: Row, seq: int) -> dict[str, object]:
        facts = _of_record(record)
        base_ms = self._account.legs[k].traded.series.base_ms
        exit_fee, exit_price = float(record["exit_fee"]), float(record["exit_price"])
        ordered = int(record["exit_order_t"])
        side, qty = int(record["side"]), facts["qty"]
        gross = side * qty * (exit_price - facts["entry_price"])
        return {
            **self.trade_row(k, name, facts, seq), "status": "CLOSED", "exit_ms": int(record["exit_t"]) * base_ms,
            "exit_price": exit_price, "expected_exit_price": float(record["expected_exit_price"]),
            "stop_now": None, "exit_reason": int(record["exit_reason"]), "exit_fee": exit_fee,
            "other_price": float(record["other_price"]),
            "exit_order_ms": (ordered + 1) * base_ms if ordered >= 0 else None,
            "weight": self._weight(k), "pnl": gross - facts["entry_fee"] - exit_fee + facts["funding"],
        }  # fmt: skip

    def _weight(self, k: int) -> float:
        tape = self._account.tape
        rows = np.flatnonzero(tape.trade_leg[: int(self._account.ledger.counts[N_TRADES])] == k)
        return float(tape.trade_weight[rows[0]])

    def _who(self, leg: Leg) -> dict[str, object]:
        one = leg.traded
        return {
            "instance": one.instance_id, "strategy": one.strategy.name, "symbol": one.series.symbol,
            "side": side_name(leg.side),
        }  # fmt: skip

    def trade(self, leg: Leg, signal_t: int) -> str:
        return trade_id(leg.traded.instance_id, leg.side, (signal_t + 1) * leg.traded.series.base_ms)

    def _type(self, leg: Leg, kind: Kind) -> str:
        if kind is Kind.STOP:
            return "stop_market"
        return "take_profit_market" if leg.traded.numbers.target_fill == TargetFill.MARKET else "limit"


def facts_of(row: Row) -> dict[str, Any]:
    """What a leg's open trade is, as the tables' writers take it."""
    return {
        "signal_t": int(row["trade_signal_t"]), "entry_t": int(row["entry_t"]),
        **{n: float(row[n]) for n in ("entry_price", "expected_price", "qty", "target", "first_stop", "entry_fee")},
        **{n: float(row[n]) for n in ("funding", "best", "worst")},
    }  # fmt: skip


def _of_record(record: Row | None) -> dict[str, Any]:
    assert record is not None
    return {
        "signal_t": int(record["signal_t"]), "entry_t": int(record["entry_t"]),
        "entry_price": float(record["entry_price"]), "expected_price": float(record["expected_entry_price"]),
        "qty": float(record["qty"]), "target": float(record["target_price"]),
        "first_stop": float(record["stop_price"]), "entry_fee": float(record["entry_fee"]),
        "funding": float(record["funding"]), "best": float(record["best"]), "worst": float(record["worst"]),
    }  # fmt: skip


def _closed_ms(row: Row, base_ms: int) -> int:
    return (int(row["closed_t"]) + (0 if int(row["end"]) in _AT_OPEN else 1)) * base_ms


def _side(leg: Leg, entering: bool) -> str:
    return "buy" if (leg.side == LONG) == entering else "sell"


def _order_row(order: Order, status: Status, seq: int) -> dict[str, object]:
    return {
        "order_id": order.order_id, "trade_id": order.trade_id, "instance": order.instance, "symbol": order.symbol,
        "kind": order.kind.value, "side": order.side, "type": order.type, "qty": order.qty, "price": order.price,
        "status": status.value, "reason": "", "created_ms": order.created_ms, "closed_ms": None,
        "venue_order_id": "", "seq": seq,
    }  # fmt: skip


def _said(verdict: Verdict | None) -> dict[str, object]:
    """What a model said of a signal; a signal that none was asked of has its whole size."""
    if verdict is None:
        return {"prediction": math.nan, "scale": 1.0, "model_version": None}
    return {"prediction": verdict.prediction, "scale": verdict.scale, "model_version": verdict.version}


def _fill(
    name: str, kind: str, ts_ms: int, price: float, facts: Mapping[str, Any], fee: str, seq: int
) -> dict[str, object]:  # fmt: skip
    return {
        "fill_id": f"{name}-{kind}-1", "order_id": f"{name}-{kind}", "trade_id": name, "ts_ms": ts_ms, "price": price,
        "qty": facts["qty"], "fee": float(facts[fee]), "fee_currency": "", "fee_money": float(facts[fee]), "seq": seq,
    }  # fmt: skip
