"""A daemon in this process: a random account, a feed that the test holds, no API unless it is asked for."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from executor.config import ExecutorConfig
from executor.daemon import run_daemon
from executor.engine.engine import Engine
from executor.feed.base import BarEvent, ClosedBar, Series
from executor.ledger import Ledger
from executor.parts import Parts
from tests.executor.engine.account_replay import events_of, make_engine, open_ledger, playable
from tests.portfolio.account_cases import AccountCase

SEED = 7_000_003


@dataclass
class HandFeed:
    """Gives the case's events from where the engine stands, and then `at_end`: "end", "stop" (the daemon) or "wait".

    before : called with each event before it is given. raising : raised in place of the next event, each once.
    """

    events_all: Sequence[BarEvent]
    starts: Mapping[Series, int]
    at_end: str = "end"
    before: Callable[[BarEvent], None] = lambda _: None
    raising: list[BaseException] = field(default_factory=list)
    silent: dict[Series, float] = field(default_factory=dict)
    is_closed: bool = False

    async def events(self) -> AsyncIterator[BarEvent]:
        for event in self.events_all:
            bars = tuple((s, bar) for s, bar in event.bars if s in self.starts and bar.ts >= self.starts[s])
            if not bars:
                continue
            if self.raising:
                raise self.raising.pop(0)
            self.before(event)
            yield BarEvent(event.moment_ms, bars, "stream")
            await asyncio.sleep(0)
        if self.at_end == "stop":
            os.kill(os.getpid(), signal.SIGTERM)
        if self.at_end != "end":
            await asyncio.Event().wait()

    async def history(self, series: Series, start_ms: int, end_ms: int) -> Sequence[ClosedBar]:
        return ()

    def ages(self) -> Mapping[Series, float]:
        return self.silent

    async def close(self) -> None:
        self.is_closed = True


@dataclass
class Rig:
    """A case, its ledger's path, and the feeds that the daemon opened."""

    case: AccountCase
    path: Path
    feeds: list[HandFeed] = field(default_factory=list)
    engines: list[Engine] = field(default_factory=list)

    @property
    def events(self) -> list[BarEvent]:
        return events_of(self.case)

    def run(self, *, config: Mapping[str, Any] | None = None, **feed: Any) -> None:
        """One life of the daemon."""

        def open_feed(_: ExecutorConfig, starts: Mapping[Series, int], after_ms: int) -> HandFeed:
            self.feeds.append(HandFeed(self.events, starts, **feed))
            return self.feeds[-1]

        def engine(_: ExecutorConfig, ledger: Ledger) -> Engine:
            self.engines.append(make_engine(self.case, ledger))
            return self.engines[-1]

        given = {"ledger": self.path, "api": False, **(config or {})}
        run_daemon(ExecutorConfig(**given), Parts(open_feed, engine))

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with Ledger.open(self.path, readonly=True) as ledger:
            return [dict(row) for row in ledger.rows(sql)]

    def ask(self, verb: str, target: str = "") -> None:
        with Ledger.open(self.path, check=False) as ledger:
            ledger.insert("commands", {"ts_ms": 0, "verb": verb, "target": target, "by": "test"})


def make_rig(folder: Path, seed: int = SEED) -> Rig:
    """A new dry ledger of a random account."""
    case = playable(seed)
    path = folder / "executor.sqlite"
    with open_ledger(case, path) as ledger:
        ledger.set_meta("mode", "dry")
    return Rig(case, path)
