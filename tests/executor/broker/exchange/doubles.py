"""Small servers that answer ccxt as Gate and KuCoin do, for what a gateway asks; a fault is one line of a test.

They match nothing and verify nothing: an order that takes fills at once, any other waits. `executor.sandbox` is the
exchange that behaves; these two are for answers and connections that go wrong.
"""

import asyncio
import json
import time
from types import TracebackType
from typing import Any

from aiohttp import WSMsgType, web

PRICE = 2_000.0


class Double:
    """What both have: a server, its sockets, a log of requests, answers to give instead.

    Attributes
    ----------
    instead : (status, body) that the next requests for orders are answered with, nothing being done.
    lose : so many orders are done, and their connection closed without an answer. mute : sockets say nothing.
    ahead_ms : of the venue's clock before this machine's. asked : (method, path, body) of what was asked.
    """

    def __init__(self) -> None:
        self.instead: list[tuple[int, str]] = []
        self.lose = 0
        self.mute = False
        self.ahead_ms = 0
        self.price = PRICE
        self.orders: dict[str, dict[str, Any]] = {}
        self.triggers: dict[str, dict[str, Any]] = {}
        self.trades: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, str]] = []
        self.told: list[dict[str, Any]] = []
        self.sockets: set[web.WebSocketResponse] = set()
        self._number = 100

    async def __aenter__(self) -> "Double":
        app = web.Application()
        app.router.add_route("GET", "/ws/{tail:.*}", self._socket)
        app.router.add_route("*", "/api/{path:.*}", self._rest)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drop()
        await self._runner.cleanup()

    async def drop(self) -> None:
        for one in list(self.sockets):
            await one.close()

    def posted(self, path: str) -> list[dict[str, Any]]:
        """Bodies of orders that reached the venue."""
        return [json.loads(body) for method, where, body in self.asked if method == "POST" and where == path]

    def number(self) -> str:
        self._number += 1
        return str(self._number)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        path, body = request.match_info["path"], await request.text()
        self.asked.append((request.method, path, body))
        is_order = request.method == "POST" and path.endswith(("orders", "stop-order"))
        if is_order and self.instead:
            status, text = self.instead.pop(0)
            return web.Response(status=status, text=text, content_type="application/json", headers={"Retry-After": "2"})
        answer = self.answer(request.method, path, dict(request.query), body, request.headers)
        if is_order and self.lose:
            self.lose -= 1
            assert request.transport is not None
            request.transport.close()
        return answer

    def answer(self, method: str, path: str, query: dict[str, str], body: str, headers: Any) -> web.Response:
        raise NotImplementedError

    async def push(self, message: dict[str, Any]) -> None:
        for one in [] if self.mute else list(self.sockets):
            await one.send_json(message)

    def push_soon(self, message: dict[str, Any]) -> None:
        asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(self.push(message)))

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await self.greet(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    said = json.loads(message.data)
                    self.told.append(said)
                    await socket.send_json(self.reply(said))
                    if said.get("type", "subscribe") == "subscribe":
                        self.sockets.add(socket)
        finally:
            self.sockets.discard(socket)
        return socket

    async def greet(self, socket: web.WebSocketResponse) -> None:
        return None

    def reply(self, said: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


class GateDouble(Double):
    """Gate's ETH/USDT, spot and swap (contracts of 0.001 ETH)."""

    def __init__(self) -> None:
        super().__init__()
        self.dual, self.leverage = False, "10"

    def options(self) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/api/v4"
        sections = dict.fromkeys(("wallet", "futures", "margin", "delivery", "spot", "options", "account"), url)
        sockets = f"ws://127.0.0.1:{self.port}/ws"
        return {
            "urls": {
                "api": {
                    "public": sections,
                    "private": sections,
                    "spot": f"{sockets}/v4/",
                    "swap": {"usdt": f"{sockets}/futures/usdt"},
                }
            }
        }

    async def tick(self, price: float) -> None:
        self.price = price
        await self.push(_gate_news("spot.tickers", {"currency_pair": "ETH_USDT", "last": str(price)}))

    def reply(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"id": said["id"], "channel": said["channel"], "event": "subscribe", "result": {"status": "success"}}

    def answer(self, method: str, path: str, query: dict[str, str], body: str, headers: Any) -> web.Response:
        stamp = headers.get("Timestamp")
        if stamp is not None and abs(int(stamp) * 1000 - self.now_ms()) > 60_000:
            return _gate_error(403, "REQUEST_EXPIRED")
        path = path.removeprefix("v4/")
        fixed = self._fixed(path, query)
        if fixed is not None:
            return web.json_response(fixed)
        room, _, rest = path.partition("/")
        rest = rest.removeprefix("usdt/")
        kind, _, number = rest.partition("/")
        if kind in ("orders", "price_orders"):
            if method == "POST":
                return web.json_response(self._place(room, kind, json.loads(body)))
            rows = self.orders if kind == "orders" else self.triggers
            if not number:
                return web.json_response([row for row in rows.values() if _is_open(row) == (query["status"] == "open")])
            row = rows.get(number) or next((one for one in rows.values() if one.get("text") == number), None)
            if row is None:
                return _gate_error(404, "ORDER_NOT_FOUND")
            if method == "DELETE" and not _is_open(row):
                return _gate_error(400, "ORDER_FINISHED" if room == "futures" else "ORDER_CLOSED")
            if method == "DELETE":
                row |= {"status": "finished" if room == "futures" else "cancelled", "finish_as": "cancelled"}
            return web.json_response(row)
        return _gate_error(404, "NOT_FOUND")

    def _fixed(self, path: str, query: dict[str, str]) -> Any:
        found = [row for row in self.orders.values() if _is_open(row)]
        answers: dict[str, Any] = {
            "spot/time": {"server_time": self.now_ms()},
            "spot/currency_pairs": [_PAIR],
            "margin/currency_pairs": [],
            "futures/usdt/contracts": [_CONTRACT],
            "futures/usdt/accounts": {
                "currency": "USDT",
                "total": "900",
                "available": "800",
                "in_dual_mode": self.dual,
            },
            "futures/usdt/positions": [{"contract": "ETH_USDT", "size": -5, "entry_price": "2000", "leverage": "1"}],
            "futures/usdt/my_trades_timerange": self.trades,
            "futures/usdt/tickers": [{"contract": "ETH_USDT", "last": str(self.price)}],
            "spot/accounts": [{"currency": "USDT", "available": "90", "locked": "10"}, _ETH],
            "spot/tickers": [{"currency_pair": "ETH_USDT", "last": str(self.price)}],
            "spot/open_orders": [{"currency_pair": "ETH_USDT", "total": len(found), "orders": found}],
            "spot/my_trades": self.trades,
            "account/detail": {"user_id": 7},
            "account/main_keys": [{"key": "k", "perms": [{"name": "spot", "read_only": False}]}],
        }
        if path == "futures/usdt/dual_mode":
            self.dual = query["dual_mode"] == "true"
            return {"in_dual_mode": self.dual}
        if path.endswith("/leverage"):
            self.leverage = query["leverage"]
            return {"leverage": self.leverage, "cross_leverage_limit": "0"}
        return answers.get(path)

    def _place(self, room: str, kind: str, asked: dict[str, Any]) -> dict[str, Any]:
        number, now = self.number(), self.now_ms()
        if kind == "price_orders":
            self.triggers[number] = asked | {"id": int(number), "status": "open", "ctime": now // 1000}
            return {"id": int(number)}
        row = _gate_swap_order(number, now, asked) if room == "futures" else _gate_spot_order(number, now, asked)
        self.orders[number] = row
        if room == "futures" and not _is_open(row):
            trade = {"id": int(number), "contract": "ETH_USDT", "order_id": number, "size": asked["size"]}
            self.trades.append(trade | {"price": str(PRICE), "fee": "0.25", "create_time": now / 1000})
        self.push_soon(_gate_news(f"{room}.orders", [row | ({} if room == "futures" else {"event": "finish"})]))
        return row


class KucoinDouble(Double):
    """KuCoin's ETH/USDT, spot."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = 0

    def options(self) -> dict[str, Any]:
        return {"urls": {"api": dict.fromkeys(("public", "private"), f"http://127.0.0.1:{self.port}")}}

    async def tick(self, price: float) -> None:
        self.price = price
        await self.push(_kucoin_news("/market/ticker:ETH-USDT", "trade.ticker", {"price": str(price)}))

    async def greet(self, socket: web.WebSocketResponse) -> None:
        await socket.send_json({"id": "x", "type": "welcome"})

    def reply(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"id": said["id"], "type": "pong" if said["type"] == "ping" else "ack"}

    def answer(self, method: str, path: str, query: dict[str, str], body: str, headers: Any) -> web.Response:
        stamp = headers.get("KC-API-TIMESTAMP")
        if stamp is not None and abs(int(stamp) - self.now_ms()) > 5_000:
            return _kucoin_error("400002", "KC-API-TIMESTAMP Invalid")
        kind, _, number = path.removeprefix("v1/").removeprefix("hf/").partition("/")
        if kind in ("orders", "stop-order") and method == "POST":
            return _kucoin(self._place(kind, json.loads(body)))
        if kind in ("orders", "stop-order") and number not in ("", "active", "done"):
            return self._one(method, self.orders if kind == "orders" else self.triggers, number, query)
        return _kucoin(self._fixed(path))

    def _fixed(self, path: str) -> Any:
        if path.startswith("v1/bullet"):
            self.tokens += 1
            server = {"endpoint": f"ws://127.0.0.1:{self.port}/ws/endpoint", "pingInterval": 18_000}
            return {"token": f"token-{self.tokens}", "instanceServers": [server]}
        return {
            "v1/timestamp": self.now_ms(),
            "v2/symbols": [_KUCOIN_SYMBOL],
            "v1/accounts": [
                {"currency": "ETH", "type": "trade_hf", "balance": "1.5", "available": "1", "holds": "0.5"}
            ],
            "v1/user/api-key": {"permission": "General,Spot"},
            "v1/market/stats": {"symbol": "ETH-USDT", "last": str(self.price)},
            "v1/market/orderbook/level1": {"price": str(self.price)},
            "v1/hf/orders/active": [row for row in self.orders.values() if row["active"]],
            "v1/hf/orders/done": {"items": [row for row in self.orders.values() if not row["active"]]},
            "v1/hf/fills": {"items": []},
            "v1/stop-order": {"items": list(self.triggers.values())},
        }[path]

    def _one(self, method: str, rows: dict[str, Any], number: str, query: dict[str, str]) -> web.Response:
        name = query.get("clientOid", number.rpartition("/")[2])
        row = rows.get(name) or next((one for one in rows.values() if one["clientOid"] == name), None)
        if row is None or (method == "DELETE" and row.get("active") is False):
            return _kucoin_error("400100", "order_not_exist_or_not_allow_to_cancel")
        if method == "DELETE" and rows is self.triggers:
            del rows[row["id"]]
        elif method == "DELETE":
            row |= {"active": False, "cancelExist": True}
        return _kucoin({"cancelledOrderIds": [row["id"]]} if method == "DELETE" else row)

    def _place(self, kind: str, asked: dict[str, Any]) -> dict[str, Any]:
        number, now = self.number(), self.now_ms()
        if kind == "stop-order":
            number = f"vs{number}"
            self.triggers[number] = asked | {"id": number, "symbol": "ETH-USDT", "status": "NEW", "createdAt": now}
            return {"orderId": number}
        filled = asked["size"] if asked["type"] == "market" else "0"
        money = float(filled) * PRICE
        row = asked | {"id": number, "symbol": "ETH-USDT", "dealSize": filled, "dealFunds": str(money)}
        row |= {"fee": str(money / 1000), "feeCurrency": "USDT", "createdAt": now, "cancelExist": False}
        self.orders[number] = row | {"active": not money}
        news = {"symbol": "ETH-USDT", "orderId": number, "clientOid": asked["clientOid"], "side": asked["side"]}
        news |= {"orderType": asked["type"], "size": asked["size"], "filledSize": filled, "ts": now * 1_000_000}
        state = {"type": "filled", "status": "done"} if money else {"type": "open", "status": "open"}
        self.push_soon(_kucoin_news("/spotMarket/tradeOrders", "orderChange", news | state))
        return {"orderId": number}


_ETH = {"currency": "ETH", "available": "1", "locked": "0.5"}
_PAIR = {
    "id": "ETH_USDT", "base": "ETH", "quote": "USDT", "fee": "0.2", "min_base_amount": "0.001",
    "min_quote_amount": "1", "amount_precision": 3, "precision": 2, "trade_status": "tradable", "buy_start": 0,
}  # fmt: skip
_CONTRACT = {
    "name": "ETH_USDT", "type": "direct", "quanto_multiplier": "0.001", "maker_fee_rate": "-0.0001",
    "taker_fee_rate": "0.0005", "order_price_round": "0.05", "order_price_deviate": "0.5", "order_size_min": 1,
    "order_size_max": 1_000_000, "mark_price": "2000", "leverage_min": "1", "leverage_max": "100",
    "in_delisting": False, "status": "trading",
}  # fmt: skip
_KUCOIN_SYMBOL = {
    "symbol": "ETH-USDT", "baseCurrency": "ETH", "quoteCurrency": "USDT", "feeCurrency": "USDT",
    "baseMinSize": "0.001", "quoteMinSize": "0.1", "baseMaxSize": "10000", "quoteMaxSize": "99999999",
    "baseIncrement": "0.001", "quoteIncrement": "0.01", "priceIncrement": "0.01", "minFunds": "0.1",
    "enableTrading": True,
}  # fmt: skip


def _gate_spot_order(number: str, now: int, asked: dict[str, Any]) -> dict[str, Any]:
    is_done = asked["type"] == "market" or asked.get("time_in_force") == "ioc"
    filled = asked["amount"] if is_done else "0"
    row = asked | {"id": number, "status": "closed" if is_done else "open", "create_time_ms": now}
    row |= {"update_time_ms": now, "left": "0" if is_done else asked["amount"], "price": asked.get("price", "0")}
    row |= {"filled_total": str(float(filled) * PRICE), "avg_deal_price": str(PRICE) if is_done else "0"}
    row |= {"fee": str(float(filled) / 500), "fee_currency": "ETH", "gt_fee": "0", "point_fee": "0"}
    return row | {"rebated_fee": "0", "rebated_fee_currency": "USDT", "finish_as": "filled" if is_done else "open"}


def _gate_swap_order(number: str, now: int, asked: dict[str, Any]) -> dict[str, Any]:
    is_done = asked.get("tif") == "ioc"
    row = asked | {"id": int(number), "status": "finished" if is_done else "open", "create_time": now / 1000}
    row |= {"left": 0 if is_done else asked["size"], "fill_price": str(PRICE) if is_done else "0"}
    return (
        row | ({"finish_as": "filled", "finish_time": now / 1000} if is_done else {}) | {"tif": asked.get("tif", "gtc")}
    )


def _is_open(row: dict[str, Any]) -> bool:
    return bool(row["status"] == "open")


def _gate_news(channel: str, result: Any) -> dict[str, Any]:
    return {"time": int(time.time()), "channel": channel, "event": "update", "result": result}


def _gate_error(status: int, label: str) -> web.Response:
    return web.json_response({"label": label, "message": label.lower()}, status=status)


def _kucoin(data: Any) -> web.Response:
    return web.json_response({"code": "200000", "data": data})


def _kucoin_error(code: str, text: str) -> web.Response:
    return web.json_response({"code": code, "msg": text})


def _kucoin_news(topic: str, subject: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "topic": topic, "subject": subject, "data": data}
