"""The venue's books: which minutes exist, and what a candle request about them returns."""

import time
from dataclasses import dataclass, field

import numpy as np

from toolkit.bars.columns import Columns

INTERVAL_SECS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14_400, "1d": 86_400}
MAX_PAGE = 1000


@dataclass
class Market:
    """Minutes by symbol id (`BTC_USDT`), and the venue's clock, which starts at `now_ms` and runs.

    Attributes
    ----------
    history_bars : how many candles of an interval, counted back from now, are served; older ones are refused.
    repeat_boundary : also return the candle before the one asked from.
    newest_too : also return the open candle, whatever end is asked for, as some venues do.
    """

    minutes: dict[str, Columns]
    now_ms: int
    history_bars: int = 10_000
    repeat_boundary: bool = False
    newest_too: bool = False
    _started: float = field(default_factory=time.monotonic)

    def clock_ms(self) -> int:
        return self.now_ms + int((time.monotonic() - self._started) * 1000)

    def candles(self, symbol: str, interval: str, first: int, last: int) -> list[list[str]]:
        """Rows in Gate's spot layout for candles that open in `[first, last]` (seconds), the open one with them.

        time, quote volume, close, high, low, open, base volume, whether it is finished. The open one has half of the
        volume that it will have.
        """
        step = INTERVAL_SECS[interval]
        now = self.clock_ms() // 1000
        c = self.minutes[symbol]
        seconds = c["ts"] // 1000
        if self.repeat_boundary:
            first -= step
        slots = seconds // step * step
        wanted = (slots >= first) & (slots <= last)
        if self.newest_too:
            wanted |= slots == now // step * step
        at = np.flatnonzero(wanted & (seconds <= now))
        if not len(at):
            return []
        opens = slots[at]
        group = np.flatnonzero(np.diff(opens, prepend=-1))
        close = c["close"][at][np.append(group[1:], len(at)) - 1]
        high, low = np.maximum.reduceat(c["high"][at], group), np.minimum.reduceat(c["low"][at], group)
        done = opens[group] + step <= now
        volume = np.add.reduceat(c["volume"][at], group) * np.where(done, 1.0, 0.5)
        columns = (volume * close, close, high, low, c["open"][at][group], volume)
        return [
            [str(ts), *(repr(value) for value in values), str(is_done).lower()]
            for ts, *values, is_done in zip(
                opens[group].tolist(), *(column.tolist() for column in columns), done.tolist(), strict=True
            )
        ]

    def too_old(self, interval: str, first: int) -> bool:
        return first < self.clock_ms() // 1000 - self.history_bars * INTERVAL_SECS[interval]
