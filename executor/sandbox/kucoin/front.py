"""`KucoinFront`: the local exchange as KuCoin spot."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

from executor.sandbox.book import Fill, Trigger, Venue, VenueOrder
from executor.sandbox.faults import Fault, Faults
from executor.sandbox.hub import Talker
from executor.sandbox.kucoin import news
from executor.sandbox.kucoin.frames import market_id
from executor.sandbox.kucoin.rest import Rest, too_many
from executor.sandbox.kucoin.signing import ApiKey
from executor.sandbox.kucoin.talk import INTERVALS, Talk, Tokens
from executor.sandbox.records import Event, Moved, Tick
from executor.sandbox.serving import Answer, Front, Request
from toolkit.bars.intervals import INTERVAL_MS, floor_ts, interval_ms

_STOP_NEWS = {"open": "open", "fired": "triggered", "failed": "triggered", "canceled": "cancel", "expired": "cancel"}


class KucoinFront(Front):
    """Spot markets of `venue`, one key. Fault `expired_token` ends all websocket tokens that were given out so far.

    Swaps of the venue are not shown. ping_ms : how often clients are asked to ping. See `Front` for the others.
    """

    def __init__(
        self, venue: Venue, faults: Faults, key: ApiKey, *, wall: Callable[[], int] | None = None, port: int = 0,
        move_clock: Callable[[int], None] | None = None, ping_ms: int = 18_000,
    ) -> None:  # fmt: skip
        super().__init__(venue, faults, wall=wall, port=port, move_clock=move_clock)
        self._key, self._tokens, self._ping_ms = key, Tokens(), ping_ms
        self._rest = Rest(venue, key, self._tokens, self.wall_ms, self._server)
        faults.on_moment.append(self._expire)

    def answer(self, request: Request) -> Answer:
        return self._rest.answer(request)

    def too_many(self, pause_secs: float) -> Answer:
        return too_many(pause_secs)

    def talker(self, request: Request) -> Talker:
        token, connect_id = request.query.get("token", ""), request.query.get("connectId", "")
        if not self._tokens.is_known(token):
            return _Closed(connect_id)
        names = frozenset(market_id(listing.symbol) for listing in self._rest.markets.listed())
        return Talk(names, connect_id, self.wall_ms, private=self._tokens.is_private(token))

    def ccxt_options(self, exchange: str = "kucoin") -> dict[str, Any]:
        """For `ccxt.async_support.kucoin` and `ccxt.pro.kucoin`."""
        url = f"http://{self.host}"
        hosts = ("public", "private", "futuresPublic", "futuresPrivate", "webExchange", "broker", "earn", "uta")
        return {
            "apiKey": self._key.key,
            "secret": self._key.secret,
            "password": self._key.passphrase,
            "urls": {"api": {**dict.fromkeys(hosts, url), "utaPrivate": url, "utaV2": url}},
            "options": {"hf": True, "uta": False, "fetchMarkets": {"types": ["spot"], "fetchTickersFees": False}},
            "enableRateLimit": False,
            "timeout": 5000,
        }

    def hear(self, event: Event) -> None:
        item = event.item
        if isinstance(item, Tick):
            self._hear_price(event.symbol, item, event.ts_ms)
        elif isinstance(item, Fill):
            order = self.venue.order(item.order_id)
            if order is not None:
                self._say(news.ORDERS, lambda topic: news.match_news(order, item, order.filled, topic))
        elif isinstance(item, VenueOrder):
            self._hear_order(event.verb, item)
        elif isinstance(item, Trigger):
            kind = _STOP_NEWS[item.status]
            self._say(news.STOPS, lambda _: news.stop_news(item, kind, event.ts_ms))
        elif isinstance(item, Moved):
            self._say(news.BALANCES, lambda _: news.balance_news(item, event.ts_ms))

    def _hear_order(self, verb: str, order: VenueOrder) -> None:
        if verb == "finish":
            kind = "filled" if order.status == "closed" else "canceled"
        elif verb == "rest":
            kind = "open"
        else:
            return
        self._say(news.ORDERS, lambda topic: news.order_news(order, kind, topic))

    def _hear_price(self, symbol: str, tick: Tick, ts_ms: int) -> None:
        listing, name = self.venue.listings[symbol], market_id(symbol)
        if listing.market != "spot":
            return
        self._say(f"{news.TICKER}:{name}", lambda _: news.ticker_news(symbol, tick.price, tick.volume, ts_ms))
        self._say(f"{news.TICKER}:all", lambda _: news.ticker_news(symbol, tick.price, tick.volume, ts_ms, to_all=True))
        self._say(f"{news.SNAPSHOT}:{name}", lambda _: news.snapshot_news(self._rest.markets.day(listing), ts_ms))
        for theirs, ours in INTERVALS.items():
            if ours in INTERVAL_MS and self._say(
                f"{news.CANDLES}:{name}_{theirs}", partial(self._candle, symbol, theirs, ts_ms)
            ):
                self.venue.log.note(ts_ms, "push candle", symbol, id=theirs)

    def _candle(self, symbol: str, theirs: str, ts_ms: int, _: str) -> news.Frame:
        ours = INTERVALS[theirs]
        slot = floor_ts(ts_ms, interval_ms(ours))
        return news.candle_news(symbol, theirs, self.venue.candles(symbol, ours, slot, slot)[0], ts_ms)

    def _say(self, topic: str, make: Callable[[str], news.Frame]) -> bool:
        """To whoever listens to the topic; False where nobody does. Orders have a topic of a second version."""
        names = (topic, news.ORDERS_V2) if topic == news.ORDERS else (topic,)
        is_said = False
        for line, name in itertools.product(self.hub, names):
            if isinstance(line.talk, Talk) and name in line.talk.topics:
                self.hub.tell(line, make(name))
                is_said = True
        return is_said

    def _server(self) -> tuple[str, int]:
        return f"ws://{self.host}/endpoint", self._ping_ms

    def _expire(self, fault: Fault) -> None:
        if fault.kind == "expired_token":
            self._tokens.expire()


class _Closed:
    """A socket whose token has expired: it is told so and closed."""

    is_over = True

    def __init__(self, connect_id: str) -> None:
        self._connect_id = connect_id

    def greeting(self) -> news.Frame:
        return news.error(self._connect_id, 401, "token is expired")

    def answer(self, said: news.Frame) -> list[news.Frame]:
        return []
