"""What a feed gives: closed base bars, grouped into the events that the engine decides on."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from toolkit.bars.intervals import interval_ms


class Series(NamedTuple):
    """A stored or streamed series: `base` is the interval of its bars (`1m`), on which orders fill."""

    exchange: str
    symbol: str
    base: str

    @property
    def base_ms(self) -> int:
        return interval_ms(self.base)


class ClosedBar(NamedTuple):
    """One closed bar. ts : open time, epoch ms. volume : NaN = unknown. filled : nothing traded; flat, volume 0."""

    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    filled: bool = False


@dataclass(frozen=True)
class BarEvent:
    """Bars that the engine steps on together, at most one a series.

    moment_ms : when they are decided, the latest close among them or later (a late symbol comes in its own event).
    recorded : `source` of the bars, as the ledger keeps it: "replay", "stream", "rest".
    """

    moment_ms: int
    bars: tuple[tuple[Series, ClosedBar], ...]
    recorded: str = "replay"


class Feed(Protocol):
    """A source of events. Each series' bars come once, in order and without holes: a missing bar is filled flat."""

    def events(self) -> AsyncIterator[BarEvent]:
        """Events from the bar after the last one of `history` on, until the feed ends (a replay) or is closed."""
        ...

    async def history(self, series: Series, start_ms: int, end_ms: int) -> Sequence[ClosedBar]:
        """Closed bars opening in [start_ms, end_ms), oldest first, as far as the source has them, holes filled."""
        ...

    def ages(self) -> Mapping[Series, float]:
        """Seconds since each series last showed a sign of life; empty where that means nothing (a replay)."""
        ...

    async def close(self) -> None: ...
