"""Running the server: its address, its signals, its end."""

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Generator
from ipaddress import ip_address
from types import FrameType

import uvicorn
from fastapi import FastAPI

from toolkit.errors import InputError

DEFAULT_PORT = 8788
_KEEP_ALIVE_SECS = 75
_LAST_REQUESTS_SECS = 5


def serve(app: FastAPI, host: str, port: int, *, started: Callable[[str], None]) -> None:
    """Answer until the process is told to end (SIGINT, SIGTERM).

    Parameters
    ----------
    host, port : where to listen; port 0 takes a free one. started : is given the url once requests are answered.

    Raises
    ------
    InputError : the address cannot be listened on.
    """
    with _listening(host, port) as listener:
        bound = listener.getsockname()
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        # No access log: what it would hold is of no use, and it takes time that answers have.
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            timeout_keep_alive=_KEEP_ALIVE_SECS,
            timeout_graceful_shutdown=_LAST_REQUESTS_SECS,
        )
        _Server(config, lambda: started(f"http://{shown}:{bound[1]}")).run(sockets=[listener])


def is_loopback(host: str) -> bool:
    """Whether only this machine can ask."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server(uvicorn.Server):
    """Says when it has started, and ends by itself when it is told to."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._say = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As its parent, but a signal that was obeyed is not raised again: an orderly end is no failure."""

        def obey(number: int, frame: FrameType | None) -> None:
            self.handle_exit(number, frame)

        before = {number: signal.signal(number, obey) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listening(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65_535:
        raise InputError(f"`port` must be from 0 to 65,535, was {port}; 0 takes a free one")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        # asyncio's own words would name the address a second time.
        why = os.strerror(error.errno) if error.errno and not isinstance(error, socket.gaierror) else error.strerror
        raise InputError(f"the server cannot listen on {host}:{port} ({why}); set another --host or --port") from None
