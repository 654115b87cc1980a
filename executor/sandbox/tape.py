"""`Tape`: the market's trades as minutes, and candles of any interval made of them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from toolkit.bars.intervals import DAY_MS, MINUTE_MS, floor_ts, interval_ms


class Candle(NamedTuple):
    """ts_ms : its open time. volume : in the market's amounts: base units, contracts on a swap."""

    ts_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Day(NamedTuple):
    """24 hours of a market. money : quote money of its volume, by the closes of its minutes."""

    open: float
    high: float
    low: float
    volume: float
    money: float


class Tape:
    """One market's minutes; minutes without a trade are absent. last : the last price, 0 before the first trade."""

    def __init__(self) -> None:
        self._minutes: dict[int, Candle] = {}
        self._closed: tuple[int, Day | None] = (-1, None)
        self.last = 0.0

    def trade(self, ts_ms: int, price: float, volume: float) -> None:
        slot = floor_ts(ts_ms, MINUTE_MS)
        now = self._minutes.get(slot)
        if now is None:
            self._minutes[slot] = Candle(slot, price, price, price, price, volume)
        else:
            high, low = max(now.high, price), min(now.low, price)
            self._minutes[slot] = Candle(slot, now.open, high, low, price, now.volume + volume)
        self.last = price

    def remember(self, minutes: Iterable[Candle]) -> None:
        """Minutes of the past, in order; nothing is matched against them."""
        for minute in minutes:
            self._minutes[minute.ts_ms] = minute
            self.last = minute.close
        self._closed = (-1, None)

    def day(self, now_ms: int) -> Day:
        """Of the 24 hours up to now; all of it the last price where nothing was traded."""
        slot = floor_ts(now_ms, MINUTE_MS)
        if self._closed[0] != slot:
            # Each trade of the open minute asks, and all others have closed.
            self._closed = (slot, _sum(self.candles("1m", slot - DAY_MS + MINUTE_MS, slot - MINUTE_MS)))
        closed, opened = self._closed[1], self._minutes.get(slot)
        now = None if opened is None else _sum([opened])
        if closed is None or now is None:
            return closed or now or Day(self.last, self.last, self.last, 0.0, 0.0)
        high, low = max(closed.high, now.high), min(closed.low, now.low)
        return Day(closed.open, high, low, closed.volume + now.volume, closed.money + now.money)

    def candles(self, interval: str, first_ms: int, last_ms: int) -> list[Candle]:
        """Candles that open in [first, last], the open one with them, oldest first."""
        step = interval_ms(interval)
        begin, end = floor_ts(first_ms + step - 1, step), floor_ts(last_ms, step)
        found: list[Candle] = []
        for ts in range(begin, end + step, MINUTE_MS):
            minute = self._minutes.get(ts)
            if minute is None:
                continue
            slot = floor_ts(ts, step)
            if found and found[-1].ts_ms == slot:
                one = found[-1]
                high, low = max(one.high, minute.high), min(one.low, minute.low)
                found[-1] = Candle(slot, one.open, high, low, minute.close, one.volume + minute.volume)
            else:
                found.append(minute._replace(ts_ms=slot))
        return found


def _sum(minutes: Sequence[Candle]) -> Day | None:
    if not minutes:
        return None
    high, low = max(one.high for one in minutes), min(one.low for one in minutes)
    volume, money = sum(one.volume for one in minutes), sum(one.volume * one.close for one in minutes)
    return Day(minutes[0].open, high, low, volume, money)
