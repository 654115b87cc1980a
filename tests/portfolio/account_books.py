"""An account's books once more, from its records and bars alone: cash, positions and waiting entries at any moment."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.portfolio.account_cases import AccountCase
from toolkit.engine.types import ACCEPTED
from toolkit.portfolio.simulate import PortfolioRun

NEVER_MS = 2**62


@dataclass(frozen=True)
class Holding:
    """An open trade or a waiting entry: signed by `side`, valued at a mark or at its decision's price."""

    member: int
    symbol: str
    strategy: str
    side: int
    value: float
    reserved: float


class Books:
    """What the records of a run say about any moment."""

    def __init__(self, case: AccountCase, run: PortfolioRun) -> None:
        self.case, self.run = case, run
        self.entrants = sorted(case.entrants, key=lambda e: e.id)
        self.bases = [e.bars.base for e in self.entrants]
        self.step = np.array([b.interval_ms for b in self.bases])
        trade_step = self.step[run.trade_member]
        self.entry_ms = (run.trades["entry_t"] + 1) * trade_step
        closed = run.trades["exit_reason"] != 0
        self.exit_ms = np.where(closed, (run.trades["exit_t"] + 1) * trade_step, NEVER_MS)
        self.decided_ms = (run.signals["t"] + 1) * self.step[run.signal_member]
        self.over_ms = self._when_orders_end()
        accepted = run.audit[run.audit["given"] > 0]
        self.qty = np.zeros(len(run.signals))
        self.qty[run.signals["decision"] == ACCEPTED] = accepted["given"]

    def _when_orders_end(self) -> Any:
        """When each signal's entry order was filled or gone; the decision's own moment for a refused one."""
        run = self.run
        filled = {
            (int(m), int(t["side"]), int(t["signal_t"])): int(at)
            for m, t, at in zip(run.trade_member, run.trades, self.entry_ms, strict=True)
        }
        ends = []
        for member, s, decided in zip(run.signal_member, run.signals, self.decided_ms, strict=True):
            closed = NEVER_MS if s["closed_t"] < 0 else (int(s["closed_t"]) + 1) * int(self.step[member])
            order_ends = filled.get((int(member), int(s["side"]), int(s["t"])), closed)
            ends.append(order_ends if s["decision"] == ACCEPTED else int(decided))
        return np.array(ends, np.int64)

    def mark(self, member: int, moment: int) -> float:
        base, step = self.bases[member], int(self.step[member])
        return float(base.close[min((moment - int(base.ts[0])) // step, len(base)) - 1])

    def cash(self, moment: int) -> float:
        t = self.run.trades
        entered, left = self.entry_ms <= moment, self.exit_ms <= moment
        paid = t["side"] * t["qty"] * t["entry_price"] + t["entry_fee"]
        received = t["side"] * t["qty"] * t["exit_price"] - t["exit_fee"]
        funding = sum(self.funding(int(k), moment) for k in np.flatnonzero(entered))
        return self.case.capital - float(paid[entered].sum()) + float(received[left].sum()) + funding

    def funding(self, row: int, moment: int) -> float:
        """What a trade was charged at the stamps of its bars that had closed."""
        member, trade = int(self.run.trade_member[row]), self.run.trades[row]
        base, costs, step = self.bases[member], self.entrants[member].costs, int(self.step[member])
        stamp = {"30m": 30, "1h": 60, "8h": 480}[costs.funding_interval] * 60_000 // step
        t0, last = int(base.ts[0]) // step, min(int(trade["exit_t"]), moment // step - 1)
        if costs.funding_rate == 0.0:
            return 0.0
        stamps = [t for t in range(int(trade["entry_t"]) + 1, last + 1) if t % stamp == 0]
        return -sum(float(base.open[t - t0]) for t in stamps) * trade["side"] * trade["qty"] * costs.funding_rate

    def equity(self, moment: int) -> float:
        return self.cash(moment) + sum(h.side * h.value for h in self.open_trades(moment))

    def open_trades(self, moment: int) -> list[Holding]:
        rows = np.flatnonzero((self.entry_ms <= moment) & (self.exit_ms > moment))
        return [self._trade(int(k), moment) for k in rows]

    def _trade(self, row: int, moment: int) -> Holding:
        member, trade = int(self.run.trade_member[row]), self.run.trades[row]
        e = self.entrants[member]
        return Holding(
            member, e.symbol, e.strategy, int(trade["side"]), float(trade["qty"]) * self.mark(member, moment), 0.0
        )

    def waiting(self, moment: int, before_signal: int) -> list[Holding]:
        """Entries that wait after the signals up to a row of them were decided."""
        rows = np.flatnonzero((self.decided_ms <= moment) & (self.over_ms > moment))
        out = []
        for k in rows[rows < before_signal].tolist():
            member, signal = int(self.run.signal_member[k]), self.run.signals[k]
            e, value = self.entrants[member], float(self.qty[k] * signal["price"])
            buffer = (1.0 + self.case.limits.price_buffer) * (1.0 + e.costs.taker_rate)
            out.append(Holding(member, e.symbol, e.strategy, int(signal["side"]), value, value * buffer))
        return out


def total(holdings: list[Holding], signed: bool = False) -> float:
    return math.fsum(h.side * h.value if signed else h.value for h in holdings)
