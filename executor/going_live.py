"""An engine at a venue: gateway, broker and engine put together, checked, and kept reconciled."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from executor.broker.breaker import DayBreaker
from executor.broker.errands import Sleep
from executor.broker.exchange import ExchangeGateway, SwapSettings
from executor.broker.live import LiveBroker, LiveSettings
from executor.broker.reconcile import Tolerance
from executor.broker.reconciling import Reconciler
from executor.broker.renamed import Renamed
from executor.broker.venue import Capabilities, Gateway, Place, Rules, UnreachableVenueError
from executor.config import ExecutorConfig
from executor.deployments.members import active
from executor.engine.engine import Engine, wall_ms
from executor.engine.live import LiveEngine
from executor.keys import read_keys
from executor.ledger import Ledger
from executor.own_gateway import read_gateway
from executor.parts import open_models, venue_of
from executor.tasks import end
from toolkit.errors import InputError, VenueError
from toolkit.portfolio.limits import Instrument

_log = logging.getLogger(__name__)
_EXCHANGES = """
    SELECT DISTINCT exchange FROM instances AS i JOIN deployments AS d ON d.id = i.deployment
    WHERE d.state != 'retired'
"""
# After a stop was asked for: how long requests that are under way may take.
_SETTLE_SECS = 15.0

Look = Callable[[str], Awaitable[None]]
"""Compares the venue with the ledger, for a cause, and does what follows."""


@dataclass(frozen=True)
class Checks:
    """What is done around trading.

    permit : raises where the account or its key must not be traded. look : reconciles. look_secs : how often.
    """

    permit: Callable[[], Awaitable[None]]
    look: Look
    look_secs: float = 300.0


def go_live(
    config: ExecutorConfig, ledger: Ledger, *, clock: Callable[[], int] = wall_ms, sleep: Sleep = asyncio.sleep
) -> "Trading":
    """An engine of the ledger's deployments at the configured venue; nothing is connected yet.

    clock : epoch ms. sleep : how to wait, in seconds.

    Raises
    ------
    InputError : there are no keys, or the deployment cannot be traded so. LedgerError : there is no deployment.
    """
    live = config.live
    settings = LiveSettings(
        protect_within_secs=live.protect_within_secs, poll_secs=live.poll_secs,
        max_entry_age_secs=config.max_entry_age_secs,
    )  # fmt: skip
    breaker = DayBreaker(ledger, live.max_orders_a_day, live.max_turnover_a_day)
    broker = LiveBroker(ledger, make_gateway(config, ledger), settings, clock=clock, sleep=sleep, breaker=breaker)
    age_ms = round(1000 * config.max_entry_age_secs)
    engine = LiveEngine(ledger, broker, model=open_models(config, ledger), max_entry_age_ms=age_ms, clock=clock)

    async def permit() -> None:
        await check_key(broker.gateway, allow_withdraw=live.allow_withdraw_keys)

    def symbols() -> list[str]:
        return sorted({series.symbol for series in engine.account.series})

    tolerance = Tolerance(balance_share=live.balance_tolerance)
    reconciler = Reconciler(ledger, broker, tolerance=tolerance, symbols=symbols, clock=clock, sleep=sleep)
    return Trading(engine, broker, Checks(permit, reconciler.look, live.reconcile_secs))


async def check_key(gateway: Gateway, *, allow_withdraw: bool) -> None:
    """Raises InputError : the key may take money out, and nobody allowed that."""
    if allow_withdraw:
        return
    may = await gateway.can_withdraw()
    if may is None:
        _log.warning("%s does not say whether the key may take money out; make sure that it may not", gateway.name)
    if may:
        raise InputError(
            f"the key may take money out of {gateway.name}, and a bot needs none that may: make one without that "
            f"right, or set `allow_withdraw_keys` in [live]"
        )


def make_gateway(config: ExecutorConfig, ledger: Ledger) -> Gateway:
    """The account at the venue that is configured, under the names of the ledger's deployments.

    Raises
    ------
    InputError : there are no keys, or the deployments are of several venues. LedgerError : there is no deployment.
    """
    venue = venue_of(config, {row["exchange"] for row in ledger.rows(_EXCHANGES)})
    hedge = any(one.market == "swap" and one.hedge_mode for one in active(ledger).instruments.values())
    swap = SwapSettings(leverage=config.live.leverage, margin_mode=config.live.margin_mode, hedge=hedge)
    keys = read_keys(config.live.keys_file)
    if config.live.gateway is not None:
        own = read_gateway(config.live.gateway, keys, config.exchange_options)
        return Renamed(own, config.venue_symbol)
    return Renamed(ExchangeGateway(venue, keys, swap=swap, options=config.exchange_options), config.venue_symbol)


class Trading:
    """`executor.daemon.Live`: connects, reconciles, trades, and goes on where a connection was lost."""

    def __init__(self, engine: LiveEngine, broker: LiveBroker, checks: Checks) -> None:
        self.engine: Engine = engine
        self._live, self._broker, self._checks = engine, broker, checks
        self._open: frozenset[str] = frozenset()
        self._tasks: list[asyncio.Task[None]] = []
        self._doubts: dict[str, str] = {}
        self._doubted = asyncio.Event()
        broker.on_doubt = self._doubt

    async def open(self) -> None:
        """Connect for every symbol that is traded; nothing where that is done.

        Raises
        ------
        VenueError : the venue does not answer; it is to be tried again. InputError : it must not be traded so.
        """
        symbols = frozenset(series.symbol for series in self.engine.account.series)
        if symbols <= self._open:
            return
        await self._end()
        try:
            await self._broker.open(sorted(symbols | self._open))
            await self._checks.permit()
            check_rules(self.engine.account.terms.instruments, sorted(symbols), self._broker)
            for line in protection_lines(sorted(symbols), self._broker):
                _log.info("%s", line)
            await self._checks.look("start")
        except UnreachableVenueError as error:
            raise VenueError(str(error)) from error
        self._open |= symbols
        self.take_now()
        self._tasks = [asyncio.create_task(self._broker.run()), asyncio.create_task(self._look_again())]

    async def news(self) -> None:
        waits = {asyncio.ensure_future(self._broker.news.wait()), *self._tasks}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits.difference(self._tasks):
                one.cancel()

    def take(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()
        self.take_now()

    def take_now(self) -> None:
        """Let the engine apply what the broker reports."""
        self._live.on_reports()

    async def close(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECS):
                await self._broker.settle()
        self.take_now()
        await self._end()
        await self._broker.close()

    async def _end(self) -> None:
        tasks, self._tasks = self._tasks, []
        await end(tasks)

    def _doubt(self, symbol: str, why: str) -> None:
        self._doubts[symbol] = why
        self._doubted.set()

    async def _look_again(self) -> None:
        """Reconcile every so often, and soon where something gave cause."""
        while True:
            with suppress(TimeoutError):
                # Not wait_for, which loses a cancellation that comes together with the event.
                async with asyncio.timeout(self._checks.look_secs):
                    await self._doubted.wait()
            cause = "; ".join(f"{symbol}: {why}" for symbol, why in self._doubts.items()) or "the clock"
            self._doubts.clear()
            self._doubted.clear()
            began = time.monotonic()
            try:
                await self._checks.look(cause)
            except UnreachableVenueError as error:
                _log.warning("not reconciled: %s", error)
            else:
                _log.info("reconciled in %.2f s (%s)", time.monotonic() - began, cause)


def protection_lines(symbols: Iterable[str], broker: LiveBroker) -> Iterable[str]:
    """Where each symbol's stops and targets live, in words."""
    for symbol in symbols:
        can = broker.gateway.capabilities(symbol)
        where = {Place.VENUE: f"at {broker.name}", Place.DAEMON: "watched by this daemon"}
        limits = [
            "a fired stop is a limit order, supervised" if can.stop_is_limit else "",
            "waiting triggers bind the balance: they go before an exit" if can.triggers_lock else "",
            f"triggers live {can.trigger_life_secs / 3600:g} h and are renewed" if can.trigger_life_secs < inf else "",
            "both sides may be held" if can.hedge else "",
        ]
        said = "; ".join(filter(None, limits))
        yield f"{symbol} ({can.market}): stop {where[can.stop]}, target {where[can.target]}{'; ' if said else ''}{said}"


