"""Windows at a start: what the ledger lacks of each series' lookback is asked of the feed."""

import asyncio
import logging
from collections.abc import Callable

from executor.backoff import Backoff
from executor.engine.engine import Engine
from executor.feed.base import Feed, Series
from executor.ledger import Ledger
from executor.sessions import notice
from toolkit.bars.intervals import floor_ts
from toolkit.errors import VenueError

_BEFORE = "SELECT max(ts) FROM bars WHERE exchange = ? AND symbol = ? AND base = ? AND ts < ?"
# After a close, before a venue is sure to have the bar: one that it lacks is taken to be without trades.
_SETTLE_MS = 10_000
_AGAIN_SECS = 1.0
_log = logging.getLogger(__name__)


class Warming:
    """Fills the windows of an engine; those of a new account once the bar has closed in which it begins.

    Attributes
    ----------
    waiting : series whose window may still grow. asked : set when every series was looked at once.
    """

    def __init__(self, engine: Engine, feed: Feed, ledger: Ledger, clock: Callable[[], int]) -> None:
        self._engine, self._feed, self._ledger, self._clock = engine, feed, ledger, clock
        self.waiting: set[Series] = set(engine.series())
        self.asked = asyncio.Event()

    async def run(self) -> None:
        """Ask until every window is full, or holds all that the feed has. A feed that fails is asked again."""
        backoff = Backoff(first_secs=1.0, most_secs=60.0)
        while self.waiting:
            try:
                for series in sorted(self.waiting):
                    if await self._fill(series):
                        self.waiting.discard(series)
            except VenueError as error:
                if not backoff.failures:
                    notice(self._ledger, "warning", "feed", f"no bars to warm up with: {error}", self._clock())
                pause = backoff.failed()
                _log.warning("bars to warm up with are asked for again in %.0f s: %s", pause, error)
                await asyncio.sleep(pause)
                continue
            self.asked.set()
            backoff.reset()
            if self.waiting:
                await asyncio.sleep(_AGAIN_SECS)
        self.asked.set()

    async def _fill(self, series: Series) -> bool:
        """Ask for the newest hole, then for the one before it; whether nothing is left to ask for."""
        engine, base_ms = self._engine, series.base_ms
        count = engine.series().get(series, 0)
        while (held := engine.held(series)) < count:
            before = engine.next_ts(series)
            end = before - held * base_ms
            known = self._ledger.value(_BEFORE, (*series, end))
            start = before - count * base_ms if known is None else max(before - count * base_ms, known + base_ms)
            until = min(end, floor_ts(self._clock() - _SETTLE_MS, base_ms))
            bars = await self._feed.history(series, start, until) if start < until else ()
            if engine.next_ts(series) != before:
                # An event came meanwhile, or another deployment.
                continue
            engine.warm(series, bars, "rest")
            if engine.held(series) == held:
                if until == end:
                    _log.info("%s has %d of %d bars to warm up with", series, held, count)
                return until == end
        return True
