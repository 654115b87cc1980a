"""What is heard, from a stream that is written by hand: drops, silence, rows that change in place."""

import asyncio
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from executor.broker.exchange.finding import Finder
from executor.broker.exchange.hearing import Ears
from executor.broker.exchange.session import MissingError
from executor.broker.venue import Heard, Seen, Type, Word
from executor.feed.venues import errors
from tests.executor.broker.exchange.rows import market
from tests.executor.broker.exchange.test_requests import ticket

SYMBOL = "ETH/USDT"
MARKET = market("gate", SYMBOL)


class Stream:
    """ccxt's stream: each channel gives what was put into it; an exception is raised."""

    def __init__(self) -> None:
        self.channels: dict[str, asyncio.Queue[Any]] = {}
        self.options: dict[str, Any] = {"urls": {"private": "old"}}
        self.clients: dict[str, Any] = {}
        self.closings = 0
        self.waiting: set[asyncio.Future[Any]] = set()
        self.orders: Any = None
        # Kept, and no watcher was woken for them.
        self.untold: list[dict[str, Any]] = []
        self.triggerOrders: Any = None

    def channel(self, name: str) -> asyncio.Queue[Any]:
        return self.channels.setdefault(name, asyncio.Queue())

    async def watch_orders(self, symbol: str, since: Any = None, limit: Any = None, params: Any = None) -> Any:
        found = await self._next("triggers" if params else "orders")
        if params:
            self.triggerOrders = found
        else:
            self.orders = [*found, *self.untold]
        return found

    async def watch_ticker(self, symbol: str) -> Any:
        return await self._next("ticker")

    async def close(self) -> None:
        self.closings += 1
        for one in self.waiting:
            one.cancel()

    async def _next(self, name: str) -> Any:
        future = asyncio.ensure_future(self.channel(name).get())
        self.waiting.add(future)
        try:
            found = await future
        finally:
            self.waiting.discard(future)
        if isinstance(found, BaseException):
            raise found
        return found


class Session:
    """The part of a session that ears use. price : that REST knows."""

    def __init__(self) -> None:
        self.venue, self.errors = "gate", errors()
        self.stream = Stream()
        self.price, self.asked = 2_000.0, 0
        self.rest = SimpleNamespace(fetch_ticker=self._ticker)

    async def _ticker(self, symbol: str) -> dict[str, Any]:
        self.asked += 1
        return {"last": self.price}

    async def ask(self, quirks: Any, what: str, call: Callable[[], Any]) -> Any:
        return await call()

    def open_stream(self) -> None:
        return None

    async def drop_stream(self) -> None:
        await self.stream.close()

    def is_streaming(self) -> bool:
        return True

    def keep_alive(self) -> None:
        return None

    def forget_tokens(self) -> None:
        self.stream.options["urls"] = {}


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    async def sleep(self, secs: float) -> None:
        self.now += secs
        await asyncio.sleep(0)


class World:
    def __init__(self, *, stale_secs: float = 30.0) -> None:
        self.session, self.clock = Session(), Clock()
        finder = Finder(self.session, {SYMBOL: MARKET}, self.clock.sleep)  # type: ignore[arg-type]
        self.ears = Ears(
            self.session,  # type: ignore[arg-type]
            {SYMBOL: MARKET},
            finder,
            stale_secs,
            lambda: self.clock.now,
            self.clock.sleep,
        )
        self.finder = finder

    async def until(self, is_it: Callable[[Heard], bool]) -> Heard:
        """Hear until there is what is waited for."""
        while True:
            heard = await asyncio.wait_for(self.ears.hear(), 5)
            if is_it(heard):
                return heard


def run(story: Callable[[World], Any], **settings: Any) -> None:
    async def play() -> None:
        world = World(**settings)
        world.ears.start()
        try:
            await story(world)
        finally:
            await world.ears.close()

    asyncio.run(play())


