"""A market's clock that two processes share, and when the slower one has caught up."""

import asyncio
import mmap
import sqlite3
import struct
import time
from pathlib import Path

from executor.sandbox.book import Venue

_INT = struct.Struct("<q")


class SharedClock:
    """Epoch ms in a file; who drives the market sets it."""

    def __init__(self, path: Path, now_ms: int | None = None) -> None:
        if now_ms is not None:
            path.write_bytes(_INT.pack(now_ms))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _INT.size)

    def __call__(self) -> int:
        return int(_INT.unpack_from(self._map)[0])

    def set(self, now_ms: int) -> None:
        _INT.pack_into(self._map, 0, now_ms)

    async def sleep(self, secs: float) -> None:
        """Until so much has passed here or in the market, whichever comes first."""
        real, market = time.monotonic() + secs, self() + secs * 1000
        while time.monotonic() < real and self() < market:
            await asyncio.sleep(0.002)


_WORKING = """
    SELECT (SELECT count(*) FROM venue_orders WHERE seen IN ('NEW', 'UNKNOWN'))
         + (SELECT count(*) FROM venue_orders AS v JOIN trades AS t USING (trade_id)
            WHERE v.seen IN ('OPEN', 'FIRED') AND t.status = 'CLOSED')
         + (SELECT count(*) FROM trades AS t WHERE t.status = 'ACTIVE' AND NOT EXISTS (
            SELECT 1 FROM venue_orders AS v WHERE v.trade_id = t.trade_id AND v.kind = 'stop' AND v.seen = 'OPEN')
            AND EXISTS (SELECT 1 FROM orders AS o WHERE o.trade_id = t.trade_id AND o.kind = 'stop'
                AND o.status IN ('NEW', 'OPEN')))
         + (SELECT count(*) FROM orders AS o WHERE o.kind IN ('entry', 'exit') AND o.status IN ('NEW', 'OPEN'))
         + (SELECT count(*) FROM venue_orders WHERE kind = 'entry' AND seen IN ('NEW', 'UNKNOWN', 'OPEN', 'FIRED'))
"""
_FILLED = "SELECT total(filled) FROM venue_orders"
_TOLD = "SELECT total(abs(qty)) FROM fills"


class Follower:
    """What a daemon has done of what the market asked of it, read from its ledger."""

    def __init__(self, ledger: Path, venue: Venue) -> None:
        self._book = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, isolation_level=None)
        self._venue, self.late = venue, 0

    def decided_ms(self) -> int:
        row = self._book.execute("SELECT moment_ms FROM account").fetchone()
        return -1 if row is None else int(row[0])

    def is_done(self) -> bool:
        """Every fill is known and told, nothing is on its way, every open trade has its stop."""
        sizes = {name: one.contract_size for name, one in self._venue.listings.items()}
        there = sum(fill.qty * sizes[fill.symbol] for fill in self._venue.fills())
        (here,) = self._book.execute(_FILLED).fetchone()
        (told,) = self._book.execute(_TOLD).fetchone()
        near = 1e-9 * max(1.0, there)
        return abs(here - there) < near and abs(told - there) < near and not self._book.execute(_WORKING).fetchone()[0]

    async def caught_up(self, boundary_ms: int, *, busy: bool, most_secs: float = 3.0) -> bool:
        """Wait until the bar that closed then is decided, and where something was traded until all that follows is."""
        until = time.monotonic() + most_secs
        while self.decided_ms() < boundary_ms or (busy and not self.is_done()):
            if time.monotonic() > until:
                self.late += 1
                return False
            await asyncio.sleep(0.001)
        return True
