"""The executor's gateway, with unmodified ccxt, on the local exchange: it says what the venue's records say."""

import asyncio
import dataclasses
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from executor.broker.base import Kind
from executor.broker.exchange import ExchangeGateway, Keys, SwapSettings
from executor.broker.venue import Heard, Held, RefusedError, Seen, Ticket, Type, UnknownOutcomeError, Word
from executor.sandbox.book import NewOrder, Venue
from executor.sandbox.faults import Fault, Faults
from executor.sandbox.serving import Front
from tests.exchange.venues import Clock, gate, kucoin
from toolkit.errors import VenueError


@dataclass(frozen=True)
class Where:
    """A market of a local venue. path : at which it takes orders, and triggers : a part of that of triggers."""

    exchange: str
    symbol: str
    make: Callable[..., tuple[Venue, Faults, Front]]
    path: str
    triggers: str

    @property
    def is_swap(self) -> bool:
        return ":" in self.symbol


SPOT = Where("gate", "BTC/USDT", gate, "POST /api/v4/spot/orders", "price_orders")
SWAP = Where("gate", "BTC/USDT:USDT", gate, "POST /api/v4/futures/usdt/orders", "price_orders")
KUCOIN = Where("kucoin", "BTC/USDT", partial(kucoin, ping_ms=200), "POST /api/v1/hf/orders", "stop-order")
ALL = pytest.mark.parametrize("where", [SPOT, SWAP, KUCOIN], ids=["gate spot", "gate swap", "kucoin spot"])


@dataclass
class Account:
    """An open gateway, and the venue behind it."""

    where: Where
    venue: Venue
    clock: Clock
    faults: Faults
    front: Front
    gateway: ExchangeGateway

    def ticket(self, **changes: Any) -> Ticket:
        """A market buy of a tenth of a bitcoin."""
        plain = Ticket(
            "ls-entry-1", "t-entry", "t", Kind.ENTRY, self.where.symbol, "buy", "long", Type.MARKET, 0.1, math.nan,
            math.nan, False, self.clock(),
        )  # fmt: skip
        return dataclasses.replace(plain, **changes)

    def stop(self, **changes: Any) -> Ticket:
        wanted = {"client_id": "ls-stop-1", "kind": Kind.STOP, "side": "sell", "type": Type.STOP, "qty": 0.099}
        wanted |= {"trigger_price": 48_000.0, "reduce_only": self.where.is_swap}
        return self.ticket(**{**wanted, **changes})

    def limit(self, price: float = 49_000.0, **changes: Any) -> Ticket:
        return self.ticket(type=Type.LIMIT, price=price, **changes)

    def fault(self, kind: str, match: str = "*", **more: Any) -> None:
        self.faults.add(Fault(kind, match, **more))

    def price(self, price: float, base: float = math.inf) -> None:
        """The market trades `base` units there."""
        self.venue.price(self.where.symbol, price, base / self.size)

    @property
    def size(self) -> float:
        return self.venue.listings[self.where.symbol].contract_size

    async def heard(self, is_it: Callable[[Heard], bool]) -> Heard:
        """The first news that are so."""
        async with asyncio.timeout(20):
            while True:
                found = await self.gateway.hear()
                if is_it(found):
                    return found

    async def word(self, client_id: str, is_it: Callable[[Word], bool]) -> Word:
        """The first word of an order that is so."""
        found = await self.heard(lambda heard: any(one.client_id == client_id and is_it(one) for one in heard.words))
        return next(one for one in found.words if one.client_id == client_id and is_it(one))

    async def listening(self) -> None:
        """Until every channel is open: of orders, of triggers, and of prices."""
        async with asyncio.timeout(20):
            while sum(_channels(line.talk) for line in self.front.hub) < 3:
                await asyncio.sleep(0.005)


def _channels(talk: Any) -> int:
    return len(getattr(talk, "heard", None) or getattr(talk, "topics", ()))


@asynccontextmanager
async def account(where: Where, *, hedge: bool = False, **settings: Any) -> AsyncIterator[Account]:
    clock = Clock()
    venue, faults, front = where.make(clock)
    async with front:
        options = {**front.ccxt_options(where.exchange), "timeout_on_exit": 0}
        keys = Keys(options.pop("apiKey"), options.pop("secret"), options.pop("password", ""))
        gateway = ExchangeGateway(where.exchange, keys, options=options, **settings)
        found = Account(where, venue, clock, faults, front, gateway)
        await gateway.open([where.symbol])
        try:
            yield found
        finally:
            await gateway.close()


