"""The engine where a venue fills the orders: bars decide, reports change trades.

Between two bars the venue's reports are applied as they come; a bar that passes a stop closes nothing by itself.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from executor.broker.base import Intent, Kind, Order, Verb
from executor.engine import commands, state
from executor.engine.engine import Engine, working_orders
from executor.engine.fills import Fills
from executor.engine.records import Changes
from executor.engine.signals import AtClose
from executor.feed.base import BarEvent
from toolkit.engine.lifecycle import last_attempt
from toolkit.engine.types import ENTRY_ORDER, EXIT_ORDER, ExitReason
from toolkit.types import IntArray

_STOPS_NOW = "SELECT trade_id, stop_now FROM trades WHERE status = 'ACTIVE' AND stop_now IS NOT NULL"
_FLATTEN = "SELECT id FROM commands WHERE status = 'waiting' AND verb = 'flatten' ORDER BY id"


class LiveEngine(Engine):
    """Trades the deployments of a ledger at a venue; see `Engine`."""

    def reload(self) -> None:
        super().reload()
        self._fills = Fills(self.ledger, self.account, self._recorder, self._value)

    def on_event(self, event: BarEvent) -> Sequence[Intent]:
        intents = super().on_event(event)
        overdue = self._overdue()
        if overdue:
            self._ask(overdue)
        return intents

    def on_reports(self) -> Sequence[Intent]:
        """Apply what the broker reports: durable as a whole, then what follows from it is asked for.

        Raises
        ------
        LedgerError : the ledger cannot be written, or knows nothing of an order's leg.
        """
        reports = self.broker.reports()
        if not reports:
            return ()
        with self.ledger.transaction("reports"):
            before = self._begin()
            whole = Changes()
            for report in reports:
                changes = Changes()
                self._fills.take(report, self.seq, changes)
                self._keep(changes, whole)
            self._end(before, whole)
        return self._conclude(whole)

    def flatten(self) -> int:
        """Order every open trade closed at once, and cancel waiting entries; returns how many trades."""
        with self.ledger.transaction("flatten"):
            before, whole, n = self._begin(), Changes(), 0
            for k, row in enumerate(self.account.state):
                if row["active"] and row["order_kind"] != EXIT_ORDER:
                    changes, n = Changes(), n + 1
                    self._fills.leave_now(k, ExitReason.MANUAL, self.seq, changes)
                    self._keep(changes, whole)
            whole.intents += [self._without(k, "flatten") for k in self.account.waiting()]
            self.ledger.insert("commands", {"ts_ms": self._clock(), "verb": "halt", "target": "", "by": "flatten"})
            self._end(before, whole)
        self._conclude(whole)
        return n

    def apply_commands(self) -> bool:
        self._flatten_asked()
        return super().apply_commands()

    def _settle(self, moment: int, bars: Mapping[Any, int], done: commands.Done) -> IntArray:
        return self.account.observe(moment, bars, done.records())

    def _allowed(self, first: int, said: AtClose) -> AtClose:
        """A leg whose cancelled entry may still fill signals nothing new."""
        if not any(one.enter for one in said.sides.values()):
            return said
        working = {order.trade_id for order in self.broker.open_orders() if order.kind is Kind.ENTRY}
        if not working:
            return said
        sides = {}
        for k, (side, one) in enumerate(said.sides.items(), first):
            row, leg = self.account.state[k], self.account.legs[k]
            unsettled = not row["active"] and row["order_kind"] != ENTRY_ORDER
            unsettled = unsettled and self._recorder.trade(leg, int(row["signal_t"])) in working
            sides[side] = replace(one, enter=False) if unsettled else one
        return replace(said, sides=sides)

    def _working(self) -> list[Order]:
        levels = {row["trade_id"]: row["stop_now"] for row in self.ledger.rows(_STOPS_NOW)}
        return [
            replace(one, price=levels[one.trade_id]) if one.kind is Kind.STOP and one.trade_id in levels else one
            for one in working_orders(self.ledger)
        ]

    def _value(self, currency: str) -> float:
        """Money of one unit of a currency; NaN where the broker knows no price of it."""
        value = getattr(self.broker, "value", None)
        return float(value(currency)) if value is not None else math.nan

    def _begin(self) -> Any:
        self.account.clear_tape()
        return self.account.state.copy()

    def _keep(self, changes: Changes, whole: Changes) -> None:
        """Write a report's rows before the next one is looked at."""
        for table, rows in changes.puts.items():
            self.ledger.put(table, rows)
            whole.puts.setdefault(table, []).extend(rows)
        for table, key, said in changes.updates:
            self.ledger.update(table, key, said)
        whole.updates += changes.updates
        whole.intents += changes.intents

    def _end(self, before: Any, whole: Changes) -> None:
        now, ended = self._clock(), Changes()
        self._recorder.signals(self.seq, ended)
        self._keep(ended, whole)
        self.ledger.put("legs", self._recorder.legs(before, self.seq))
        self.ledger.put("account", [state.account_row(self.account, self.moment_ms, self.seq)])
        if "trades" in whole.puts and self.moment_ms >= 0:
            self.ledger.put("equity", [{"ts_ms": now, **self.account.mark(max(now, self._start_ms))}])
        self._notice(whole, now)
        self.account.keep_signals()

    def _conclude(self, whole: Changes) -> Sequence[Intent]:
        self._ask(whole.intents)
        self._callbacks.tell(whole)
        return whole.intents

    def _overdue(self) -> list[Intent]:
        """Entries that did not fill in the time that they may wait."""
        rows, legs = self.account.state, self.account.legs
        return [
            self._without(k, "expired")
            for k in self.account.waiting()
            if rows[k]["last_t"] >= last_attempt(int(rows[k]["order_t"]), legs[k].traded.numbers)
        ]

    def _without(self, k: int, why: str) -> Intent:
        """No longer wanting the entry that a leg waits for; the leg waits until the venue says what became of it."""
        leg, row = self.account.legs[k], self.account.state[k]
        name = self._recorder.trade(leg, int(row["signal_t"]))
        order = Order(
            f"{name}-entry", name, leg.traded.instance_id, leg.traded.series.symbol, Kind.ENTRY, "", "market",
            float(row["signal_qty"]), math.nan, 0,
        )  # fmt: skip
        return Intent(Verb.CANCEL, order, why)

    def _flatten_asked(self) -> None:
        for row in self.ledger.rows(_FLATTEN):
            n = self.flatten()
            self.ledger.update("commands", {"id": row["id"]}, {
                "status": "done", "answer": f"{n} trades are closed at once", "seq": self.seq,
                "done_ms": self._clock(),
            })  # fmt: skip
