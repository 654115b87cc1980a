"""`Holdings`: positions in swaps and their margin."""

from collections.abc import Callable
from dataclasses import replace

from executor.sandbox.records import Listing, NewOrder, Position, RefusalError, VenueOrder
from executor.sandbox.wallet import Wallet

_DIGITS = 12


class Holdings:
    """Positions by symbol and side. told : called with a copy of each that changed.

    Margin is entry value by leverage, bound while the position is held; the venue does not liquidate.
    """

    def __init__(self, wallet: Wallet, told: Callable[[Position], None], *, hedge: bool) -> None:
        self._wallet, self._told = wallet, told
        self.hedge = hedge
        self._held: dict[tuple[str, str], Position] = {}
        self._leverage: dict[str, float] = {}
        self._margin_mode: dict[str, str] = {}

    def of(self, symbol: str, side: str) -> Position:
        """The position, empty where nothing was ever held. side : "both", "long" or "short"."""
        key = (symbol, side)
        if key not in self._held:
            leverage, mode = self._leverage.get(symbol, 1.0), self._margin_mode.get(symbol, "isolated")
            self._held[key] = Position(symbol, side, leverage=leverage, margin_mode=mode)
        return self._held[key]

    def all(self) -> list[Position]:
        """Copies of what is or was held."""
        return [replace(position) for position in self._held.values()]

    def set_mode(self, *, hedge: bool) -> None:
        """Raises RefusalError : `mode`; a position is held."""
        if hedge != self.hedge:
            if any(position.qty for position in self._held.values()):
                raise RefusalError("mode", "the position mode changes only while no position is held")
            self.hedge = hedge
            self._held.clear()

    def set_leverage(self, symbol: str, leverage: float) -> None:
        self._leverage[symbol] = leverage
        for position in self._of_symbol(symbol):
            position.leverage = leverage

    def set_margin_mode(self, symbol: str, mode: str) -> None:
        self._margin_mode[symbol] = mode
        for position in self._of_symbol(symbol):
            position.margin_mode = mode

    def side_of(self, order: NewOrder | VenueOrder) -> str:
        """Raises RefusalError : `position_side`; the order and the account's position mode do not fit."""
        if not self.hedge:
            if order.position_side:
                raise RefusalError("position_side", "an order in one-way mode names no position side")
            return "both"
        if order.position_side not in ("long", "short"):
            raise RefusalError("position_side", "an order in hedge mode names its position side, long or short")
        return order.position_side

    def reducible(self, order: NewOrder | VenueOrder) -> float:
        """Contracts by which the order could reduce its position."""
        qty = self.of(order.symbol, self.side_of(order)).qty
        return max(-qty if order.side == "buy" else qty, 0.0)

    def margin(self, order: NewOrder | VenueOrder, qty: float, price: float, listing: Listing) -> float:
        """Quote money that `qty` contracts of the order bind while it rests: of the part that opens, fee with it."""
        if order.reduce_only:
            return 0.0
        opening = max(qty - self.reducible(order), 0.0)
        leverage = self.of(order.symbol, self.side_of(order)).leverage
        return opening * listing.contract_size * price * (1.0 / leverage + listing.taker)

    def fill(self, order: VenueOrder, qty: float, price: float, listing: Listing, ts_ms: int) -> None:
        """Change the position by a fill, and pay out what was won or lost on the part that was closed."""
        position = self.of(order.symbol, self.side_of(order))
        change = qty if order.side == "buy" else -qty
        before, after = position.qty, round(position.qty + change, _DIGITS)
        if before * change >= 0:
            position.entry_price = (before * position.entry_price + change * price) / after
        else:
            closed = min(abs(before), abs(change)) * (1.0 if before > 0 else -1.0)
            won = closed * listing.contract_size * (price - position.entry_price)
            position.realised = round(position.realised + won, _DIGITS)
            self._wallet.change(listing.quote, won, "trade", order.symbol, ts_ms)
            if before * after < 0:
                position.entry_price = price
        position.qty, position.updated_ms = after, ts_ms
        if not after:
            position.entry_price = 0.0
        bound = abs(after) * listing.contract_size * position.entry_price / position.leverage
        self._wallet.bind(f"position {order.symbol} {position.side}", listing.quote, bound)
        self._told(replace(position))

    def fund(self, listing: Listing, rate: float, price: float, ts_ms: int) -> None:
        """Longs pay the rate of their value to shorts, or take it where the rate is below 0."""
        for position in self._of_symbol(listing.symbol):
            paid = position.qty * listing.contract_size * price * rate
            self._wallet.change(listing.quote, -paid, "funding", listing.symbol, ts_ms)

    def _of_symbol(self, symbol: str) -> list[Position]:
        return [position for (name, _), position in self._held.items() if name == symbol]
