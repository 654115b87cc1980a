"""The two sides that `executor.broker.reconcile` compares, and what it says of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from executor.broker.tickets import Sent
from executor.broker.venue import Balance, Capabilities, Held, Listed, Rules, Seen, Ticket, Word


class What(StrEnum):
    """What an action is about; the value is what tables say.

    ADOPT : the venue knows more of an order of ours than the ledger. VANISHED : an order that the venue lists no more
    was found in its history. CANCEL : an order of ours that nobody wants. SHORT : less is held than our trades hold,
    and the order that sold it was found: it is booked. HALT : it cannot be settled, so nothing new is entered on the
    symbol.

    The others change nothing. WAITS : an order is under way, the next look will say. UNSETTLED : as HALT, of a symbol
    that is halted. MORE : more is held than our trades hold. DRIFT : money is missing. FOREIGN_... : not ours.
    """

    ADOPT = "adopt"
    VANISHED = "vanished"
    SHORT = "short"
    HALT = "halt"
    CANCEL = "cancel"
    WAITS = "waits"
    UNSETTLED = "unsettled"
    MORE = "more"
    DRIFT = "drift"
    FOREIGN_ORDER = "foreign order"
    FOREIGN_POSITION = "foreign position"
    FOREIGN_BALANCE = "foreign balance"

    @property
    def acts(self) -> bool:
        """Whether something is to be done."""
        return self in _ACTS


_ACTS = frozenset({What.ADOPT, What.VANISHED, What.CANCEL, What.SHORT, What.HALT})


class Booking(NamedTuple):
    """What of a foreign order's fills belongs to a trade of ours. word : see `LiveBroker.by_hand`."""

    trade_id: str
    word: Word


@dataclass(frozen=True)
class Action:
    """One difference, and what follows from it.

    Attributes
    ----------
    symbol : "" = of the account. text : one sentence with the figures.
    word : of ADOPT and VANISHED, what to hear. ticket, venue_id : of CANCEL. bookings : of SHORT.
    """

    what: What
    symbol: str
    text: str
    word: Word | None = None
    ticket: Ticket | None = None
    venue_id: str = ""
    bookings: tuple[Booking, ...] = ()


@dataclass(frozen=True)
class Placed:
    """A ticket as the ledger has it, see `executor.broker.tickets.Sent`."""

    ticket: Ticket
    seen: Seen
    filled: float = 0.0
    price: float = math.nan
    fees: Mapping[str, float] | None = None
    venue_id: str = ""
    fired_id: str = ""
    changed_ms: int | None = None

    def sent(self) -> Sent:
        """A copy that can hear words."""
        return Sent(
            self.ticket, self.seen, self.filled, self.price, self.fees, self.venue_id, self.fired_id,
            changed_ms=self.changed_ms,
        )  # fmt: skip


@dataclass(frozen=True)
class Ours:
    """The ledger's side.

    Attributes
    ----------
    placed : tickets of every trade that is open, or of which something may still happen, and of every one that the
        venue lists. wanted : ids of orders that are NEW or OPEN. closed : trades that are over.
    numbers : of orders of ours, among those that `Theirs.traded` lists, by the venue's numbering; also those that were
        booked before.
    symbols : that are traded. halted : symbols that are halted, and why.
    currency, capital, cash : of the account; cash NaN = the engine has not been told of everything yet.
    """

    placed: tuple[Placed, ...] = ()
    wanted: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    symbols: tuple[str, ...] = ()
    halted: Mapping[str, str] = field(default_factory=dict)
    currency: str = "USDT"
    capital: float = 0.0
    cash: float = math.nan


class Terms(NamedTuple):
    """What a venue says of a symbol."""

    rules: Rules
    can: Capabilities


@dataclass(frozen=True)
class Theirs:
    """The venue's side.

    Attributes
    ----------
    asked_ms : when the first question left. terms : by symbol, of all that is compared.
    listed : everything open. held, balances : as the gateway gives them. prices : last ones by symbol, where known.
    found : what the venue's history says of tickets, by client id. traded : orders that filled something, ours or not,
        by symbol, where that was asked.
    """

    asked_ms: int
    terms: Mapping[str, Terms]
    listed: tuple[Listed, ...] = ()
    held: tuple[Held, ...] = ()
    balances: tuple[Balance, ...] = ()
    prices: Mapping[str, float] = field(default_factory=dict)
    found: Mapping[str, Word] = field(default_factory=dict)
    traded: Mapping[str, tuple[Listed, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Tolerance:
    """How far the two may differ.

    Attributes
    ----------
    balance_share : of the allocated capital, for money. lots : of a symbol, for what is held: what is left by rounding
        is no difference. fresh_secs : what was filled within that time may not be in everything that a venue says.
    filling_secs : an order that is to be filled at once, and has not changed for so long, is waited for no longer.
    """

    balance_share: float = 0.01
    lots: float = 0.5
    fresh_secs: float = 5.0
    filling_secs: float = 60.0
