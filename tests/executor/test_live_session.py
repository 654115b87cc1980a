"""A live engine at the local exchange, with ccxt between them: what it trades is what the venue's records say."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from executor.broker.exchange import ExchangeGateway, Keys
from executor.broker.live import LiveBroker
from executor.engine.live import LiveEngine
from executor.engine.model import AcceptAll
from executor.engine.signals import Traded
from executor.engine.state import Plan
from executor.feed.base import BarEvent, ClosedBar, Series
from executor.going_live import Checks, Trading
from executor.ledger import Ledger
from executor.sandbox.book import Venue
from executor.sandbox.faults import Fault, Faults
from tests.exchange.venues import BTC, KEY, START_MS, Clock, kucoin
from toolkit.bars.series import Bars
from toolkit.engine.rules import Costs, TradeRules
from toolkit.portfolio.limits import Instrument, Limits
from toolkit.strategy import Signals, Strategy

MINUTE = 60_000
SERIES = Series("kucoin", "BTC/USDT", "1m")
FIRST = START_MS // MINUTE * MINUTE


class Nothing(NamedTuple):
    """No parameters."""


@dataclass
class Word:
    """What the strategy says at the next close."""

    enter: bool = False
    leave: bool = False


def strategy(word: Word) -> Strategy:
    def say(bars: Bars, _: Nothing) -> Signals:
        n = len(bars)
        no = np.zeros(n, np.bool_)
        enter, leave = no.copy(), no.copy()
        enter[-1], leave[-1] = word.enter, word.leave
        return Signals(enter, no, leave, no, np.full(n, 1_000.0), np.full(n, 2_000.0))

    return Strategy("said", say, Nothing, ("1m",), lambda _: 1)


@dataclass
class Session:
    """One instance, long, a tenth of 10,000 USDT an entry; bars and prices come from the test."""

    folder: Path
    clock: Clock
    venue: Venue
    front: Any
    faults: Faults
    word: Word = field(default_factory=Word)

    def __post_init__(self) -> None:
        self.path = self.folder / "live.sqlite"
        self.bar_ms = FIRST
        instrument = Instrument(BTC.lot, BTC.min_qty, BTC.min_notional, BTC.tick, "spot", hedge_mode=False)
        rules = TradeRules(side="long", stop="signal", target="signal", signal_timeout="10bars")
        one = Traded("said-BTCUSDT-1m-0123456789", "dep", strategy(self.word), Nothing(), rules, Costs(), SERIES, "1m")
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
                "exchange": "kucoin", "base": "1m", "interval": "1m", "document": "{}", "weight": 1.0,
            }])  # fmt: skip

    @asynccontextmanager
    async def trading(self) -> AsyncIterator[None]:
        """One life of the daemon's part that trades."""
        self.ledger = Ledger.open(self.path)
        keys = Keys(KEY.key, KEY.secret, KEY.passphrase)
        gateway = ExchangeGateway("kucoin", keys, options=self.front.ccxt_options("kucoin"))
        self.broker = LiveBroker(self.ledger, gateway, clock=self.clock)
        self.engine = LiveEngine(
            self.ledger, self.broker, load=lambda _, __: self.plan, model=AcceptAll(), clock=self.clock
        )
        self.live = Trading(self.engine, self.broker, Checks(permit, look))
        await self.live.open()
        try:
            yield
        finally:
            await self.live.close()
            self.ledger.close()

    async def bar(self, price: float, *, enter: bool = False, leave: bool = False) -> None:
        """The minute trades at this price, and closes."""
        self.word.enter, self.word.leave = enter, leave
        await self.trade_at(price)
        self.clock.now_ms = self.bar_ms + MINUTE
        bar = ClosedBar(self.bar_ms, price, price, price, price, 10.0)
        self.bar_ms += MINUTE
        self.engine.on_event(BarEvent(self.clock.now_ms, ((SERIES, bar),), "rest"))

    async def trade_at(self, price: float) -> None:
        self.venue.price("BTC/USDT", price)
        await asyncio.sleep(0)

    async def until(self, is_so: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not is_so():
                self.clock.move(20)
                await asyncio.sleep(0.02)
                self.live.take()

    def trade(self) -> dict[str, Any]:
        rows = self.ledger.rows("SELECT * FROM trades")
        return dict(rows[-1]) if rows else {}

    @property
    def stops(self) -> list[Any]:
        return [one for one in self.venue.triggers("BTC/USDT") if one.rule == "<="]


async def permit() -> None:
    """The key may be used."""


async def look(cause: str) -> None:
    """Nothing to compare."""


@asynccontextmanager
async def session(folder: Path) -> AsyncIterator[Session]:
    clock = Clock()
    venue, faults, front = kucoin(clock)
    async with front:
        yield Session(folder, clock, venue, front, faults)


def run(folder: Path, play: Callable[[Session], Any]) -> None:
    async def whole() -> None:
        async with session(folder) as found:
            await play(found)

    asyncio.run(whole())


def test_a_trade_from_signal_to_stop_is_in_the_venues_records(tmp_path: Path) -> None:
    async def play(s: Session) -> None:
        async with s.trading():
            await s.bar(50_000.0)
            await s.bar(50_000.0, enter=True)
            await s.until(lambda: s.trade() and s.stops)
            held = s.venue.balances()["BTC"].total
            assert held == pytest.approx(0.02, rel=0.01) and s.trade()["qty"] == pytest.approx(held)
            (stop,) = s.stops
            assert (stop.order.qty, stop.trigger_price) == (pytest.approx(held), pytest.approx(49_000.0))
            await s.trade_at(48_990.0)
            await s.until(lambda: s.trade()["status"] == "CLOSED")
            assert s.trade()["exit_reason"] == 1 and s.trade()["exit_price"] == pytest.approx(48_990.0, rel=0.01)
            await s.until(lambda: not s.venue.triggers("BTC/USDT"))
            assert s.venue.balances()["BTC"].total == pytest.approx(0.0, abs=1e-9)
            cash = float(s.engine.account.ledger.money[0])
            assert cash == pytest.approx(s.venue.balances()["USDT"].total, abs=1e-6)

    run(tmp_path, play)


def test_an_exit_signal_closes_first_and_cancels_the_stop_then(tmp_path: Path) -> None:
    async def play(s: Session) -> None:
        async with s.trading():
            await s.bar(50_000.0, enter=True)
            await s.until(lambda: s.trade() and s.stops)
            await s.bar(50_400.0, leave=True)
            await s.until(lambda: s.trade()["status"] == "CLOSED")
            assert s.trade()["exit_reason"] == 3 and not math.isnan(s.trade()["pnl"])
            await s.until(lambda: not s.venue.triggers("BTC/USDT"))
            verbs = [entry.verb for entry in s.venue.log if entry.verb in ("place", "cancel trigger")]
            assert verbs.index("cancel trigger") > verbs.index("place") and verbs.count("place") == 2

    run(tmp_path, play)


def test_a_stop_and_a_start_with_an_open_trade_change_nothing_at_the_venue(tmp_path: Path) -> None:
    async def play(s: Session) -> None:
        async with s.trading():
            await s.bar(50_000.0, enter=True)
            await s.until(lambda: s.trade() and s.stops)
            before = [one.id for one in s.stops]
        async with s.trading():
            await s.bar(50_010.0)
            await s.until(lambda: True)
            assert [one.id for one in s.stops] == before
            await s.trade_at(48_000.0)
            await s.until(lambda: s.trade()["status"] == "CLOSED")

    run(tmp_path, play)


def test_a_lost_answer_to_an_entry_is_one_order(tmp_path: Path) -> None:
    async def play(s: Session) -> None:
        async with s.trading():
            await s.bar(50_000.0)
            s.faults.add(Fault("lost_response", "POST /api/v1/hf/orders", times=1))
            await s.bar(50_000.0, enter=True)
            await s.until(lambda: s.trade() and s.stops)
            assert len([one for one in s.venue.log.of("place") if one.verb == "place"]) == 1
            assert s.venue.balances()["BTC"].total == pytest.approx(0.02, rel=0.01)

    run(tmp_path, play)


def test_a_stop_that_fires_and_fails_is_replaced_or_the_trade_is_closed(tmp_path: Path) -> None:
    async def play(s: Session) -> None:
        async with s.trading():
            await s.bar(50_000.0, enter=True)
            await s.until(lambda: s.trade() and s.stops)
            s.faults.add(Fault("trigger_fails", "BTC/USDT", times=1))
            await s.trade_at(48_900.0)
            await s.until(lambda: s.trade()["status"] == "CLOSED")
            assert s.venue.balances()["BTC"].total == pytest.approx(0.0, abs=1e-9)
            assert s.trade()["exit_reason"] == 1

    run(tmp_path, play)


def test_a_stop_that_a_person_cancels_is_there_again(tmp_path: Path) -> None:
    async def play(s: Session) -> None:
        async with s.trading():
            await s.bar(50_000.0, enter=True)
            await s.until(lambda: s.trade() and s.stops)
            (gone,) = s.stops
            s.venue.cancel_trigger(gone.id)
            await s.until(lambda: s.stops and s.stops[0].id != gone.id)
            assert s.ledger.value("SELECT count(*) FROM unprotected WHERE until_ms IS NULL") == 0

    run(tmp_path, play)


def test_funds_that_are_not_there_are_a_refusal(tmp_path: Path) -> None:
    async def play(s: Session) -> None:
        async with s.trading():
            await s.bar(50_000.0)
            s.venue.withdraw("USDT", 9_500.0)
            await s.bar(50_000.0, enter=True)
            await s.until(lambda: s.ledger.value("SELECT count(*) FROM orders WHERE status = 'REJECTED'"))
            (signal,) = s.ledger.rows("SELECT decision, reason FROM signals")
            assert (signal["decision"], signal["reason"]) == ("rejected", 25)
            assert not s.trade()

    run(tmp_path, play)
