"""Rolling windows of closed bars: what strategies see live, exactly as much history as they declare."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from executor.feed.base import ClosedBar, Series
from toolkit.bars.intervals import floor_ts, interval_ms, resample_groups
from toolkit.bars.series import Bars
from toolkit.types import BoolArray, FloatArray, IntArray

FLOATS = ("open", "high", "low", "close", "volume")
Columns: TypeAlias = tuple[IntArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, BoolArray]


class Rolling:
    """The newest `length` bars of one interval, as arrays that slide.

    Arrays hold twice the window. A bar is appended behind the newest; where there is no room left the window moves to
    the front, so that it is always one contiguous piece and appending costs the same on average.
    """

    def __init__(self, length: int) -> None:
        self.length = max(1, length)
        size = 2 * self.length
        self.ts: IntArray = np.zeros(size, np.int64)
        self.columns: dict[str, FloatArray] = {name: np.zeros(size) for name in FLOATS}
        self.filled: BoolArray = np.zeros(size, np.bool_)
        self.end = 0

    def window(self, window: slice) -> Columns:
        """Open times, prices, volume and `filled` of a part, as views."""
        c = self.columns
        return (
            self.ts[window], c["open"][window], c["high"][window], c["low"][window], c["close"][window],
            c["volume"][window], self.filled[window],
        )  # fmt: skip

    @property
    def start(self) -> int:
        return max(0, self.end - self.length)

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def last_ts(self) -> int:
        """Open time of the newest bar; -1 where there is none."""
        return int(self.ts[self.end - 1]) if self.end else -1

    def append(self, bar: ClosedBar) -> None:
        if self.end == len(self.ts):
            kept = slice(self.start, self.end)
            n = len(self)
            for array in (self.ts, self.filled, *self.columns.values()):
                array[:n] = array[kept]
            self.end = n
        at = self.end
        self.ts[at], self.filled[at] = bar.ts, bar.filled
        columns = self.columns
        columns["open"][at], columns["high"][at], columns["low"][at] = bar.open, bar.high, bar.low
        columns["close"][at], columns["volume"][at] = bar.close, bar.volume
        self.end = at + 1

    def first_at(self, ts_ms: int, step: int) -> int:
        """Position of the first bar that opens at or after `ts_ms`; bars are `step` apart."""
        if not len(self):
            return self.end
        behind = -(-(ts_ms - int(self.ts[self.start])) // step)
        return min(self.end, self.start + max(0, behind))


class History:
    """One series with every interval that is asked of it, kept up to date bar by bar.

    Parameters
    ----------
    series : what comes in. base_bars : how many of its bars are kept.
    intervals : higher interval -> how many of its bars are kept.
    """

    def __init__(self, series: Series, base_bars: int, intervals: Mapping[str, int]) -> None:
        self.series = series
        self.base = Rolling(base_bars)
        self.base_ms = series.base_ms
        self.higher = {name: Rolling(n) for name, n in intervals.items() if interval_ms(name) > self.base_ms}
        self._steps = {name: interval_ms(name) for name in self.higher}

    @property
    def next_ts(self) -> int | None:
        """Open time of the next bar; None before the first."""
        return self.base.last_ts + self.base_ms if len(self.base) else None

    def extend(self, bars: Iterable[ClosedBar]) -> None:
        for bar in bars:
            self.append(bar)

    def append(self, bar: ClosedBar) -> None:
        """Take the next closed bar, and close the groups that end with it."""
        expected = self.next_ts
        if expected is not None and bar.ts != expected:
            raise ValueError(f"{self.series} must continue with the bar at {expected}, was given {bar.ts}")
        self.base.append(bar)
        close_ms = bar.ts + self.base_ms
        for name, rolling in self.higher.items():
            step = self._steps[name]
            if floor_ts(close_ms, step) == close_ms:
                self._close_group(rolling, close_ms - step, step)

    def _close_group(self, rolling: Rolling, first_ms: int, step: int) -> None:
        base, ratio = self.base, step // self.base_ms
        if len(base) < ratio:
            return
        a = base.end - ratio
        found = resample_groups(first_ms, step, 1, ratio, 0, *base.window(slice(a, base.end))[1:])
        ts, o, h, low, c, v, filled = (array[0] for array in found)
        rolling.append(ClosedBar(int(ts), float(o), float(h), float(low), float(c), float(v), bool(filled)))

    def bars(self, interval: str, start_ms: int, extras: Sequence[Mapping[str, Bars]] = ({}, {})) -> Bars:
        """`Bars` of an interval whose base begins at `start_ms`, or where the window does.

        extras : natively stored series by interval, and peers by symbol.
        """
        native, peers = extras
        base = self._view(self.series.base, self.base, start_ms, None, native, peers)
        for name, rolling in self.higher.items():
            # What `Bars.to` would resample: groups that lie wholly inside.
            made = self._view(name, rolling, max(start_ms, int(base.ts[0]) if len(base) else 0), base, native, peers)
            base.memo(("to", name), lambda made=made: made)  # type: ignore[misc]
        return base.to(interval)

    def _view(
        self,
        interval: str,
        rolling: Rolling,
        start_ms: int,
        base: Bars | None,
        native: Mapping[str, Bars],
        peers: Mapping[str, Bars],
    ) -> Bars:
        part = rolling.window(slice(rolling.first_at(start_ms, interval_ms(interval)), rolling.end))
        return Bars(
            self.series.symbol, self.series.exchange, interval, *part, base_=base, native=native, peers=peers
        )  # fmt: skip
