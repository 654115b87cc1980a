"""The end of tasks."""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_SECS = 1.0


async def end(tasks: "Iterable[asyncio.Future[Any]]") -> None:
    """Cancel them and wait until each has ended; what they raised is left with them, and not reported as unread.

    A cancellation can be lost, where what a library waits for comes at the same moment: it is said again.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=_AGAIN_SECS)
        for task in done:
            if not task.cancelled():
                task.exception()
