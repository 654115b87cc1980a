"""`ExchangeFeed`: a venue's closed bars as they close, through ccxt.

A stream says when a candle has closed; what it was is always asked over REST, whose volumes are in base units, whose
values are final, and which knows what a broken connection missed. So a bar that is streamed and one that is polled are
the same bar.
"""

import asyncio
import contextlib
import logging
import math
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from executor.feed.assembler import Assembler, Patience, Question, flat
from executor.feed.base import BarEvent, ClosedBar, Series
from executor.feed.polling import RestCandles, UnreachableError
from executor.feed.streaming import CandleStream
from executor.tasks import end
from toolkit.bars.intervals import floor_ts
from toolkit.errors import InputError, VenueError

_log = logging.getLogger(__name__)
# Bars before the wanted one that are asked again, to hear of corrections and of the close before a hole.
_AGAIN_BARS = 5
_TICK_SECS = 0.25
_FIRST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 1.0, 60.0
_SILENT_SECS = 20.0  # without an answer, before the venue's time is asked
_SOON_SECS = 5.0  # after an answer that did not have the wanted bar
_TRIES = 6
_BACK_PAGES = 10  # that are searched for the close before a hole

_T = TypeVar("_T")


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class ExchangeFeed:
    """One exchange's series.

    Parameters
    ----------
    starts : open time of the first bar that each series is to give; the feed catches up from there.
    stream : hear of closes by websocket, otherwise by the clock alone.
    decide_by_ms, fill_after_ms : `executor.feed.assembler.Patience`.
    stale_after_ms : a stream that is silent for longer is opened anew.
    options : ccxt settings. after_ms : the moment of the last event that was decided on; later ones are given.
    clock : epoch ms; it may jump, the venue's answers set it right. sleep : how to wait, in seconds.

    Raises
    ------
    InputError : a series is of another exchange, or ccxt is not installed. UnknownNameError : no such exchange.
    """

    def __init__(
        self,
        exchange_id: str,
        starts: Mapping[Series, int],
        *,
        stream: bool = True,
        decide_by_ms: int = 10_000,
        fill_after_ms: int = 30_000,
        stale_after_ms: int = 60_000,
        options: Mapping[str, Any] | None = None,
        after_ms: int = -1,
        clock: Callable[[], int] = wall_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        for series in starts:
            if series.exchange != exchange_id:
                raise InputError(f"{series} is not of {exchange_id}; each exchange has a feed of its own")
        self._starts, self._sleep, self._stale_after_ms = dict(starts), sleep, stale_after_ms
        self._fill_after_ms = fill_after_ms
        symbols = [series.symbol for series in starts]
        self._rest = RestCandles(exchange_id, symbols, options or {}, clock)
        self._stream = CandleStream(exchange_id, symbols, options or {}) if stream else None
        self._assembler = Assembler(starts, Patience(decide_by_ms, fill_after_ms), after_ms=after_ms)
        self._seen: deque[tuple[Series, int]] = deque()
        self._newest: dict[Series, int] = {}
        self._life: dict[Series, int] = {}
        self._stream_ms = 0
        self._wake, self._back = asyncio.Event(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: set[Series] = set()
        self._searched: set[Series] = set()
        self._error: BaseException | None = None
        self._closed = False

    async def events(self) -> AsyncIterator[BarEvent]:
        await self._open()
        try:
            self._start(self._keep_time())
            if self._stream is not None:
                for series in self._starts:
                    self._start(self._listen(self._stream, series))
                self._start(self._watch_silence(self._stream))
            while not self._closed:
                self._wake.clear()
                while self._seen:
                    self._assembler.saw(*self._seen.popleft())
                self._ask_what_is_due()
                for event in self._assembler.take(self._rest.now_ms()):
                    yield event
                if self._error is not None:
                    raise self._error
                await self._first_of(self._wake, _TICK_SECS)
        finally:
            await self.close()

    def corrections(self) -> Sequence[tuple[Series, ClosedBar]]:
        """Later words of the venue that differ from a bar that was given, since the last call."""
        return self._assembler.corrections()

    async def history(self, series: Series, start_ms: int, end_ms: int) -> Sequence[ClosedBar]:
        """As the protocol says; VenueError where the venue gives nothing and refuses, or does not answer."""
        await self._open()
        base_ms, found = series.base_ms, dict[int, ClosedBar]()
        end_ms = min(end_ms, floor_ts(self._rest.now_ms() - 2_000, base_ms))
        page, at, refusal = self._rest.page_bars(series), start_ms, None
        while at < end_ms:
            rows: Sequence[ClosedBar] = ()
            try:
                count = min(page, (end_ms - at) // base_ms + 1)
                rows = await self._persist(partial(self._rest.rows, series, at, count))
            except UnreachableError:
                raise
            except VenueError as error:
                # Venues refuse what is older than they keep.
                refusal = error
            found.update((row.ts, row) for row in rows if start_ms <= row.ts < end_ms)
            at = max(rows[-1].ts + base_ms if rows else at + page * base_ms, at + base_ms)
        if refusal is not None and not found:
            raise refusal
        if start_ms < end_ms and start_ms not in found:
            before = await self._persist(partial(self._last_before, series, start_ms))
            if before is not None:
                found[before.ts] = before
        # A bar that has just closed may be listed any moment: it is not taken to be without trades yet.
        sure_ms = min(end_ms, floor_ts(self._rest.now_ms() - self._fill_after_ms, base_ms))
        whole = _whole(found, max(sure_ms, max(found, default=-1) + base_ms), base_ms)
        return [bar for bar in whole if bar.ts >= start_ms]

    def ages(self) -> Mapping[Series, float]:
        now = self._rest.now_ms()
        return {series: max(0, now - seen_ms) / 1000 for series, seen_ms in self._life.items()}

    async def close(self) -> None:
        self._closed = True
        self._wake.set()
        await end(task for task in self._tasks if task is not asyncio.current_task())
        if self._stream is not None:
            await self._stream.close()
        await self._rest.close()

    async def _open(self) -> None:
        await self._persist(self._rest.open)
        for series in self._starts:
            self._rest.check(series)
        if self._stream is not None:
            self._stream.take_over(self._rest.markets())
        now = self._stream_ms = self._rest.now_ms()
        self._life = dict.fromkeys(self._starts, now) | self._life

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._error = task.exception()
            self._wake.set()

    async def _first_of(self, event: asyncio.Event, secs: float) -> None:
        """Wait for the event, but no longer than that."""
        waits = {asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._sleep(secs))}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def _listen(self, stream: CandleStream, series: Series) -> None:
        """Do nothing but queue: what arrives between two calls of ccxt does not wake the next one."""
        failures = 0
        while True:
            try:
                ts = await stream.newest(series)
            except UnreachableError as error:
                failures += 1
                if failures == 1:
                    _log.warning("%s", error)
                await self._sleep(_backoff(failures))
                continue
            failures, self._stream_ms = 0, self._rest.now_ms()
            self._life[series] = self._stream_ms
            if ts > self._newest.get(series, -1):
                self._newest[series] = ts
                self._seen.append((series, ts))
                self._wake.set()

    async def _watch_silence(self, stream: CandleStream) -> None:
        while True:
            await self._sleep(_TICK_SECS)
            now = self._rest.now_ms()
            if not 0 <= now - self._stream_ms <= self._stale_after_ms:
                self._stream_ms = now
                _log.warning("the candle stream of %s is silent; it is opened anew", self._rest.name)
                await stream.drop()

    async def _keep_time(self) -> None:
        """Ask something where nothing else does: a clock that was set back would not know that a bar is due."""
        series = next(iter(self._starts))
        while True:
            answers = self._rest.answers
            await self._sleep(_SILENT_SECS)
            if self._rest.answers == answers:
                now = self._rest.now_ms()
                with contextlib.suppress(VenueError):
                    await self._rest.rows(series, floor_ts(now, series.base_ms), 1)

    def _ask_what_is_due(self) -> None:
        now = self._rest.now_ms()
        for series in self._starts:
            if series not in self._asking and self._assembler.is_due(series, now):
                self._asking.add(series)
                self._start(self._ask(series))

    async def _ask(self, series: Series) -> None:
        """Ask until the wanted bar is known; a venue that is a moment behind is asked again soon."""
        wanted, tries, failed = self._assembler.wanted(series), 0, False
        try:
            while self._assembler.wanted(series) == wanted:
                tries += 1
                pause = _backoff(tries)
                try:
                    await self._ask_once(series, wanted)
                except VenueError as error:
                    pause = max(pause, getattr(error, "pause_secs", 0.0))
                    if not failed:
                        _log.warning("%s", error)
                    failed = True
                    await self._first_of(self._back, pause)
                    continue
                if failed:
                    # The venue is back: the others need not wait to hear it, so that they step together.
                    failed = False
                    self._back.set()
                    self._back = asyncio.Event()
                self._wake.set()
                if self._assembler.wanted(series) == wanted:
                    await self._sleep(min(pause, _SOON_SECS))
        finally:
            self._asking.discard(series)
            self._wake.set()

    async def _ask_once(self, series: Series, wanted: int) -> None:
        base_ms, now = series.base_ms, self._rest.now_ms()
        page = self._rest.page_bars(series)
        since = wanted - _AGAIN_BARS * base_ms
        end = min(floor_ts(now, base_ms) + base_ms, since + page * base_ms)
        asked = self._assembler.ask(series, since, end, now)
        # Rows that come twice count: a few more than there can be.
        rows = await self._rest.rows(series, since, min((end - since) // base_ms + _AGAIN_BARS, page))
        if not (self._assembler.has_past(series) or (rows and rows[0].ts < wanted)):
            await self._look_back(series, since)
        if rows and len(rows) >= page and rows[0].ts > since:
            # It gave its newest candles, whatever was asked for: nothing is said of those before.
            asked = asked._replace(first_ms=rows[0].ts)
        if rows and rows[-1].ts >= wanted:
            # Behind its last row an answer may be cut short.
            asked = asked._replace(end_ms=rows[-1].ts + 1)
        elif end <= now:
            await self._look_ahead(series, now)
        self._take_in(asked, rows)

    async def _look_ahead(self, series: Series, now: int) -> None:
        """A page without a candle: whether the market is quiet or the venue broken, its newest candle shows."""
        since = floor_ts(now, series.base_ms) - series.base_ms
        asked = self._assembler.ask(series, since, now + 1, now)
        self._take_in(asked, await self._rest.rows(series, since, 2))

    async def _look_back(self, series: Series, before_ms: int) -> None:
        """Once, for the close that a hole at the start is filled with: what was given before must go on."""
        if series not in self._searched:
            found = await self._last_before(series, before_ms)
            self._searched.add(series)
            if found is not None:
                asked = self._assembler.ask(series, found.ts, found.ts + series.base_ms, self._rest.now_ms())
                self._assembler.answer(asked, [found])

    async def _last_before(self, series: Series, before_ms: int) -> ClosedBar | None:
        """The newest candle that opens before, some pages back; None where the venue has none, or keeps none."""
        page, end = self._rest.page_bars(series), before_ms
        for _ in range(_BACK_PAGES):
            since = end - page * series.base_ms
            try:
                rows = [row for row in await self._rest.rows(series, since, page) if row.ts < end]
            except UnreachableError:
                raise
            except VenueError:
                return None
            if rows:
                return rows[-1]
            end = since
        return None

    def _take_in(self, asked: Question, rows: Sequence[ClosedBar]) -> None:
        self._assembler.answer(asked, rows)
        if rows and rows[-1].ts > self._newest.get(asked.series, -1):
            self._newest[asked.series] = rows[-1].ts
            self._life[asked.series] = self._rest.now_ms()

    async def _persist(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Call until the venue answers, a few times."""
        for attempt in range(1, _TRIES):
            try:
                return await call()
            except UnreachableError as error:
                _log.warning("%s", error)
                await self._sleep(max(_backoff(attempt), error.pause_secs))
        return await call()


def _backoff(failures: int) -> float:
    """Seconds: doubled each time, cut by up to half at random."""
    longest = min(_FIRST_PAUSE_SECS * 2.0 ** min(failures - 1, 10), _LONGEST_PAUSE_SECS)
    return longest * random.uniform(0.5, 1.0)


def _whole(found: Mapping[int, ClosedBar], end_ms: int, base_ms: int) -> list[ClosedBar]:
    """The bars from the first one on, holes filled flat."""
    bars: list[ClosedBar] = []
    close = math.nan
    for ts in range(min(found), end_ms, base_ms) if found else ():
        bar = found.get(ts) or flat(ts, close)
        bars.append(bar)
        close = bar.close
    return bars
