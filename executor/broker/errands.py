"""Requests to a venue, one task each: what became of them is a word, "not known" included."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from executor.broker.health import Health
from executor.broker.tickets import Sent
from executor.broker.venue import Gateway, RefusedError, Seen, UnknownOutcomeError, UnreachableVenueError, Word
from toolkit.errors import LockstepError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_AT_ONCE = 4

Sleep = Callable[[float], Awaitable[None]]


class Errands:
    """Tasks that ask one gateway, and what they learn about its health.

    Parameters
    ----------
    clock : epoch ms. limit_secs : after which a request counts as unanswered. back : called when the venue is back.
    """

    def __init__(
        self, gateway: Gateway, clock: Callable[[], int], sleep: Sleep, limit_secs: float, back: Callable[[], None]
    ) -> None:  # fmt: skip
        self.health = Health(clock())
        self.error: BaseException | None = None
        self.failed = asyncio.Event()
        self._gateway, self._clock, self._sleep, self._limit_secs = gateway, clock, sleep, limit_secs
        self._back = back
        self._tasks: set[asyncio.Task[None]] = set()
        self._looks = asyncio.Semaphore(_AT_ONCE)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Go on with it in the background; what it raises is kept in `error`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def settle(self) -> None:
        """Until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def abandon(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def submit(self, sent: Sent) -> Word:
        """Send a ticket, once."""
        try:
            return await self.ask(self._gateway.submit(sent.ticket))
        except RefusedError as error:
            kind = "funds" if error.is_funds else "halted" if error.is_halted else "refused"
            if error.pause_secs > 0.0:
                sent.pause_ms = self._clock() + 1000 * error.pause_secs
            return _nothing(sent, Seen.REFUSED, f"{kind}: {error}")
        except LockstepError as error:
            return _nothing(sent, Seen.UNKNOWN, str(error))

    async def cancel(self, sent: Sent) -> float:
        """Ask for its end, whatever comes of it; returns seconds that the venue wants to be left alone."""
        try:
            await self.ask(self._gateway.cancel(sent.ticket, sent.venue_id))
        except (RefusedError, UnknownOutcomeError, UnreachableVenueError) as error:
            _log.info("the cancel of %s: %s", sent.ticket.client_id, error)
            return error.pause_secs
        return 0.0

    async def find(self, sent: Sent) -> tuple[Word | None, float]:
        """Where it stands, None where nobody answered; and seconds that the venue wants to be left alone."""
        async with self._looks:
            await self.wait_for_leave()
            try:
                return await self.ask(self._gateway.find(sent.ticket, sent.venue_id)), 0.0
            except LockstepError as error:
                _log.info("looking for %s: %s", sent.ticket.client_id, error)
                return None, float(getattr(error, "pause_secs", 0.0))

    async def wait_for_leave(self) -> None:
        """As long as the venue wants to be left alone."""
        while (left_ms := self.health.pause_ms - self._clock()) > 0.0:
            await self._sleep(left_ms / 1000)

    async def ask(self, request: Awaitable[_T]) -> _T:
        """Its answer, with what it says about the venue's health."""
        try:
            # Not wait_for, which loses a cancellation that comes together with the answer.
            async with asyncio.timeout(self._limit_secs):
                answer = await request
        except RefusedError as error:
            self.health.pause(self._clock(), error.pause_secs)
            self._answered()
            raise
        except TimeoutError:
            self._unanswered(0.0)
            raise UnknownOutcomeError(f"no answer within {self._limit_secs:g} s") from None
        except LockstepError as error:
            self._unanswered(float(getattr(error, "pause_secs", 0.0)))
            raise
        self._answered()
        return answer

    def _answered(self) -> None:
        if self.health.answered(self._clock()):
            _log.warning("%s answers again", self._gateway.name)
            self._back()

    def _unanswered(self, pause_secs: float) -> None:
        if self.health.failed(self._clock(), pause_secs):
            _log.warning("%s does not answer; nothing new is sent until it does", self._gateway.name)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.error = self.error or error
            self.failed.set()


def _nothing(sent: Sent, seen: Seen, reason: str) -> Word:
    return Word(sent.ticket.client_id, seen, 0.0, math.nan, None, 0, reason=reason)
