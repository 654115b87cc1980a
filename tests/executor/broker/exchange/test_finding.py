"""Orders are looked for in every place where a venue may list them."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from executor.broker.exchange.finding import Finder
from executor.broker.exchange.markets import Market
from executor.broker.exchange.session import MissingError
from executor.broker.venue import Seen, Ticket, Type, UnreachableVenueError, Word
from executor.feed.venues import errors
from tests.executor.broker.exchange.rows import market
from tests.executor.broker.exchange.test_requests import ticket

GATE, SWAP, KUCOIN = market("gate", "ETH/USDT"), market("gate", "ETH/USDT:USDT"), market("kucoin", "BTC/USDT")


def row(number: str, client_id: str = "", **changes: Any) -> dict[str, Any]:
    plain = {
        "id": number,
        "clientOrderId": client_id or None,
        "status": "closed",
        "filled": 0.25,
        "amount": 0.25,
        "average": 2_000.0,
        "timestamp": 1_700_000_000_000,
        "fees": [{"currency": "USDT", "cost": 0.5}],
        "info": {},
    }
    return plain | changes


class Venue:
    """A venue that lists orders in places of its own; what is asked is noted."""

    def __init__(self, **places: Any) -> None:
        self.orders: dict[str, Any] = places.get("orders", {})
        self.triggers: dict[str, Any] = places.get("triggers", {})
        self.open: list[Any] = places.get("open", [])
        self.closed: list[Any] = places.get("closed", [])
        self.closed_triggers: list[Any] = places.get("closed_triggers", [])
        self.trades: list[Any] = places.get("trades", [])
        self.asked: list[str] = []
        self.errors, self.rest = errors(), self

    async def ask(self, quirks: Any, what: str, call: Callable[[], Any]) -> Any:
        try:
            return await call()
        except errors().OrderNotFound as error:
            raise MissingError(str(error)) from error
        except errors().NetworkError as error:
            raise UnreachableVenueError(str(error)) from error

    async def fetch_order(self, number: str | None, symbol: str, params: Any = None) -> Any:
        params = params or {}
        is_trigger = bool(params.get("trigger"))
        name = number or params.get("clientOrderId") or params.get("clientOid")
        self.asked.append(f"{'trigger' if is_trigger else 'order'} {name}")
        found = (self.triggers if is_trigger else self.orders).get(name)
        if isinstance(found, Exception):
            raise found
        if found is None:
            raise errors().OrderNotFound("ORDER_NOT_FOUND")
        return found

    async def fetch_open_orders(self, symbol: str, since: Any, limit: int, params: Any) -> Any:
        self.asked.append("open")
        first = params.get("offset", (params.get("page", 1) - 1) * limit)
        return [] if params.get("trigger") else self.open[first : first + limit]

    async def fetch_closed_orders(self, symbol: str, since: Any, limit: int, params: Any) -> Any:
        self.asked.append("closed triggers" if params else "closed")
        return self.closed_triggers if params else self.closed

    async def fetch_my_trades(self, symbol: str, since: Any, limit: int) -> Any:
        self.asked.append("trades")
        return self.trades


async def no_sleep(secs: float) -> None:
    return None


def find(venue: Venue, one: Ticket, venue_id: str = "", where: Market = GATE) -> Word:
    finder = Finder(venue, {where.symbol: where}, no_sleep)  # type: ignore[arg-type]
    return asyncio.run(finder.find(one, venue_id))


OURS = "ls-abcdefghij-1"
NAMED = f"t-{OURS}"
ENTRY = ticket()
STOP = ticket(type=Type.STOP, side="sell", trigger_price=1_900.0)


@pytest.mark.parametrize(
    ("places", "venue_id"),
    [
        ({"orders": {"5": row("5", NAMED)}}, "5"),
        ({"orders": {NAMED: row("5", NAMED)}}, ""),
        ({"open": [row("4", "web"), row("5", NAMED)]}, ""),
        ({"closed": [row("5", NAMED)]}, ""),
        ({"orders": {"5": row("5")}, "trades": [{"order": "5", "info": {"text": NAMED}}]}, ""),
    ],
    ids=["number", "client id", "open", "closed", "trades"],
)
def test_an_order_is_found_wherever_it_is(places, venue_id):
    word = find(Venue(**places), ENTRY, venue_id)
    assert (word.client_id, word.seen, word.filled, word.venue_id) == (OURS, Seen.FILLED, 0.25, "5")


def test_an_order_that_only_trades_know_counts_as_filled_so_far():
    trade = {
        "order": "5",
        "amount": 0.1,
        "price": 10.0,
        "fee": {"currency": "USDT", "cost": 0.01},
        "info": {"text": NAMED},
    }
    word = find(Venue(trades=[trade]), ENTRY)
    assert (word.seen, word.filled, word.price, word.fees) == (Seen.OPEN, 0.1, 10.0, {"USDT": 0.01})


def test_absent_is_said_only_after_every_place():
    venue = Venue()
    assert find(venue, ENTRY).seen is Seen.ABSENT
    assert venue.asked == [f"order {NAMED}", "open", "closed", "trades"]


def test_a_place_that_does_not_answer_is_not_absence():
    venue = Venue(orders={NAMED: errors().RequestTimeout("slow")})
    with pytest.raises(UnreachableVenueError):
        find(venue, ENTRY)


@pytest.mark.parametrize("where", [GATE, SWAP])
@pytest.mark.parametrize("count", [0, 99, 100, 250])
def test_open_orders_are_read_to_the_last_page(where, count):
    venue = Venue(open=[row(str(number)) for number in range(count)])
    finder = Finder(venue, {where.symbol: where}, no_sleep)  # type: ignore[arg-type]
    found = asyncio.run(finder.open_orders(where, trigger=False))
    assert [one["id"] for one in found] == [str(number) for number in range(count)]


def test_fees_come_from_trades_where_they_are_all_there():
    order = row("5", NAMED, fees=[], filled=2_500.0, amount=2_500.0)
    fee = {"currency": "USDT", "cost": 0.2}
    part = {"order": "5", "amount": 1_000.0, "price": 10.0, "fee": fee, "info": {}}
    rest = part | {"amount": 1_500.0}
    one = ticket(symbol=SWAP.symbol)
    assert find(Venue(orders={"5": order}, trades=[part]), one, "5", SWAP).fees is None
    whole = find(Venue(orders={"5": order}, trades=[part, rest, part | {"order": "6"}]), one, "5", SWAP)
    assert whole.fees == {"USDT": 0.4} and whole.filled == 0.25


def test_a_fired_trigger_is_followed_to_its_order():
    trigger = row("7", NAMED, info={"status": "finish", "fired_order_id": 5}, filled=0.0)
    word = find(Venue(triggers={"7": trigger}, orders={"5": row("5", "ao-7")}), STOP, "7")
    assert (word.client_id, word.venue_id, word.fired_id) == (OURS, "7", "5")
    assert (word.seen, word.filled) == (Seen.FILLED, 0.25)


def test_a_fired_trigger_whose_order_waits_is_fired():
    trigger = row("7", NAMED, info={"status": "finish", "fired_order_id": 5}, filled=0.0)
    order = row("5", "ao-7", status="open", filled=0.0, average=None)
    assert find(Venue(triggers={"7": trigger}, orders={"5": order}), STOP, "7").seen is Seen.FIRED


def test_a_trigger_whose_answer_was_lost_is_found_by_its_name():
    trigger = row("7", NAMED, info={"status": "failed", "reason": "balance"}, filled=0.0)
    word = find(Venue(closed_triggers=[trigger]), STOP)
    assert (word.seen, word.venue_id, word.reason) == (Seen.CANCELLED, "7", "failed: balance")


def test_a_trigger_that_never_arrived_is_absent():
    assert find(Venue(), STOP).seen is Seen.ABSENT


KUCOIN_STOP = ticket(type=Type.STOP, side="sell", symbol="BTC/USDT", trigger_price=1_900.0)


def test_a_trigger_of_kucoin_becomes_an_order_of_the_same_name():
    word = find(Venue(orders={OURS: row("5", OURS)}), KUCOIN_STOP, "vs7", KUCOIN)
    assert (word.venue_id, word.fired_id, word.seen, word.filled) == ("vs7", "5", Seen.FILLED, 0.25)


def test_a_trigger_of_kucoin_that_is_gone_without_an_order_was_cancelled():
    venue = Venue()
    word = find(venue, KUCOIN_STOP, "vs7", KUCOIN)
    assert word.seen is Seen.CANCELLED
    # An order appears a moment after its trigger is gone: it is looked for twice.
    assert venue.asked.count(f"order {OURS}") == 2
