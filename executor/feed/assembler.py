"""Closed bars out of whatever a venue says: each once, in order, without holes, in events. No clock, no network."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from executor.feed.base import BarEvent, ClosedBar, Series
from toolkit.bars.intervals import floor_ts

# Given bars that a later word of the venue is compared with.
_REMEMBERED = 240


@dataclass(frozen=True)
class Patience:
    """How long is waited for what.

    decide_by_ms : after a close, for the bars of all series; whoever is late then steps in an event of its own.
    fill_after_ms : after a close, before a bar that the venue does not have is taken to be without trades.
    settle_ms : after a close, before a candle with no later one behind it is taken to be final.
    """

    decide_by_ms: int
    fill_after_ms: int
    settle_ms: int = 2_000


class Question(NamedTuple):
    """What a venue is asked at `at_ms` of its clock: all candles that open in [first_ms, end_ms).

    newest_ts : of the newest candle of the series that was heard of before.
    """

    series: Series
    first_ms: int
    end_ms: int
    at_ms: int
    newest_ts: int


@dataclass
class _Line:
    """What is known of one series.

    bars : closed, not given yet. given : the newest given ones, as last heard. close : of the bar before the next.
    newest_ts : of the newest candle heard of.
    listed_ms, quiet_ms : bars that open before and are not known do not exist: the venue lists later ones; or it was
    asked long after they closed.
    """

    next_ts: int
    bars: dict[int, ClosedBar] = field(default_factory=dict)
    given: dict[int, ClosedBar] = field(default_factory=dict)
    close: float = math.nan
    newest_ts: int = -1
    listed_ms: int = -1
    quiet_ms: int = -1


class Assembler:
    """Events from candles that are seen in any order, again, late and corrected.

    Parameters
    ----------
    starts : open time of the first bar that each series is to give.
    after_ms : the moment of the last event before; all moments given are later.

    An event of moment T (a close) is complete when every series with a bar that closes at T has it, or `decide_by_ms`
    after T if some have. Where the first bar of T comes later than that (an outage), the others have as long again.
    """

    def __init__(self, starts: Mapping[Series, int], patience: Patience, *, after_ms: int = -1) -> None:
        self._lines = {series: _Line(start) for series, start in starts.items()}
        self._patience = patience
        self._decided_ms = self._moment_ms = after_ms
        self._heard_ms = -1
        self._first_heard: dict[int, int] = {}
        self._corrections: list[tuple[Series, ClosedBar]] = []
        self.deadline_ms: int | None = None

    def saw(self, series: Series, ts: int) -> None:
        """The candle that opens at `ts` has begun: those before it are closed."""
        if floor_ts(ts, series.base_ms) == ts:
            line = self._lines[series]
            line.newest_ts = max(line.newest_ts, ts)
            self._heard_ms = max(self._heard_ms, ts)

    def ask(self, series: Series, first_ms: int, end_ms: int, now_ms: int) -> Question:
        """To be made when the venue is asked, not when it answers: what is final is judged by what was known then."""
        return Question(series, first_ms, end_ms, now_ms, self._lines[series].newest_ts)

    def answer(self, asked: Question, rows: Iterable[ClosedBar]) -> None:
        """All that the venue has of what it was asked; the open candle too, and any twice or out of order."""
        series, base_ms = asked.series, asked.series.base_ms
        line, settled_ms = self._lines[series], asked.at_ms - self._patience.settle_ms
        inside = sorted(
            (row for row in rows if asked.first_ms <= row.ts < asked.end_ms and floor_ts(row.ts, base_ms) == row.ts),
            key=lambda row: row.ts,
        )
        newest = max(asked.newest_ts, inside[-1].ts if inside else -1)
        for row in inside:
            self.saw(series, row.ts)
            if row.ts + base_ms <= max(newest, settled_ms):
                self._closed(series, row, asked.at_ms)
        if asked.first_ms <= max(line.next_ts, line.listed_ms):
            if inside:
                line.listed_ms = max(line.listed_ms, inside[-1].ts)
            long_ago = asked.at_ms - self._patience.fill_after_ms - base_ms + 1
            line.quiet_ms = max(line.quiet_ms, min(asked.end_ms, long_ago))

    def wanted(self, series: Series) -> int:
        """Open time of the first bar that is not known yet."""
        line = self._lines[series]
        ts = line.next_ts
        while ts in line.bars:
            ts += series.base_ms
        return ts

    def has_past(self, series: Series) -> bool:
        """Whether the close before the next bar is known; without one, the series begins with its first bar."""
        return not math.isnan(self._lines[series].close)

    def is_due(self, series: Series, now_ms: int) -> bool:
        """Whether the wanted bar has closed: a later candle was seen, or the clock has passed its close for long."""
        close_ms = self.wanted(series) + series.base_ms
        return self._lines[series].newest_ts >= close_ms or now_ms >= close_ms + self._patience.settle_ms

    def take(self, now_ms: int) -> Sequence[BarEvent]:
        """Events that are complete by now, in order; each is given once.

        `deadline_ms` says when the next one is due although series are missing; None where none has begun.
        """
        # A clock that was set back must not hold up what the venue's own candles show to be over.
        now = max(now_ms, self._heard_ms)
        events = []
        while (event := self._next(now)) is not None:
            events.append(event)
        return events

    def corrections(self) -> Sequence[tuple[Series, ClosedBar]]:
        """Later words that differ from a bar that was given, since the last call."""
        found, self._corrections = self._corrections, []
        return found

    def _closed(self, series: Series, row: ClosedBar, now_ms: int) -> None:
        line = self._lines[series]
        if row.ts >= line.next_ts:
            line.bars[row.ts] = row
            moment = row.ts + series.base_ms
            if moment > self._decided_ms and now_ms > moment + self._patience.decide_by_ms:
                self._first_heard.setdefault(moment, now_ms)
        elif row.ts in line.given:
            if _differs(row, line.given[row.ts]):
                line.given[row.ts] = row
                self._corrections.append((series, row))
        elif not line.given or row.ts > max(line.given):
            line.given[row.ts], line.close = row, row.close

    def _next(self, now: int) -> BarEvent | None:
        self.deadline_ms = None
        ready = {}
        for series, line in self._lines.items():
            bar = self._ready(series, line)
            if bar is not None:
                ready[series] = bar
        if not ready:
            return None
        moment = min(bar.ts + series.base_ms for series, bar in ready.items())
        chosen = {series: bar for series, bar in ready.items() if bar.ts + series.base_ms == moment}
        if moment > self._decided_ms and self._waits(chosen, moment):
            deadline = self._first_heard.get(moment, moment) + self._patience.decide_by_ms
            if now < deadline:
                self.deadline_ms = deadline
                return None
        for series, bar in chosen.items():
            self._give(series, bar)
        self._first_heard.pop(moment, None)
        self._decided_ms = max(self._decided_ms, moment)
        self._moment_ms = max(moment, self._moment_ms + 1)
        return BarEvent(self._moment_ms, tuple(chosen.items()), "rest")

    def _waits(self, chosen: Mapping[Series, ClosedBar], moment: int) -> bool:
        """Whether a series that is not among the chosen has a bar that closes at this moment."""
        return any(
            line.next_ts + series.base_ms <= moment and floor_ts(moment, series.base_ms) == moment
            for series, line in self._lines.items()
            if series not in chosen
        )

    def _ready(self, series: Series, line: _Line) -> ClosedBar | None:
        """The next bar, flat where nothing traded; None where it is not known yet."""
        bar = line.bars.get(line.next_ts)
        if bar is not None or not self._missing(series, line):
            return bar
        if not math.isnan(line.close):
            return flat(line.next_ts, line.close)
        # Nothing came before it: the series begins with its first bar.
        line.next_ts = min((ts for ts in line.bars if ts > line.next_ts), default=line.next_ts)
        return line.bars.get(line.next_ts)

    def _missing(self, series: Series, line: _Line) -> bool:
        ts = line.next_ts
        if ts < line.listed_ms:
            return True
        # A venue whose every candle stands still is broken; that its market is quiet needs a candle of another series.
        return ts < line.quiet_ms and self._heard_ms >= ts + series.base_ms

    def _give(self, series: Series, bar: ClosedBar) -> None:
        line = self._lines[series]
        line.bars.pop(bar.ts, None)
        line.given[bar.ts], line.close = bar, bar.close
        line.next_ts = bar.ts + series.base_ms
        if len(line.given) > _REMEMBERED:
            del line.given[next(iter(line.given))]


def flat(ts: int, close: float) -> ClosedBar:
    """A bar without trades, after a bar that closed at `close`."""
    return ClosedBar(ts, close, close, close, close, 0.0, filled=True)


def _differs(one: ClosedBar, other: ClosedBar) -> bool:
    """Whether two words about a bar differ; a volume that is unknown twice does not. That it was filled is no word."""
    pairs = zip(one[1:6], other[1:6], strict=True)
    return any(a != b and not (math.isnan(a) and math.isnan(b)) for a, b in pairs)
