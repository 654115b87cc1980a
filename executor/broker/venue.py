"""A venue's account as the executor uses it: what is sent, what is heard, and the `Gateway` that does both.

Everything here is in base units and quote money; contract sizes, client-id alphabets and error classes end inside a
gateway. `executor.broker.exchange` is the gateway of the exchanges that ccxt knows; a venue that it does not know is
added by writing another (docs/venues.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from executor.broker.base import Kind
from toolkit.errors import LockstepError


class Place(StrEnum):
    """Where a protective order works: at the venue, or in the daemon, which watches the price and sends an exit."""

    VENUE = "venue"
    DAEMON = "daemon"


class Type(StrEnum):
    """How an order works. STOP and TARGET wait at the venue until the price reaches `trigger_price`."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    TARGET = "target"


class Seen(StrEnum):
    """What is known of an order that was sent under a client id.

    NEW : durable here; it may have left. UNKNOWN : the request's outcome is not known, it is looked up. OPEN : the
    venue has it. FIRED : a trigger that became an order, whose fills are reported under the same client id. The others
    are final: FILLED, CANCELLED (also expired, and a fired trigger that failed; part of it may be filled), REFUSED (the
    venue never took it), ABSENT (looked up everywhere, it never arrived).
    """

    NEW = "NEW"
    UNKNOWN = "UNKNOWN"
    OPEN = "OPEN"
    FIRED = "FIRED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REFUSED = "REFUSED"
    ABSENT = "ABSENT"

    @property
    def is_final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset({Seen.FILLED, Seen.CANCELLED, Seen.REFUSED, Seen.ABSENT})


@dataclass(frozen=True)
class Ticket:
    """One order as it is sent to a venue, once; sent again it has another client id.

    Attributes
    ----------
    client_id : ours, unique for ever; at most 26 of `[a-z0-9-]`, so that every venue takes it.
    order_id, trade_id, kind : what it is for, see `executor.broker.base.Order`.
    symbol : of the deployment. side : "buy" or "sell". position : "long" or "short", the side of its trade.
    qty : base units. price : of a limit (also of what a trigger places; NaN = market). trigger_price : of a trigger.
    reduce_only : it must not open or turn a position.
    created_ms : when it was made durable.
    """

    client_id: str
    order_id: str
    trade_id: str
    kind: Kind
    symbol: str
    side: str
    position: str
    type: Type
    qty: float
    price: float
    trigger_price: float
    reduce_only: bool
    created_ms: int


@dataclass(frozen=True)
class Word:
    """What a venue says of one order, cumulative: a later word of the same order never fills less.

    Attributes
    ----------
    client_id : of its ticket; "" where the venue names one that is not ours, or none.
    filled : base units that were filled, `price` their mean. fees : money by currency, what was paid so far (negative:
        a rebate); None = not said yet. ts_ms : of the venue, of the last change.
    venue_id : its number at the venue; `fired_id` that of the order that a trigger became.
    """

    client_id: str
    seen: Seen
    filled: float
    price: float
    fees: Mapping[str, float] | None
    ts_ms: int
    venue_id: str = ""
    fired_id: str = ""
    reason: str = ""
    symbol: str = ""


@dataclass(frozen=True)
class Listed(Word):
    """An order as the venue lists it, with what it would do: for reconciliation."""

    side: str = ""
    type: Type = Type.MARKET
    qty: float = 0.0
    limit_price: float = float("nan")
    trigger_price: float = float("nan")


@dataclass(frozen=True)
class Held:
    """A position, or on a spot market what is held of the base currency. qty : base units, above 0 = long."""

    symbol: str
    qty: float
    entry_price: float = float("nan")


@dataclass(frozen=True)
class Balance:
    """Money in one currency. free : not bound in orders or positions."""

    currency: str
    total: float
    free: float


class Rules(NamedTuple):
    """What the venue allows on a symbol, in base units. contract_size : base units of one contract, 1 on spot."""

    tick: float
    lot_step: float
    min_qty: float
    min_notional: float
    contract_size: float
    maker: float
    taker: float
    is_trading: bool


