"""An API that answers in a thread of its own, over a hand-made ledger."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from aiohttp import web

from executor.api import ApiConfig, serve, token


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Served:
    """Where an API answers; `stop` ends it before its time."""

    ledger: Path
    port: int
    token: str
    stop: Callable[[], None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Reply:
        """Ask with the token, or with other headers: `Authorization=""` asks without."""
        sent = {"Authorization": f"Bearer {self.token}", **headers}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {k: v for k, v in sent.items() if v})
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def send(self, raw: bytes) -> bytes:
        """The answer to these bytes, whatever else would have to follow them."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as line:
            line.sendall(raw)
            answer = HTTPResponse(line)
            answer.begin()
            return f"{answer.status} {answer.headers}".encode() + b"\r\n\r\n" + answer.read()


@contextmanager
def serving(ledger: Path, **options: Any) -> Iterator[Served]:
    """Answers until the block ends; `metrics` goes to the API, the rest is its configuration."""
    metrics = options.pop("metrics", None)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def done(what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, loop).result(20)

    def stop() -> None:
        if thread.is_alive():
            done(runner.cleanup())
            done(loop.shutdown_default_executor())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    try:
        runner: web.AppRunner = done(serve(ApiConfig(**{"api_port": 0, **options}), ledger, metrics=metrics))
    except BaseException:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        raise
    try:
        yield Served(ledger, runner.addresses[0][1], token.current(ledger), stop)
    finally:
        stop()


def wall_ms() -> int:
    return time.time_ns() // 1_000_000
