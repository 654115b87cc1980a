"""`Storm`: faults of every kind at random moments, and what people do by hand at a venue."""

import random
from collections.abc import Callable
from typing import Any

from executor.sandbox.book import NewOrder, RefusalError, Venue
from executor.sandbox.faults import Fault, Faults

# kind, what it strikes, its numbers; drawn alike.
_FAULTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("lost_request", "POST", {"times": 1}),
    ("lost_response", "POST", {"times": 1}),
    ("lost_response", "POST", {"times": 2}),
    ("lost_request", "DELETE", {"times": 1}),
    ("lost_response", "DELETE", {"times": 1}),
    ("reset", "*", {"times": 2}),
    ("bad_gateway", "*", {"times": 3}),
    ("bad_gateway", "POST", {"times": 1}),
    ("rate_limit", "POST", {"times": 3, "secs": 1.0}),
    ("slow", "POST", {"times": 2, "secs": 4.0}),
    ("cut_body", "*", {"times": 2}),
    ("cut_json", "*", {"times": 2}),
    ("socket_drop", "*", {}),
    ("expired_token", "*", {}),
    ("socket_mute", "*", {"secs": 40.0}),
    ("socket_freeze", "*", {"secs": 20.0}),
    ("duplicate_events", "*", {"secs": 30.0}),
    ("late_events", "*", {"secs": 20.0}),
    ("down", "*", {"secs": 15.0}),
    ("down", "*", {"secs": 75.0}),
    ("skew", "*", {"secs": 30.0, "ms": 90_000}),
    ("trigger_fails", "*", {"times": 1}),
)


class Storm:
    """Strikes once each `gap_secs` on average. Times are the market's, epoch ms."""

    def __init__(self, venue: Venue, faults: Faults, seed: int, now_ms: int, gap_secs: float = 30.0) -> None:
        self._venue, self._faults, self._gap_secs = venue, faults, gap_secs
        self._draw = random.Random(seed)
        self._next_ms = now_ms + 60_000
        self._depth_until_ms = 0
        self.struck: list[tuple[int, str]] = []

    def blow(self, now_ms: int) -> None:
        """Strike, where it is time."""
        if self._depth_until_ms and now_ms >= self._depth_until_ms:
            self._venue.set_matching(depth={})
            self._depth_until_ms = 0
        if now_ms < self._next_ms:
            return
        self._next_ms = now_ms + round(1000 * self._draw.expovariate(1 / self._gap_secs))
        by_hand: tuple[Callable[[int], str], ...] = (self._thin, self._cancel_stop, self._foreign)
        k = self._draw.randrange(len(_FAULTS) + len(by_hand))
        if k < len(_FAULTS):
            kind, match, numbers = _FAULTS[k]
            self._faults.add(Fault(kind, match, **numbers))
            what = f"{kind} {match} {numbers}"
        else:
            what = by_hand[k - len(_FAULTS)](now_ms)
        self.struck.append((now_ms, what))

    def _thin(self, now_ms: int) -> str:
        """Orders fill in parts for a while."""
        self._venue.set_matching(depth={name: 20 * one.lot for name, one in self._venue.listings.items()})
        self._depth_until_ms = now_ms + 30_000
        return "thin book"

    def _cancel_stop(self, _: int) -> str:
        """A person cancels a stop of ours."""
        waiting = self._venue.triggers()
        if not waiting:
            return "nothing to cancel"
        one = self._draw.choice(waiting)
        self._venue.cancel_trigger(one.id)
        return f"cancelled by hand: {one.client_id}"

    def _foreign(self, _: int) -> str:
        """A person places an order of their own, far from the market."""
        name = self._draw.choice(list(self._venue.listings))
        listing = self._venue.listings[name]
        price = round(self._venue.last_price(name) * 0.5 / listing.tick) * listing.tick
        side = "long" if listing.market == "swap" and self._venue.hedge else ""
        qty = max(listing.min_qty, listing.lot) * 2
        try:
            order = self._venue.place(NewOrder(name, "buy", "limit", qty, price, position_side=side))
        except RefusalError as error:
            return f"foreign order refused: {error.code}"
        return f"foreign order {order.id}"
