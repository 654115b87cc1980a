"""A live session against the fake venue: a daemon's loop as small as possible, that can be killed and started again."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from executor.broker.base import Kind
from executor.broker.live import LiveBroker, LiveSettings
from executor.broker.venue import Capabilities
from executor.ledger import Ledger
from executor.ledger.ledger import Row
from tests.executor.broker.fake_venue import SPOT, FakeVenue, Record
from tests.executor.broker.small_engine import Plan, SmallEngine
from tests.executor.broker.virtual import VirtualLoop

SYMBOL = "BTC/USDT"


class Session:
    """`engine`, `broker` and `venue` on one virtual clock, the ledger in `path`."""

    venue_type: type[FakeVenue] = FakeVenue

    def __init__(
        self, path: Path, markets: dict[str, Capabilities] | None = None, *, plan: Plan | None = None,
        settings: LiveSettings | None = None, base_fee: bool = True,
    ) -> None:  # fmt: skip
        self.loop = VirtualLoop()
        asyncio.set_event_loop(None)
        self.venue = self.venue_type(self.loop, markets or {SYMBOL: SPOT}, base_fee=base_fee)
        self.ledger = Ledger.open(path, create=True, synchronous="OFF", check=False)
        self.plan, self.settings = plan or Plan(), settings or LiveSettings()
        self.doubts: list[tuple[str, str]] = []
        self.start()

    def start(self) -> None:
        self.broker = LiveBroker(self.ledger, self.venue, self.settings, clock=self.venue.now_ms)
        self.broker.on_doubt = lambda symbol, why: self.doubts.append((symbol, why))
        self.engine = SmallEngine(self.ledger, self.broker, self.plan)
        self.loop.run(self.broker.open([]))
        self._tasks = [self.loop.create_task(self.broker.run()), self.loop.create_task(self._follow())]
        self.pass_secs(0.0)

    async def _follow(self) -> None:
        while True:
            await self.broker.news.wait()
            self.engine.take(self.venue.now_ms())

    def kill(self) -> None:
        """As by SIGKILL: nothing is tidied up; what is under way at the venue goes on there."""
        self.broker._doing.is_running = False
        tasks = [*self._tasks, *self.broker._doing.errands._tasks]
        for task in tasks:
            task.cancel()
        self.loop.run(_gathered(tasks))

    def restart(self) -> None:
        self.kill()
        self.start()

    def pass_secs(self, secs: float) -> None:
        self.loop.pass_secs(secs)
        for task in self._tasks:
            if task.done():
                task.result()

    def enter(self, trade_id: str = "aa-L-1", side: str = "buy", qty: float = 1.0, symbol: str = SYMBOL) -> str:
        self.do(lambda: self.engine.enter(trade_id, symbol, side, qty, self.venue.now_ms()))
        return trade_id

    def leave(self, trade_id: str) -> None:
        self.do(lambda: self.engine.leave(trade_id, self.venue.now_ms()))

    def do(self, call: object) -> None:
        """Call it inside the loop, as the daemon does."""

        async def inside() -> None:
            call()  # type: ignore[operator]

        self.loop.run(inside())

    def price(self, price: float, symbol: str = SYMBOL) -> None:
        self.venue.trade_at(symbol, price)

    def at_venue(self, *kinds: Kind) -> list[Record]:
        """Orders of these kinds that wait there, all of them without a kind."""
        return [one for one in self.venue.records if one.is_open and one.ticket.kind in (kinds or tuple(Kind))]

    def sent(self, kind: Kind) -> list[Record]:
        """Every order of a kind that ever arrived."""
        return [one for one in self.venue.records if one.ticket.kind is kind]

    def trade(self, trade_id: str) -> dict[str, object]:
        found = self.engine.row(trade_id)
        assert found is not None
        return found

    def tickets(self, kind: Kind) -> list[Row]:
        """The ledger's rows of a kind, oldest first."""
        return self.ledger.rows("SELECT * FROM venue_orders WHERE kind = ? ORDER BY rowid", (kind.value,))

    def value(self, sql: str) -> Any:
        return self.ledger.value(sql)

    def close(self) -> None:
        self.kill()
        self.loop.end()
        self.ledger.close()


Open = Callable[..., Session]


async def _gathered(tasks: list["asyncio.Task[None]"]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
