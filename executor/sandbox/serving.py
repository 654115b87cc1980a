"""`Front`: a venue's core behind HTTP and websockets on 127.0.0.1, with what goes wrong there."""

import asyncio
import json
import socket as sockets
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any, NamedTuple, Self

from aiohttp import web

from executor.sandbox.book import Venue
from executor.sandbox.faults import Fault, Faults
from executor.sandbox.hub import Hub, Talker
from executor.sandbox.records import Event
from toolkit.errors import InputError, LockstepError

_BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class Request(NamedTuple):
    """A REST request. target : path with query, as it came over the wire."""

    method: str
    path: str
    target: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str


class Answer(NamedTuple):
    """frame : is sent as JSON."""

    frame: Any
    status: int = 200
    headers: Mapping[str, str] = {}


class Front(ABC):
    """An async context manager that serves `venue` while it is entered.

    Parameters
    ----------
    wall : the venue's own clock, epoch ms, by which stamps of requests are judged; the machine's without it. A fault
        can set it wrong (`skew`).
    port : 0 for a free one.
    move_clock : moves the market's clock by so many ms, for `advance_ms` of `POST /control`.

    Attributes
    ----------
    hub : its websockets. Requests and pushes of candles are written into `venue.log`, and faults that befell.

    `POST /control` takes {"fault": {"kind": ..., ...}}, {"clear": true or a kind}, {"price": [symbol, price(, volume)]}
    or {"advance_ms": n}; `GET /control/log` is the log.
    """

    def __init__(
        self, venue: Venue, faults: Faults, *, wall: Callable[[], int] | None = None, port: int = 0,
        move_clock: Callable[[int], None] | None = None,
    ) -> None:  # fmt: skip
        self.venue, self.faults = venue, faults
        self.hub = Hub(faults, venue.now)
        self._wall = wall or (lambda: time.time_ns() // 1_000_000)
        self._port, self._move_clock = port, move_clock
        faults.log = venue.log
        faults.on_moment.append(self._befall_sockets)
        venue.fails_trigger = faults.trigger
        venue.listeners.append(self.hear)
        venue.flushes.append(self.hub.flush)

    @abstractmethod
    def answer(self, request: Request) -> Answer:
        """What the venue answers."""

    @abstractmethod
    def too_many(self, pause_secs: float) -> Answer:
        """The venue's refusal of a request that came too soon."""

    @abstractmethod
    def talker(self, request: Request) -> Talker:
        """The conversation on a socket that is opened so."""

    @abstractmethod
    def hear(self, event: Event) -> None:
        """Tell the sockets of it."""

    @abstractmethod
    def ccxt_options(self, exchange: str) -> dict[str, Any]:
        """Settings that point ccxt's exchange of that id here, keys with them."""

    def wall_ms(self) -> int:
        """The venue's clock for stamps of requests."""
        return self._wall() + self.faults.skew_ms

    @property
    def host(self) -> str:
        """Such as `127.0.0.1:12345`."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**20)
        app.on_response_prepare.append(self._date)
        app.router.add_post("/control", self._control)
        app.router.add_get("/control/log", self._log)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hub.drop()
        await self._runner.cleanup()
        self.venue.listeners.remove(self.hear)
        self.venue.flushes.remove(self.hub.flush)

    async def _serve(self, raw: web.Request) -> web.StreamResponse:
        if self.faults.lasting("down"):
            return _abort(raw)
        body = await raw.text()
        request = Request(raw.method, raw.path, raw.raw_path, raw.query, raw.headers, body)
        if raw.headers.get("Upgrade", "").lower() == "websocket":
            self._note(request, "ok")
            return await self.hub.serve(raw, self.talker(request))
        fault = self.faults.request(f"{request.method} {request.path}")
        self._note(request, "ok" if fault is None else fault.kind)
        if fault is None:
            return _response(self.answer(request))
        return await self._befall(raw, request, fault)

    async def _befall(self, raw: web.Request, request: Request, fault: Fault) -> web.StreamResponse:
        if fault.kind == "lost_request":
            return _abort(raw)
        if fault.kind == "reset":
            return _reset(raw)
        if fault.kind == "bad_gateway":
            return web.Response(status=502, text=_BAD_GATEWAY, content_type="text/html")
        if fault.kind == "rate_limit":
            return _response(self.too_many(fault.secs))
        if fault.kind == "slow":
            await asyncio.sleep(fault.secs)
        answer = self.answer(request)
        if fault.kind == "lost_response":
            return _abort(raw)
        if fault.kind in ("cut_body", "cut_json"):
            return await _cut(raw, answer, is_json_whole_length=fault.kind == "cut_body")
        return _response(answer)

    def _note(self, request: Request, outcome: str) -> None:
        self.venue.log.note(self.venue.now(), f"request {request.method} {request.path}", outcome=outcome)

    def _befall_sockets(self, fault: Fault) -> None:
        if fault.kind in ("socket_drop", "down"):
            self.hub.drop()

    async def _control(self, raw: web.Request) -> web.Response:
        try:
            await self._do(await raw.json())
        except (LockstepError, TypeError, ValueError, KeyError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"now_ms": self.venue.now()})

    async def _do(self, asked: Mapping[str, Any]) -> None:
        if "fault" in asked:
            self.faults.add(Fault(**asked["fault"]))
        elif "clear" in asked:
            self.faults.clear("" if asked["clear"] is True else str(asked["clear"]))
        elif "price" in asked:
            symbol, *numbers = asked["price"]
            self.venue.price(symbol, *(float(number) for number in numbers))
        elif "advance_ms" in asked:
            if self._move_clock is None:
                raise InputError("the market's clock moves by itself here")
            self._move_clock(int(asked["advance_ms"]))
            await self.venue.advance(self.venue.now())
        else:
            raise InputError("control takes fault, clear, price or advance_ms")

    async def _log(self, _: web.Request) -> web.Response:
        return web.json_response([entry._asdict() for entry in self.venue.log])

    async def _date(self, _: web.Request, response: web.StreamResponse) -> None:
        # Whoever reads the venue's time off this header means the market's.
        response.headers["Date"] = formatdate(self.venue.now() / 1000, usegmt=True)


def _response(answer: Answer) -> web.Response:
    return web.json_response(answer.frame, status=answer.status, headers=dict(answer.headers))


def _abort(raw: web.Request) -> web.Response:
    """Close the connection without an answer."""
    if raw.transport is not None:
        raw.transport.close()
    return web.Response()


def _reset(raw: web.Request) -> web.Response:
    if raw.transport is not None:
        # Linger 0: the kernel sends a reset instead of a farewell.
        raw.transport.get_extra_info("socket").setsockopt(
            sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0)
        )
        raw.transport.abort()
    return web.Response()


async def _cut(raw: web.Request, answer: Answer, *, is_json_whole_length: bool) -> web.StreamResponse:
    """Half of the answer: promised whole, or as if that were all."""
    body = json.dumps(answer.frame).encode()
    half = body[: len(body) // 2]
    if not is_json_whole_length:
        return web.Response(body=half, status=answer.status, content_type="application/json")
    response = web.StreamResponse(status=answer.status)
    response.content_type, response.content_length = "application/json", len(body)
    await response.prepare(raw)
    await response.write(half)
    if raw.transport is not None:
        raw.transport.close()
    return response
