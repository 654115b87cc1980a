"""A venue of the local exchange with ccxt, unmodified, pointed at it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import ccxt.async_support as ccxt_rest
import ccxt.pro as ccxt_pro

from executor.sandbox.book import Listing, Venue
from executor.sandbox.faults import Fault, Faults
from executor.sandbox.gate import GateFront, GateKey
from executor.sandbox.kucoin import ApiKey, KucoinFront
from executor.sandbox.serving import Front

START_MS = 1_700_000_040_000
KEY = ApiKey("key-of-the-account", "secret-of-the-account", "passphrase", "General,Spot")
BTC = Listing("BTC/USDT", "spot", "BTC", "USDT", 0.1, 0.00001, 0.0001, 0.1, fee_in="quote")
ETH = Listing("ETH/USDT", "spot", "ETH", "USDT", 0.01, 0.0001, 0.001, 0.1, fee_in="quote")

GATE_KEY = GateKey("key-of-the-account", "secret-of-the-account")
GATE_BTC = Listing("BTC/USDT", "spot", "BTC", "USDT", 0.1, 0.00001, 0.0001, 3.0)
GATE_ETH = Listing("ETH/USDT", "spot", "ETH", "USDT", 0.01, 0.0001, 0.001, 3.0)
SWAP = Listing("BTC/USDT:USDT", "swap", "BTC", "USDT", 0.1, 1.0, 1.0, contract_size=0.001, taker=0.0005, maker=0.0002)


class Clock:
    """The market's time, moved by hand."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def move(self, ms: int) -> None:
        self.now_ms += ms


@dataclass
class World:
    """rest, stream : ccxt."""

    venue: Venue
    faults: Faults
    clock: Clock
    front: Front
    rest: Any
    stream: Any
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def fault(self, kind: str, match: str = "*", **more: Any) -> None:
        self.faults.add(Fault(kind, match, **more))

    def watch(self, call: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
        """The next answer of a watcher; it waits from now on."""
        task = asyncio.ensure_future(call())
        self.tasks.append(task)
        return task

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Let things happen until then; fails after five seconds."""
        async with asyncio.timeout(5):
            while not is_so():
                await asyncio.sleep(0.002)

    def requests(self, part: str) -> int:
        """How many requests of that kind reached the venue, by its own records."""
        return sum(part in entry.verb for entry in self.venue.log.of("request"))


def kucoin(clock: Clock, balances: Mapping[str, float] | None = None, **more: Any) -> tuple[Venue, Faults, KucoinFront]:
    """A KuCoin with two markets that were traded."""
    venue = Venue([BTC, ETH], {"USDT": 10_000.0, **(balances or {})}, clock=clock)
    venue.price("BTC/USDT", 50_000.0)
    venue.price("ETH/USDT", 3_000.0)
    faults = Faults(clock)
    return venue, faults, KucoinFront(venue, faults, more.pop("key", KEY), move_clock=clock.move, **more)


def gate(clock: Clock, balances: Mapping[str, float] | None = None, **more: Any) -> tuple[Venue, Faults, GateFront]:
    """A Gate with two spot markets and a swap that were traded; the swap has an account of its own."""
    venue = Venue(
        [GATE_BTC, GATE_ETH, SWAP],
        {"USDT": 10_000.0, **(balances or {})},
        clock=clock,
        swap_balances={"USDT": 10_000.0},
        hedge=more.pop("hedge", False),
    )
    for symbol, price in (("BTC/USDT", 50_000.0), ("ETH/USDT", 3_000.0), (SWAP.symbol, 50_000.0)):
        venue.price(symbol, price)
    faults = Faults(clock)
    return venue, faults, GateFront(venue, faults, more.pop("key", GATE_KEY), move_clock=clock.move, **more)


def run(scenario: Callable[["World"], Awaitable[None]], **more: Any) -> None:
    """Play the scenario in a world of its own; see `world` for the rest."""

    async def go() -> None:
        async with world(**more) as found:
            await scenario(found)

    asyncio.run(go())


@asynccontextmanager
async def world(
    make: Callable[..., tuple[Venue, Faults, Front]] = kucoin,
    exchange: str = "kucoin",
    settings: Any = None,
    **more: Any,
) -> AsyncIterator[World]:
    """Served, with both clients open. settings : ccxt's, over the front's own."""
    clock = Clock()
    venue, faults, front = make(clock, **more)
    async with front:
        options = {**front.ccxt_options(exchange), "timeout_on_exit": 0, **(settings or {})}
        rest, stream = getattr(ccxt_rest, exchange)(options), getattr(ccxt_pro, exchange)(options)
        found = World(venue, faults, clock, front, rest, stream)
        try:
            await rest.load_markets()
            stream.open()
            stream.set_markets_from_exchange(rest)
            yield found
        finally:
            faults.clear()
            for task in found.tasks:
                task.cancel()
            await asyncio.gather(*found.tasks, return_exceptions=True)
            await stream.close()
            await rest.close()
