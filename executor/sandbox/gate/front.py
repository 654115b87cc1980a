"""`GateFront`: the local exchange as Gate spot and USDT futures."""

from collections.abc import Callable
from typing import Any

from executor.sandbox.book import Fill, Position, Trigger, Venue, VenueOrder
from executor.sandbox.faults import Faults
from executor.sandbox.gate import news, swap_frames
from executor.sandbox.gate.frames import market_id
from executor.sandbox.gate.rest import Rest
from executor.sandbox.gate.signing import GateKey
from executor.sandbox.gate.talk import ALL, Talk
from executor.sandbox.hub import Frame, Talker
from executor.sandbox.records import Event, Moved, Tick
from executor.sandbox.serving import Answer, Front, Request
from toolkit.bars.intervals import INTERVAL_MS, floor_ts

_SECTIONS = {"spot": "spot", "swap": "futures"}


class GateFront(Front):
    """All markets of `venue`, one key. See `Front` for the other parameters."""

    def __init__(
        self, venue: Venue, faults: Faults, key: GateKey, *, wall: Callable[[], int] | None = None, port: int = 0,
        move_clock: Callable[[int], None] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(venue, faults, wall=wall, port=port, move_clock=move_clock)
        self._key = key
        self._rest = Rest(venue, key, self.wall_ms)

    def answer(self, request: Request) -> Answer:
        return self._rest.answer(request)

    def too_many(self, pause_secs: float) -> Answer:
        return self._rest.too_many(pause_secs)

    def talker(self, request: Request) -> Talker:
        section = "futures" if "futures" in request.path or "/ws/usdt" in request.path else "spot"
        listed = self._rest.swap.listed() if section == "futures" else self._rest.spot.listed()
        names = frozenset(market_id(listing.symbol) for listing in listed)
        return Talk(section, names, self._key, self.venue.now, self.wall_ms)

    def ccxt_options(self, exchange: str = "gate") -> dict[str, Any]:
        """For `ccxt.async_support.gate` and `ccxt.pro.gate`."""
        url, sockets = f"http://{self.host}/api/v4", f"ws://{self.host}"
        names = ("wallet", "futures", "margin", "delivery", "spot", "options", "account", "unified", "subAccounts")
        api = {
            "public": dict.fromkeys(names, url),
            "private": dict.fromkeys((*names, "withdrawals", "earn", "loan"), url),
            "spot": f"{sockets}/ws/v4/",
            "swap": {"usdt": f"{sockets}/ws/futures/usdt"},
        }
        kinds = sorted({listing.market for listing in self.venue.listings.values()})
        return {
            "apiKey": self._key.key,
            "secret": self._key.secret,
            "uid": self._key.uid,
            "urls": {"api": api},
            "options": {
                "fetchMarkets": {"types": kinds},
                "swap": {"fetchMarkets": {"settlementCurrencies": ["usdt"]}},
                "unifiedAccount": False,
            },
            "enableRateLimit": False,
            "timeout": 5000,
        }

    def hear(self, event: Event) -> None:
        item = event.item
        if isinstance(item, Tick):
            self._hear_price(event.symbol, event.ts_ms)
        elif isinstance(item, Fill):
            is_spot = self._is_spot(event.symbol)
            row = news.spot_fill(item, self._key.uid) if is_spot else news.swap_fill(item)
            self._say(event.symbol, "usertrades", [row])
        elif isinstance(item, VenueOrder):
            self._hear_order(event.verb, item)
        elif isinstance(item, Trigger):
            self._hear_trigger(item, event.ts_ms)
        elif isinstance(item, Moved):
            self._hear_money(event.verb, item, event.ts_ms)
        elif isinstance(item, Position):
            row = news.position(item, self._rest.swap.position_row(item), event.ts_ms)
            self._say(event.symbol, "positions", [row])

    def _hear_order(self, verb: str, order: VenueOrder) -> None:
        if verb == "rest":
            return
        listing = self.venue.listings[order.symbol]
        make = news.spot_order if listing.market == "spot" else news.swap_order
        self._say(order.symbol, "orders", [make(order, listing, verb, self._key.uid)])

    def _hear_trigger(self, trigger: Trigger, ts_ms: int) -> None:
        if self._is_spot(trigger.symbol):
            self._say(trigger.symbol, "priceorders", [news.spot_trigger(trigger, self._key.uid, ts_ms)])
        else:
            self._say(trigger.symbol, "autoorders", [swap_frames.trigger_row(trigger, self._key.uid)])

    def _hear_money(self, account: str, moved: Moved, ts_ms: int) -> None:
        """Each account of its own, or one purse of which both tell."""
        markets = {listing.market for listing in self.venue.listings.values()}
        for market in markets if account == "spot" and not self.venue.is_apart else {account}:
            row = (
                news.spot_balance(moved, self._key.uid, ts_ms)
                if market == "spot"
                else news.swap_balance(moved, self._key.uid, ts_ms)
            )
            self._tell(_SECTIONS[market], "balances", ALL, [row])

    def _hear_price(self, symbol: str, ts_ms: int) -> None:
        listing, name = self.venue.listings[symbol], market_id(symbol)
        is_spot = listing.market == "spot"
        section = _SECTIONS[listing.market]
        if self._has(section, "tickers", name):
            row = self._rest.spot.day(listing) if is_spot else [self._rest.swap.day(listing)]
            self._tell(section, "tickers", name, row)
        for interval, step in INTERVAL_MS.items():
            if self._has(section, "candlesticks", f"{interval}_{name}"):
                slot = floor_ts(ts_ms, step)
                (candle,) = self.venue.candles(symbol, interval, slot, slot)
                make = news.spot_candle if is_spot else news.swap_candle
                found = make(candle, interval, listing)
                self._tell(section, "candlesticks", f"{interval}_{name}", found if is_spot else [found])
                self.venue.log.note(ts_ms, "push candle", symbol, id=interval)

    def _is_spot(self, symbol: str) -> bool:
        return self.venue.listings[symbol].market == "spot"

    def _say(self, symbol: str, channel: str, result: list[Frame]) -> None:
        self._tell(_SECTIONS[self.venue.listings[symbol].market], channel, market_id(symbol), result)

    def _has(self, section: str, channel: str, name: str) -> bool:
        return any(self._listens(line.talk, section, channel, name) for line in self.hub)

    def _tell(self, section: str, channel: str, name: str, result: object) -> None:
        for line in self.hub:
            talk = line.talk
            if isinstance(talk, Talk) and self._listens(talk, section, channel, name):
                self.hub.tell(line, talk.news(channel, result))

    def _listens(self, talk: Talker, section: str, channel: str, name: str) -> bool:
        return isinstance(talk, Talk) and talk.section == section and talk.is_wanted(channel, name)
