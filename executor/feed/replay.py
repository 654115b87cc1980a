"""Stored bars as a feed: one closed bar at a time, as they closed."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from executor.feed.base import BarEvent, ClosedBar, Series
from toolkit.errors import InputError

_PIECE_MS = 7 * 86_400_000


class ReplayFeed:
    """Bars of the store that open in [start_ms, end_ms), one event for each moment at which any of them closes.

    Parameters
    ----------
    starts : the first bar of each series that is given. end_ms : bars that close later are not.
    db : the bars database, default that of the data folder.
    """

    def __init__(self, starts: Mapping[Series, int], end_ms: int, *, db: Path | str | None = None) -> None:
        self._starts, self._end_ms, self._db = dict(starts), end_ms, db

    async def events(self) -> AsyncIterator[BarEvent]:
        for event in self.replayed():
            yield event

    def replayed(self) -> Iterator[BarEvent]:
        """The events, without waiting for anything."""
        first = min(self._starts.values())
        # A week at a time: years of bars as objects would fill the memory.
        for begin in range(first, self._end_ms, _PIECE_MS):
            end = min(begin + _PIECE_MS, self._end_ms)
            yield from _merged({s: self.stored(s, max(begin, start), end) for s, start in self._starts.items()})

    async def history(self, series: Series, start_ms: int, end_ms: int) -> Sequence[ClosedBar]:
        return self.stored(series, start_ms, end_ms)

    def stored(self, series: Series, start_ms: int, end_ms: int) -> list[ClosedBar]:
        """Stored bars that open in [start_ms, end_ms); none where the store begins later, or has ended."""
        from toolkit.bars.load import load_bars, stored_until

        if end_ms <= start_ms or start_ms >= stored_until(series.symbol, series.base, **self._source(series)):
            return []
        try:
            b = load_bars(series.symbol, series.base, start_ms, end_ms, **self._source(series))
        except InputError:
            return []
        columns = (b.ts, b.open, b.high, b.low, b.close, b.volume, b.filled)
        return [ClosedBar(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def ages(self) -> Mapping[Series, float]:
        return {}

    async def close(self) -> None:
        return

    def _source(self, series: Series) -> dict[str, Any]:
        return {"exchange": series.exchange, "base": series.base, "db": self._db}


def _merged(bars: Mapping[Series, Sequence[ClosedBar]]) -> Iterator[BarEvent]:
    """An event for each moment at which a bar closes, in time order."""
    at = dict.fromkeys(bars, 0)
    closes = {bar.ts + series.base_ms for series, found in bars.items() for bar in found}
    for moment in sorted(closes):
        now = []
        for series, found in bars.items():
            k = at[series]
            if k < len(found) and found[k].ts + series.base_ms == moment:
                now.append((series, found[k]))
                at[series] = k + 1
        yield BarEvent(moment, tuple(now))
