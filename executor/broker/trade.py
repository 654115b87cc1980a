"""One trade as the desk sees it: what the engine wants of it, and what was sent for it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from executor.broker.base import Kind, Order, Status
from executor.broker.tickets import Sent, client_id
from executor.broker.venue import Capabilities, Rules, Seen, Ticket, Type

LEAVING = (Kind.EXIT, Kind.STOP, Kind.TARGET)
FINAL = (Status.CLOSED, Status.CANCELLED, Status.REJECTED)
# Less than half a lot is float noise.
_NOISE = 1e-6


@dataclass(frozen=True)
class LiveSettings:
    """How a live session behaves.

    Attributes
    ----------
    protect_within_secs : a trade whose stop is not at the venue so long, while the venue answers, is closed.
    poll_secs : every open order is asked for that often, whatever is heard meanwhile.
    absent_after_secs : an order that was sent longer ago and is listed nowhere never arrived.
    stop_limit_gap : how far beyond the level a stop's limit lies, where a venue knows no stop-market (a fraction).
    gapped_secs : a fired stop that has not filled for so long, with the price beyond it, is replaced by a market order.
    max_entry_age_secs : an entry that was not sent within that time is not sent any more.
    request_secs : a request without an answer for so long has an unknown outcome.
    fees_secs : how long the end of a trade waits for fees that the venue says later.
    """

    protect_within_secs: float = 10.0
    poll_secs: float = 10.0
    absent_after_secs: float = 10.0
    stop_limit_gap: float = 0.005
    gapped_secs: float = 2.0
    max_entry_age_secs: float = 60.0
    request_secs: float = 30.0
    fees_secs: float = 5.0


class Market(NamedTuple):
    """A symbol now. price : the last one; NaN where it is not known, or too old to act upon. is_up : whether the venue
    answers, `up_ms` since when; halted : why nothing new may be entered, "" = it may."""

    rules: Rules
    can: Capabilities
    price: float
    is_up: bool
    up_ms: float
    halted: str = ""


class Submit(NamedTuple):
    """Send a ticket, once its row is durable."""

    ticket: Ticket


class Cancel(NamedTuple):
    """Ask for the end of a ticket."""

    sent: Sent


class Find(NamedTuple):
    """Look a ticket up."""

    sent: Sent


Action = Submit | Cancel | Find


class End(NamedTuple):
    """What became of an order as a whole."""

    kind: Kind
    status: Status
    reason: str = ""


@dataclass
class Steps:
    """What is to be done about a trade now.

    why : of submitted tickets, by client id. due_ms : when to look at it again though nothing happens (inf = never).
    watches : whether the symbol's price decides meanwhile. doubts : why what is held should be compared with the venue.
    """

    now_ms: int
    actions: list[Action] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    why: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    due_ms: float = math.inf
    watches: bool = False

    def wait(self, until_ms: float) -> None:
        # What is past was looked at just now: another look at the same moment would find the same, for ever.
        if until_ms > self.now_ms:
            self.due_ms = min(self.due_ms, until_ms)

    def cancel(self, sent: Sent) -> None:
        """Ask for the end of a ticket that the venue has, unless that is under way or was done a moment ago."""
        if sent.is_final or sent.is_cancelling or sent.is_unknown:
            return
        if sent.cancel_ms > self.now_ms:
            self.wait(sent.cancel_ms)
        else:
            self.actions.append(Cancel(sent))

    def submit(self, ticket: Ticket, why: str = "") -> None:
        self.actions.append(Submit(ticket))
        self.why[ticket.client_id] = why


@dataclass
class Want:
    """An order of the engine. is_wanted : not cancelled by it; reason : of the cancel.

    status : what was reported last.
    """

    order: Order
    is_wanted: bool = True
    reason: str = ""
    status: Status = Status.NEW

    @property
    def is_live(self) -> bool:
        """Whether it is still to be carried out."""
        return self.is_wanted and self.status not in FINAL


@dataclass
class Trade:
    """Wants by kind and tickets by client id, in the order of their making.

    bare_ms : since when its stop is not at the venue; None = it is, or there is nothing to protect.
    bare_row : the row of `unprotected` that says so. astray_ms : since when something is held that nobody wants.
    flat_ms : when it was seen that nothing more is to be sold. beyond_ms : since when the price is beyond a stop that
        should have fired. is_told : its end was reported.
    is_late : its entry was filled after it had been given up.
    """

    trade_id: str
    symbol: str
    position: str
    wants: dict[Kind, Want] = field(default_factory=dict)
    sent: dict[str, Sent] = field(default_factory=dict)
    bare_ms: int | None = None
    bare_row: int | None = None
    astray_ms: int | None = None
    flat_ms: int | None = None
    beyond_ms: int | None = None
    is_told: bool = False
    is_late: bool = False

    @property
    def entry_side(self) -> str:
        return "buy" if self.position == "long" else "sell"

    @property
    def exit_side(self) -> str:
        return "sell" if self.position == "long" else "buy"

    def ticket(
        self, kind: Kind, qty: float, now_ms: int, *, type: Type = Type.MARKET, price: float = math.nan,
        trigger_price: float = math.nan, is_mending: bool = False, reduces: bool = False,
    ) -> Ticket:  # fmt: skip
        """The next ticket of an order."""
        order_id = f"{self.trade_id}-{kind.value}"
        enters = kind is Kind.ENTRY or is_mending
        return Ticket(
            client_id(order_id, self.attempts(order_id)), order_id, self.trade_id, kind, self.symbol,
            self.entry_side if enters else self.exit_side, self.position, type, qty, price, trigger_price,
            reduces and not enters, now_ms,
        )  # fmt: skip

    def tickets(self, *kinds: Kind) -> Iterator[Sent]:
        return (one for one in self.sent.values() if one.ticket.kind in kinds)

    def live(self, kind: Kind) -> Want | None:
        """The order of a kind that is still to be carried out."""
        want = self.wants.get(kind)
        return want if want is not None and want.is_live else None

    def may_fill(self, *kinds: Kind) -> bool:
        """Whether a ticket of one of the kinds may still be filled."""
        return any(not one.is_final for one in self.tickets(*kinds))

    def attempts(self, order_id: str) -> int:
        """How many tickets an order has had."""
        return sum(one.ticket.order_id == order_id for one in self.sent.values())

    def entered(self) -> float:
        return sum(one.filled for one in self.tickets(Kind.ENTRY))

    def held(self, market: Market) -> float:
        """Base units that this trade holds: what was filled of it, net of fees in base; below 0, too much was sold.

        Fees of a purchase that are not said yet are taken as the venue's rate, in base: a stop for more than is held
        fires and fails.
        """
        base, total = self.symbol.partition("/")[0], 0.0
        for one in self.sent.values():
            total += one.filled if one.ticket.side == self.entry_side else -one.filled
            if market.can.market != "spot":
                continue
            if one.fees is not None:
                total -= one.fees.get(base, 0.0)
            elif one.filled and one.ticket.side == "buy":
                total -= one.filled * market.rules.taker
        return total

    def sellable(self, market: Market) -> float:
        """What of it the venue would take an order for: whole lots, above the minimums; 0 for dust."""
        return sellable(self.held(market), market)


def sellable(qty: float, market: Market) -> float:
    """`qty` in whole lots, 0 where that is below what the venue takes."""
    rules = market.rules
    lots = whole_lots(qty, rules.lot_step)
    if lots <= 0.0 or lots < rules.min_qty * (1.0 - _NOISE):
        return 0.0
    # A swap takes an order that reduces whatever it is worth.
    if market.can.market == "spot" and lots * market.price < rules.min_notional:
        return 0.0
    return lots


def whole_lots(qty: float, step: float) -> float:
    """Down to the step, but for the noise of adding floats."""
    if step <= 0.0:
        return max(0.0, qty)
    count = math.floor(qty / step + _NOISE)
    # The decimal of so many steps, not a product with noise in its last digits; what is whole stays as it was sized.
    lots = max(0.0, round(count * step, 12))
    return qty if math.isclose(lots, qty, rel_tol=1e-9) else lots


def same_qty(a: float, b: float, market: Market) -> bool:
    return abs(a - b) <= max(0.5 * market.rules.lot_step, _NOISE * max(a, b))


def is_done(trade: Trade) -> bool:
    """Nothing of it is wanted, may fill, or is still asked for."""
    if any(want.is_live for want in trade.wants.values()):
        return False
    return all(one.is_final and math.isinf(one.look_ms) for one in trade.sent.values())


def exists(one: Sent) -> bool:
    """Whether the venue surely had it."""
    return one.seen not in (Seen.NEW, Seen.UNKNOWN, Seen.ABSENT, Seen.REFUSED)
