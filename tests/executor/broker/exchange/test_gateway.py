"""Every question and every order of a gateway through ccxt itself, over HTTP and websockets, faults among them."""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from executor.broker.base import Kind
from executor.broker.exchange import ExchangeGateway, Keys, SwapSettings
from executor.broker.venue import Heard, Held, RefusedError, Seen, Ticket, Type, UnknownOutcomeError
from tests.executor.broker.exchange.doubles import Double, GateDouble, KucoinDouble
from tests.executor.broker.exchange.test_requests import ticket
from toolkit.errors import UnknownNameError, VenueError

GATE, SWAP, KUCOIN = ("gate", "ETH/USDT"), ("gate", "ETH/USDT:USDT"), ("kucoin", "ETH/USDT")
MARKETS = pytest.mark.parametrize("where", [GATE, SWAP, KUCOIN], ids=["gate spot", "gate swap", "kucoin spot"])


class Desk:
    """A gateway that is open on a double."""

    def __init__(self, double: Any, gateway: ExchangeGateway, symbol: str) -> None:
        self.double, self.gateway, self.symbol = double, gateway, symbol

    def ticket(self, **changes: Any) -> Ticket:
        return dataclasses.replace(ticket(symbol=self.symbol), **changes)

    def stop(self, **changes: Any) -> Ticket:
        changes = {"kind": Kind.STOP, "type": Type.STOP, "side": "sell", "trigger_price": 1_900.0} | changes
        return self.ticket(client_id="ls-stop-1", reduce_only=":" in self.symbol, **changes)

    async def until(self, is_it: Callable[[Heard], bool]) -> Heard:
        async def listen() -> Heard:
            while True:
                heard = await self.gateway.hear()
                if is_it(heard):
                    return heard

        return await asyncio.wait_for(listen(), 20)

    @property
    def orders(self) -> list[dict[str, Any]]:
        """What reached the venue."""
        if isinstance(self.double, KucoinDouble):
            return self.double.posted("v1/hf/orders")
        return self.double.posted("v4/futures/usdt/orders" if ":" in self.symbol else "v4/spot/orders")


