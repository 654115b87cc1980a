"""What is known of each ticket: its state so far, and how a venue's word changes it.

Words are cumulative, and come late, twice, out of order or not at all; hearing one again changes nothing.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from executor.broker.base import Kind
from executor.broker.venue import Seen, Ticket, Type, Word

OURS = "ls-"
"""Client ids begin so; whatever else a venue lists is not ours."""

_NEAR = 1e-9
# A later word may only climb. ABSENT and REFUSED fall to any sign that the order exists after all.
_RANK = {
    Seen.NEW: 0, Seen.UNKNOWN: 1, Seen.ABSENT: 2, Seen.REFUSED: 3, Seen.OPEN: 4, Seen.FIRED: 5, Seen.CANCELLED: 6,
    Seen.FILLED: 7,
}  # fmt: skip
_TRIGGERS = (Type.STOP, Type.TARGET)


def client_id(order_id: str, attempt: int) -> str:
    """The id under which the ticket number `attempt` of an order is sent: the same after a restart."""
    return f"{OURS}{hashlib.sha256(order_id.encode()).hexdigest()[:16]}-{attempt}"


@dataclass
class Told:
    """What of a ticket was reported to the engine. n : reports so far."""

    qty: float = 0.0
    cost: float = 0.0
    fees: dict[str, float] = field(default_factory=dict)
    n: int = 0


@dataclass
class Sent:
    """A ticket and what is known of it; the fields of a `Word`, and of what is under way about it.

    Attributes
    ----------
    is_cancelled : its end was asked for. sent_ms : when its request left; None = not by this process.
    known_ms : when the venue was first seen to have it. changed_ms : of the last change, the venue's clock.
    filled_ms : of the first fill, the venue's clock. fired_ms, ended_ms : when it was first seen as FIRED, as final.
    is_submitting, is_cancelling, is_looking : a request is under way.
    look_ms, cancel_ms : when it is looked up, or cancelled, next (inf = not). looks : look-ups that did not settle it;
        absences of them said that it is nowhere. again : looks after that. pause_ms : until when the venue does not
        want it again.
    """

    ticket: Ticket
    seen: Seen = Seen.NEW
    filled: float = 0.0
    price: float = math.nan
    fees: Mapping[str, float] | None = None
    venue_id: str = ""
    fired_id: str = ""
    reason: str = ""
    is_cancelled: bool = False
    sent_ms: int | None = None
    known_ms: int | None = None
    changed_ms: int | None = None
    filled_ms: int | None = None
    fired_ms: int | None = None
    ended_ms: int | None = None
    is_submitting: bool = False
    is_cancelling: bool = False
    is_looking: bool = False
    look_ms: float = math.inf
    cancel_ms: float = -math.inf
    looks: int = 0
    absences: int = 0
    again: int = 0
    pause_ms: float = -math.inf
    told: Told = field(default_factory=Told)

    @property
    def is_final(self) -> bool:
        return self.seen.is_final

    @property
    def is_unknown(self) -> bool:
        """Whether it may or may not be at the venue."""
        return self.seen in (Seen.NEW, Seen.UNKNOWN)

    @property
    def waits(self) -> bool:
        """Whether it is to wait at the venue for a price, not to be filled now."""
        return self.ticket.type is not Type.MARKET

    @property
    def is_trigger(self) -> bool:
        return self.ticket.type in _TRIGGERS

    @property
    def is_leaving_now(self) -> bool:
        """Whether it may be taking its trade out of the market at this moment."""
        if self.is_final or self.ticket.kind is Kind.ENTRY:
            return False
        return not self.waits or self.seen is Seen.FIRED

    @property
    def left(self) -> float:
        """Base units that it would still fill."""
        return max(0.0, self.ticket.qty - self.filled)

    @property
    def lacks_fees(self) -> bool:
        return self.filled > 0.0 and self.fees is None

    def hear(self, word: Word, now_ms: int) -> bool:
        """Take a word; whether it said anything new. One that names a fill and no price says nothing."""
        if word.filled > 0.0 and math.isnan(word.price):
            return False
        changed = self._filled(word)
        if word.venue_id and not self.venue_id:
            self.venue_id, changed = word.venue_id, True
        if word.fired_id and not self.fired_id:
            self.fired_id, changed = word.fired_id, True
        if _RANK[word.seen] > _RANK[self.seen] and self._believable(word):
            self.seen, changed = word.seen, True
            self.reason = word.reason or self.reason
            self.looks = self.absences = 0
            if word.seen is Seen.FIRED:
                self.fired_ms = now_ms
            self.ended_ms = now_ms if word.seen.is_final else None
        if changed:
            self.changed_ms = max(word.ts_ms or now_ms, self.changed_ms or 0)
            if self.filled and self.filled_ms is None:
                self.filled_ms = word.ts_ms or now_ms
            if self.known_ms is None and _RANK[self.seen] >= _RANK[Seen.OPEN]:
                self.known_ms = now_ms
        return changed

    def _filled(self, word: Word) -> bool:
        more = word.filled > self.filled * (1.0 + _NEAR)
        if more:
            # Contracts and decimals lose the last bit of what was asked for.
            is_all = math.isclose(word.filled, self.ticket.qty, rel_tol=_NEAR)
            self.filled, self.price = self.ticket.qty if is_all else word.filled, word.price
            # What was paid for less says nothing of the rest.
            self.fees = None
        if word.fees is None or self.fees is not None or word.filled < self.filled * (1.0 - _NEAR) or not self.filled:
            return more
        self.fees = {currency: fee for currency, fee in word.fees.items() if fee}
        return True

    def _believable(self, word: Word) -> bool:
        """An order that the venue has had is not taken for one that never was."""
        return not (word.seen in (Seen.ABSENT, Seen.REFUSED) and (self.venue_id or self.filled))
