"""The broker's interface: the engine says what it wants, the broker reports what happened.

Orders are named by the client, before they are sent: `order_id` is the leg's, see `toolkit.engine.identity.trade_id`.
A stop and a target are orders of their own, there as long as their trade is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol


class Kind(StrEnum):
    """What an order is for; the value is what tables say."""

    ENTRY = "entry"
    EXIT = "exit"
    STOP = "stop"
    TARGET = "target"


class Status(StrEnum):
    """NEW: wanted, durable, not yet confirmed. OPEN: a venue confirmed it. The others are final."""

    NEW = "NEW"
    OPEN = "OPEN"
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"


@dataclass(frozen=True)
class Order:
    """An order as it is wanted. side : "buy" or "sell". price : of a stop or target; NaN for a market order."""

    order_id: str
    trade_id: str
    instance: str
    symbol: str
    kind: Kind
    side: str
    type: str
    qty: float
    price: float
    created_ms: int


class Verb(StrEnum):
    """What is asked of a broker."""

    SUBMIT = "submit"
    AMEND = "amend"
    CANCEL = "cancel"


class Intent(NamedTuple):
    """One request to a broker, durable in the ledger before it is sent."""

    verb: Verb
    order: Order
    reason: str = ""


@dataclass(frozen=True)
class Report:
    """What became of an order. qty, price, fee : of this fill alone (0 where nothing filled); ts_ms : the venue's."""

    order_id: str
    status: Status
    ts_ms: int
    qty: float = 0.0
    price: float = float("nan")
    fee: float = 0.0
    fee_currency: str = ""
    venue_order_id: str = ""
    reason: str = ""
    fill_id: str = field(default="")


class Broker(Protocol):
    """One account at a venue or on paper. Sending is at most once: unknown outcomes are looked up, not resent."""

    name: str

    def send(self, intent: Intent) -> Sequence[Report]:
        """Ask for it; returns what is known at once (an acknowledgement, a refusal)."""
        ...

    def flush(self, now_ms: int) -> None:
        """Everything of a moment was asked for: let it go."""
        ...

    def resume(self, orders: Sequence[Order]) -> Sequence[Report]:
        """At a start: orders that the ledger holds as NEW or OPEN. What was never sent is; says what became of each."""
        ...

    def reports(self) -> Sequence[Report]:
        """What happened since the last call, in the venue's order."""
        ...

    def ended(self, order_id: str) -> None:
        """The ledger has the order as filled: it works no longer."""
        ...

    def open_orders(self) -> Sequence[Order]:
        """Orders that work now."""
        ...
