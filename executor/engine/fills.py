"""What a venue reports of the orders, into the account and the ledger's rows: fills, ends, refusals.

A trade is what was filled of it: it opens with the first fill of its entry, is as large as what is held, and closes
when nothing is left that could be sold.
"""

import math
from collections.abc import Callable
from typing import Any

from executor.broker.base import Intent, Kind, Order, Report, Status, Verb
from executor.engine.account import Account, Leg, side_name
from executor.engine.records import Changes, Recorder, facts_of
from executor.ledger import Ledger, number
from toolkit.engine import reported
from toolkit.engine.identity import side_letter
from toolkit.engine.sizing import Reason
from toolkit.engine.types import ENTRY_ORDER, EXIT_ORDER, LONG, ExitReason, SignalEnd

_FILLS = "SELECT ts_ms, price, qty, fee_money FROM fills WHERE order_id IN (?, ?, ?)"
_TRADE = "SELECT qty, entry_price FROM trades WHERE trade_id = ?"
_STATUS = "SELECT status, qty, price FROM orders WHERE order_id = ?"
_REFUSALS = {"stale": Reason.STALE, "funds": Reason.UNPAID, "halted": Reason.BY_HAND}
_LEAVING = (Kind.EXIT, Kind.STOP, Kind.TARGET)
_FINAL = (Status.CLOSED, Status.CANCELLED, Status.REJECTED)


