"""When a model is learned anew: `RetrainPolicy`, and the clock that backtests and `toolkit model train --due` share."""

import heapq
import re
from dataclasses import dataclass

import numpy as np

from toolkit.engine.durations import time_ms
from toolkit.errors import InputError
from toolkit.types import IntArray

_TRADES = re.compile(r"(\d+)\s*trades?")
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*s")
_EVERY = "must be a number of trades such as '30trades' or a time such as '7d'"


@dataclass(frozen=True)
class RetrainPolicy:
    """How a group's model is learned again and again.

    Attributes
    ----------
    every : "30trades" (so many more outcomes are known; those of refused signals count, so that a strict model cannot
        starve itself) or a time such as "7d" (counted from the start of the period).
    min_trades : fewest known outcomes to learn from; until then every signal is taken.
    train_window : only signals decided so long before the cut-off are learned from; None = all.
    latency : from the cut-off to the moment from which the new version holds ("10m", "0s"): what a cron job would take.
    """

    every: str = "30trades"
    min_trades: int = 100
    train_window: str | None = None
    latency: str = "0s"

    def __post_init__(self) -> None:
        least = self.min_trades
        if isinstance(least, bool) or not isinstance(least, int) or least < 1:
            raise InputError(f"`min_trades` of retraining must be a whole number of at least 1, was {least!r}")
        if self.every_trades is not None:
            if self.every_trades < 1:
                raise InputError(f"`every` must be at least 1 trade, was {self.every!r}")
        elif self.every_ms < 60_000:
            raise InputError(f"`every` {_EVERY} of at least a minute, was {self.every!r}")
        if self.train_window is not None and self.window_ms == 0:
            raise InputError(f"`train_window` must be above 0, was {self.train_window!r}; leave it out for all rows")
        if self.latency_ms < 0:
            raise InputError(f"`latency` must be from 0 up, was {self.latency!r}")

    @property
    def every_trades(self) -> int | None:
        """Outcomes from one training to the next, None where the clock counts time."""
        found = _TRADES.fullmatch(self.every.strip()) if isinstance(self.every, str) else None
        return int(found[1]) if found else None

    @property
    def every_ms(self) -> int:
        """Milliseconds from one training to the next, 0 where the clock counts outcomes."""
        if self.every_trades is not None:
            return 0
        try:
            return time_ms("every", self.every)
        except InputError:
            raise InputError(f"`every` {_EVERY}, was {self.every!r}") from None

    @property
    def window_ms(self) -> int | None:
        return None if self.train_window is None else time_ms("train_window", self.train_window)

    @property
    def latency_ms(self) -> int:
        found = _SECONDS.fullmatch(self.latency.strip()) if isinstance(self.latency, str) else None
        return round(float(found[1]) * 1000) if found else time_ms("latency", self.latency)

    def from_ms(self, cutoff_ms: int, start_ms: int) -> int:
        """The first moment whose signals a version with this cut-off is learned from."""
        return start_ms if self.window_ms is None else max(start_ms, cutoff_ms - self.window_ms)


def due_ms(policy: RetrainPolicy, decided: IntArray, known: IntArray, start_ms: int, last_ms: int | None) -> int | None:
    """The first cut-off after `last_ms`, or None where the clock has not come due by what is known.

    A clock of outcomes comes due for the first time when `min_trades` of them are known in the training window, then
    after each `every` more. With a clock of time the answer may lie after everything that is known.

    Parameters
    ----------
    known : int64[n], ascending moments at which outcomes became known, refused signals' among them.
    decided : int64[n], when those signals were decided.
    start_ms : where the clock began. last_ms : the last cut-off, whatever came of it; None = there was none.
    """
    every = policy.every_trades
    if every is None:
        ticks = 0 if last_ms is None else max(0, last_ms - start_ms) // policy.every_ms
        return start_ms + (ticks + 1) * policy.every_ms
    if last_ms is None:
        return _enough(policy, decided, known)
    # Those that became known at one moment are all in: the count goes on behind them.
    position = int(np.searchsorted(known, last_ms, side="right")) + every - 1
    return int(known[position]) if position < len(known) else None


def _enough(policy: RetrainPolicy, decided: IntArray, known: IntArray) -> int | None:
    """When `min_trades` outcomes of signals inside the window before that moment were first known."""
    least, window_ms = policy.min_trades, policy.window_ms
    if window_ms is None:
        return int(known[least - 1]) if least <= len(known) else None
    inside: list[int] = []
    for began_ms, moment in zip(decided.tolist(), known.tolist(), strict=True):
        heapq.heappush(inside, began_ms)
        while inside and inside[0] < moment - window_ms:
            heapq.heappop(inside)
        if len(inside) >= least:
            return int(moment)
    return None
