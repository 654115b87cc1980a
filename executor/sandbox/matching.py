"""`Matching`: orders of the local exchange, taken, checked and filled."""

import math
from collections.abc import Callable
from dataclasses import replace

from executor.sandbox.holdings import Holdings
from executor.sandbox.records import Fill, Listing, NewOrder, RefusalError, VenueOrder
from executor.sandbox.steps import floor_to, is_multiple
from executor.sandbox.wallet import Wallet

_DIGITS = 12
# Numbers of orders and triggers begin above it, so that they look like a venue's.
_FIRST_NUMBER = 600_000_000_000

Told = Callable[[str, VenueOrder | Fill], None]


class Matching:
    """Orders against the last price.

    Parameters
    ----------
    listings : by symbol; replaced where a market's status changes. wallet_of : the money for "spot" or "swap".
    told : called with "put", "update", "rest" or "finish" and a copy of the order, or "fill" and a fill.
    now, last : the venue's time, epoch ms, and the last price of a symbol, 0 before the first trade.

    Market orders are filled at the last price, worse by half of `spread_bps`; `depth` by symbol says how much of an
    order is filled at once: the rest of a limit stays, that of a market or IOC order is cancelled. A limit that rests
    is filled at its own price once the market trades there or through it. A third currency pays a fee at one for one
    with the quote currency.
    """

    def __init__(
        self, listings: dict[str, Listing], wallet_of: Callable[[str], Wallet], holdings: Holdings, told: Told,
        now: Callable[[], int], last: Callable[[str], float],
    ) -> None:  # fmt: skip
        self._listings, self._wallet_of, self._holdings, self._told = listings, wallet_of, holdings, told
        self._now, self._last = now, last
        self.orders: dict[str, VenueOrder] = {}
        self._open: dict[str, VenueOrder] = {}
        self._named: dict[str, list[VenueOrder]] = {}
        self.fills: list[Fill] = []
        self.depth: dict[str, float] = {}
        self.spread_bps = 0.0
        self._number = _FIRST_NUMBER

    def number(self) -> str:
        self._number += 1
        return str(self._number)

    def by_client(self, client_id: str) -> list[VenueOrder]:
        return list(self._named.get(client_id, ()))

    def open_orders(self, symbol: str = "") -> list[VenueOrder]:
        return [order for order in self._open.values() if symbol in ("", order.symbol)]

    def check(self, new: NewOrder) -> Listing:
        """Raises RefusalError : the market's rules do not allow it."""
        listing = self._listings.get(new.symbol)
        if listing is None:
            raise RefusalError("symbol", f"there is no market {new.symbol}")
        if listing.status != "trading":
            raise RefusalError(listing.status, f"{new.symbol} is {listing.status}")
        if not new.qty > 0:
            raise RefusalError("qty", f"the amount must be above 0, was {new.qty:g}")
        if not is_multiple(new.qty, listing.lot):
            raise RefusalError("lot", f"the amount must be a multiple of {listing.lot:g}, was {new.qty:g}")
        if new.qty < listing.min_qty * (1.0 - 1e-9):
            raise RefusalError("min_qty", f"the amount must be {listing.min_qty:g} or more, was {new.qty:g}")
        if new.type == "limit" and not (new.price > 0 and is_multiple(new.price, listing.tick)):
            raise RefusalError("tick", f"the price must be a multiple of {listing.tick:g}, was {new.price:g}")
        price = new.price if new.type == "limit" else self._last(new.symbol)
        if not price:
            raise RefusalError("no_price", f"{new.symbol} was not traded yet")
        if new.qty * listing.contract_size * price < listing.min_notional * (1.0 - 1e-9):
            raise RefusalError(
                "min_notional", f"the order must be worth {listing.min_notional:g} {listing.quote} or more"
            )
        if listing.market == "swap":
            self._holdings.side_of(new)
        return listing

    def place(self, new: NewOrder, trigger_id: str = "") -> VenueOrder:
        """Take the order and fill what can be filled at once; a copy.

        Raises
        ------
        RefusalError : by the market's rules, or for want of money.
        """
        listing = self.check(new)
        if new.reduce_only and not self._holdings.reducible(new):
            raise RefusalError("reduce_only", f"there is no position in {new.symbol} to reduce")
        taken_at = self._taking_price(new)
        if taken_at and new.tif == "poc":
            raise RefusalError("poc", "the order would be filled at once")
        now = self._now()
        order = VenueOrder(
            self.number(), new.client_id, new.symbol, new.side, new.type, new.price, new.qty, now, now,
            reduce_only=new.reduce_only, position_side=new.position_side, tif=new.tif, trigger_id=trigger_id,
        )  # fmt: skip
        self._hold(order, listing, checked=True)
        self.orders[order.id] = self._open[order.id] = order
        self._named.setdefault(order.client_id, []).append(order)
        self._told("put", replace(order))
        if taken_at:
            self._fill(order, min(order.left, self.depth.get(order.symbol, math.inf)), taken_at, taker=True)
        if order.status == "open" and (order.type == "market" or order.tif == "ioc"):
            self._finish(order, "canceled", "ioc")
        elif order.status == "open":
            self._told("rest", _copy(order))
        return _copy(order)

    def cancel(self, number: str, reason: str = "manual") -> VenueOrder:
        """Raises RefusalError : `missing` or `finished`."""
        order = self._found(number)
        self._finish(order, "canceled", reason)
        return _copy(order)

    def amend(self, number: str, price: float | None, qty: float | None) -> VenueOrder:
        """Another price or whole amount of an open order. Raises RefusalError : as `place` and `cancel`."""
        order = self._found(number)
        price, qty = order.price if price is None else price, order.qty if qty is None else qty
        listing = self.check(_new(order, price, qty))
        before = order.price, order.qty
        order.price, order.qty = price, qty
        try:
            self._hold(order, listing, checked=True)
        except RefusalError:
            order.price, order.qty = before
            raise
        order.updated_ms = self._now()
        self._told("update", _copy(order))
        taken_at = self._taking_price(_new(order, price, qty))
        if order.left <= 0:
            self._finish(order, "closed", "filled")
        elif taken_at:
            self._fill(order, min(order.left, self.depth.get(order.symbol, math.inf)), taken_at, taker=True)
        return _copy(order)

    def trade(self, symbol: str, price: float, volume: float) -> None:
        """The market trades: orders that rest there or beyond have of the volume, the oldest first."""
        for order in self.open_orders(symbol):
            is_reached = order.price >= price if order.side == "buy" else order.price <= price
            if is_reached and volume > 0:
                qty = min(order.left, floor_to(volume, self._listings[symbol].lot))
                volume -= qty
                self._fill(order, qty, order.price, taker=False)

    def _taking_price(self, new: NewOrder) -> float:
        """At which it would be filled at once, 0 where it would rest."""
        last = self._last(new.symbol)
        worse = last * self.spread_bps / 20_000 * (1.0 if new.side == "buy" else -1.0)
        if new.type == "market":
            return round(last + worse, _DIGITS)
        is_crossing = new.price >= last if new.side == "buy" else new.price <= last
        return last if is_crossing and last else 0.0

    def _hold(self, order: VenueOrder, listing: Listing, *, checked: bool) -> None:
        """Bind the money that what is left of it can cost."""
        price = order.price if order.type == "limit" else self._taking_price(_new(order, order.price, order.qty))
        if listing.market == "swap":
            currency, amount = listing.quote, self._holdings.margin(order, order.left, price, listing)
        elif order.side == "sell":
            currency, amount = listing.base, order.left
        else:
            fee = listing.taker if listing.fee_in == "quote" else 0.0
            currency, amount = listing.quote, order.left * price * (1.0 + fee)
        wallet = self._wallet_of(listing.market)
        (wallet.hold if checked else wallet.bind)(order.id, currency, amount)

    def _fill(self, order: VenueOrder, qty: float, price: float, *, taker: bool) -> None:
        listing, now = self._listings[order.symbol], self._now()
        if order.reduce_only:
            qty = min(qty, self._holdings.reducible(order))
        if qty <= 0:
            if order.reduce_only:
                self._finish(order, "canceled", "reduce_only")
            return
        money = qty * listing.contract_size * price
        order.filled = round(order.filled + qty, _DIGITS)
        order.cost = round(order.cost + money, _DIGITS)
        order.updated_ms = now
        self._hold(order, listing, checked=False)
        currency, fee = self._settle(order, qty, price, listing, taker=taker)
        order.fees[currency] = round(order.fees.get(currency, 0.0) + fee, _DIGITS)
        fill = Fill(
            self.number(), order.id, order.client_id, order.symbol, order.side, price, qty, fee, currency, taker, now
        )
        self.fills.append(fill)
        self._told("fill", fill)
        if order.left <= 0:
            self._finish(order, "closed", "filled")
        else:
            self._told("update", _copy(order))

    def _settle(
        self, order: VenueOrder, qty: float, price: float, listing: Listing, *, taker: bool
    ) -> tuple[str, float]:
        """Move the money; the fee's currency and amount."""
        now, rate, symbol = self._now(), listing.taker if taker else listing.maker, order.symbol
        money, wallet = qty * listing.contract_size * price, self._wallet_of(listing.market)
        if listing.market == "swap":
            self._holdings.fill(order, qty, price, listing, now)
            currency, fee = listing.quote, round(money * rate, _DIGITS)
        else:
            sign = 1.0 if order.side == "buy" else -1.0
            wallet.change(listing.quote, -sign * money, "trade", symbol, now)
            wallet.change(listing.base, sign * qty, "trade", symbol, now)
            currency, fee = self._spot_fee(order.side, qty, money, rate, listing)
        wallet.change(currency, -fee, "fee", symbol, now)
        return currency, fee

    def _spot_fee(self, side: str, qty: float, money: float, rate: float, listing: Listing) -> tuple[str, float]:
        third = listing.fee_in
        if third not in ("base", "quote") and self._wallet_of("spot").money(third).free >= money * rate:
            return third, round(money * rate, _DIGITS)
        if side == "buy" and third != "quote":
            return listing.base, round(qty * rate, _DIGITS)
        return listing.quote, round(money * rate, _DIGITS)

    def _finish(self, order: VenueOrder, status: str, reason: str) -> None:
        order.status, order.reason, order.updated_ms = status, reason, self._now()
        self._open.pop(order.id, None)
        self._wallet_of(self._listings[order.symbol].market).release(order.id)
        self._told("finish", _copy(order))
        self._drop_reducers(order)

    def _drop_reducers(self, order: VenueOrder) -> None:
        """Once a position is gone, orders that could only reduce it go too."""
        if self._listings[order.symbol].market != "swap" or not order.filled:
            return
        for other in self.open_orders(order.symbol):
            if other.reduce_only and not self._holdings.reducible(other):
                self._finish(other, "canceled", "reduce_only")

    def _found(self, number: str) -> VenueOrder:
        order = self.orders.get(number)
        if order is None:
            raise RefusalError("missing", f"there is no order {number}")
        if order.status != "open":
            raise RefusalError("finished", f"order {number} is {order.status}")
        return order


def _copy(order: VenueOrder) -> VenueOrder:
    return replace(order, fees=dict(order.fees))


def _new(order: VenueOrder, price: float, qty: float) -> NewOrder:
    return NewOrder(
        order.symbol, order.side, order.type, qty, price, order.client_id, order.tif, order.reduce_only,
        order.position_side,
    )  # fmt: skip
