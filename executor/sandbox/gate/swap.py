"""Gate's USDT futures routes on the venue's core."""

from collections.abc import Mapping
from typing import Any

from executor.sandbox.book import Listing, NewOrder, Position, Trigger, Venue, VenueOrder
from executor.sandbox.gate.asked import Asked, Route, number, route
from executor.sandbox.gate.errors import (
    ABOVE_LAST,
    BELOW_LAST,
    FINISHED,
    MISSING,
    NO_CHANGE,
    UNKNOWN_CONTRACT,
    GateError,
    bad,
)
from executor.sandbox.gate.frames import market_id
from executor.sandbox.gate.spot import candles_of, newest
from executor.sandbox.gate.swap_frames import (
    Frame,
    booked_row,
    candle_row,
    contract_row,
    fill_row,
    order_row,
    position_row,
    ticker_row,
    trigger_row,
)
from executor.sandbox.steps import plain

_MOST_CANDLES = 2000
_TIFS = {"gtc": "gtc", "ioc": "ioc", "poc": "poc"}
_LIFE_SECS = 86_400.0


class Swap:
    """What `/futures/usdt/...` does. uid : of the account."""

    def __init__(self, venue: Venue, uid: str) -> None:
        self._venue, self._uid = venue, uid

    def routes(self) -> list[Route]:
        at = "/futures/usdt"
        return [
            route("GET", f"{at}/contracts", lambda _: [self._contract(listing) for listing in self.listed()]),
            route("GET", f"{at}/contracts/{{}}", lambda asked: self._contract(self._listing(asked.named))),
            route("GET", f"{at}/tickers", self.tickers),
            route("GET", f"{at}/candlesticks", self.candles),
            route("GET", f"{at}/accounts", self.account, "read"),
            route("GET", f"{at}/account_book", self.book, "read"),
            route("GET", f"{at}/positions", self.positions, "read"),
            route("GET", f"{at}/positions/{{}}", self.position, "read"),
            route("GET", f"{at}/dual_comp/positions/{{}}", self.both_positions, "read"),
            route("POST", f"{at}/positions/{{}}/leverage", self.set_leverage, "futures"),
            route("POST", f"{at}/dual_comp/positions/{{}}/leverage", self.set_leverage, "futures"),
            route("POST", f"{at}/dual_mode", self.set_mode, "futures"),
            route("GET", f"{at}/my_trades", self.fills, "read"),
            route("GET", f"{at}/my_trades_timerange", self.fills, "read"),
            route("GET", f"{at}/orders", self.orders, "read"),
            route("GET", f"{at}/orders_timerange", self.orders, "read"),
            route("POST", f"{at}/orders", self.place, "futures"),
            route("DELETE", f"{at}/orders", self.cancel_all, "futures"),
            route("GET", f"{at}/orders/{{}}", lambda asked: self._row(self._found(asked)), "read"),
            route("PUT", f"{at}/orders/{{}}", self.amend, "futures"),
            route("DELETE", f"{at}/orders/{{}}", self.cancel, "futures"),
            route("GET", f"{at}/price_orders", self.triggers, "read"),
            route("POST", f"{at}/price_orders", self.place_trigger, "futures"),
            route("DELETE", f"{at}/price_orders", self.cancel_triggers, "futures"),
            route("GET", f"{at}/price_orders/{{}}", lambda asked: self._trigger_row(self._trigger(asked)), "read"),
            route("DELETE", f"{at}/price_orders/{{}}", self.cancel_trigger, "futures"),
        ]

    def listed(self) -> list[Listing]:
        """Swap markets; delisted ones are gone."""
        found = self._venue.listings.values()
        return [listing for listing in found if listing.market == "swap" and listing.status != "delisted"]

    def tickers(self, asked: Asked) -> list[Frame]:
        wanted = asked.query.get("contract")
        return [self.day(listing) for listing in self.listed() if wanted in (None, "", market_id(listing.symbol))]

    def day(self, listing: Listing) -> Frame:
        """24 hours of a market."""
        return ticker_row(listing, self._venue.last_price(listing.symbol), self._venue.day(listing.symbol))

    def candles(self, asked: Asked) -> list[Frame]:
        """Oldest first, the open one with them."""
        listing = self._listing(asked.query.get("contract"))
        rows, _ = candles_of(self._venue, listing, asked, _MOST_CANDLES)
        return [candle_row(row, listing) for row in rows]

    def account(self, _: Asked) -> Frame:
        """Source: https://www.gate.com/docs/developers/apiv4/en/#get-futures-account"""
        money = self._venue.balances("swap").get("USDT")
        positions = self._venue.held_for("swap", "position")
        total, free, held = (money.total, money.free, money.held) if money else (0.0, 0.0, 0.0)
        return {
            "user": int(self._uid),
            "currency": "USDT",
            "total": plain(total),
            "unrealised_pnl": "0",
            "position_margin": plain(positions),
            "order_margin": plain(held - positions),
            "available": plain(free),
            "point": "0",
            "bonus": "0",
            "in_dual_mode": self._venue.hedge,
            "enable_credit": True,
            "position_initial_margin": "0",
            "maintenance_margin": "0",
            "enable_evolved_classic": False,
            "position_mode": "dual" if self._venue.hedge else "single",
        }

    def book(self, asked: Asked) -> list[Frame]:
        since = asked.seconds("from") or 0
        rows = self._venue.booked("", since // 1000 if since > 10**14 else since, "swap")
        return [booked_row(row) for row in newest(rows, asked.limit())]

    def positions(self, _: Asked) -> list[Frame]:
        """Of every market that was ever traded, closed ones with a size of 0."""
        return [self.position_row(position) for position in self._venue.positions()]

    def position(self, asked: Asked) -> Frame:
        return self.position_row(self._venue.position(self._listing(asked.named).symbol, "both"))

    def both_positions(self, asked: Asked) -> list[Frame]:
        symbol = self._listing(asked.named).symbol
        return [self.position_row(self._venue.position(symbol, side)) for side in ("long", "short")]

    def position_row(self, position: Position) -> Frame:
        listing = self._venue.listings[position.symbol]
        return position_row(position, listing, self._venue.last_price(position.symbol), self._uid)

    def set_leverage(self, asked: Asked) -> object:
        symbol = self._listing(asked.named).symbol
        leverage = number(asked.query, "leverage")
        is_cross = not leverage
        if is_cross:
            leverage = number(asked.query, "cross_leverage_limit") or 1.0
        if not 1 <= leverage <= 100:
            raise bad("leverage")
        self._venue.set_leverage(symbol, leverage)
        self._venue.set_margin(symbol, "cross" if is_cross else "isolated")
        return self.both_positions(asked) if self._venue.hedge else self.position(asked)

    def set_mode(self, asked: Asked) -> Frame:
        hedge = asked.query.get("dual_mode") in ("true", "True")
        if hedge == self._venue.hedge:
            raise GateError(NO_CHANGE)
        self._venue.set_mode(hedge=hedge)
        return self.account(asked)

    def fills(self, asked: Asked) -> list[Frame]:
        rows = self._venue.fills(self._symbol(asked.query.get("contract")), asked.seconds("from") or 0)
        wanted = [
            fill
            for fill in rows
            if self._is_swap(fill.symbol) and asked.query.get("order") in (None, "", fill.order_id)
        ]
        return [fill_row(fill) for fill in newest(wanted, asked.limit())]

    def place(self, asked: Asked) -> Frame:
        return self._row(self._venue.place(self._new(asked.body)))

    def amend(self, asked: Asked) -> Frame:
        order = self._found(asked)
        values = {name: abs(number(asked.body, name)) for name in ("size", "price") if asked.body.get(name)}
        return self._row(self._venue.amend(order.id, price=values.get("price"), qty=values.get("size")))

    def cancel(self, asked: Asked) -> Frame:
        order = self._found(asked)
        if order.status != "open":
            raise GateError(FINISHED)
        return self._row(self._venue.cancel(order.id))

    def cancel_all(self, asked: Asked) -> list[Frame]:
        orders = self._venue.open_orders(self._symbol(asked.query.get("contract")))
        return [self._row(self._venue.cancel(order.id)) for order in orders if self._is_swap(order.symbol)]

    def orders(self, asked: Asked) -> list[Frame]:
        symbol = self._symbol(asked.query.get("contract"))
        rows = self._venue.open_orders(symbol) if asked.query.get("status") == "open" else []
        if asked.query.get("status") != "open":
            rows = self._venue.finished(symbol, asked.seconds("from") or 0)
        return [self._row(order) for order in newest(rows, asked.limit()) if self._is_swap(order.symbol)]

    def place_trigger(self, asked: Asked) -> Frame:
        trigger, initial = asked.body.get("trigger"), asked.body.get("initial")
        if not isinstance(trigger, dict) or not isinstance(initial, dict):
            raise bad("trigger or initial")
        rule = {"1": ">=", "2": "<="}.get(str(trigger.get("rule")))
        if rule is None:
            raise bad("Trigger.rule")
        new, price = self._new(initial), number(trigger, "price")
        last = self._venue.last_price(new.symbol)
        if rule == "<=" and price >= last:
            raise GateError(BELOW_LAST)
        if rule == ">=" and price <= last:
            raise GateError(ABOVE_LAST)
        life = float(trigger.get("expiration") or _LIFE_SECS)
        return {"id": int(self._venue.place_trigger(new, rule, price, life).id)}

    def triggers(self, asked: Asked) -> list[Frame]:
        is_open = asked.query.get("status") == "open"
        rows = self._venue.triggers(self._symbol(asked.query.get("contract")), waiting=is_open)
        return [self._trigger_row(row) for row in newest(rows, asked.limit()) if self._is_swap(row.symbol)]

    def cancel_trigger(self, asked: Asked) -> Frame:
        trigger = self._trigger(asked)
        if trigger.status != "open":
            raise GateError(FINISHED)
        return self._trigger_row(self._venue.cancel_trigger(trigger.id))

    def cancel_triggers(self, asked: Asked) -> list[Frame]:
        rows = self._venue.triggers(self._symbol(asked.query.get("contract")))
        swaps = [row for row in rows if self._is_swap(row.symbol)]
        return [self._trigger_row(self._venue.cancel_trigger(row.id)) for row in swaps]

    def _new(self, body: Mapping[str, Any]) -> NewOrder:
        """size 0 with `close`, or with `auto_size` in dual mode, closes the position."""
        symbol = self._listing(body.get("contract")).symbol
        size, price = number(body, "size"), number(body, "price")
        reduces = body.get("reduce_only") in (True, "true") or body.get("is_reduce_only") in (True, "true")
        auto = str(body.get("auto_size") or "")
        if not size and (body.get("close") or auto):
            side = {"close_long": "long", "close_short": "short"}.get(auto, "both")
            size, reduces = -self._venue.position(symbol, side).qty, True
        tif = _TIFS.get(str(body.get("tif") or "gtc"))
        if not size or tif is None or (not price and tif not in ("ioc",)):
            raise bad("size or tif")
        side, kind = "buy" if size > 0 else "sell", "limit" if price else "market"
        position_side = ""
        if self._venue.hedge:
            # Buying opens a long, and closes a short where it may only reduce.
            position_side = "long" if (side == "buy") != reduces else "short"
        text = str(body.get("text") or "")
        return NewOrder(symbol, side, kind, abs(size), price, text, tif, reduces, position_side)

    def _found(self, asked: Asked) -> VenueOrder:
        """By number; by `text` only while it is open, as was seen at the venue."""
        order = self._venue.order(asked.named)
        if order is None:
            named = [one for one in self._venue.by_client(asked.named) if one.status == "open"]
            order = named[-1] if named else None
        if order is None or not self._is_swap(order.symbol):
            raise GateError(MISSING)
        return order

    def _trigger(self, asked: Asked) -> Trigger:
        trigger = self._venue.trigger(asked.named)
        if trigger is None or not self._is_swap(trigger.symbol):
            raise GateError(MISSING)
        return trigger

    def _listing(self, name: object) -> Listing:
        base, _, quote = str(name).partition("_")
        listing = self._venue.listings.get(f"{base}/{quote}:{quote}")
        if listing is None or listing.market != "swap":
            raise GateError(UNKNOWN_CONTRACT)
        return listing

    def _symbol(self, name: object) -> str:
        """ "" for all."""
        return self._listing(name).symbol if name else ""

    def _is_swap(self, symbol: str) -> bool:
        return self._venue.listings[symbol].market == "swap"

    def _contract(self, listing: Listing) -> Frame:
        return contract_row(listing, self._venue.last_price(listing.symbol), self._venue.rate(listing.symbol))

    def _row(self, order: VenueOrder) -> Frame:
        return order_row(order, self._venue.listings[order.symbol], self._uid)

    def _trigger_row(self, trigger: Trigger) -> Frame:
        return trigger_row(trigger, self._uid)
