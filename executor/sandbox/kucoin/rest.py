"""`Rest`: KuCoin's REST routes."""

import re
from collections.abc import Callable
from typing import NamedTuple

from executor.sandbox.book import RefusalError, Venue
from executor.sandbox.kucoin.account import Account, Markets
from executor.sandbox.kucoin.asked import Asked, values_of
from executor.sandbox.kucoin.errors import BAD_PARAMETER, DENIED, NO_ROUTE, REFUSALS, TOO_MANY, KucoinError, Word
from executor.sandbox.kucoin.frames import bullet, key_row, ok
from executor.sandbox.kucoin.orders import Orders
from executor.sandbox.kucoin.signing import ApiKey, denial
from executor.sandbox.kucoin.talk import Tokens
from executor.sandbox.serving import Answer, Request

Reply = Callable[[Asked], object]


class _Route(NamedTuple):
    method: str
    path: re.Pattern[str]
    reply: Reply
    permission: str


class Rest:
    """Routes of the spot API as ccxt asks them with `hf=True, uta=False`; private ones want a signature.

    Parameters
    ----------
    wall_ms : the venue's clock for stamps. server : address and ping interval (ms) of its websockets.
    """

    def __init__(
        self,
        venue: Venue,
        key: ApiKey,
        tokens: Tokens,
        wall_ms: Callable[[], int],
        server: Callable[[], tuple[str, int]],
    ) -> None:
        self._venue, self._key, self._tokens, self._wall_ms, self._server = venue, key, tokens, wall_ms, server
        self.markets, orders, account = Markets(venue), Orders(venue), Account(venue)
        self._routes = [
            *_public(self.markets),
            *_trading(orders),
            *_stops(orders),
            *_reading(orders, account),
            _route("GET", "/api/v1/timestamp", lambda _: wall_ms()),
            _route("GET", "/api/v1/status", lambda _: {"status": "open", "msg": ""}),
            _route("POST", "/api/v1/bullet-public", lambda _: self._bullet(private=False)),
            _route("POST", "/api/v1/bullet-private", lambda _: self._bullet(private=True), "General"),
            _route("GET", "/api/v1/user/api-key", lambda _: key_row(key.key, key.permission), "General"),
        ]

    def answer(self, request: Request) -> Answer:
        """What KuCoin answers: business errors too come with HTTP 200."""
        try:
            return Answer(ok(self._reply(request)))
        except KucoinError as error:
            return _refusal(error.word)
        except RefusalError as error:
            return _refusal(REFUSALS.get(error.code, BAD_PARAMETER))

    def _reply(self, request: Request) -> object:
        for route in self._routes:
            found = route.path.fullmatch(request.path)
            if found is None or route.method != request.method:
                continue
            if route.permission:
                self._check(request, route.permission)
            values = values_of(request.method, request.query, request.body)
            return route.reply(Asked(request.method, request.path, values, found.groupdict().get("named") or ""))
        raise KucoinError(NO_ROUTE)

    def _check(self, request: Request, permission: str) -> None:
        denied = denial(request.headers, request.method, request.target, request.body, self._key, self._wall_ms())
        if denied is not None:
            raise KucoinError(Word(denied.status, denied.code, denied.text))
        if permission not in self._key.permission.split(","):
            raise KucoinError(DENIED)

    def _bullet(self, *, private: bool) -> object:
        return bullet(self._tokens.make(private=private), *self._server())


def too_many(pause_secs: float) -> Answer:
    """Source: https://www.kucoin.com/docs-new/rate-limit"""
    headers = {
        "gw-ratelimit-limit": "4000",
        "gw-ratelimit-remaining": "0",
        "gw-ratelimit-reset": str(int(pause_secs * 1000)),
    }
    return _refusal(TOO_MANY, headers)


def _refusal(word: Word, headers: dict[str, str] | None = None) -> Answer:
    return Answer({"code": word.code, "msg": word.text}, word.status, headers or {})


def _route(method: str, path: str, reply: Reply, permission: str = "") -> _Route:
    return _Route(method, re.compile(path.replace("{}", "(?P<named>[^/]+)")), reply, permission)


def _public(markets: Markets) -> list[_Route]:
    return [
        _route("GET", "/api/v2/symbols", markets.symbols),
        _route("GET", "/api/v3/currencies", markets.currencies),
        _route("GET", "/api/v1/market/stats", markets.ticker),
        _route("GET", "/api/v1/market/allTickers", markets.tickers),
        _route("GET", "/api/v1/market/orderbook/level1", markets.level1),
        _route("GET", "/api/v1/market/candles", markets.candles),
    ]


def _trading(orders: Orders) -> list[_Route]:
    hf = "/api/v1/hf/orders"
    return [
        _route("POST", hf, orders.place, "Spot"),
        _route("POST", f"{hf}/sync", orders.place_and_tell, "Spot"),
        _route("POST", f"{hf}/test", orders.try_out, "Spot"),
        _route("POST", f"{hf}/alter", orders.amend, "Spot"),
        _route("DELETE", hf, orders.cancel_symbol, "Spot"),
        _route("DELETE", f"{hf}/cancelAll", orders.cancel_all, "Spot"),
        _route("DELETE", f"{hf}/client-order/{{}}", orders.cancel_by_client, "Spot"),
        _route("DELETE", f"{hf}/sync/client-order/{{}}", orders.cancel_by_client_and_tell, "Spot"),
        _route("DELETE", f"{hf}/sync/{{}}", orders.cancel_and_tell, "Spot"),
        _route("DELETE", f"{hf}/{{}}", orders.cancel, "Spot"),
    ]


def _stops(orders: Orders) -> list[_Route]:
    stop = "/api/v1/stop-order"
    return [
        _route("POST", stop, orders.place_stop, "Spot"),
        _route("DELETE", f"{stop}/cancelOrderByClientOid", orders.cancel_stop_by_client, "Spot"),
        _route("DELETE", f"{stop}/cancel", orders.cancel_stops, "Spot"),
        _route("DELETE", f"{stop}/{{}}", orders.cancel_stop, "Spot"),
        _route("GET", stop, orders.stops, "General"),
        _route("GET", f"{stop}/queryOrderByClientOid", orders.stops_by_client, "General"),
        _route("GET", f"{stop}/{{}}", orders.stop, "General"),
    ]


def _reading(orders: Orders, account: Account) -> list[_Route]:
    hf = "/api/v1/hf/orders"
    return [
        _route("GET", f"{hf}/active", orders.open_orders, "General"),
        _route("GET", f"{hf}/done", orders.finished, "General"),
        _route("GET", f"{hf}/client-order/{{}}", orders.order_by_client, "General"),
        _route("GET", f"{hf}/{{}}", orders.order, "General"),
        _route("GET", "/api/v1/hf/fills", orders.fills, "General"),
        _route("GET", "/api/v1/accounts", account.accounts, "General"),
        _route("GET", "/api/v1/hf/accounts/ledgers", account.ledger, "General"),
        # What ccxt asks with a key when it is not told of the kind of account.
        _route("GET", "/api/v1/hf/accounts/opened", lambda _: True, "General"),
        _route("GET", "/api/ua/v1/account/mode", lambda _: {"selfAccountMode": "CLASSIC"}, "General"),
        _route("GET", "/api/v3/margin/symbols", lambda _: {"timestamp": 0, "items": []}, "General"),
        _route("GET", "/api/v1/isolated/symbols", lambda _: [], "General"),
    ]
