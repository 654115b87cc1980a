"""KuCoin's spot order routes on the venue's core: high-frequency orders and stop orders."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from executor.sandbox.book import Listing, NewOrder, Trigger, Venue, VenueOrder
from executor.sandbox.kucoin.asked import Asked
from executor.sandbox.kucoin.errors import (
    BAD_PARAMETER,
    MISSING,
    NO_CLIENT_ID,
    NOT_CANCELLABLE,
    UNKNOWN_SYMBOL,
    USED_CLIENT_ID,
    KucoinError,
    Word,
)
from executor.sandbox.kucoin.frames import Frame, fill_row, order_row, page, placed, stop_row, synced
from executor.sandbox.steps import floor_to

_T = TypeVar("_T")
_TIFS = {"GTC": "gtc", "GTT": "gtc", "IOC": "ioc"}


class Orders:
    """What `/api/v1/hf/...` and `/api/v1/stop-order...` do; each raises `KucoinError` or `RefusalError`."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def place(self, asked: Asked) -> Frame:
        order = self._venue.place(self._wanted(asked))
        return placed(order.id, order.client_id)

    def place_and_tell(self, asked: Asked) -> Frame:
        return synced(self._venue.place(self._wanted(asked)))

    def try_out(self, asked: Asked) -> Frame:
        """Checked, and nothing is placed."""
        return placed("670fd33bf9406e0007ab3945", self._wanted(asked).client_id)

    def amend(self, asked: Asked) -> Frame:
        """KuCoin cancels the order and places another with the same client id."""
        number = str(asked.values.get("orderId") or "")
        name = str(asked.values.get("clientOid") or "")
        old = self._order(number, NOT_CANCELLABLE) if number else self._by_client(name, NOT_CANCELLABLE)
        price, size = asked.number("newPrice"), asked.number("newSize")
        self._cancel(old)
        qty = old.left if size is None else round(size - old.filled, 12)
        price = old.price if price is None else price
        new = self._venue.place(NewOrder(old.symbol, old.side, old.type, qty, price, old.client_id, old.tif))
        return {"newOrderId": new.id, "clientOid": new.client_id}

    def cancel(self, asked: Asked) -> Frame:
        return {"orderId": self._cancel(self._order(asked.named, NOT_CANCELLABLE)).id}

    def cancel_by_client(self, asked: Asked) -> Frame:
        return {"clientOid": self._cancel(self._by_client(asked.named, NOT_CANCELLABLE)).client_id}

    def cancel_and_tell(self, asked: Asked) -> Frame:
        return synced(self._cancel(self._order(asked.named, NOT_CANCELLABLE)), hidden="clientOid")

    def cancel_by_client_and_tell(self, asked: Asked) -> Frame:
        return synced(self._cancel(self._by_client(asked.named, NOT_CANCELLABLE)), hidden="orderId")

    def cancel_symbol(self, asked: Asked) -> str:
        for order in self._venue.open_orders(asked.symbol()):
            self._venue.cancel(order.id)
        return "success"

    def cancel_all(self, _: Asked) -> Frame:
        orders = self._venue.open_orders()
        for order in orders:
            self._venue.cancel(order.id)
        symbols = dict.fromkeys(order.symbol.replace("/", "-") for order in orders)
        return {"succeedSymbols": list(symbols), "failedSymbols": []}

    def order(self, asked: Asked) -> Frame:
        return self._row(self._order(asked.named, MISSING))

    def order_by_client(self, asked: Asked) -> Frame:
        return self._row(self._by_client(asked.named, MISSING))

    def open_orders(self, asked: Asked) -> list[Frame]:
        return [self._row(order) for order in reversed(self._venue.open_orders(self._symbol(asked)))]

    def finished(self, asked: Asked) -> Frame:
        rows = self._venue.finished(self._symbol(asked), asked.whole("startAt", 0))
        newest = _newest(rows, asked.whole("limit", 20))
        return {"lastId": len(rows), "items": [self._row(order) for order in newest]}

    def fills(self, asked: Asked) -> Frame:
        found = self._venue.fills(self._symbol(asked), asked.whole("startAt", 0))
        wanted = [fill for fill in found if asked.values.get("orderId") in (None, "", fill.order_id)]
        newest = _newest(list(enumerate(wanted, 1)), asked.whole("limit", 20))
        rows = [fill_row(fill, number, self._venue.listings[fill.symbol]) for number, fill in newest]
        return {"items": rows, "lastId": len(wanted)}

    def place_stop(self, asked: Asked) -> Frame:
        """A `loss` waits for a fall, an `entry` for a rise; KuCoin takes one that says neither for a `loss`."""
        new, price = self._wanted(asked), asked.number("stopPrice")
        if price is None:
            raise KucoinError(BAD_PARAMETER)
        rule = ">=" if asked.values.get("stop") == "entry" else "<="
        trigger = self._venue.place_trigger(new, rule, price)
        return placed(trigger.id, trigger.client_id)

    def cancel_stop(self, asked: Asked) -> Frame:
        return self._cancel_stops([self._stop(asked.named, NOT_CANCELLABLE)])

    def cancel_stop_by_client(self, asked: Asked) -> Frame:
        name = asked.text("clientOid", NO_CLIENT_ID)
        found = [trigger for trigger in self._waiting(asked) if trigger.client_id == name]
        if not found:
            raise KucoinError(NOT_CANCELLABLE)
        self._venue.cancel_trigger(found[0].id)
        return {"cancelledOrderId": found[0].id, "clientOid": name}

    def cancel_stops(self, asked: Asked) -> Frame:
        numbers = {one for one in str(asked.values.get("orderIds") or "").split(",") if one}
        return self._cancel_stops([one for one in self._waiting(asked) if not numbers or one.id in numbers])

    def stop(self, asked: Asked) -> Frame:
        return self._stop_row(self._stop(asked.named, MISSING))

    def stops_by_client(self, asked: Asked) -> list[Frame]:
        name = asked.text("clientOid", NO_CLIENT_ID)
        return [self._stop_row(trigger) for trigger in self._waiting(asked) if trigger.client_id == name]

    def stops(self, asked: Asked) -> Frame:
        """Only those that wait: one that fired or failed is in no list any more."""
        rows = [self._stop_row(trigger) for trigger in reversed(self._waiting(asked))]
        return page(rows, asked.whole("currentPage", 1), asked.whole("pageSize", 50))

    def _wanted(self, asked: Asked) -> NewOrder:
        listing, client_id = self._listing(asked), asked.text("clientOid", NO_CLIENT_ID)
        if any(order.status == "open" for order in self._venue.by_client(client_id)):
            raise KucoinError(USED_CLIENT_ID)
        side, kind = asked.text("side"), str(asked.values.get("type") or "limit")
        qty, cost, price = asked.number("size"), asked.number("funds"), asked.number("price")
        if side not in ("buy", "sell") or kind not in ("limit", "market") or (kind == "limit" and price is None):
            raise KucoinError(BAD_PARAMETER)
        if qty is None:
            if cost is None:
                raise KucoinError(BAD_PARAMETER)
            qty = floor_to(cost / self._venue.last_price(listing.symbol), listing.lot)
        tif = _TIFS.get(str(asked.values.get("timeInForce") or "GTC"))
        if tif is None:
            raise KucoinError(BAD_PARAMETER)
        if asked.values.get("postOnly") is True:
            tif = "poc"
        return NewOrder(listing.symbol, side, kind, qty, 0.0 if kind == "market" else price or 0.0, client_id, tif)

    def _symbol(self, asked: Asked) -> str:
        return self._listing(asked).symbol

    def _listing(self, asked: Asked) -> Listing:
        listing = self._venue.listings.get(asked.symbol())
        if listing is None or listing.market != "spot":
            raise KucoinError(UNKNOWN_SYMBOL)
        return listing

    def _order(self, number: str, missing: Word) -> VenueOrder:
        order = self._venue.order(number)
        if order is None:
            raise KucoinError(missing)
        return order

    def _by_client(self, client_id: str, missing: Word) -> VenueOrder:
        """The newest of that client id."""
        found = self._venue.by_client(client_id)
        if not found:
            raise KucoinError(missing)
        return found[-1]

    def _stop(self, number: str, missing: Word) -> Trigger:
        trigger = self._venue.trigger(number)
        if trigger is None or trigger.status != "open":
            raise KucoinError(missing)
        return trigger

    def _waiting(self, asked: Asked) -> Sequence[Trigger]:
        return self._venue.triggers(self._symbol(asked) if asked.values.get("symbol") else "")

    def _cancel(self, order: VenueOrder) -> VenueOrder:
        if order.status != "open":
            raise KucoinError(NOT_CANCELLABLE)
        return self._venue.cancel(order.id)

    def _cancel_stops(self, triggers: Iterable[Trigger]) -> Frame:
        return {"cancelledOrderIds": [self._venue.cancel_trigger(trigger.id).id for trigger in triggers]}

    def _row(self, order: VenueOrder) -> Frame:
        return order_row(order, self._venue.listings[order.symbol])

    def _stop_row(self, trigger: Trigger) -> Frame:
        return stop_row(trigger, self._venue.listings[trigger.symbol])


def _newest(rows: Sequence[_T], limit: int) -> list[_T]:
    """The newest first."""
    return list(reversed(rows[-limit:])) if limit > 0 else []