def order(**changes: Any) -> dict[str, Any]:
    row = {
        "id": "11",
        "symbol": SYMBOL,
        "clientOrderId": "t-ls-a-1",
        "status": "open",
        "filled": 0.0,
        "amount": 0.01,
        "average": None,
        "timestamp": 1_700_000_000_000,
        "fees": [{"currency": "ETH", "cost": "0.00001"}],
        "info": {},
    }
    return row | changes


def test_rows_are_copied_before_they_change():
    async def story(world: World) -> None:
        row = order(filled=0.004, average=2_000.0)
        world.session.stream.channel("orders").put_nowait([row])
        heard = await world.until(lambda heard: bool(heard.words))
        row["filled"] = 0.01
        assert heard.words[0].filled == 0.004 and heard.words[0].fees == {"ETH": 0.00001}

    run(story)


def test_rows_that_came_between_two_watches_are_heard():
    async def story(world: World) -> None:
        world.session.stream.untold = [order(id="12", clientOrderId="t-ls-b-1")]
        world.session.stream.channel("orders").put_nowait([order()])
        heard = await world.until(lambda heard: bool(heard.words))
        assert [word.client_id for word in heard.words] == ["ls-a-1", "ls-b-1"]

    run(story)


def test_rows_that_did_not_change_and_rows_of_other_symbols_are_no_news():
    async def story(world: World) -> None:
        foreign = order(symbol="BTC/USDT", clientOrderId="t-ls-b-1")
        for rows in ([order(), foreign], [order(), foreign], [order(filled=0.01, status="closed", average=1.0)]):
            world.session.stream.channel("orders").put_nowait(rows)
        words: list[Word] = []
        while not words or words[-1].seen is not Seen.FILLED:
            words += (await asyncio.wait_for(world.ears.hear(), 5)).words
        assert [word.seen for word in words] == [Seen.OPEN, Seen.FILLED]

    run(story)


def test_orders_of_others_name_their_symbol():
    async def story(world: World) -> None:
        world.session.stream.channel("orders").put_nowait([order(clientOrderId="web")])
        heard = await world.until(lambda heard: bool(heard.symbols))
        assert heard.symbols == (SYMBOL,) and not heard.words

    run(story)


@pytest.mark.parametrize("error", [errors().NetworkError("gone"), ConnectionError("gone")])
def test_a_drop_is_told_once_the_channel_is_back(error):
    async def story(world: World) -> None:
        world.session.stream.channel("orders").put_nowait(error)
        await world.until(lambda heard: heard.is_broken)
        assert world.session.stream.options["urls"] == {}
        world.session.stream.channel("orders").put_nowait([order()])
        heard = await world.until(lambda heard: bool(heard.words))
        assert not heard.is_broken

    run(story)


def test_a_row_that_cannot_be_read_is_a_channel_that_broke():
    async def story(world: World) -> None:
        world.session.stream.channel("orders").put_nowait([order(filled="much")])
        await world.until(lambda heard: heard.is_broken)
        world.session.stream.channel("orders").put_nowait([order()])
        assert (await world.until(lambda heard: bool(heard.words))).words[0].seen is Seen.OPEN

    run(story, stale_secs=math.inf)


def test_a_drop_of_all_channels_is_told_once():
    async def story(world: World) -> None:
        for name in ("orders", "triggers", "ticker"):
            world.session.stream.channel(name).put_nowait(errors().NetworkError("gone"))
        await world.until(lambda heard: heard.is_broken)
        world.session.stream.channel("orders").put_nowait([order()])
        again = await world.until(lambda heard: heard.is_broken or bool(heard.words))
        assert again.words and not again.is_broken

    run(story, stale_secs=math.inf)