class Fills:
    """Takes reports one by one, inside one transaction of the ledger.

    Parameters
    ----------
    value : money of one unit of a currency; NaN where nobody knows.
    """

    def __init__(self, ledger: Ledger, account: Account, recorder: Recorder, value: Callable[[str], float]) -> None:
        self._ledger, self._account, self._recorder, self._value = ledger, account, recorder, value
        self._legs = {
            f"{leg.traded.instance_id.rpartition('-')[2]}-{side_letter(leg.side)}": k
            for k, leg in enumerate(account.legs)
        }

    def take(self, report: Report, seq: int, changes: Changes) -> None:
        """One report; what it changes is written, what it asks for is in `changes.intents`."""
        name, _, word = report.order_id.rpartition("-")
        leg, kind = self._legs.get(name.rpartition("-")[0]), Kind(word)
        if leg is None:
            self._astray(report, name, "no leg of the account is its own", seq)
            return
        if report.qty != 0.0 or report.fee != 0.0:
            if kind is Kind.ENTRY:
                self._entered(leg, name, report, seq, changes)
            else:
                self._left(leg, name, report, seq, changes)
        if report.status is Status.OPEN:
            self._ledger.update("orders", {"order_id": report.order_id, "status": Status.NEW.value}, {
                "status": Status.OPEN.value, "venue_order_id": report.venue_order_id,
            })  # fmt: skip
        elif report.status in _FINAL:
            self._ended(leg, name, kind, report, seq, changes)

    def _entered(self, k: int, name: str, report: Report, seq: int, changes: Changes) -> None:
        account, row = self._account, self._account.state[k]
        leg = account.legs[k]
        known = self._mine(k, name)
        t = self._bar(leg, report)
        price = report.price if report.qty != 0.0 else float(row["entry_price"])
        base, fee = self._fee(leg, report, price)
        late = not known and row["order_kind"] != ENTRY_ORDER
        if not known and row["active"]:
            self._astray(report, name, "another trade of its leg is open", seq)
            return
        reported.enter(account.book, account.ledger, k, t, (price, report.qty - base, fee))
        self._fill(name, report, price, fee, seq)
        facts = facts_of(account.state[k])
        self._ledger.put("trades", [trade := self._recorder.trade_row(k, name, facts, seq)])
        if known:
            self._resize(leg, name, facts, seq, changes)
            return
        changes.put("trades", trade)
        for kind, level in ((Kind.STOP, facts["first_stop"]), (Kind.TARGET, facts["target"])):
            if not math.isnan(level):
                self._recorder.protect(leg, name, kind, level, facts["qty"], report.ts_ms, seq, changes)
        if late:
            # It was cancelled, and filled all the same: it is left at once.
            self.leave_now(k, ExitReason.SIGNAL, seq, changes)

    def _astray(self, report: Report, name: str, why: str, seq: int) -> None:
        """A fill that no trade can take: kept and said, for a person to look at; reconciliation shows what is held."""
        self._fill(name, report, report.price, report.fee, seq)
        text = (
            f"order {report.order_id} filled {report.qty:g} at {report.price:g}, but {why}; look at: executor reconcile"
        )
        self._ledger.insert("notices", {"ts_ms": report.ts_ms, "level": "error", "kind": "fill", "text": text})

    def _resize(self, leg: Leg, name: str, facts: dict[str, Any], seq: int, changes: Changes) -> None:
        """Stop and target are for what is held now."""
        for kind, level in ((Kind.STOP, facts["first_stop"]), (Kind.TARGET, facts["target"])):
            order_id = f"{name}-{kind.value}"
            if math.isnan(level) or not self._ledger.rows(_STATUS, (order_id,)):
                continue
            self._ledger.update("orders", {"order_id": order_id}, {"qty": facts["qty"], "seq": seq})
            current = float(self._account.state[self._leg_of(name)]["stop"]) if kind is Kind.STOP else level
            order = Order(
                order_id, name, leg.traded.instance_id, leg.traded.series.symbol, kind,
                "sell" if leg.side == LONG else "buy", "", facts["qty"], current, 0,
            )  # fmt: skip
            changes.intents.append(Intent(Verb.AMEND, order))

    def _left(self, k: int, name: str, report: Report, seq: int, changes: Changes) -> None:
        account, row = self._account, self._account.state[k]
        leg = account.legs[k]
        price = report.price if report.qty != 0.0 else float(row["entry_price"])
        base, fee = self._fee(leg, report, price)
        reported.leave(account.book, account.ledger, k, (price, report.qty + base, fee))
        self._fill(name, report, price, fee, seq)

    def _ended(self, k: int, name: str, kind: Kind, report: Report, seq: int, changes: Changes) -> None:
        """An order is done with: filled, cancelled in whole or part, or never taken."""
        mean = self._mean(report.order_id)
        self._ledger.update("orders", {"order_id": report.order_id}, {
            "status": report.status.value, "closed_ms": report.ts_ms, "seq": seq,
            **({"reason": report.reason} if report.reason else {}),
            **({"price": mean} if kind in (Kind.ENTRY, Kind.EXIT) and not math.isnan(mean) else {}),
        })  # fmt: skip
        row = self._account.state[k]
        if kind is Kind.ENTRY:
            if row["order_kind"] == ENTRY_ORDER and self._waits(k, name):
                self._given_up(k, report, changes, seq)
        elif self._mine(k, name) and self._is_over(k):
            self._closed(k, name, kind, report, seq, changes)

    def _given_up(self, k: int, report: Report, changes: Changes, seq: int) -> None:
        """An entry that nothing was filled of, and nothing will be."""
        account, leg = self._account, self._account.legs[k]
        word = report.reason.partition(":")[0]
        expired = word in ("expired", "cancelled")
        reason = _REFUSALS.get(word, Reason.VENUE)
        end = SignalEnd.EXPIRED if expired else SignalEnd.UNPAID
        t, state = self._bar(leg, report), account.state[k]
        if not expired:
            self._audit(k, leg, report, reason, seq, changes)
        reported.give_up(
            account.book,
            account.ledger,
            account.tape,
            k,
            max(t, int(state["order_t"])),
            end,
            -1 if expired else int(reason),
        )

    def _audit(self, k: int, leg: Leg, report: Report, reason: Reason, seq: int, changes: Changes) -> None:
        """A row of the audit, as where the account could not pay: asked, and given nothing."""
        row, mark = self._account.state[k], self._account.mark(report.ts_ms)
        changes.put("audit", {
            "seq": seq, "ts_ms": report.ts_ms, "instance": leg.traded.instance_id,
            "strategy": leg.traded.strategy.name, "symbol": leg.traded.series.symbol, "side": side_name(leg.side),
            "reason": int(reason), "asked": float(row["signal_qty"]), "given": 0.0,
            "price": float(row["signal_price"]), "weight": float(row["trade_weight"]), "equity": mark["equity"],
            "gross": mark["gross"], "net": mark["net"], "open_trades": int(mark["open_trades"]),
        })  # fmt: skip

    def _closed(self, k: int, name: str, kind: Kind, report: Report, seq: int, changes: Changes) -> None:
        account, leg = self._account, self._account.legs[k]
        row = account.state[k]
        t, base_ms = self._bar(leg, report), leg.traded.series.base_ms
        before = self._ledger.rows(_TRADE, (name,))[0]
        orders = [f"{name}-{one.value}" for one in _LEAVING]
        fills = self._ledger.rows(_FILLS, orders)
        money, qty = sum(f["qty"] * f["price"] for f in fills), sum(f["qty"] for f in fills)
        exit_fee = sum(f["fee_money"] for f in fills)
        price = money / qty if qty > 0 else math.nan
        reason, expected = self._why(row, kind)
        gross = leg.side * (money - before["qty"] * before["entry_price"])
        fees, funding = float(row["entry_fee"]) + exit_fee, float(row["funding"])
        trade = {
            **self._recorder.trade_row(k, name, facts_of(row), seq), "status": "CLOSED", "qty": before["qty"],
            "exit_ms": t * base_ms, "exit_price": price, "expected_exit_price": expected, "stop_now": None,
            "exit_reason": int(reason), "exit_fee": exit_fee,
            "exit_order_ms": (int(row["order_t"]) + 1) * base_ms if row["order_kind"] == EXIT_ORDER else None,
            "pnl": gross - fees + funding,
        }  # fmt: skip
        reported.close(account.book, account.ledger, account.tape, k, t)
        changes.put("trades", trade)
        for one in _LEAVING:
            order_id = f"{name}-{one.value}"
            found = self._ledger.rows(_STATUS, (order_id,))
            if one is kind or not found or found[0]["status"] not in ("NEW", "OPEN"):
                continue
            said = {"status": Status.CANCELLED.value, "closed_ms": report.ts_ms, "seq": seq}
            self._ledger.update("orders", {"order_id": order_id}, said)
            order = Order(
                order_id, name, leg.traded.instance_id, leg.traded.series.symbol, one, "", "", found[0]["qty"],
                number(found[0]["price"]), 0,
            )  # fmt: skip
            changes.intents.append(Intent(Verb.CANCEL, order, reason.name.lower()))

    def _why(self, row: Any, kind: Kind) -> tuple[ExitReason, float]:
        """The reason that a trade is left for, and the price that was expected for it."""
        if kind is Kind.TARGET:
            return ExitReason.TARGET, float(row["target"])
        if kind is Kind.STOP:
            first = row["stop"] == row["first_stop"]
            return ExitReason.STOP if first else ExitReason.TRAIL, float(row["stop"])
        if row["order_kind"] == EXIT_ORDER:
            return ExitReason(int(row["order_reason"])), float(row["order_price"])
        return ExitReason.MANUAL, math.nan

    def leave_now(self, k: int, reason: ExitReason, seq: int, changes: Changes) -> None:
        """Order the leg's trade closed, at once."""
        account, leg = self._account, self._account.legs[k]
        history = account.histories[leg.traded.series].base
        price = float(history.columns["close"][history.end - 1]) if len(history) else math.nan
        row = account.state[k]
        # Not before the trade's own beginning, on the clock of its bars.
        t = max(int(row["last_t"]), int(row["entry_t"]) - 1)
        reported.order_exit(account.ledger, k, t, int(reason), price)
        self._recorder.exit_ordered(leg, account.state[k], leg.traded.series.base_ms, seq, changes)

    def _fee(self, leg: Leg, report: Report, price: float) -> tuple[float, float]:
        """What a fee takes: base units, and money."""
        base, _, quote = leg.traded.series.symbol.partition(":")[0].partition("/")
        if report.fee == 0.0 or report.fee_currency == quote:
            return 0.0, report.fee
        if report.fee_currency == base:
            return report.fee, report.fee * price
        rate = self._value(report.fee_currency)
        if math.isnan(rate):
            return 0.0, report.qty * price * leg.traded.costs.taker_rate
        return 0.0, report.fee * rate

    def _fill(self, name: str, report: Report, price: float, money: float, seq: int) -> None:
        self._ledger.put("fills", [{
            "fill_id": report.fill_id, "order_id": report.order_id, "trade_id": name, "ts_ms": report.ts_ms,
            "price": price, "qty": report.qty, "fee": report.fee, "fee_currency": report.fee_currency,
            "fee_money": money, "seq": seq,
        }])  # fmt: skip

    def _mean(self, order_id: str) -> float:
        rows = self._ledger.rows(_FILLS, (order_id, "", ""))
        qty = sum(row["qty"] for row in rows)
        return sum(row["qty"] * row["price"] for row in rows) / qty if qty > 0 else math.nan

    def _mine(self, k: int, name: str) -> bool:
        """Whether the leg's open trade is that one."""
        row = self._account.state[k]
        return bool(row["active"]) and self._recorder.trade(self._account.legs[k], int(row["trade_signal_t"])) == name

    def _waits(self, k: int, name: str) -> bool:
        """Whether the leg's waiting entry is that one's."""
        return self._recorder.trade(self._account.legs[k], int(self._account.state[k]["signal_t"])) == name

    def _is_over(self, k: int) -> bool:
        """Whether nothing is left of the leg's trade that a venue would take an order for."""
        seat: Any = self._account.book.seats[k]
        row = self._account.state[k]
        least = max(float(seat["lot_step"]), float(seat["min_qty"]), 1e-9 * float(row["signal_qty"]))
        return float(row["qty"]) < least * (1.0 - 1e-9)

    def _leg_of(self, name: str) -> int:
        return self._legs[name.rpartition("-")[0]]

    def _bar(self, leg: Leg, report: Report) -> int:
        return report.ts_ms // leg.traded.series.base_ms
