"""`Guard`: how long what the account holds was without a stop, by the exchange's own records."""

from dataclasses import dataclass, field

from executor.sandbox.book import Venue
from executor.sandbox.records import Event


@dataclass
class Bare:
    """A period in which so much of a position had no stop that waits. until_ms : None while it lasts."""

    symbol: str
    side: str
    from_ms: int
    qty: float
    until_ms: int | None = None


@dataclass
class Guard:
    """Listens to a venue. Quantities are the venue's amounts; less than a least order is dust."""

    venue: Venue
    found: list[Bare] = field(default_factory=list)
    _open: dict[tuple[str, str], Bare] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._first = {name: money.total for name, money in self.venue.balances().items()}
        self.venue.listeners.append(self.hear)

    def hear(self, event: Event) -> None:
        if event.kind not in ("fill", "trigger", "position"):
            return
        for side in ("long", "short"):
            held = self.held(event.symbol, side)
            covered = sum(one.order.qty for one in self.venue.triggers(event.symbol) if _protects(one, side))
            self._note(event.symbol, side, held - covered, event.ts_ms)

    def held(self, symbol: str, side: str) -> float:
        """What is held of a side, in the venue's amounts."""
        listing = self.venue.listings[symbol]
        if listing.market == "spot":
            now = self.venue.balances().get(listing.base)
            return 0.0 if side == "short" or now is None else now.total - self._first.get(listing.base, 0.0)
        rows = [one for one in self.venue.positions() if one.symbol == symbol]
        sign = 1.0 if side == "long" else -1.0
        return sum(max(0.0, sign * one.qty) for one in rows)

    def _note(self, symbol: str, side: str, uncovered: float, ts_ms: int) -> None:
        listing, key = self.venue.listings[symbol], (symbol, side)
        least = max(listing.lot, listing.min_qty)
        price = self.venue.last_price(symbol)
        if listing.min_notional and price:
            least = max(least, listing.min_notional / (price * listing.contract_size))
        is_bare = uncovered >= least * (1 - 1e-9)
        if is_bare and key not in self._open:
            self._open[key] = Bare(symbol, side, ts_ms, uncovered)
            self.found.append(self._open[key])
        elif not is_bare and key in self._open:
            self._open.pop(key).until_ms = ts_ms


def _protects(trigger: object, side: str) -> bool:
    order = trigger.order  # type: ignore[attr-defined]
    sells = order.side == ("sell" if side == "long" else "buy")
    return bool(sells and trigger.rule == ("<=" if side == "long" else ">="))  # type: ignore[attr-defined]