def check_rules(instruments: Mapping[str, Instrument], symbols: Iterable[str], broker: LiveBroker) -> None:
    """The deployment's lot rules are the venue's: what was sized by others would be traded in other sizes.

    Raises
    ------
    InputError : one differs; it names the first, and how to freeze the venue's in a deployment.
    """
    gateway = broker.gateway
    for symbol in symbols:
        mine, rules, can = instruments.get(symbol), gateway.rules(symbol), gateway.capabilities(symbol)
        remedy = f"freeze the venue's: executor venues {broker.name} --symbols {symbol} --toml, then deploy anew"
        if mine is None:
            raise InputError(f"the deployment has no [instruments] of {symbol}, and {broker.name} has rules; {remedy}")
        for name, said, theirs in _differing(mine, rules, can):
            raise InputError(f"the deployment says {name} = {said} of {symbol}, {broker.name} says {theirs}; {remedy}")


def _differing(mine: Instrument, rules: Rules, can: Capabilities) -> Iterable[tuple[str, object, object]]:
    pairs = {
        "lot_step": (mine.lot_step, rules.lot_step), "min_qty": (mine.min_qty, rules.min_qty),
        "min_notional": (mine.min_notional, rules.min_notional), "tick": (mine.tick, rules.tick),
        "market": (mine.market, can.market),
    }  # fmt: skip
    if can.market == "swap":
        pairs["hedge_mode"] = (mine.hedge_mode, can.hedge)
    for name, (said, theirs) in pairs.items():
        if isinstance(said, float) and isinstance(theirs, float):
            if abs(said - theirs) > 1e-9 * max(abs(said), abs(theirs)):
                yield name, said, theirs
        elif said != theirs:
            yield name, said, theirs
