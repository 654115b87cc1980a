"""Frames over a worker's pipes, each with a deadline: a line of JSON, then as many bytes as the line says."""

import json
import os
import select
import time
from typing import Any, NamedTuple

from toolkit.models.workers.failure import WorkerError

LONGEST_LINE_BYTES = 65_536


class Frame(NamedTuple):
    """What a worker said, and the bytes after it."""

    said: dict[str, Any]
    content: bytes


class BrokenPipesError(WorkerError):
    """The other side ended, or what it says is no frame: nothing that it says later can be trusted."""


class Pipes:
    """Both directions at once, without blocking: what is half sent or half read goes on with the next call."""

    def __init__(self, write_to: int, read_from: int, whose: str) -> None:
        self._write_to, self._read_from, self._whose = write_to, read_from, whose
        self._out, self._in = bytearray(), bytearray()
        for descriptor in (write_to, read_from):
            os.set_blocking(descriptor, False)

    def send(self, said: dict[str, Any], content: bytes = b"") -> None:
        """Put a frame behind what is still to be sent; it leaves while an answer is waited for."""
        self._out += json.dumps({**said, "bytes": len(content)}).encode() + b"\n" + content

    def receive(self, until: float, longest: int) -> Frame | None:
        """The next frame, of at most `longest` bytes after its line; None if it is not there by `until` (monotonic)."""
        while True:
            frame = self._frame(longest)
            if frame is not None:
                return frame
            left = until - time.monotonic()
            if left <= 0:
                return None
            self._move(left)

    def _move(self, secs: float) -> None:
        poll = select.poll()
        poll.register(self._read_from, select.POLLIN)
        if self._out:
            poll.register(self._write_to, select.POLLOUT)
        for descriptor, _ in poll.poll(min(secs, 60.0) * 1000):
            try:
                if descriptor == self._write_to:
                    del self._out[: os.write(self._write_to, bytes(self._out[:65_536]))]
                    continue
                data = os.read(self._read_from, 65_536)
            except BlockingIOError:
                continue
            except BrokenPipeError:
                data = b""
            if not data:
                raise BrokenPipesError(f"{self._whose} ended")
            self._in += data

    def _frame(self, longest: int) -> Frame | None:
        end = self._in.find(b"\n")
        if end < 0:
            if len(self._in) > LONGEST_LINE_BYTES:
                raise self._rubbish()
            return None
        try:
            said = json.loads(bytes(self._in[:end]))
            size = said["bytes"]
        except (ValueError, KeyError, TypeError):
            raise self._rubbish() from None
        if not isinstance(size, int) or not 0 <= size <= longest:
            raise self._rubbish()
        if len(self._in) < end + 1 + size:
            return None
        content = bytes(self._in[end + 1 : end + 1 + size])
        del self._in[: end + 1 + size]
        return Frame(said, content)

    def _rubbish(self) -> BrokenPipesError:
        said = bytes(self._in[:60]).decode("utf-8", "replace").splitlines()
        return BrokenPipesError(f"{self._whose} answers something that is no answer: {(said or [''])[0]!r}")
