"""Gate's spot routes on the venue's core."""

from collections.abc import Sequence
from typing import Any, TypeVar

from executor.sandbox.book import Candle, Listing, NewOrder, Trigger, Venue, VenueOrder
from executor.sandbox.gate.asked import Asked, Route, number, route
from executor.sandbox.gate.errors import CANCELLED, CLOSED, MISSING, UNKNOWN_PAIR, GateError, bad
from executor.sandbox.gate.frames import (
    Frame,
    account_row,
    booked_row,
    candle_row,
    currency_row,
    fill_row,
    market_id,
    order_row,
    pair_row,
    ticker_row,
    trigger_row,
)
from executor.sandbox.steps import floor_to
from toolkit.bars.intervals import INTERVAL_MS

_T = TypeVar("_T")
_MOST_CANDLES = 1000
_TIFS = {"gtc": "gtc", "ioc": "ioc", "poc": "poc"}


class Spot:
    """What `/spot/...` does. uid : of the account."""

    def __init__(self, venue: Venue, uid: str) -> None:
        self._venue, self._uid = venue, uid

    def routes(self) -> list[Route]:
        return [
            route("GET", "/spot/currencies", self.currencies),
            route("GET", "/spot/currency_pairs", lambda _: [pair_row(listing) for listing in self.listed()]),
            route("GET", "/margin/currency_pairs", lambda _: []),
            route("GET", "/spot/tickers", self.tickers),
            route("GET", "/spot/candlesticks", self.candles),
            route("GET", "/spot/accounts", self.accounts, "read"),
            route("GET", "/spot/account_book", self.book, "read"),
            route("GET", "/spot/open_orders", self.open_orders, "read"),
            route("GET", "/spot/my_trades", self.fills, "read"),
            route("GET", "/spot/orders", self.orders, "read"),
            route("POST", "/spot/orders", self.place, "spot"),
            route("DELETE", "/spot/orders", self.cancel_all, "spot"),
            route("GET", "/spot/orders/{}", lambda asked: self._row(self._found(asked)), "read"),
            route("PATCH", "/spot/orders/{}", self.amend, "spot"),
            route("DELETE", "/spot/orders/{}", self.cancel, "spot"),
            route("GET", "/spot/price_orders", self.triggers, "read"),
            route("POST", "/spot/price_orders", self.place_trigger, "spot"),
            route("DELETE", "/spot/price_orders", self.cancel_triggers, "spot"),
            route("GET", "/spot/price_orders/{}", lambda asked: self._trigger_row(self._trigger(asked)), "read"),
            route("DELETE", "/spot/price_orders/{}", self.cancel_trigger, "spot"),
        ]

    def listed(self) -> list[Listing]:
        """Spot markets; delisted ones are gone."""
        found = self._venue.listings.values()
        return [listing for listing in found if listing.market == "spot" and listing.status != "delisted"]

    def currencies(self, _: Asked) -> list[Frame]:
        names = {name for listing in self.listed() for name in (listing.base, listing.quote)}
        return [currency_row(name) for name in sorted(names | set(self._venue.balances()))]

    def tickers(self, asked: Asked) -> list[Frame]:
        wanted = asked.query.get("currency_pair")
        return [self.day(listing) for listing in self.listed() if wanted in (None, "", market_id(listing.symbol))]

    def day(self, listing: Listing) -> Frame:
        """24 hours of a market."""
        return ticker_row(listing, self._venue.last_price(listing.symbol), self._venue.day(listing.symbol))

    def candles(self, asked: Asked) -> list[list[str]]:
        """Oldest first, the open one with them."""
        listing = self._listing(asked.query.get("currency_pair"))
        rows, step = candles_of(self._venue, listing, asked, _MOST_CANDLES)
        return [candle_row(row, is_closed=row.ts_ms + step <= self._venue.now()) for row in rows]

    def accounts(self, asked: Asked) -> list[Frame]:
        wanted = asked.query.get("currency")
        return [
            account_row(currency, money)
            for currency, money in self._venue.balances().items()
            if wanted in (None, "", currency)
        ]

    def book(self, asked: Asked) -> list[Frame]:
        since = asked.seconds("from") or 0
        # ccxt gives this stamp in ms where Gate's own documentation has seconds.
        rows = self._venue.booked(asked.query.get("currency", ""), since // 1000 if since > 10**14 else since)
        return [booked_row(row) for row in newest(rows, asked.limit())]

    def place(self, asked: Asked) -> Frame:
        body = asked.body
        listing = self._listing(body.get("currency_pair"))
        kind, side = str(body.get("type") or "limit"), str(body.get("side"))
        qty, price = number(body, "amount"), 0.0 if kind == "market" else number(body, "price")
        tif = _TIFS.get(str(body.get("time_in_force") or "gtc"))
        if side not in ("buy", "sell") or kind not in ("limit", "market") or tif is None:
            raise bad("side, type or time_in_force")
        if kind == "market" and side == "buy":
            # A market buy's amount is money.
            qty = floor_to(qty / (self._venue.last_price(listing.symbol) or 1.0), listing.lot)
        text = str(body.get("text") or "")
        return self._row(self._venue.place(NewOrder(listing.symbol, side, kind, qty, price, text, tif)))

    def amend(self, asked: Asked) -> Frame:
        order = self._found(asked)
        values = {name: number(asked.body, name) for name in ("amount", "price") if asked.body.get(name)}
        return self._row(self._venue.amend(order.id, price=values.get("price"), qty=values.get("amount")))

    def cancel(self, asked: Asked) -> Frame:
        order = self._found(asked)
        if order.status != "open":
            raise GateError(CLOSED if order.status == "closed" else CANCELLED)
        return self._row(self._venue.cancel(order.id))

    def cancel_all(self, asked: Asked) -> list[Frame]:
        symbol = self._symbol(asked.query.get("currency_pair"))
        orders = [order for order in self._venue.open_orders(symbol) if self._is_spot(order.symbol)]
        return [self._row(self._venue.cancel(order.id)) for order in orders]

    def open_orders(self, _: Asked) -> list[Frame]:
        found = []
        for listing in self._venue.listings.values():
            rows = self._venue.open_orders(listing.symbol) if listing.market == "spot" else []
            if rows:
                orders = [self._row(order) for order in reversed(rows)]
                found.append({"currency_pair": market_id(listing.symbol), "total": len(rows), "orders": orders})
        return found

    def orders(self, asked: Asked) -> list[Frame]:
        symbol = self._symbol(asked.query.get("currency_pair"))
        if asked.query.get("status") == "open":
            rows: Sequence[VenueOrder] = self._venue.open_orders(symbol)
        else:
            rows = self._venue.finished(symbol, asked.seconds("from") or 0)
        return [self._row(order) for order in newest(rows, asked.limit()) if self._is_spot(order.symbol)]

    def fills(self, asked: Asked) -> list[Frame]:
        rows = self._venue.fills(self._symbol(asked.query.get("currency_pair")), asked.seconds("from") or 0)
        wanted = [
            fill
            for fill in rows
            if self._is_spot(fill.symbol) and asked.query.get("order_id") in (None, "", fill.order_id)
        ]
        return [fill_row(fill) for fill in newest(wanted, asked.limit())]

    def place_trigger(self, asked: Asked) -> Frame:
        """Only limit orders: Gate is reported to refuse market ones on spot."""
        put, trigger = _part(asked, "put"), _part(asked, "trigger")
        listing = self._listing(asked.body.get("market"))
        side, rule, tif = str(put.get("side")), str(trigger.get("rule")), str(put.get("time_in_force") or "gtc")
        if str(put.get("type") or "limit") != "limit":
            raise bad("put.type")
        if side not in ("buy", "sell") or rule not in ("<=", ">=") or tif not in ("gtc", "ioc"):
            raise bad("put.side, put.time_in_force or Trigger.rule")
        life = number(trigger, "expiration")
        if not 0 < life <= 30 * 86_400:
            raise bad("trigger.expiration invalid range")
        qty, price = number(put, "amount"), number(put, "price")
        new = NewOrder(listing.symbol, side, "limit", qty, price, str(trigger.get("text") or ""), tif)
        return {"id": int(self._venue.place_trigger(new, rule, number(trigger, "price"), life).id)}

    def triggers(self, asked: Asked) -> list[Frame]:
        is_open = asked.query.get("status") == "open"
        rows = self._venue.triggers(self._symbol(asked.query.get("market")), waiting=is_open)
        return [self._trigger_row(row) for row in newest(rows, asked.limit()) if self._is_spot(row.symbol)]

    def cancel_trigger(self, asked: Asked) -> Frame:
        trigger = self._trigger(asked)
        if trigger.status != "open":
            raise GateError(CLOSED)
        return self._trigger_row(self._venue.cancel_trigger(trigger.id))

    def cancel_triggers(self, asked: Asked) -> list[Frame]:
        rows = self._venue.triggers(self._symbol(asked.query.get("market")))
        spot = [row for row in rows if self._is_spot(row.symbol)]
        return [self._trigger_row(self._venue.cancel_trigger(row.id)) for row in spot]

    def _found(self, asked: Asked) -> VenueOrder:
        """By number; by `text` only while it is open, as was seen at the venue."""
        order = self._venue.order(asked.named)
        if order is None:
            named = [one for one in self._venue.by_client(asked.named) if one.status == "open"]
            order = named[-1] if named else None
        if order is None or not self._is_spot(order.symbol):
            raise GateError(MISSING)
        return order

    def _trigger(self, asked: Asked) -> Trigger:
        trigger = self._venue.trigger(asked.named)
        if trigger is None or not self._is_spot(trigger.symbol):
            raise GateError(MISSING)
        return trigger

    def _listing(self, name: object) -> Listing:
        listing = self._venue.listings.get(str(name).replace("_", "/"))
        if listing is None or listing.market != "spot":
            raise GateError(UNKNOWN_PAIR)
        return listing

    def _symbol(self, name: object) -> str:
        """ "" for all."""
        return self._listing(name).symbol if name else ""

    def _is_spot(self, symbol: str) -> bool:
        return self._venue.listings[symbol].market == "spot"

    def _row(self, order: VenueOrder) -> Frame:
        return order_row(order, self._venue.listings[order.symbol])

    def _trigger_row(self, trigger: Trigger) -> Frame:
        return trigger_row(trigger, self._uid)


def candles_of(venue: Venue, listing: Listing, asked: Asked, most: int) -> tuple[list[Candle], int]:
    """Candles of `from` to `to`, or the newest `limit`; and their length, ms.

    Raises
    ------
    GateError : an unknown interval, or more than are given at once.
    """
    step = INTERVAL_MS.get(asked.query.get("interval", "30m"))
    if step is None:
        raise bad("interval")
    interval, now = asked.query.get("interval", "30m"), venue.now()
    last = asked.seconds("to") or now
    first = asked.seconds("from")
    if first is None:
        first = last - (asked.limit() - 1) * step
    if (last - first) // step + 1 > most:
        raise bad(f"Candlestick range too broad. Maximum {most} data points are allowed per request")
    return venue.candles(listing.symbol, interval, first // step * step, last), step


def newest(rows: Sequence[_T], limit: int) -> list[_T]:
    """The newest first."""
    return list(reversed(rows[-limit:]))


def _part(asked: Asked, name: str) -> dict[str, Any]:
    found = asked.body.get(name)
    if not isinstance(found, dict):
        raise bad(name)
    return found
