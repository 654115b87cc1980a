"""`Hub`: the websockets of a front, and what goes wrong on them."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from aiohttp import WSMessage, WSMsgType, web

from executor.sandbox.faults import Faults

Frame = dict[str, Any]


class Talker(Protocol):
    """One socket's conversation. is_over : there is none; the venue closes the socket after its greeting."""

    is_over: bool

    def greeting(self) -> Frame | None:
        """The first thing said."""
        ...

    def answer(self, said: Frame) -> list[Frame]:
        """What is said to a message."""
        ...


class Line:
    """An open socket. talk : its conversation."""

    def __init__(self, socket: web.WebSocketResponse, talk: Talker, transport: asyncio.Transport | None) -> None:
        self.talk = talk
        self._socket, self._transport = socket, transport
        self._queue: asyncio.Queue[str] = asyncio.Queue()

    def put(self, frame: Frame) -> None:
        self._queue.put_nowait(json.dumps(frame))

    async def flush(self) -> None:
        """Until everything that was put is written."""
        await self._queue.join()

    async def write(self) -> None:
        """Write what is put, until cancelled; what a broken socket does not take is gone."""
        while True:
            text = await self._queue.get()
            try:
                with contextlib.suppress(ConnectionError, RuntimeError):
                    await self._socket.send_str(text)
            finally:
                self._queue.task_done()

    def close(self) -> None:
        """End it once what was written is sent; the client is not asked to agree."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Break it, without a farewell."""
        if self._transport is not None:
            self._transport.abort()


class Hub:
    """Open sockets by what they talk about. clock : the market's time, epoch ms."""

    def __init__(self, faults: Faults, clock: Callable[[], int]) -> None:
        self._faults, self._clock = faults, clock
        self._lines: list[Line] = []
        self._late: list[tuple[int, Line, Frame]] = []
        self.opened = 0

    def __iter__(self) -> Iterator[Line]:
        return iter(list(self._lines))

    def tell(self, line: Line, frame: Frame) -> None:
        """Say an event, unless faults have it lost, late or twice."""
        if self._faults.lasting("socket_mute") or self._faults.lasting("socket_freeze"):
            return
        late = self._faults.lasting("late_events")
        for _ in range(2 if self._faults.lasting("duplicate_events") else 1):
            if late is not None and late.secs:
                self._late.append((self._clock() + int(late.secs * 1000), line, frame))
            else:
                line.put(frame)

    async def flush(self) -> None:
        """Say what is late and now due; wait until all is written."""
        now = self._clock()
        due = [one for one in self._late if one[0] <= now]
        self._late = [one for one in self._late if one[0] > now]
        for _, line, frame in due:
            line.put(frame)
        for line in self:
            await line.flush()

    def drop(self) -> None:
        """Break every socket."""
        for line in self:
            line.abort()

    async def serve(self, request: web.Request, talk: Talker) -> web.WebSocketResponse:
        """Talk until the socket ends."""
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        transport = request.transport if isinstance(request.transport, asyncio.Transport) else None
        line = Line(socket, talk, transport)
        writer = asyncio.create_task(line.write())
        self._lines.append(line)
        self.opened += 1
        try:
            greeting = talk.greeting()
            if greeting is not None:
                line.put(greeting)
            if talk.is_over:
                await line.flush()
                line.close()
            await self._listen(socket, line)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._lines.remove(line)
            with contextlib.suppress(asyncio.TimeoutError, ConnectionError):
                await asyncio.wait_for(line.flush(), 1.0)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    async def _listen(self, socket: web.WebSocketResponse, line: Line) -> None:
        unread = list[WSMessage]()
        async for said in socket:
            # What is said to a frozen socket waits in it until it is read again.
            unread.append(said)
            if self._faults.lasting("socket_freeze"):
                continue
            for message in unread:
                if message.type == WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type == WSMsgType.TEXT:
                    for frame in line.talk.answer(json.loads(message.data)):
                        line.put(frame)
            unread.clear()
