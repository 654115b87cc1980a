"""What a trade holds and what protects it, by the venue's own records; nothing of the broker's is read."""

import math

from executor.broker.base import Kind
from executor.broker.venue import Capabilities, Place, Type
from tests.executor.broker.fake_venue import RULES, Record
from tests.executor.broker.session import SYMBOL, Session

_STOP = "SELECT trade_id, price FROM orders WHERE kind = 'stop' AND status IN ('NEW', 'OPEN')"


def held_of(records: list[Record]) -> dict[str, float]:
    """What each trade holds, above 0 whatever its side: what was filled of its orders, net of fees in base."""
    held: dict[str, float] = {}
    for one in records:
        ticket = one.ticket
        enters = (ticket.side == "buy") == (ticket.position == "long")
        fee = one.fees.get(ticket.symbol.partition("/")[0], 0.0)
        change = (one.filled if enters else -one.filled) - fee
        held[ticket.trade_id] = held.get(ticket.trade_id, 0.0) + change
    return held


def least(can: Capabilities, price: float) -> float:
    """What the venue takes an order for."""
    return max(RULES.min_qty, RULES.min_notional / price if can.market == "spot" else 0.0)


class Guard:
    """How long anything that could be sold had no stop at the venue, or was held beyond its stop; the venue calls it
    at each change.

    A fault of the venue or of the way to it that happens meanwhile starts the time anew: what was sent may be lost.

    Attributes
    ----------
    longest_ms : counted so. bare_ms : the longest of all, whatever was wrong.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._since: dict[tuple[str, str], int] = {}
        self.longest_ms, self.bare_ms = 0.0, 0.0
        session.venue.watchers.append(self.look)

    def look(self) -> None:
        venue, now = self._session.venue, self._session.venue.now_ms()
        if venue.faults.down_until > venue.loop.time():
            venue.struck()
        needs = {(name, what) for name in held_of(venue.records) for what in self._lacks(name)}
        for need in needs:
            self._since.setdefault(need, now)
        for need, since in list(self._since.items()):
            self.longest_ms = max(self.longest_ms, now - max(since, venue.fault_ms))
            if need[1] == "stop":
                self.bare_ms = max(self.bare_ms, now - since)
            if need not in needs:
                del self._since[need]

    def _lacks(self, name: str) -> list[str]:
        session = self._session
        venue, can = session.venue, session.venue.markets[SYMBOL]
        held, price = held_of(venue.records)[name], venue.prices[SYMBOL]
        working = [one for one in venue.records if one.is_open and one.ticket.trade_id == name]
        stops = sum(one.left for one in working if one.ticket.kind is Kind.STOP)
        going = sum(one.left for one in working if one.ticket.type is Type.MARKET and one.ticket.kind is not Kind.ENTRY)
        if held - going < least(can, price):
            return []
        found = ["stop"] if can.stop is Place.VENUE and held - going - stops >= least(can, price) else []
        level = next((row["price"] for row in session.ledger.rows(_STOP) if row["trade_id"] == name), math.nan)
        is_long = next(one.ticket.position == "long" for one in venue.records if one.ticket.trade_id == name)
        return [*found, "way out"] if (price <= level if is_long else price >= level) else found
