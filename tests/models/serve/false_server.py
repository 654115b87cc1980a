"""A server of one answer a connection or request, which may be anything: what the client is tested against."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from io import BufferedReader
from typing import TypeAlias

# Given the connection once a request's headers and body have arrived, and how many requests came before it.
Reply: TypeAlias = Callable[[socket.socket, int], None]


def http_answer(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    """A whole HTTP answer."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def sends(answer: bytes, *, close: bool = False) -> Reply:
    """Answer every request with the same bytes."""

    def reply(peer: socket.socket, number: int) -> None:
        peer.sendall(answer)
        if close:
            peer.shutdown(socket.SHUT_RDWR)

    return reply


@contextlib.contextmanager
def false_server(reply: Reply) -> Iterator[tuple[str, list[bytes]]]:
    """Its url, and the requests that it has read."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []
    peers: list[socket.socket] = []

    def serve(peer: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            stream = peer.makefile("rb")
            while request := _request(stream):
                seen.append(request)
                reply(peer, len(seen) - 1)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                peers.append(peer)
                threading.Thread(target=serve, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        for one in [listener, *peers]:
            with contextlib.suppress(OSError):
                one.close()


def _request(stream: BufferedReader) -> bytes:
    head, length = b"", 0
    while (line := stream.readline()) not in (b"\r\n", b""):
        head += line
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head + stream.read(length) if head else b""
