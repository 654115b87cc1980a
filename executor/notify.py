"""Notifications: the ledger's `notices` go out through apprise, from a thread that trading never waits for."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from executor.backoff import Backoff
from executor.ledger import Ledger, Row
from toolkit.errors import InputError, LedgerError

_LINES = 20
_POLL_SECS = 1.0
_LAST_SECS = 5.0
# What could not be sent for a day is history: the ledger and the page have it.
_KEPT_MS = 86_400_000
_LEVELS = {"info": "info", "warning": "warning", "error": "failure"}

_FIRST = "SELECT min(id) FROM notices WHERE sent_ms IS NULL AND ts_ms >= ?"
_AFTER = "SELECT id, level, kind, text FROM notices WHERE id > ? AND ts_ms >= ? ORDER BY id LIMIT 1000"
_log = logging.getLogger(__name__)


@dataclass
class Channel:
    """One address. cursor : id of the last notice that it took. not_before : of the next message, monotonic secs."""

    name: str
    send: Callable[[str, str, str], bool]
    cursor: int
    not_before: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(first_secs=10.0, most_secs=900.0))


class Notifier:
    """Sends what waits in the outbox: all of it as one message, and at most one message in `gap_secs` an address.

    A notice counts as sent when one address took it; an address that failed is tried again, ever more slowly, and gets
    what it missed for a day. After a kill the last message may come twice.

    Parameters
    ----------
    urls : of apprise. clock : monotonic seconds. wall_ms : epoch ms, as the notices are dated.

    Raises
    ------
    InputError : apprise is not installed, or does not know an address.
    """

    def __init__(
        self,
        ledger: Path,
        urls: Sequence[str],
        *,
        gap_secs: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._ledger, self._gap_secs, self._clock, self._wall_ms = ledger, gap_secs, clock, wall_ms
        with Ledger.open(ledger, readonly=True) as book:
            first = book.value(_FIRST, (wall_ms() - _KEPT_MS,))
            newest = book.value("SELECT coalesce(max(id), 0) FROM notices")
            self._title = f"Lockstep {book.meta('account') or ledger.stem} ({book.meta('mode')})"
        start = newest if first is None else first - 1
        self._channels = [Channel(name, send, start) for name, send in map(_sender, urls)]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is left, for some seconds at most."""
        self._stopping.set()
        self._thread.join(_LAST_SECS)

    def _run(self) -> None:
        while not self._stopping.wait(_POLL_SECS):
            self.cycle()
        self.cycle(hurry=True)

    def cycle(self, *, hurry: bool = False) -> None:
        """Send what is due now; in a hurry also what would have to wait for its gap."""
        try:
            with Ledger.open(self._ledger, readonly=True) as book:
                oldest = self._wall_ms() - _KEPT_MS
                waiting = {
                    id(channel): book.rows(_AFTER, (channel.cursor, oldest))
                    for channel in self._channels
                    if self._clock() >= channel.not_before or (hurry and not channel.backoff.failures)
                }
            for channel in self._channels:
                rows = waiting.get(id(channel))
                if rows:
                    self._deliver(channel, rows)
        except LedgerError as error:
            _log.warning("notices wait: %s", error)

    def _deliver(self, channel: Channel, rows: Sequence[Row]) -> None:
        taken = channel.send(self._said(rows), self._body(rows), _worst(rows))
        if not taken:
            pause = channel.backoff.failed()
            channel.not_before = self._clock() + pause
            _log.warning("%s took no notification; it is tried again in %.0f s", channel.name, pause)
            return
        channel.backoff.reset()
        channel.not_before = self._clock() + self._gap_secs
        channel.cursor = rows[-1]["id"]
        # In a transaction of its own that is not synced: the daemon's next event may wait for it.
        with Ledger.open(self._ledger, check=False, synchronous="NORMAL") as book, book.transaction("notices"):
            for row in rows:
                book.update("notices", {"id": row["id"], "sent_ms": None}, {"sent_ms": self._wall_ms()})

    def _said(self, rows: Sequence[Row]) -> str:
        return f"{self._title}: {rows[0]['kind'] if len(rows) == 1 else f'{len(rows)} notices'}"

    @staticmethod
    def _body(rows: Sequence[Row]) -> str:
        """A line a notice; of many the gravest, then the newest."""
        shown = list(rows)
        if len(rows) > _LINES:
            graves = sorted(rows, key=lambda row: (-_gravity(row), -row["id"]))[:_LINES]
            shown = sorted(graves, key=lambda row: row["id"])
        lines = [str(row["text"]) for row in shown]
        if len(rows) > len(shown):
            lines.append(f"and {len(rows) - len(shown)} more: executor status")
        return "\n".join(lines)


def _gravity(row: Row) -> int:
    return list(_LEVELS).index(row["level"])


def _worst(rows: Sequence[Row]) -> str:
    return _LEVELS[max(rows, key=_gravity)["level"]]


def _sender(url: str) -> tuple[str, Callable[[str, str, str], bool]]:
    """What is shown of an address, and what sends (title, body, kind) to it."""
    try:
        from apprise import Apprise
    except ImportError as error:
        raise InputError(f"`notify_urls` needs apprise ({error}); install the extra lockstep[live]") from None
    made: Any = Apprise()
    # An address holds passwords: no more of it than its kind goes into logs and errors.
    name = url.partition("://")[0][:20]
    if not made.add(url):
        raise InputError(
            f"`notify_urls` has an address that apprise cannot use ({name}://...); see https://appriseit.com/services"
        )

    def send(title: str, body: str, kind: str) -> bool:
        try:
            return bool(made.notify(title=title, body=body, notify_type=kind))
        except Exception as error:
            # A service that raises must not end the thread that the others are served by.
            _log.warning("%s raised %s", name, type(error).__name__)
            return False

    return name, send
