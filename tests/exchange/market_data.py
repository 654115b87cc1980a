"""`MarketData`: Gate.io's public spot candles over REST and websocket, in the test's own event loop.

The venue's time is the test's clock, and it does what the test says: nothing happens by itself.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Any

from aiohttp import WSMsgType, web

MINUTE = 60_000
Row = tuple[float, float, float, float, float]  # open, high, low, close, base volume


class MarketData:
    """An async context manager. bars : by pair (`BTC_USDT`) and open time in ms, what REST answers.

    muted : sockets stay open and say nothing. unreachable : pairs whose candles are answered with 502.
    silent : pairs whose candles are never answered; a client gives up after `timeout_ms`.
    jitter : REST rows are answered out of order, two of them twice.
    """

    def __init__(self, pairs: Iterable[str], clock: Callable[[], int]) -> None:
        self.bars: dict[str, dict[int, Row]] = {pair: {} for pair in pairs}
        self.clock = clock
        self.muted = self.jitter = False
        self.unreachable: set[str] = set()
        self.silent: set[str] = set()
        self.timeout_ms = 5000
        self.connections = 0
        self.requests: list[dict[str, str]] = []
        self._refusals: list[tuple[int, dict[str, str]]] = []
        self._subscribed: dict[web.WebSocketResponse, set[tuple[str, str]]] = {}

    async def __aenter__(self) -> "MarketData":
        app = web.Application()
        app.on_response_prepare.append(self._date)
        app.router.add_get("/api/v4/spot/candlesticks", self._candlesticks)
        app.router.add_get("/api/v4/spot/currency_pairs", self._pairs)
        app.router.add_get("/api/v4/margin/currency_pairs", self._nothing)
        app.router.add_get("/api/v4/spot/time", self._time)
        app.router.add_get("/ws/v4/", self._socket)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.drop()
        await self._runner.cleanup()

    def options(self) -> dict[str, Any]:
        """Settings that point ccxt's `gate` here."""
        url = f"http://127.0.0.1:{self._port}/api/v4"
        public = dict.fromkeys(("wallet", "futures", "margin", "delivery", "spot", "options"), url)
        return {
            "urls": {"api": {"public": public, "spot": f"ws://127.0.0.1:{self._port}/ws/v4/"}},
            "rateLimit": 1,
            "timeout": self.timeout_ms,
        }

    def trade(self, pair: str, ts: int, close: float, volume: float = 2.0) -> None:
        """The candle that opens at `ts` is now this."""
        self.bars[pair][ts] = (close, close, close, close, volume)

    def refuse(self, status: int, times: int = 1, headers: dict[str, str] | None = None) -> None:
        """Answer the next requests for candles or markets with this status."""
        self._refusals += [(status, headers or {})] * times

    def drop(self) -> None:
        """Break every socket, without a farewell."""
        for socket in self._subscribed:
            if socket._req is not None and socket._req.transport is not None:
                socket._req.transport.abort()
        self._subscribed.clear()

    @property
    def subscriptions(self) -> set[tuple[str, str]]:
        return set().union(*self._subscribed.values())

    async def push(self, pair: str, ts: int) -> None:
        """Tell the subscribers of the candle that opens at `ts`; volume in quote units, as the venue does."""
        o, h, low, c, volume = self.bars[pair][ts]
        result = {
            "t": str(ts // 1000), "v": str(volume * c), "c": str(c), "h": str(h), "l": str(low), "o": str(o),
            "n": f"1m_{pair}", "a": str(volume),
        }  # fmt: skip
        for socket, wanted in list(self._subscribed.items()):
            if ("1m", pair) in wanted and not self.muted:
                await socket.send_str(self._event("update", result))

    async def _candlesticks(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.requests.append(query)
        pair = query["currency_pair"]
        if self._refusals:
            return self._refuse()
        if pair in self.silent:
            await asyncio.Event().wait()
        if pair in self.unreachable:
            return web.Response(status=502, text="<html>502 Bad Gateway</html>", content_type="text/html")
        first, last = int(query["from"]), int(query["to"])
        if (last - first) // 60 + 1 > 1000:
            return self._answer({"label": "INVALID_PARAM_VALUE", "message": "range too broad"}, 400)
        rows = [
            [str(ts // 1000), *(repr(value) for value in (v * c, c, h, low, o, v)), "true"]
            for ts, (o, h, low, c, v) in sorted(self.bars[pair].items())
            if first <= ts // 1000 <= last and ts <= self.clock()
        ]
        return self._answer(rows[::-1] + rows[:2] if self.jitter else rows)

    async def _pairs(self, _: web.Request) -> web.Response:
        if self._refusals:
            return self._refuse()
        return self._answer([
            {
                "id": pair, "base": pair.split("_")[0], "quote": pair.split("_")[1], "fee": "0.2",
                "min_base_amount": "0.0001", "min_quote_amount": "3", "amount_precision": 5, "precision": 2,
                "trade_status": "tradable", "sell_start": 0, "buy_start": 1_500_000_000, "type": "normal",
            }
            for pair in self.bars
        ])  # fmt: skip

    def _refuse(self) -> web.Response:
        status, headers = self._refusals.pop(0)
        return self._answer({"label": "TOO_MANY_REQUESTS", "message": "slow down"}, status, headers)

    async def _nothing(self, _: web.Request) -> web.Response:
        return self._answer([])

    async def _time(self, _: web.Request) -> web.Response:
        return self._answer({"server_time": self.clock()})

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self._subscribed[socket] = set()
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    await self._said(socket, json.loads(message.data))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._subscribed.pop(socket, None)
        return socket

    async def _said(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        if message["event"] != "subscribe":
            return
        interval, pair = message["payload"]
        if pair not in self.bars:
            error = {"code": 2, "message": f"unknown currency pair: {pair}"}
            await socket.send_str(self._event("subscribe", {"status": "fail"}, id=message["id"], error=error))
            return
        await socket.send_str(self._event("subscribe", {"status": "success"}, id=message["id"]))
        self._subscribed[socket].add((interval, pair))

    def _event(self, event: str, result: object, **more: object) -> str:
        seconds = self.clock() // 1000
        return json.dumps({"time": seconds, "channel": "spot.candlesticks", "event": event, "result": result, **more})

    def _answer(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
        return web.json_response(value, status=status, headers=headers)

    async def _date(self, _: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(self.clock() / 1000, usegmt=True)
