"""Windows at a start: only holes are asked for, a venue that fails is asked again, an open bar is waited for."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from executor.engine.state import bar_row, newest_bars
from executor.feed.base import ClosedBar, Series
from executor.ledger import Ledger
from executor.warming import Warming
from toolkit.errors import UnknownNameError, VenueError

MINUTE = 60_000
A = Series("gate", "BTC/USDT", "1m")
START = 1_700_000_040_000 // MINUTE * MINUTE


def at(minute: int) -> int:
    return START + minute * MINUTE


def bar(minute: int) -> ClosedBar:
    return ClosedBar(at(minute), 1.0, 1.0, 1.0, 1.0, 2.0)


@dataclass
class Windows:
    """What `Warming` needs of an engine: windows of the ledger's bars that end right before `next`."""

    ledger: Ledger
    count: int
    next: int

    def series(self) -> dict[Series, int]:
        return {A: self.count}

    def next_ts(self, series: Series) -> int:
        return self.next

    def held(self, series: Series) -> int:
        return len(newest_bars(self.ledger, series, self.next, self.count))

    def warm(self, series: Series, bars: Sequence[ClosedBar], source: str) -> None:
        self.ledger.put("bars", [bar_row(series, one, source, None, 0) for one in bars])


@dataclass
class Venue:
    """Has the bars of some minutes; `raising` is raised first, each once."""

    minutes: Sequence[int]
    raising: list[Exception] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)

    async def history(self, series: Series, start_ms: int, end_ms: int) -> list[ClosedBar]:
        if self.raising:
            raise self.raising.pop(0)
        self.asked.append(((start_ms - START) // MINUTE, (end_ms - START) // MINUTE))
        return [bar(m) for m in self.minutes if start_ms <= at(m) < end_ms]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "executor.sqlite", create=True, synchronous="OFF") as book:
        yield book


def run(windows: Windows, venue: Venue, clock: Callable[[], int]) -> Warming:
    made: Any = windows
    feed: Any = venue
    warming = Warming(made, feed, windows.ledger, clock)
    asyncio.run(asyncio.wait_for(warming.run(), 30))
    return warming


def keep(ledger: Ledger, *minutes: int) -> None:
    ledger.put("bars", [bar_row(A, bar(m), "store", None, 0) for m in minutes])


def test_a_full_window_asks_for_nothing(ledger: Ledger) -> None:
    keep(ledger, *range(90, 100))
    venue = Venue(range(0, 200))
    run(Windows(ledger, 10, at(100)), venue, lambda: at(500))
    assert venue.asked == []


def test_only_the_holes_are_asked_for(ledger: Ledger) -> None:
    keep(ledger, *range(70, 80), *range(90, 95))
    venue = Venue(range(0, 200))
    windows = Windows(ledger, 40, at(100))
    warming = run(windows, venue, lambda: at(500))
    assert venue.asked == [(95, 100), (80, 90), (60, 70)]
    assert windows.held(A) == 40
    assert warming.waiting == set() and warming.asked.is_set()


def test_a_short_history_is_asked_for_once_and_left_short(ledger: Ledger) -> None:
    venue = Venue(range(85, 100))
    windows = Windows(ledger, 40, at(100))
    run(windows, venue, lambda: at(500))
    assert windows.held(A) == 15
    assert venue.asked == [(60, 100), (60, 85)]


def test_the_bar_that_a_new_account_begins_behind_is_waited_for(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executor.warming._AGAIN_SECS", 0.0)
    times = iter([at(99) + 30_000, at(99) + 40_000, at(100) + 5_000, at(100) + 11_000, at(100) + 12_000])
    venue = Venue(range(0, 100))
    windows = Windows(ledger, 10, at(100))
    run(windows, venue, lambda: next(times))
    # All but the last bar at once; that one when it has been closed for ten seconds.
    assert venue.asked == [(90, 99), (99, 100)]
    assert windows.held(A) == 10


def test_a_venue_that_fails_is_asked_again_and_that_is_said_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executor.backoff.Backoff.failed", _at_once)
    venue = Venue(range(0, 200), [VenueError("gate did not answer"), VenueError("gate did not answer")])
    windows = Windows(ledger, 10, at(100))
    run(windows, venue, lambda: at(500))
    assert windows.held(A) == 10
    rows = ledger.rows("SELECT level, text FROM notices")
    assert [tuple(row) for row in rows] == [("warning", "no bars to warm up with: gate did not answer")]


def _at_once(self: Any) -> float:
    self.failures += 1
    return 0.0


def test_what_no_patience_mends_is_raised(ledger: Ledger) -> None:
    error = UnknownNameError("symbol on gate", "BTC/USDT", ["ETH/USDT"])
    with pytest.raises(UnknownNameError):
        run(Windows(ledger, 10, at(100)), Venue([], [error]), lambda: at(500))
