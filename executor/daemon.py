"""The daemon: one process that takes closed bars from a feed, decides, and keeps the ledger.

It has one way to start, whether it was stopped, killed or never ran: what it knows is in the ledger.
"""

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from executor.backoff import Backoff
from executor.backups import Backups
from executor.config import ExecutorConfig
from executor.deployments.following import Following
from executor.engine.engine import Engine
from executor.feed.base import BarEvent, Feed, Series
from executor.feed_signs import FeedSigns
from executor.heartbeat import RUNNING, STARTING, STOPPING, Beat
from executor.ledger import Ledger, number
from executor.ledger.lock import one_daemon
from executor.logs import logging_to
from executor.metrics import Metrics
from executor.parts import Live, Parts
from executor.sessions import Session, notice, session
from executor.supervisor import SUPERVISOR
from executor.tasks import end
from executor.warming import Warming
from toolkit.errors import InputError, LockstepError, VenueError

_IDLE_SECS = 1.0
_SIGNS_SECS = 5.0
_log = logging.getLogger(__name__)


def run_daemon(config: ExecutorConfig, parts: Parts | None = None) -> None:
    """Trade until SIGTERM or SIGINT, or until the feed ends.

    Raises
    ------
    InputError : the ledger is of another mode, or the API or a notification cannot be set up. LedgerError : there is no
    ledger, another daemon has it, or it cannot be used. StrategyError : deployed code is not what it was.
    """
    beat = Beat(config.heartbeat)
    with logging_to(config.logs, "executor", size_mb=config.log_mb, count=config.log_count), one_daemon(config.ledger):
        beat(STARTING)
        with Ledger.open(config.ledger) as ledger:
            _check_mode(config, ledger)
            daemon = Daemon(config, ledger, parts or Parts(), beat)
            # Outermost, so that it sends how the session ended.
            with _notifying(config), session(ledger, daemon.clock) as this:
                try:
                    asyncio.run(daemon.run(this))
                except LockstepError as error:
                    _log.error("%s", error)
                    raise
                except Exception:
                    _log.exception("the daemon crashed")
                    raise


@contextmanager
def _notifying(config: ExecutorConfig) -> Iterator[None]:
    """Notices are sent while the block runs, where there is an address to send them to."""
    if not config.notify_urls:
        yield
        return
    from executor.notify import Notifier

    notifier = Notifier(config.ledger, config.notify_urls, gap_secs=config.notify_gap_secs)
    notifier.start()
    try:
        yield
    finally:
        notifier.stop()


def _check_mode(config: ExecutorConfig, ledger: Ledger) -> None:
    found = ledger.meta("mode")
    if found is not None and found != config.mode:
        raise InputError(
            f"{ledger.path} is the ledger of a {found} run, and this is a {config.mode} one; name another --ledger, or "
            f"start one: executor load DEPLOYMENT --ledger PATH"
        )