def play(where: Where, story: Callable[[Account], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        async with account(where, **settings) as found:
            await story(found)

    asyncio.run(run())


@ALL
def test_rules_are_in_base_units(where: Where) -> None:
    async def story(a: Account) -> None:
        listing, rules = a.venue.listings[where.symbol], a.gateway.rules(where.symbol)
        assert (rules.tick, rules.lot_step) == (listing.tick, listing.lot * listing.contract_size)
        assert (rules.min_qty, rules.contract_size) == (listing.min_qty * listing.contract_size, listing.contract_size)
        assert (rules.min_notional, rules.is_trading) == (listing.min_notional, True)
        assert await a.gateway.can_withdraw() is False
        assert await a.gateway.last_price(where.symbol) == 50_000.0

    play(where, story)


@ALL
def test_a_market_order_is_told_with_its_fees_and_is_what_is_held(where: Where) -> None:
    async def story(a: Account) -> None:
        await a.listening()
        word = await a.gateway.submit(a.ticket())
        assert (word.client_id, bool(word.venue_id)) == ("ls-entry-1", True)
        told = await a.word("ls-entry-1", lambda one: one.seen is Seen.FILLED and one.fees is not None)
        (order,) = a.venue.finished()
        assert (told.venue_id, told.filled, told.price) == (order.id, pytest.approx(0.1), 50_000.0)
        assert told.fees == pytest.approx(order.fees)
        found = await a.gateway.find(a.ticket(), "")
        assert (found.seen, found.filled, found.fees) == (Seen.FILLED, told.filled, told.fees)
        (held,) = await a.gateway.held()
        fee = order.fees.get("BTC", 0.0)
        assert held.qty == pytest.approx(0.1 - fee, abs=1e-9)
        money = {one.currency: one.total for one in await a.gateway.balances()}
        assert money["USDT"] == pytest.approx(a.venue.balances("swap" if where.is_swap else "spot")["USDT"].total)
        (traded,) = await a.gateway.traded(where.symbol)
        # KuCoin's trades do not name the client's id.
        named = "" if where is KUCOIN else "ls-entry-1"
        assert (traded.venue_id, traded.client_id, traded.filled) == (order.id, named, pytest.approx(0.1))

    play(where, story)


@ALL
def test_a_limit_fills_in_parts_and_is_cancelled(where: Where) -> None:
    async def story(a: Account) -> None:
        await a.listening()
        word = await a.gateway.submit(a.limit())
        assert word.seen is Seen.OPEN
        (listed,) = await a.gateway.orders(where.symbol)
        assert (listed.client_id, listed.type, listed.side, listed.limit_price) == (
            "ls-entry-1", Type.LIMIT, "buy", 49_000.0,
        )  # fmt: skip
        assert listed.qty == pytest.approx(0.1)
        a.price(49_000.0, 0.04)
        part = await a.word("ls-entry-1", lambda one: one.filled > 0)
        assert (part.seen, part.filled, part.price) == (Seen.OPEN, pytest.approx(0.04), 49_000.0)
        await a.gateway.cancel(a.limit(), word.venue_id)
        ended = await a.word("ls-entry-1", lambda one: one.seen is Seen.CANCELLED and one.fees is not None)
        (order,) = a.venue.finished()
        assert (ended.filled, ended.fees) == (pytest.approx(0.04), pytest.approx(order.fees))
        await a.gateway.cancel(a.limit(), word.venue_id)
        assert list(await a.gateway.orders(where.symbol)) == []

    play(where, story)


@ALL
def test_a_stop_that_fires_is_heard_of_and_followed_to_its_fills(where: Where) -> None:
    async def story(a: Account) -> None:
        await a.listening()
        await a.gateway.submit(a.ticket())
        word = await a.gateway.submit(a.stop())
        (listed,) = await a.gateway.orders(where.symbol)
        assert (listed.client_id, listed.type, listed.trigger_price) == ("ls-stop-1", Type.STOP, 48_000.0)
        assert (listed.venue_id, listed.qty) == (word.venue_id, pytest.approx(0.099))
        a.price(47_990.0)
        await a.heard(lambda heard: bool(heard.symbols) or "ls-stop-1" in {one.client_id for one in heard.words})
        found = await a.gateway.find(a.stop(), word.venue_id)
        order = a.venue.finished()[-1]
        assert (found.seen, found.client_id, found.venue_id) == (Seen.FILLED, "ls-stop-1", word.venue_id)
        assert (found.fired_id, found.filled, found.price) == (order.id, pytest.approx(0.099), 47_990.0)
        assert found.fees == pytest.approx(order.fees)
        await a.gateway.cancel(a.stop(), word.venue_id)

    play(where, story)


@ALL
def test_a_stop_that_fires_and_fails_is_heard_of_and_ended(where: Where) -> None:
    async def story(a: Account) -> None:
        await a.listening()
        word = await a.gateway.submit(a.stop())
        a.price(47_990.0)
        await a.heard(lambda heard: where.symbol in heard.symbols)
        found = await a.gateway.find(a.stop(), word.venue_id)
        assert (found.seen, found.filled) == (Seen.CANCELLED, 0.0)
        if where.exchange == "gate":
            assert "failed" in found.reason
        assert a.venue.finished() == []

    play(where, story)


@ALL
def test_a_stop_that_expires_or_is_taken_back_is_heard_of(where: Where) -> None:
    async def story(a: Account) -> None:
        await a.listening()
        word = await a.gateway.submit(a.stop())
        a.venue.cancel_trigger(word.venue_id) if where is KUCOIN else a.clock.move(86_400_000)
        await a.venue.advance(a.clock())
        await a.heard(lambda heard: where.symbol in heard.symbols)
        assert (await a.gateway.find(a.stop(), word.venue_id)).seen is Seen.CANCELLED
        assert list(await a.gateway.orders(where.symbol)) == []

    play(where, story)


@ALL
def test_a_target_waits_beside_a_stop_and_each_is_cancelled_by_its_client_id(where: Where) -> None:
    async def story(a: Account) -> None:
        target = a.stop(client_id="ls-target-1", kind=Kind.TARGET, type=Type.TARGET, trigger_price=52_000.0)
        await a.gateway.submit(a.stop())
        await a.gateway.submit(target)
        rows = {one.client_id: one.type for one in await a.gateway.orders(where.symbol)}
        assert rows == {"ls-stop-1": Type.STOP, "ls-target-1": Type.TARGET}
        for ticket in (a.stop(), target):
            await a.gateway.cancel(ticket, "")
        assert a.venue.triggers() == []

    play(where, story)


@ALL
@pytest.mark.parametrize("kind", ["lost_response", "cut_body", "cut_json", "bad_gateway", "reset", "lost_request"])
def test_what_becomes_of_an_order_without_an_answer_is_found(where: Where, kind: str) -> None:
    async def story(a: Account) -> None:
        a.fault(kind, where.path, times=1)
        with pytest.raises(UnknownOutcomeError):
            await a.gateway.submit(a.limit())
        placed = a.venue.open_orders()
        assert len(placed) == (0 if kind in ("bad_gateway", "reset", "lost_request") else 1)
        found = await a.gateway.find(a.limit(), "")
        assert found.seen is (Seen.OPEN if placed else Seen.ABSENT)
        assert [found.venue_id] == [order.id for order in placed] or not placed
        assert len(a.venue.log.of("place")) == len(placed)

    play(where, story)


@ALL
def test_a_stop_whose_answer_was_lost_is_found_and_there_once(where: Where) -> None:
    async def story(a: Account) -> None:
        a.fault("lost_response", where.triggers, times=1)
        with pytest.raises(UnknownOutcomeError):
            await a.gateway.submit(a.stop())
        (trigger,) = a.venue.triggers()
        found = await a.gateway.find(a.stop(), "")
        assert (found.seen, found.venue_id) == (Seen.OPEN, trigger.id)

    play(where, story)


@ALL
def test_a_cancel_whose_answer_was_lost_may_be_asked_for_again(where: Where) -> None:
    async def story(a: Account) -> None:
        word = await a.gateway.submit(a.limit())
        a.fault("lost_response", "DELETE", times=1)
        await a.gateway.cancel(a.limit(), word.venue_id)
        assert (await a.gateway.find(a.limit(), word.venue_id)).seen is Seen.CANCELLED
        await a.gateway.cancel(a.limit(), word.venue_id)

    play(where, story)


@ALL
def test_refusals_say_why(where: Where) -> None:
    async def story(a: Account) -> None:
        with pytest.raises(RefusedError) as funds:
            await a.gateway.submit(a.limit(qty=1.0))
        assert funds.value.is_funds and funds.value.code
        with pytest.raises(RefusedError) as least:
            await a.gateway.submit(a.limit(qty=0.00005 if not where.is_swap else 0.0005))
        assert least.value.code == "min_qty"
        a.fault("rate_limit", where.path, times=1, secs=3)
        with pytest.raises(RefusedError) as rate:
            await a.gateway.submit(a.limit())
        assert rate.value.code == "rate" and 0 < rate.value.pause_secs <= 4
        a.venue.set_status(where.symbol, "halted")
        with pytest.raises(RefusedError) as halted:
            await a.gateway.submit(a.limit())
        assert halted.value.is_halted and not a.gateway.rules(where.symbol).is_trading
        assert a.venue.open_orders() == []

    play(where, story)


@ALL
def test_a_clock_that_is_off_by_90_seconds_is_set_right_and_one_order_results(where: Where) -> None:
    async def story(a: Account) -> None:
        a.fault("skew", ms=90_000)
        await a.gateway.submit(a.limit())
        assert len(a.venue.log.of("place")) == 1
        await a.gateway.balances()

    play(where, story)


@ALL
def test_orders_by_hand_are_listed_without_a_client_id(where: Where) -> None:
    async def story(a: Account) -> None:
        await a.listening()
        hand = a.venue.place(NewOrder(where.symbol, "buy", "limit", 0.01 / a.size, 40_000.0))
        await a.heard(lambda heard: where.symbol in heard.symbols)
        (listed,) = await a.gateway.orders(where.symbol)
        assert (listed.client_id, listed.venue_id, listed.qty) == ("", hand.id, pytest.approx(0.01))

    play(where, story)


@ALL
@pytest.mark.parametrize("kind", ["socket_drop", "socket_freeze"])
def test_a_broken_connection_is_told_once_it_is_back(where: Where, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("executor.broker.exchange.session._KEEP_ALIVE_MS", 100)

    async def story(a: Account) -> None:
        await a.listening()
        opened = a.front.hub.opened
        a.fault(kind)
        await a.gateway.submit(a.limit())
        if kind == "socket_freeze":
            # It is noticed by its pings.
            async with asyncio.timeout(20):
                while a.front.hub.opened == opened:
                    await asyncio.sleep(0.01)
            a.faults.clear()
        await a.heard(lambda heard: heard.is_broken)
        a.price(49_000.0)
        await a.word("ls-entry-1", lambda one: one.seen is Seen.FILLED)

    play(where, story)


@ALL
def test_words_that_come_twice_and_late_are_told_once_as_they_are(where: Where) -> None:
    async def story(a: Account) -> None:
        await a.listening()
        a.fault("duplicate_events")
        a.fault("late_events", secs=5)
        await a.gateway.submit(a.limit())
        a.price(49_000.0, 0.04)
        a.price(49_000.0, 0.06)
        a.clock.move(5_000)
        await a.venue.advance(a.clock())
        told = await a.word("ls-entry-1", lambda one: one.seen is Seen.FILLED and one.fees is not None)
        (order,) = a.venue.finished()
        assert (told.filled, told.price) == (pytest.approx(0.1), pytest.approx(49_000.0))
        assert told.fees == pytest.approx(order.fees)

    play(where, story)


def test_hedge_mode_leverage_and_margin_are_set_and_both_sides_held() -> None:
    async def story(a: Account) -> None:
        assert a.venue.hedge
        assert {a.venue.position(SWAP.symbol, side).leverage for side in ("long", "short")} == {3.0}
        await a.gateway.submit(a.ticket())
        await a.gateway.submit(a.ticket(client_id="ls-short-1", side="sell", position="short", qty=0.05))
        held = await a.gateway.held()
        assert sorted(one.qty for one in held) == [-0.05, 0.1]
        leaving = a.ticket(client_id="ls-exit-1", kind=Kind.EXIT, side="sell", reduce_only=True)
        await a.gateway.submit(leaving)
        assert await a.gateway.held() == [Held(SWAP.symbol, -0.05, 50_000.0)]

    play(SWAP, story, swap=SwapSettings(leverage=3, hedge=True))


def test_a_mode_that_cannot_be_changed_is_refused_at_the_start() -> None:
    async def run() -> None:
        clock = Clock()
        venue, _, front = gate(clock)
        async with front:
            venue.place(NewOrder(SWAP.symbol, "buy", "market", 1.0))
            options = front.ccxt_options("gate")
            keys = Keys(options.pop("apiKey"), options.pop("secret"))
            gateway = ExchangeGateway("gate", keys, options=options, swap=SwapSettings(hedge=True))
            with pytest.raises(VenueError, match="one-way mode"):
                await gateway.open([SWAP.symbol])

    asyncio.run(run())


def test_a_wrong_secret_is_refused_at_the_start() -> None:
    async def run() -> None:
        _, _, front = gate(Clock())
        async with front:
            options = front.ccxt_options("gate") | {"secret": "another"}
            gateway = ExchangeGateway("gate", Keys("", ""), options=options)
            with pytest.raises(VenueError, match="refused the key"):
                await gateway.open(["BTC/USDT"])

    asyncio.run(run())