def play(where: tuple[str, str], story: Callable[[Desk], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        venue, symbol = where
        double: Double
        async with GateDouble() if venue == "gate" else KucoinDouble() as double:
            gateway = ExchangeGateway(venue, Keys("k", "s", "p"), options=double.options(), **settings)  # type: ignore[attr-defined]
            await gateway.open([symbol])
            try:
                await story(Desk(double, gateway, symbol))
            finally:
                await gateway.close()

    asyncio.run(run())


@MARKETS
def test_an_order_is_sent_once_and_told_with_its_fees(where):
    async def story(desk: Desk) -> None:
        while len(desk.double.told) < 3:
            await asyncio.sleep(0.01)
        word = await desk.gateway.submit(desk.ticket())
        assert word.client_id == "ls-abcdefghij-1" and word.venue_id == "101"
        heard = await desk.until(lambda heard: any(word.fees for word in heard.words))
        told = heard.words[-1]
        assert (told.seen, told.filled, told.price, told.client_id) == (Seen.FILLED, 0.25, 2_000.0, "ls-abcdefghij-1")
        assert told.fees == {GATE: {"ETH": 0.0005}, SWAP: {"USDT": 0.25}, KUCOIN: {"USDT": 0.5}}[where]
        assert len(desk.orders) == 1

    play(where, story)


@MARKETS
def test_an_answer_that_was_lost_is_looked_up_and_not_sent_again(where):
    async def story(desk: Desk) -> None:
        desk.double.lose = 1
        with pytest.raises(UnknownOutcomeError):
            await desk.gateway.submit(desk.ticket())
        word = await desk.gateway.find(desk.ticket(), "")
        assert (word.seen, word.filled, word.venue_id) == (Seen.FILLED, 0.25, "101") and word.fees
        assert len(desk.orders) == len(desk.double.orders) == 1

    play(where, story)


@MARKETS
@pytest.mark.parametrize("answer", [(200, '{"id": "1", "te'), (200, "{}"), (502, "<html>"), (500, "{}")])
def test_answers_that_say_nothing_are_unknown(where, answer):
    async def story(desk: Desk) -> None:
        desk.double.instead = [answer]
        with pytest.raises(UnknownOutcomeError):
            await desk.gateway.submit(desk.ticket())
        assert (await desk.gateway.find(desk.ticket(), "")).seen is Seen.ABSENT
        assert len(desk.orders) == 1

    play(where, story)


REFUSALS = {
    "gate": {"funds": '{"label": "BALANCE_NOT_ENOUGH", "message": "x"}', "rate": '{"label": "TOO_MANY_REQUESTS"}'},
    "kucoin": {"funds": '{"code": "200004", "msg": "Balance insufficient!"}', "rate": '{"code": "429000", "msg": "x"}'},
}


@MARKETS
def test_refusals_are_known_for_what_they_are(where):
    async def story(desk: Desk) -> None:
        desk.double.instead = [(400, REFUSALS[where[0]]["funds"]), (429, REFUSALS[where[0]]["rate"])]
        with pytest.raises(RefusedError) as funds:
            await desk.gateway.submit(desk.ticket())
        assert funds.value.is_funds and not funds.value.pause_secs
        with pytest.raises(RefusedError) as rate:
            await desk.gateway.submit(desk.ticket())
        assert (rate.value.code, rate.value.pause_secs) == ("rate", 2.0) and not desk.double.orders

    play(where, story)


@MARKETS
def test_a_clock_that_is_off_is_set_right_and_one_order_results(where):
    async def story(desk: Desk) -> None:
        desk.double.ahead_ms = 90_000
        word = await desk.gateway.submit(desk.ticket())
        assert word.venue_id == "101" and len(desk.double.orders) == 1
        desk.double.ahead_ms = 0
        assert await desk.gateway.balances()

    play(where, story)


@MARKETS
def test_a_resting_order_is_listed_and_cancelled_twice(where):
    async def story(desk: Desk) -> None:
        rests = desk.ticket(type=Type.LIMIT, price=1_500.0)
        word = await desk.gateway.submit(rests)
        assert word.seen is Seen.OPEN
        found = await desk.gateway.orders(desk.symbol)
        assert [(one.client_id, one.type, one.qty, one.limit_price) for one in found] == [
            ("ls-abcdefghij-1", Type.LIMIT, 0.25, 1_500.0)
        ]
        await desk.gateway.cancel(rests, word.venue_id)
        assert (await desk.gateway.find(rests, word.venue_id)).seen is Seen.CANCELLED
        await desk.gateway.cancel(rests, word.venue_id)

    play(where, story)


@MARKETS
def test_a_stop_waits_is_listed_and_cancelled(where):
    async def story(desk: Desk) -> None:
        word = await desk.gateway.submit(desk.stop())
        assert word.seen is Seen.OPEN and word.venue_id
        found = await desk.gateway.orders(desk.symbol)
        assert [(one.client_id, one.type, one.side, one.qty, one.trigger_price) for one in found] == [
            ("ls-stop-1", Type.STOP, "sell", 0.25, 1_900.0)
        ]
        assert (await desk.gateway.find(desk.stop(), "")).venue_id == word.venue_id
        await desk.gateway.cancel(desk.stop(), "")
        assert not await desk.gateway.orders(desk.symbol)
        await desk.gateway.cancel(desk.stop(), word.venue_id)
        assert (await desk.gateway.find(desk.stop(), word.venue_id)).seen is Seen.CANCELLED

    play(where, story)


@MARKETS
def test_a_fired_stop_is_followed_to_its_fills(where):
    async def story(desk: Desk) -> None:
        word = await desk.gateway.submit(desk.stop())
        sold = desk.ticket(client_id="ls-stop-1" if where is KUCOIN else "web-7", side="sell")
        number = (await desk.gateway.submit(sold)).venue_id
        if where is KUCOIN:
            del desk.double.triggers[word.venue_id]
        else:
            change = {"status": "finish", "fired_order_id": number, "trade_id": number, "finish_as": "succeeded"}
            desk.double.triggers[word.venue_id] |= change
        found = await desk.gateway.find(desk.stop(), word.venue_id)
        assert (found.client_id, found.venue_id, found.fired_id) == ("ls-stop-1", word.venue_id, number)
        assert (found.seen, found.filled) == (Seen.FILLED, 0.25) and found.fees
        await desk.gateway.cancel(desk.stop(), word.venue_id)

    play(where, story)


@pytest.mark.parametrize("where", [GATE, KUCOIN], ids=["gate", "kucoin"])
def test_a_dropped_socket_is_told_when_it_is_back(where):
    async def story(desk: Desk) -> None:
        while len(desk.double.told) < 3:
            await asyncio.sleep(0.01)
        await desk.double.drop()
        await desk.until(lambda heard: heard.is_broken)
        await desk.double.tick(2_002.0)
        await desk.until(lambda heard: heard.prices.get(desk.symbol) == 2_002.0)
        await desk.gateway.submit(desk.ticket())
        await desk.until(lambda heard: bool(heard.words))

    play(where, story)


def test_a_mute_socket_is_noticed_by_the_price():
    async def story(desk: Desk) -> None:
        while len(desk.double.told) < 3:
            await asyncio.sleep(0.01)
        await desk.double.tick(2_001.0)
        desk.double.mute, desk.double.price = True, 1_950.0
        await desk.until(lambda heard: heard.prices.get(desk.symbol) == 1_950.0)
        await desk.until(lambda heard: heard.is_broken)

    play(GATE, story, stale_secs=0.5)


def test_what_is_held_and_what_it_may_do():
    async def story(desk: Desk) -> None:
        gateway = desk.gateway
        assert next(one for one in await gateway.balances() if one.currency == "ETH").free == 1.0
        assert (await gateway.held())[0].qty == 1.5
        assert await gateway.last_price(desk.symbol) == 2_000.0 and await gateway.can_withdraw() is False
        rules = gateway.rules(desk.symbol)
        assert (rules.tick, rules.lot_step, rules.min_notional) == (0.01, 0.001, 1.0)
        with pytest.raises(UnknownNameError):
            gateway.rules("XRP/USDT")

    play(GATE, story)


def test_a_swap_is_set_up_before_it_is_traded():
    async def story(desk: Desk) -> None:
        assert desk.double.dual and desk.double.leverage == "3"
        assert desk.gateway.capabilities(desk.symbol).hedge
        assert await desk.gateway.held() == [Held(desk.symbol, -0.005, 2_000.0)]
        await desk.gateway.submit(desk.ticket(side="sell", qty=0.1, reduce_only=True))
        assert (desk.orders[0]["size"], desk.orders[0]["reduce_only"]) == (-100, True)

    # The double knows no limit of cross margin.
    with pytest.raises(VenueError, match="after 3x cross was set"):
        play(SWAP, story, swap=SwapSettings(leverage=3, margin_mode="cross"))
    play(SWAP, story, swap=SwapSettings(leverage=3, hedge=True))


def test_a_symbol_that_is_not_traded_and_secrets_that_are_not_told(caplog):
    async def run() -> None:
        async with GateDouble() as double:
            gateway = ExchangeGateway("gate", Keys("secret-key", "secret-word"), options=double.options())
            with pytest.raises(UnknownNameError, match="did you mean"):
                await gateway.open(["ETC/USDT"])
            await gateway.close()

    with caplog.at_level(logging.DEBUG):
        asyncio.run(run())
    assert "secret" not in caplog.text and "secret" not in repr(Keys("secret-key", "secret-word"))