@dataclass(frozen=True)
class Capabilities:
    """What a market of a venue can do.

    Attributes
    ----------
    market : "spot" or "swap". stop, target : where they work. triggers_lock : a waiting trigger binds the balance that
        an exit needs, so it goes before the exit. stop_is_limit : a fired stop is a limit order that may be gapped
        through. hedge : both sides may be held at once. trigger_life_secs : after which a trigger expires; inf = never.
    """

    market: str
    stop: Place
    target: Place
    triggers_lock: bool = False
    stop_is_limit: bool = False
    hedge: bool = False
    trigger_life_secs: float = float("inf")


class RefusedError(LockstepError):
    """The venue said no, for certain: the order does not exist. `code` : its own word; `is_funds`, `is_halted`.

    pause_secs : above 0, it said "not now" (too many requests): the same may be asked for again after that.
    """

    def __init__(
        self, text: str, *, code: str = "", is_funds: bool = False, is_halted: bool = False, pause_secs: float = 0.0
    ) -> None:
        super().__init__(text)
        self.code, self.is_funds, self.is_halted, self.pause_secs = code, is_funds, is_halted, pause_secs


class UnknownOutcomeError(LockstepError):
    """The request may or may not have been done. pause_secs : how long the venue wants to be left alone."""

    def __init__(self, text: str, *, pause_secs: float = 0.0) -> None:
        super().__init__(text)
        self.pause_secs = pause_secs


class UnreachableVenueError(LockstepError):
    """A question (never an order) got no answer. pause_secs as above."""

    def __init__(self, text: str, *, pause_secs: float = 0.0) -> None:
        super().__init__(text)
        self.pause_secs = pause_secs


@dataclass(frozen=True)
class Heard:
    """What came by itself. words : of orders; symbols : something changed there that must be asked for (an order that
    is not ours, a trigger that may have fired); prices : last price by symbol; is_broken : the connection was lost and
    is back, so that anything may have been missed."""

    words: Sequence[Word] = ()
    symbols: Sequence[str] = ()
    prices: Mapping[str, float] = field(default_factory=dict)
    is_broken: bool = False


class Gateway(Protocol):
    """One account at one venue. Nothing is retried here that changes anything there.

    Every call may raise `UnreachableVenueError`, `submit` and `cancel` `UnknownOutcomeError` and `RefusedError`.
    """

    name: str

    async def open(self, symbols: Sequence[str]) -> None:
        """Connect, learn the markets, set the clock right; InputError where a symbol is not there."""
        ...

    def rules(self, symbol: str) -> Rules: ...

    def capabilities(self, symbol: str) -> Capabilities: ...

    async def submit(self, ticket: Ticket) -> Word:
        """Send it, at most once. RefusedError: it does not exist. UnknownOutcomeError: look it up by `find`."""
        ...

    async def cancel(self, ticket: Ticket, venue_id: str) -> None:
        """Ask for its end; what became of it, `find` says. One that has ended already is no error."""
        ...

    async def find(self, ticket: Ticket, venue_id: str) -> Word:
        """Where it stands, by its number or its client id: open ones, finished ones, trades. seen ABSENT: nowhere."""
        ...

    async def orders(self, symbol: str) -> Sequence[Listed]:
        """Everything open at the venue on the symbol, triggers among them, ours or not."""
        ...

    async def traded(self, symbol: str) -> Sequence[Listed]:
        """Orders that filled something lately, ours or not, each with all of its fills: what the venue gives at once.

        client_id : "" of one that is not ours. seen, type, qty : not told by trades, so of no meaning.
        """
        ...

    async def held(self) -> Sequence[Held]: ...

    async def balances(self) -> Sequence[Balance]: ...

    async def last_price(self, symbol: str) -> float: ...

    async def hear(self) -> Heard:
        """The next news. The connection is mended inside; is_broken says that it was."""
        ...

    async def can_withdraw(self) -> bool | None:
        """Whether the key may take money out; None where the venue does not say."""
        ...

    async def close(self) -> None: ...