class Daemon:
    """A ledger that is traded. Everything that writes to it runs in one event loop, one thing at a time."""

    def __init__(self, config: ExecutorConfig, ledger: Ledger, parts: Parts, beat: Beat) -> None:
        self.config, self.ledger, self.clock = config, ledger, parts.clock
        self._parts, self._beat = parts, beat
        self._metrics = Metrics()
        self._signs = FeedSigns(ledger, late_secs=config.fill_after_secs, stale_secs=config.stale_after_secs)
        self._signed = -_SIGNS_SECS
        self._backups = Backups(ledger, parts.clock)
        self._following = Following(ledger, config.models) if config.follow_models else None
        self._stop = asyncio.Event()
        self._backoff = Backoff(first_secs=1.0, most_secs=60.0)
        self._fed: frozenset[Series] = frozenset()
        self._live: Live | None = None
        self._connected = False

    async def run(self, this: Session) -> None:
        """Trade, and answer meanwhile; `this` learns how it ended."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._asked, name)
        self.ledger.on_commit = self._metrics.committing
        async with self._answering():
            engine = self._make_engine()
            _log.info("trading %s: %d series", self.config.ledger, len(engine.series()))
            this.ended_how = "the feed ended"
            try:
                while not self._stop.is_set() and await self._try(engine):
                    pass
            finally:
                self._beat(STOPPING, engine.moment_ms)
                await self._disconnect()
                await self._backups.done()
        if self._stop.is_set():
            this.ended_how = "stopped"

    def _make_engine(self) -> Engine:
        if self.config.mode != "live":
            return self._parts.make_engine(self.config, self.ledger)
        self._live = self._parts.make_live(self.config, self.ledger)
        return self._live.engine

    async def _disconnect(self) -> None:
        if self._live is not None:
            await self._live.close()
            if self._connected:
                self._live.take()

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        """The API, where it is wanted."""
        if not self.config.api:
            yield
            return
        from executor.api import serve

        render = self._metrics.render if self.config.metrics else None
        runner = await serve(self.config, self.ledger.path, metrics=render)
        try:
            yield
        finally:
            await runner.cleanup()

    async def _try(self, engine: Engine) -> bool:
        """Trade on one feed; whether to go on with another: it failed, or there are series that it does not have."""
        try:
            return await self._trade(engine)
        except VenueError as error:
            pause = self._backoff.failed()
            _log.warning("the feed is opened again in %.0f s: %s", pause, error)
            if self._backoff.failures == 1:
                notice(self.ledger, "warning", "feed", f"the feed failed and is opened again: {error}", self.clock())
            until = time.monotonic() + pause
            while not self._stop.is_set() and time.monotonic() < until:
                self._beat(STARTING, engine.moment_ms)
                await self._until(set())
            return True

    def _asked(self, number: int) -> None:
        _log.info("%s: stopping after this bar", signal.Signals(number).name)
        self._stop.set()

    async def _trade(self, engine: Engine) -> bool:
        """Trade on one feed; whether another is to be opened, since there are series that it does not have."""
        if self._live is not None:
            await self._live.open()
            self._connected = True
        starts = {series: engine.next_ts(series) for series in engine.series()}
        self._fed = frozenset(starts)
        feed = self._parts.open_feed(self.config, starts, engine.moment_ms)
        warming = Warming(engine, feed, self.ledger, self.clock)
        work = asyncio.create_task(warming.run())
        try:
            if await self._warmed(warming, work, engine):
                engine.rehearse()
                # What is there by now stays: looking through it again would hold up an order for a tenth of a second.
                gc.collect()
                gc.freeze()
                return await self._follow(engine, feed, warming, work)
            return False
        finally:
            gc.unfreeze()
            await end([work])
            await feed.close()

    async def _warmed(self, warming: Warming, work: "asyncio.Task[None]", engine: Engine) -> bool:
        """Wait until every window was filled as far as it goes now; False where a stop came first."""
        asked = asyncio.create_task(warming.asked.wait())
        try:
            while not asked.done() and not self._stop.is_set():
                self._beat(STARTING, engine.moment_ms)
                await self._until({asked, work})
                _raise_of(work)
        finally:
            asked.cancel()
        return not self._stop.is_set()

    async def _follow(self, engine: Engine, feed: Feed, warming: Warming, work: "asyncio.Task[None]") -> bool:
        """Decide on each event as it comes, and look at commands at least every second."""
        async with _arriving(feed) as events:
            waiting = events()
            try:
                while not self._stop.is_set():
                    await self._until({waiting})
                    _raise_of(work)
                    if self._stop.is_set():
                        return False
                    if engine.apply_commands():
                        _log.info("another deployment takes over")
                        self._backups.begin()
                    if waiting.done():
                        event = waiting.result()
                        if event is None:
                            return False
                        self._decide(engine, event)
                        waiting = events()
                    if not set(engine.series()) <= self._fed:
                        return True
                    self._tick(engine, feed, warming)
                return False
            finally:
                await end([waiting])

    async def _until(self, tasks: Collection["asyncio.Future[Any]"]) -> None:
        """Wait for one of them, for a stop, for news of a venue, which are applied, or for a second."""
        own: set[asyncio.Task[Any]] = {asyncio.create_task(self._stop.wait())}
        if self._live is not None and self._connected:
            own.add(asyncio.create_task(self._live.news()))
        try:
            await asyncio.wait({*tasks, *own}, timeout=_IDLE_SECS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in own:
                one.cancel()
        if self._live is not None and self._connected:
            self._live.take()

    def _decide(self, engine: Engine, event: BarEvent) -> None:
        began, before = time.perf_counter(), self._metrics.committed_secs
        intents = engine.on_event(event)
        self._backoff.reset()
        secs = time.perf_counter() - began - (self._metrics.committed_secs - before)
        self._metrics.decided(len(event.bars), secs, (self.clock() - event.moment_ms) / 1000)
        if intents:
            _log.info("event %d: %d orders", event.moment_ms, len(intents), extra={"moment_ms": event.moment_ms})

    def _tick(self, engine: Engine, feed: Feed, warming: Warming) -> None:
        """What is due every few seconds."""
        self._beat(RUNNING, engine.moment_ms)
        now = time.monotonic()
        if now - self._signed < _SIGNS_SECS:
            return
        self._signed = now
        self._signs.write(engine, feed, warming.waiting, self.clock())
        self._backups.tick()
        if self._following is not None:
            self._following.tick()
        self._measure()
        supervisor = os.environ.get(SUPERVISOR)
        if supervisor is not None and os.getppid() != int(supervisor):
            _log.error("the supervisor (pid %s) is gone: stopping", supervisor)
            self._stop.set()

    def _measure(self) -> None:
        if not self.config.metrics:
            return
        for name, value in dict(self.ledger.rows(_GAUGES, (self.clock(),))[0]).items():
            self._metrics.gauge(**{name: number(value)})
        self._metrics.ages(self._signs.ages)


_GAUGES = """
    SELECT (SELECT equity FROM equity ORDER BY ts_ms DESC LIMIT 1) AS equity,
           (SELECT count(*) FROM trades WHERE status = 'ACTIVE') AS open_trades,
           (SELECT max(count(*) - 1, 0) FROM sessions) AS restarts,
           (SELECT count(*) FROM notices) AS notices,
           (SELECT count(*) FROM unprotected WHERE until_ms IS NULL) AS unprotected,
           (SELECT coalesce(max(coalesce(until_ms, ?1) - from_ms), 0) / 1000.0 FROM unprotected) AS longest,
           (SELECT count(*) FROM symbol_halts WHERE until_ms IS NULL) AS halted,
           (SELECT count(*) FROM notices WHERE sent_ms IS NULL) AS unsent
"""


def _raise_of(work: "asyncio.Task[None]") -> None:
    """Raise what a task in the background raised."""
    if work.done() and not work.cancelled():
        work.result()


@asynccontextmanager
async def _arriving(feed: Feed) -> AsyncIterator[Callable[[], "asyncio.Future[BarEvent | None]"]]:
    """Gives what waits for the next event, None at the end; the feed's own clean-up runs when the block ends."""
    events = feed.events()

    async def following() -> BarEvent | None:
        return await anext(events, None)

    try:
        yield lambda: asyncio.ensure_future(following())
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()
