"""An engine as small as the contract: what it wants is in the ledger before it is asked for, reports change trades."""

import math
from dataclasses import dataclass

from executor.broker.base import Intent, Kind, Order, Report, Status, Verb
from executor.broker.live import LiveBroker
from executor.ledger import Ledger

LEAVING = (Kind.STOP, Kind.TARGET, Kind.EXIT)
_WORKING = "SELECT * FROM orders WHERE status IN ('NEW', 'OPEN') ORDER BY order_id"
_FINAL = (Status.CLOSED, Status.CANCELLED, Status.REJECTED)
_NAN = math.nan


@dataclass
class Plan:
    """Distances of stop and target from the first fill; NaN = none."""

    stop: float = 5.0
    target: float = 10.0


class SmallEngine:
    """Trades are rows of the ledger; nothing that matters is kept in memory, so that a crash loses nothing.

    held : what the reports say is held, by trade.
    """

    def __init__(self, ledger: Ledger, broker: LiveBroker, plan: Plan) -> None:
        self.ledger, self.broker, self.plan = ledger, broker, plan
        broker.resume([self._order(row) for row in ledger.rows(_WORKING)])

    def enter(self, trade_id: str, symbol: str, side: str, qty: float, now_ms: int) -> None:
        order = Order(f"{trade_id}-entry", trade_id, "one", symbol, Kind.ENTRY, side, "market", qty, _NAN, now_ms)
        self._want([order], now_ms)

    def leave(self, trade_id: str, now_ms: int) -> None:
        """An exit, of a trade that is open."""
        row = self.row(trade_id)
        if row is None or row["status"] != "ACTIVE" or self.status(f"{trade_id}-exit") is not None:
            return
        self._want([self._leaving(trade_id, Kind.EXIT, _NAN, now_ms)], now_ms)

    def give_up(self, trade_id: str, now_ms: int) -> None:
        """No longer want an entry."""
        if self.status(f"{trade_id}-entry") in ("NEW", "OPEN"):
            order = self._order(self.ledger.rows("SELECT * FROM orders WHERE order_id = ?", (f"{trade_id}-entry",))[0])
            self.broker.send(Intent(Verb.CANCEL, order, "expired"))
            self.broker.flush(now_ms)

    def unwant(self, order_id: str, now_ms: int) -> None:
        """No longer want a stop or a target."""
        order = self._order(self.ledger.rows("SELECT * FROM orders WHERE order_id = ?", (order_id,))[0])
        with self.ledger.transaction("unwant"):
            self.ledger.update("orders", {"order_id": order_id}, {"status": "CANCELLED"})
        self.broker.send(Intent(Verb.CANCEL, order, "no longer wanted"))
        self.broker.flush(now_ms)

    def trail(self, trade_id: str, level: float, now_ms: int) -> None:
        row = self.row(trade_id)
        if row is not None and row["status"] == "ACTIVE" and self.status(f"{trade_id}-stop") in ("NEW", "OPEN"):
            with self.ledger.transaction("trail"):
                self.ledger.update("orders", {"order_id": f"{trade_id}-stop"}, {"price": level})
            order = self._leaving(trade_id, Kind.STOP, level, now_ms)
            self.broker.send(Intent(Verb.AMEND, order))
            self.broker.flush(now_ms)

    def take(self, now_ms: int, crash_before: bool = False) -> None:
        """Apply what is reported: durable as a whole, then what follows is asked for."""
        reports = self.broker.reports()
        if not reports or crash_before:
            return
        wanted: list[Order] = []
        cancelled: list[Order] = []
        with self.ledger.transaction("reports"):
            for report in reports:
                self._one(report, wanted, cancelled, now_ms)
            self._write(wanted)
        for order in wanted:
            self.broker.send(Intent(Verb.SUBMIT, order))
        for order in cancelled:
            self.broker.send(Intent(Verb.CANCEL, order, "closed"))
        self.broker.flush(now_ms)

    def row(self, trade_id: str) -> dict[str, object] | None:
        rows = self.ledger.rows("SELECT * FROM trades WHERE trade_id = ?", (trade_id,))
        return dict(rows[0]) if rows else None

    def status(self, order_id: str) -> str | None:
        found: str | None = self.ledger.value("SELECT status FROM orders WHERE order_id = ?", (order_id,))
        return found

    def reason(self, order_id: str) -> str:
        return str(self.ledger.value("SELECT reason FROM orders WHERE order_id = ?", (order_id,)))

    def held(self, trade_id: str) -> float:
        row = self.row(trade_id)
        return 0.0 if row is None else float(str(row["qty"]))

    def _one(self, report: Report, wanted: list[Order], cancelled: list[Order], now_ms: int) -> None:
        trade_id, _, word = report.order_id.rpartition("-")
        kind, row = Kind(word), self.row(trade_id)
        entry = self.ledger.rows("SELECT * FROM orders WHERE order_id = ?", (f"{trade_id}-entry",))[0]
        base = report.fee if report.fee_currency == entry["symbol"].partition("/")[0] else 0.0
        if report.qty or report.fee:
            self.ledger.insert("fills", {
                "fill_id": report.fill_id, "order_id": report.order_id, "trade_id": trade_id, "ts_ms": report.ts_ms,
                "price": report.price, "qty": report.qty, "fee": report.fee, "fee_currency": report.fee_currency,
                "seq": 0,
            })  # fmt: skip
            change = report.qty - base if kind is Kind.ENTRY else -report.qty - base
            if row is None:
                self._opened(trade_id, entry, change, report, wanted, now_ms)
            else:
                self.ledger.update("trades", {"trade_id": trade_id}, {"qty": row["qty"] + change})
        if report.status is Status.OPEN:
            self.ledger.update("orders", {"order_id": report.order_id, "status": "NEW"}, {"status": "OPEN"})
        elif report.status in _FINAL:
            said = {"status": report.status.value, "reason": report.reason}
            self.ledger.update("orders", {"order_id": report.order_id}, said)
            if kind is not Kind.ENTRY and row is not None and row["status"] == "ACTIVE":
                self._closed(trade_id, kind, cancelled)

    def _opened(
        self, trade_id: str, entry: object, qty: float, report: Report, wanted: list[Order], now_ms: int
    ) -> None:
        order = self._order(entry)
        side = "long" if order.side == "buy" else "short"
        sign = 1.0 if side == "long" else -1.0
        stop, target = report.price - sign * self.plan.stop, report.price + sign * self.plan.target
        late = self.status(order.order_id) in ("CANCELLED", "REJECTED")
        self.ledger.put("trades", [{
            "trade_id": trade_id, "leg": "one", "instance": "one", "strategy": "one", "symbol": order.symbol,
            "side": side, "status": "ACTIVE", "signal_ms": order.created_ms, "entry_ms": report.ts_ms,
            "qty": qty, "stop_price": stop, "stop_now": stop, "target_price": target, "seq": 0,
        }])  # fmt: skip
        wanted += [
            self._leaving(trade_id, kind, level, now_ms)
            for kind, level in ((Kind.STOP, stop), (Kind.TARGET, target))
            if not math.isnan(level)
        ]
        if late:
            wanted.append(self._leaving(trade_id, Kind.EXIT, _NAN, now_ms))

    def _closed(self, trade_id: str, kind: Kind, cancelled: list[Order]) -> None:
        self.ledger.update("trades", {"trade_id": trade_id}, {"status": "CLOSED"})
        for other in LEAVING:
            name = f"{trade_id}-{other.value}"
            if other is not kind and self.status(name) in ("NEW", "OPEN"):
                self.ledger.update("orders", {"order_id": name}, {"status": "CANCELLED"})
                cancelled.append(Order(name, trade_id, "one", "", other, "", "", 0.0, _NAN, 0))

    def _leaving(self, trade_id: str, kind: Kind, level: float, now_ms: int) -> Order:
        row = self.row(trade_id)
        assert row is not None
        side = "sell" if row["side"] == "long" else "buy"
        return Order(
            f"{trade_id}-{kind.value}", trade_id, "one", str(row["symbol"]), kind, side, "", float(str(row["qty"])),
            level, now_ms,
        )  # fmt: skip

    def _want(self, orders: list[Order], now_ms: int) -> None:
        with self.ledger.transaction("wants"):
            self._write(orders)
        for order in orders:
            self.broker.send(Intent(Verb.SUBMIT, order))
        self.broker.flush(now_ms)

    def _write(self, orders: list[Order]) -> None:
        self.ledger.put("orders", [
            {
                "order_id": one.order_id, "trade_id": one.trade_id, "instance": one.instance, "symbol": one.symbol,
                "kind": one.kind.value, "side": one.side, "type": one.type, "qty": one.qty, "price": one.price,
                "status": "NEW", "created_ms": one.created_ms, "seq": 0,
            }
            for one in orders
        ])  # fmt: skip

    def _order(self, row: object) -> Order:
        known = dict(row)  # type: ignore[call-overload]
        price = _NAN if known["price"] is None else known["price"]
        return Order(
            known["order_id"], known["trade_id"], known["instance"], known["symbol"], Kind(known["kind"]),
            known["side"], known["type"], known["qty"], price, known["created_ms"],
        )  # fmt: skip
