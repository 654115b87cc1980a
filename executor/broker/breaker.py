"""`DayBreaker`: the last look at an entry before it leaves, by the ledger alone.

The engine has sized it within the limits already. This is the second lock: against a price that has moved since, a halt
that came since, and whatever runs wild.
"""

import math

from executor.broker.venue import Ticket
from executor.deployments.members import active
from executor.ledger import Ledger
from toolkit.portfolio.limits import Limits

DAY_MS = 86_400_000
# How far beyond a limit an order may be: prices and equity move between a decision and its order.
_SLACK = 0.02

_DEPLOYMENT = "SELECT id FROM deployments WHERE state = 'active'"
_EQUITY = "SELECT equity FROM equity WHERE equity IS NOT NULL ORDER BY ts_ms DESC LIMIT 1"
_ALLOCATED = "SELECT total(CASE kind WHEN 'withdrawal' THEN -abs(amount) ELSE amount END) FROM cash_flows"
_SENT = "SELECT count(*) FROM venue_orders WHERE created_ms >= ?"
_ENTERED = "SELECT total(filled * fill_price) FROM venue_orders WHERE kind = 'entry' AND created_ms >= ?"
# Series by series, as bars are indexed.
_CLOSE = """
    SELECT b.close FROM (SELECT DISTINCT exchange, base FROM instances WHERE symbol = ?1) AS s
    JOIN bars AS b ON b.exchange = s.exchange AND b.symbol = ?1 AND b.base = s.base AND b.ts = (
        SELECT ts FROM bars WHERE exchange = s.exchange AND symbol = ?1 AND base = s.base AND close IS NOT NULL
        ORDER BY ts DESC LIMIT 1)
    ORDER BY b.ts DESC LIMIT 1
"""
# Open trades, and what other entries may come to.
_HELD = """
    SELECT symbol, side, total(qty) AS qty, count(*) AS trades FROM (
        SELECT symbol, side, qty FROM trades WHERE status = 'ACTIVE' AND trade_id != ?1
        UNION ALL SELECT symbol, CASE side WHEN 'buy' THEN 'long' ELSE 'short' END, qty FROM orders
        WHERE kind = 'entry' AND status IN ('NEW', 'OPEN') AND trade_id != ?1
            AND trade_id NOT IN (SELECT trade_id FROM trades)
    ) GROUP BY symbol, side
"""


class DayBreaker:
    """A `Breaker` by the account's limits and by what a day may hold.

    Parameters
    ----------
    max_orders : rows of `venue_orders` of a UTC day, after which no entry leaves. max_turnover : notional of a day's
        entries, in multiples of equity.
    """

    def __init__(self, ledger: Ledger, max_orders: int, max_turnover: float) -> None:
        self._ledger = ledger
        self._max_orders, self._max_turnover = max_orders, max_turnover
        self._limits: tuple[str, Limits] | None = None
        self._day, self._entered = -1, 0.0

    def refuses(self, ticket: Ticket, price: float, now_ms: int) -> str:
        """Why an entry must not leave; "" where it may, which counts it.

        price : the last one, NaN where none is known.
        """
        equity = self._ledger.value(_EQUITY) or self._ledger.value(_ALLOCATED)
        now = price if math.isfinite(price) else self._close(ticket.symbol)
        notional = ticket.qty * now
        if not (math.isfinite(notional) and equity > 0):
            return f"no price or no equity to check it by (price {now}, equity {equity})"
        why = self._halted() or self._wild(notional, equity, now_ms) or self._beyond(ticket, now, equity)
        if not why:
            self._entered += notional
        return why

    def _halted(self) -> str:
        said = self._ledger.meta("halted")
        return f"the account is halted {said}" if said else ""

    def _wild(self, notional: float, equity: float, now_ms: int) -> str:
        day = now_ms // DAY_MS
        if day != self._day:
            self._day, self._entered = day, self._ledger.value(_ENTERED, (day * DAY_MS,))
        sent = self._ledger.value(_SENT, (day * DAY_MS,))
        if sent >= self._max_orders:
            return f"{sent} orders were sent today, `max_orders_a_day` is {self._max_orders}"
        entered = (self._entered + notional) / equity
        if entered > self._max_turnover:
            return (
                f"today's entries would be {entered:.1f} times equity, `max_turnover_a_day` is {self._max_turnover:g}"
            )
        return ""

    def _beyond(self, ticket: Ticket, price: float, equity: float) -> str:
        """The first limit of the account that it would break, with what is open and what waits."""
        rates = self._account_limits().rates()
        side = 1.0 if ticket.position == "long" else -1.0
        mine = ticket.qty * price
        gross, net, of_symbol, n, n_symbol = mine, side * mine, mine, 1, 1
        for row in self._ledger.rows(_HELD, (ticket.trade_id,)):
            same = row["symbol"] == ticket.symbol
            notional = row["qty"] * (price if same else self._close(row["symbol"]))
            if not math.isfinite(notional):
                continue
            gross, n = gross + notional, n + row["trades"]
            net += notional if row["side"] == "long" else -notional
            if same:
                of_symbol, n_symbol = of_symbol + notional, n_symbol + row["trades"]
        shares = {
            "max_trade": (mine, rates.max_trade), "max_symbol": (of_symbol, rates.max_symbol),
            "max_gross": (gross, rates.max_gross), "max_net": (side * net, rates.max_net),
            "leverage": (gross, rates.leverage),
        }  # fmt: skip
        for name, (money, most) in shares.items():
            if money > most * equity * (1 + _SLACK):
                return f"it would make {money / equity:.3f} of equity, `{name}` is {most:g}"
        if mine > rates.max_trade_notional * (1 + _SLACK):
            return f"it is {mine:,.2f}, `max_trade_notional` is {rates.max_trade_notional:,.2f}"
        for name, count, most in (
            ("max_open", n, rates.max_open),
            ("max_open_symbol", n_symbol, rates.max_open_symbol),
        ):
            if count > most:
                return f"it would be open trade {count}, `{name}` is {most}"
        return ""

    def _account_limits(self) -> Limits:
        name = self._ledger.value(_DEPLOYMENT)
        if self._limits is None or self._limits[0] != name:
            self._limits = name, active(self._ledger).limits
        return self._limits[1]

    def _close(self, symbol: str) -> float:
        """The last close of a symbol, of any series; NaN where there is none."""
        found = self._ledger.value(_CLOSE, (symbol,))
        return math.nan if found is None else float(found)
