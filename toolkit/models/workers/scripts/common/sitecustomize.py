"""Python runs this at the start of a worker and of every Python process of a worker: none of them leaves the machine.

Compiled code can still make connections; that none does is measured, see the suite over all libraries.
"""

from __future__ import annotations

import sys
from typing import Any

ADDRESSED = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1}
LOOKED_UP = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0}
HERE = ("", "::1", "::", "0.0.0.0", "localhost")


def stay_here(event: str, details: tuple[Any, ...]) -> None:
    """Audit hook."""
    if event in ADDRESSED:
        address = details[ADDRESSED[event]]
        where = address[0] if isinstance(address, tuple) else ""
    elif event in LOOKED_UP:
        where = details[LOOKED_UP[event]]
    else:
        return
    text = where.decode("ascii", "replace") if isinstance(where, bytes) else str(where or "")
    if not (text.startswith("127.") or text in HERE):
        raise PermissionError("a worker makes no connections, and this one asked for " + text)


sys.addaudithook(stay_here)
