"""One HTTP connection whose every step ends at a moment, whatever the other side does."""

import http.client
import math
import socket
import time
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from toolkit.errors import InputError

_LONGEST_BYTES = 1 << 20


class _Socket(socket.socket):
    """A socket each of whose waits ends at one moment, however little a peer sends at a time."""

    until = math.inf

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(_left(self.until))
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.settimeout(_left(self.until))
        super().sendall(data, flags)


class Connection(http.client.HTTPConnection):
    """One connection whose every step ends at the moment given."""

    def __init__(self, host: str, port: int, until: float) -> None:
        super().__init__(host, port)
        self.until = until

    def connect(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        made = _Socket(family, socket.SOCK_STREAM)
        try:
            made.settimeout(_left(self.until))
            made.connect((self.host, self.port))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            made.close()
            raise
        made.until = self.until
        self.sock = made

    def exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], until: float
    ) -> tuple[int, bytes]:
        """Status and body of the answer to one request."""
        self.until = until
        if isinstance(self.sock, _Socket):
            self.sock.until = until
        self.request(method, path, body, dict(headers))
        answer = self.getresponse()
        text = answer.read(_LONGEST_BYTES + 1)
        if len(text) > _LONGEST_BYTES:
            raise http.client.HTTPException(f"the answer is longer than {_LONGEST_BYTES:,} bytes")
        if answer.length:
            raise http.client.IncompleteRead(text, answer.length)
        return answer.status, text


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def address(url: str) -> tuple[str, int]:
    """Host, as a number, and port of a server's url; `InputError` for any that cannot be asked."""
    remedy = "write it as http://127.0.0.1:8788"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"the address {url!r} of a model server cannot be read ({error}); {remedy}") from None
    if parts.scheme != "http" or not host or not port or parts.path.strip("/") or parts.query or parts.username:
        raise InputError(
            f"the address of a model server is plain http with a host and a port, was {url!r}; {remedy}, through a "
            f"tunnel where it is another machine"
        )
    try:
        return str(ip_address("127.0.0.1" if host == "localhost" else host)), port
    except ValueError:
        raise InputError(
            f"the host of a model server must be an address or localhost, was {host!r}: names are not looked up while "
            f"a bar waits; {remedy}"
        ) from None