def test_a_mute_stream_is_opened_anew_when_the_price_moved_without_it():
    async def story(world: World) -> None:
        world.session.stream.channel("ticker").put_nowait({"last": 2_000.0})
        await world.until(lambda heard: bool(heard.prices))
        start = world.clock.now
        while world.clock.now < start + 60:
            await asyncio.sleep(0)
        # The price stands still, and REST says so: that is no silence.
        assert world.session.stream.closings == 0 and world.session.asked >= 5
        world.session.price = 1_990.0
        heard = await world.until(lambda heard: heard.is_broken)
        assert world.session.stream.closings >= 1 and heard.is_broken
        assert world.ears.price(SYMBOL, 60.0) == 1_990.0

    run(story)


def test_an_answered_order_that_its_channel_does_not_tell_of_is_a_mute_channel():
    async def story(world: World) -> None:
        world.ears.sent(Word("ls-a-1", Seen.OPEN, 0.0, math.nan, {}, 0, venue_id="11", symbol=SYMBOL), is_trigger=False)
        await world.until(lambda heard: heard.is_broken)
        assert world.session.stream.closings == 1

    run(story, stale_secs=math.inf)


def test_news_before_the_answer_are_no_silence():
    async def story(world: World) -> None:
        world.session.stream.channel("orders").put_nowait([order()])
        await world.until(lambda heard: bool(heard.words))
        world.ears.sent(Word("ls-a-1", Seen.OPEN, 0.0, math.nan, {}, 0, venue_id="11", symbol=SYMBOL), is_trigger=False)
        start = world.clock.now
        while world.clock.now < start + 30:
            await asyncio.sleep(0)
        assert world.session.stream.closings == 0

    run(story, stale_secs=math.inf)


def test_what_a_trigger_became_is_told_under_its_name():
    async def story(world: World) -> None:
        stop = ticket(client_id="ls-s-1", type=Type.STOP, side="sell", trigger_price=1_900.0)
        word = Word("ls-s-1", Seen.FIRED, 0.0, math.nan, {}, 5, venue_id="7", fired_id="12", symbol=SYMBOL)
        world.ears.learned(stop, word)
        row = order(id="12", clientOrderId="ao-7", status="closed", filled=0.01, average=1_899.0)
        world.session.stream.channel("orders").put_nowait([row])
        heard = await world.until(lambda heard: bool(heard.words))
        told = heard.words[0]
        assert (told.client_id, told.venue_id, told.fired_id) == ("ls-s-1", "7", "12")
        assert (told.seen, told.filled) == (Seen.FILLED, 0.01)

    run(story)


@pytest.mark.parametrize(("status", "is_news"), [("open", False), ("failed", True), ("canceled", True)])
def test_triggers_that_change_name_their_symbol(status, is_news):
    async def story(world: World) -> None:
        row = order(clientOrderId="t-ls-s-1", info={"status": status})
        world.session.stream.channel("triggers").put_nowait([row])
        await asyncio.sleep(0.01)
        world.session.stream.channel("orders").put_nowait([order()])
        seen = set()
        while not seen & {"order"}:
            heard = await asyncio.wait_for(world.ears.hear(), 5)
            seen |= {"order"} if heard.words else set()
            seen |= {"trigger"} if heard.symbols else set()
        assert ("trigger" in seen) == is_news

    run(story)


def test_fees_that_an_order_does_not_say_are_asked_for():
    async def story(world: World) -> None:
        answers = [MissingError("not yet"), None, {"ETH": 0.00002}]

        async def look(where: Any, number: str) -> Word | None:
            found = answers.pop(0) if len(answers) > 1 else answers[0]
            fees = found if isinstance(found, dict) else None
            return Word("", Seen.FILLED, 0.01, 2_000.0, fees, 5, venue_id=number, symbol=SYMBOL)

        world.finder.order = look  # type: ignore[method-assign]
        row = order(status="closed", filled=0.01, average=2_000.0, fees=[])
        world.session.stream.channel("orders").put_nowait([row])
        first = await world.until(lambda heard: bool(heard.words))
        assert first.words[0].fees is None
        second = await world.until(lambda heard: bool(heard.words))
        assert second.words[0].fees == {"ETH": 0.00002} and second.words[0].client_id == "ls-a-1"

    run(story)
