"""What the supervisor tells the outside: a ping to a dead-man switch, and systemd's notifications."""

import logging
import os
import socket
import threading
import urllib.error
import urllib.request
from contextlib import suppress

_TIMEOUT_SECS = 10.0
_log = logging.getLogger(__name__)


def ping(url: str) -> threading.Thread:
    """Ask for the address, in a thread that nobody waits for; a failure is only logged."""
    thread = threading.Thread(target=_ask, args=(url,), daemon=True, name="ping")
    thread.start()
    return thread


def _ask(url: str) -> None:
    # The address is a secret of whoever is behind it.
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECS) as answer:
            answer.read(1)
    except (OSError, ValueError) as error:
        _log.warning("the ping was not taken: %s", error)


def tell_systemd(text: str) -> None:
    """Send what `sd_notify(3)` would; nothing where systemd does not listen."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        line.sendto(text.encode(), address)
