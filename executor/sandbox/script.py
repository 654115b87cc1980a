"""The path of a price to come."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from executor.sandbox.tape import Candle


class Point(NamedTuple):
    """The market trades at this price then.

    volume : in the market's amounts (contracts on a swap), of which orders that rest can have part.
    is_jump : nothing was traded on the way there.
    """

    ts_ms: int
    price: float
    volume: float
    is_jump: bool = True


def path(bars: Iterable[Candle], step_ms: int) -> Iterator[Point]:
    """Bars of length `step_ms` as four trades each: open at its start, then at each quarter the nearer extreme, the
    farther one, and the close; each with a quarter of the volume.

    The close comes at three quarters, so that a bar is complete before the next one opens. Only opens jump: within a
    bar the market trades at all prices between two trades.
    """
    for bar in bars:
        is_low_nearer = bar.open - bar.low <= bar.high - bar.open
        extremes = (bar.low, bar.high) if is_low_nearer else (bar.high, bar.low)
        for at, price in enumerate((bar.open, *extremes, bar.close)):
            yield Point(bar.ts_ms + at * step_ms // 4, price, bar.volume / 4, is_jump=at == 0)
