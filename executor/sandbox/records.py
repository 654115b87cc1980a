"""What the local exchange keeps: markets, orders, triggers, fills, positions, and what it tells of them."""

import time
from dataclasses import dataclass, field
from typing import NamedTuple

from toolkit.errors import LockstepError


class RefusalError(LockstepError):
    """The venue does not do it. code : `symbol`, `halted`, `delisted`, `qty`, `lot`, `tick`, `min_qty`,
    `min_notional`, `funds`, `reduce_only`, `position_side`, `poc`, `no_price`, `missing`, `finished`, `mode`.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Listing:
    """A market.

    Attributes
    ----------
    symbol : as ccxt names it, `BTC/USDT`, a swap `BTC/USDT:USDT`. market : "spot" or "swap".
    tick, lot : steps of price and of amount; amounts of swaps are contracts.
    min_qty, min_notional : least amount and least money of an order.
    contract_size : base units of a contract, 1 on spot. taker, maker : fee rates.
    fee_in : what a spot buy's fee is taken in: "base", "quote", or a third currency such as "GT" while enough of it is
        there, which then pays for sells too. Otherwise sells pay in quote. Swaps pay in quote.
    status : "trading", "halted" or "delisted".
    """

    symbol: str
    market: str
    base: str
    quote: str
    tick: float
    lot: float
    min_qty: float = 0.0
    min_notional: float = 0.0
    contract_size: float = 1.0
    taker: float = 0.001
    maker: float = 0.001
    fee_in: str = "base"
    status: str = "trading"


@dataclass(frozen=True)
class NewOrder:
    """An order as it is asked for.

    Attributes
    ----------
    type : "market" or "limit". qty : base units, contracts on a swap, above 0. price : of a limit.
    tif : "gtc", "ioc", or "poc" (refused where it would be filled at once).
    position_side : "long" or "short" in hedge mode, else "".
    """

    symbol: str
    side: str
    type: str
    qty: float
    price: float = 0.0
    client_id: str = ""
    tif: str = "gtc"
    reduce_only: bool = False
    position_side: str = ""


@dataclass
class VenueOrder:
    """An order that the venue took. status : "open", "closed" (filled whole) or "canceled". cost : quote money."""

    id: str
    client_id: str
    symbol: str
    side: str
    type: str
    price: float
    qty: float
    created_ms: int
    updated_ms: int
    filled: float = 0.0
    cost: float = 0.0
    fees: dict[str, float] = field(default_factory=dict)
    status: str = "open"
    reason: str = ""
    reduce_only: bool = False
    position_side: str = ""
    tif: str = "gtc"
    trigger_id: str = ""

    @property
    def left(self) -> float:
        return round(self.qty - self.filled, 12)


@dataclass
class Trigger:
    """An order that waits for a price. rule : "<=" or ">=". order_id : of the order that it became.

    status : "open", "fired", "failed", "canceled" or "expired". expires_ms : 0 for never.
    """

    id: str
    rule: str
    trigger_price: float
    order: NewOrder
    created_ms: int
    updated_ms: int
    status: str = "open"
    order_id: str = ""
    reason: str = ""
    expires_ms: int = 0

    @property
    def client_id(self) -> str:
        return self.order.client_id

    @property
    def symbol(self) -> str:
        return self.order.symbol


class Fill(NamedTuple):
    """A part of an order that was filled. fee : in `fee_currency`."""

    id: str
    order_id: str
    client_id: str
    symbol: str
    side: str
    price: float
    qty: float
    fee: float
    fee_currency: str
    taker: bool
    ts_ms: int


@dataclass
class Position:
    """Of a swap. side : "both" in one-way mode, else "long" or "short". qty : contracts, below 0 short."""

    symbol: str
    side: str
    qty: float = 0.0
    entry_price: float = 0.0
    leverage: float = 1.0
    margin_mode: str = "isolated"
    realised: float = 0.0
    updated_ms: int = 0


class Money(NamedTuple):
    """A currency of the account. held : bound in orders and positions."""

    total: float
    held: float

    @property
    def free(self) -> float:
        return round(self.total - self.held, 12)


class Moved(NamedTuple):
    """A change of a currency. free_change, held_change : by how much."""

    currency: str
    money: Money
    free_change: float
    held_change: float


class Booked(NamedTuple):
    """A row of the account's book. kind : "deposit", "withdraw", "trade", "fee" or "funding"."""

    id: str
    ts_ms: int
    currency: str
    change: float
    kind: str
    symbol: str
    balance: float


class Tick(NamedTuple):
    """The market traded."""

    price: float
    volume: float


Item = VenueOrder | Trigger | Fill | Moved | Position | Tick


class Event(NamedTuple):
    """Something changed; `item` is a copy.

    kind : of the item: "order", "trigger", "fill", "balance", "position" or "price".
    symbol : "" for money.
    verb : of an order "put" (taken, before it is matched), "update" (filled in part or amended), "rest" (stays in the
        book after it was put) or "finish"; of a trigger "put" or "finish"; of money its account, "spot" or "swap".
    """

    kind: str
    verb: str
    symbol: str
    item: Item
    ts_ms: int


class Logged(NamedTuple):
    """The venue's own record of something that was asked of it or that it said.

    verb : such as "place", "cancel", "request POST /spot/orders", "push candle". perf_secs : `time.perf_counter()`.
    """

    ts_ms: int
    perf_secs: float
    verb: str
    symbol: str = ""
    client_id: str = ""
    id: str = ""
    outcome: str = "ok"


class Log(list[Logged]):
    """In the order of what happened."""

    def note(self, ts_ms: int, verb: str, symbol: str = "", client_id: str = "", **more: str) -> None:
        self.append(Logged(ts_ms, time.perf_counter(), verb, symbol, client_id, **more))

    def of(self, verb: str) -> list[Logged]:
        """Entries whose verb begins so."""
        return [entry for entry in self if entry.verb.startswith(verb)]
