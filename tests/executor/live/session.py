"""A live engine at a local exchange, with ccxt and sockets between them; bars, prices and faults come from the test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from executor.broker.exchange import ExchangeGateway, Keys, SwapSettings
from executor.broker.live import LiveBroker, LiveSettings
from executor.broker.reconciling import Reconciler
from executor.broker.renamed import Renamed
from executor.broker.venue import Gateway
from executor.engine.live import LiveEngine
from executor.engine.model import AcceptAll
from executor.engine.signals import Traded
from executor.engine.state import Plan
from executor.feed.base import BarEvent, ClosedBar, Series
from executor.going_live import Checks, Trading
from executor.ledger import Ledger
from executor.sandbox.book import NewOrder, Trigger, Venue
from executor.sandbox.faults import Fault, Faults
from tests.exchange.venues import GATE_KEY, KEY, START_MS, Clock, gate, kucoin
from tests.soak.guard import Guard
from toolkit.bars.series import Bars
from toolkit.engine.rules import Costs, TradeRules
from toolkit.portfolio.limits import Instrument, Limits
from toolkit.strategy import Signals, Strategy

MINUTE = 60_000
SETTINGS = LiveSettings()
FIRST = START_MS // MINUTE * MINUTE
KINDS = ("kucoin spot", "gate spot", "gate swap")
_PRICE = 50_000.0


class Nothing(NamedTuple):
    """No parameters."""


@dataclass
class Word:
    """What the strategy says at the next close."""

    enter: bool = False
    leave: bool = False


def strategy(word: Word) -> Strategy:
    """Long, stop 1,000 below, target 2,000 above; it says what the test wants."""

    def say(bars: Bars, _: Nothing) -> Signals:
        n = len(bars)
        no = np.zeros(n, np.bool_)
        enter, leave = no.copy(), no.copy()
        enter[-1], leave[-1] = word.enter, word.leave
        return Signals(enter, no, leave, no, np.full(n, 1_000.0), np.full(n, 2_000.0))

    return Strategy("said", say, Nothing, ("1m",), lambda _: 1)


@dataclass
class Session:
    """One instance, a tenth of 10,000 USDT an entry, of which about 0.02 BTC."""

    folder: Path
    kind: str
    clock: Clock
    venue: Venue
    front: Any
    faults: Faults
    word: Word = field(default_factory=Word)

    def __post_init__(self) -> None:
        self.path, self.bar_ms = self.folder / "live.sqlite", FIRST
        self.name = self.kind.partition(" ")[0]
        self.symbol = "BTC/USDT:USDT" if self.is_swap else "BTC/USDT"
        self.series = Series(self.name, "BTC/USDT", "1m")
        self.listing = self.venue.listings[self.symbol]
        self.guard, self.is_away = Guard(self.venue), True
        self.helpless: list[tuple[int, int]] = []
        self.make_gateway: Callable[[], Gateway] = self._ccxt_gateway
        lot = self.listing.lot * self.listing.contract_size
        least = self.listing.min_qty * self.listing.contract_size
        market = "swap" if self.is_swap else "spot"
        instrument = Instrument(lot, least, self.listing.min_notional, self.listing.tick, market, hedge_mode=False)
        rules = TradeRules(side="long", stop="signal", target="signal", signal_timeout="10bars")
        one = Traded(
            "said-BTCUSDT-1m-0123456789", "dep", strategy(self.word), Nothing(), rules, Costs(), self.series, "1m"
        )
        self.plan = Plan([one], Limits(exposure=0.1), {"BTC/USDT": instrument})
        with Ledger.open(self.path, create=True) as book, book.transaction("load"):
            for key, value in (("start_ms", FIRST), ("mode", "live"), ("currency", "USDT"), ("account", "test")):
                book.set_meta(key, value)
            book.put("weights", [{"effective_ms": FIRST, "instance": one.instance_id, "weight": 1.0, "cause": ""}])
            book.insert("cash_flows", {"ts_ms": FIRST, "kind": "allocated", "amount": 10_000.0, "note": ""})
            book.put("deployments", [{
                "id": "dep", "checksum": "", "folder": "", "document": "{}", "loaded_ms": 0,
                "effective_from_ms": FIRST, "state": "active",
            }])  # fmt: skip
            book.put("instances", [{
                "id": one.instance_id, "deployment": "dep", "strategy": "said", "symbol": "BTC/USDT",
                "exchange": self.name, "base": "1m", "interval": "1m", "document": "{}", "weight": 1.0,
            }])  # fmt: skip

    @property
    def is_swap(self) -> bool:
        return self.kind.endswith("swap")

    @asynccontextmanager
    async def trading(self, *, dies: bool = False) -> AsyncIterator[None]:
        """One life of what trades. dies : it ends as by SIGKILL, nothing is waited for or tidied up."""
        self.ledger = Ledger.open(self.path)
        self.broker = LiveBroker(self.ledger, self._gateway(), SETTINGS, clock=self.clock)
        self.engine = LiveEngine(
            self.ledger, self.broker, load=lambda _, __: self.plan, model=AcceptAll(), clock=self.clock
        )
        self.live = Trading(self.engine, self.broker, Checks(_may_trade, self._reconciler().look))
        try:
            await self.live.open()
            self.is_away = False
            yield
        finally:
            self.is_away = True
            if dies:
                self.broker._doing.is_running = False
                await self.live._end()
                await self.broker.close()
            else:
                await self.live.close()
            self.ledger.close()

    def _gateway(self) -> Renamed:
        return Renamed(self.make_gateway(), lambda symbol: self.symbol if symbol == "BTC/USDT" else symbol)

    def _ccxt_gateway(self) -> Gateway:
        options = self.front.ccxt_options(self.name)
        if self.name == "kucoin":
            keys = Keys(KEY.key, KEY.secret, KEY.passphrase)
        else:
            keys = Keys(GATE_KEY.key, GATE_KEY.secret)
        loop = asyncio.get_running_loop()
        return ExchangeGateway(self.name, keys, swap=SwapSettings(hedge=False), options=options, monotonic=loop.time)

    def _reconciler(self) -> Reconciler:
        return Reconciler(self.ledger, self.broker, clock=self.clock)

    async def bar(self, price: float = _PRICE, *, enter: bool = False, leave: bool = False) -> None:
        """The minute trades at this price, and closes."""
        self.word.enter, self.word.leave = enter, leave
        await self.trade_at(price)
        await self.pass_secs(max(0.0, (self.bar_ms + MINUTE - self.clock()) / 1000))
        bar = ClosedBar(self.bar_ms, price, price, price, price, 10.0)
        self.bar_ms += MINUTE
        self.engine.on_event(BarEvent(self.clock.now_ms, ((self.series, bar),), "rest"))

    async def open_trade(self) -> None:
        """A trade with its stop at the venue."""
        await self.bar()
        await self.bar(enter=True)
        await self.until(lambda: self.trade() and self.stops)

    async def trade_at(self, price: float) -> None:
        self.venue.price(self.symbol, price)
        await self.venue.advance(self.clock())

    async def until(self, is_so: Callable[[], Any], secs: float = 30.0) -> None:
        """Time passes until then."""
        async with asyncio.timeout(secs):
            while not is_so():
                await self.step(0.02)

    async def step(self, secs: float) -> None:
        await self.only_market(secs)
        self.live.take()

    async def only_market(self, secs: float) -> None:
        """Time in which the engine is not asked."""
        before = self.clock()
        await asyncio.sleep(secs)
        await self.venue.advance(self.clock())
        if self.is_away or self.faults.lasting("down"):
            self.helpless.append((before, self.clock()))

    async def pass_secs(self, secs: float) -> None:
        until = self.clock() + 1000 * secs
        while (left := (until - self.clock()) / 1000) > 0.0:
            await self.step(min(left, 0.1))

    async def look(self) -> None:
        """The ledger is held against the venue, while time passes."""
        looking = asyncio.ensure_future(self._reconciler().look("the test"))
        await self.until(looking.done)
        await looking

    def fault(self, kind: str, match: str = "*", **more: Any) -> None:
        self.faults.add(Fault(kind, match, **more))

    def sell_by_hand(self) -> None:
        """All that is held, in whole lots."""
        lots = int(self.guard.held(self.symbol, "long") / self.listing.lot + 1e-6)
        qty = round(lots * self.listing.lot, 12)
        self.venue.place(NewOrder(self.symbol, "sell", "market", qty, reduce_only=self.is_swap))

    def trade(self) -> dict[str, Any]:
        rows = self.ledger.rows("SELECT * FROM trades")
        return dict(rows[-1]) if rows else {}

    def is_over(self) -> bool:
        return bool(self.trade()) and self.trade()["status"] == "CLOSED"

    @property
    def stops(self) -> list[Trigger]:
        """Of ours at the venue, those that wait."""
        return [one for one in self.venue.triggers(self.symbol) if one.rule == "<="]

    @property
    def held(self) -> float:
        """Base units, by the venue."""
        return self.guard.held(self.symbol, "long") * self.listing.contract_size

    @property
    def entries(self) -> int:
        """Orders that bought, by the venue's own records."""
        orders = [*self.venue.finished(self.symbol), *self.venue.open_orders(self.symbol)]
        return sum(one.side == "buy" and "ls-" in one.client_id for one in orders)

    def covered(self) -> float:
        """Base units for which a stop waits."""
        return sum(one.order.qty for one in self.stops) * self.listing.contract_size

    def bare_secs(self) -> float:
        """The longest time without a stop, by the venue's own records."""
        now = self.clock()
        return max(((one.until_ms or now) - one.from_ms for one in self.guard.found), default=0) / 1000


class LoopClock(Clock):
    """The loop's time."""

    def __call__(self) -> int:
        return self.now_ms + round(1000 * asyncio.get_running_loop().time())


async def _may_trade() -> None:
    """The key may be used."""


@asynccontextmanager
async def session(folder: Path, kind: str) -> AsyncIterator[Session]:
    clock = LoopClock()
    venue, faults, front = (kucoin if kind.startswith("kucoin") else gate)(clock)
    async with front:
        yield Session(folder, kind, clock, venue, front, faults)
