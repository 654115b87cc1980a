"""What every broker keeps to, whoever fills its orders; a new broker is added to `BROKERS`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from executor.broker.base import Broker, Intent, Kind, Order, Report, Status, Verb
from executor.broker.live import LiveBroker
from executor.broker.paper import PaperBroker
from executor.broker.venue import Capabilities
from executor.ledger import Ledger
from tests.executor.broker.fake_venue import LOCKING, SPOT, START_MS, SWAP, WATCHED, FakeVenue
from tests.executor.broker.virtual import VirtualLoop

SYMBOL = "BTC/USDT"
TRADE = "1a2b3c4d5e-L-1641182700000"


class Rig(Protocol):
    """A broker, and the time that it needs for what it does by itself."""

    broker: Broker

    def settle(self) -> Sequence[Report]:
        """Let everything that was asked for happen; what was said of it."""
        ...

    def do(self, call: Callable[[], Sequence[Report] | None]) -> Sequence[Report]:
        """Call it as an engine would."""
        ...

    def close(self) -> None: ...


class OnPaper:
    def __init__(self, folder: Path) -> None:
        self.broker: Broker = PaperBroker()

    def settle(self) -> Sequence[Report]:
        return self.broker.reports()

    def do(self, call: Callable[[], Sequence[Report] | None]) -> Sequence[Report]:
        return call() or ()

    def close(self) -> None:
        pass


class AtVenue:
    """The live broker at a fake venue."""

    def __init__(self, folder: Path, market: Capabilities) -> None:
        self._loop = VirtualLoop()
        self.venue = FakeVenue(self._loop, {SYMBOL: market})
        self._ledger = Ledger.open(folder / "live.sqlite", create=True, synchronous="OFF", check=False)
        live = LiveBroker(self._ledger, self.venue, clock=self.venue.now_ms)
        self.broker: Broker = live
        self._loop.run(live.open([SYMBOL]))
        self._running = self._loop.create_task(live.run())
        self._loop.pass_secs(0.0)

    def settle(self) -> Sequence[Report]:
        self._loop.pass_secs(2.0)
        assert not self._running.done()
        return self.broker.reports()

    def do(self, call: Callable[[], Sequence[Report] | None]) -> Sequence[Report]:
        async def inside() -> Sequence[Report]:
            return call() or ()

        return self._loop.run(inside())

    def close(self) -> None:
        self._loop.end()
        self._ledger.close()


BROKERS: dict[str, Callable[[Path], Rig]] = {
    "paper": OnPaper,
    "live spot": lambda folder: AtVenue(folder, SPOT),
    "live swap": lambda folder: AtVenue(folder, SWAP),
    "live, triggers lock": lambda folder: AtVenue(folder, LOCKING),
    "live, watched": lambda folder: AtVenue(folder, WATCHED),
}


@pytest.fixture(params=sorted(BROKERS))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    found = BROKERS[request.param](tmp_path)
    yield found
    found.close()


def order(kind: Kind = Kind.ENTRY, price: float = float("nan"), name: str = TRADE) -> Order:
    side = "buy" if kind is Kind.ENTRY else "sell"
    kinds = {Kind.STOP: "stop_market", Kind.TARGET: "limit"}
    return Order(
        f"{name}-{kind.value}", name, "one", SYMBOL, kind, side, kinds.get(kind, "market"), 0.5, price, START_MS
    )


def ask(rig: Rig, verb: Verb, *orders: Order) -> list[Report]:
    """Ask for each, then let them go; what is said of it at once and by itself."""
    said = [report for one in orders for report in rig.do(lambda one=one: rig.broker.send(Intent(verb, one)))]  # type: ignore[misc]
    rig.do(lambda: rig.broker.flush(START_MS))
    return [*said, *rig.settle()]


def entered(rig: Rig, *orders: Order) -> list[Report]:
    """An entry that was filled, as the engine has it then, and these orders of its trade; what was said of them."""
    ask(rig, Verb.SUBMIT, order())
    rig.do(lambda: rig.broker.ended(order().order_id))
    return ask(rig, Verb.SUBMIT, *orders) if orders else []


def working(rig: Rig) -> list[str]:
    return [one.order_id for one in rig.broker.open_orders()]


STOP, TARGET = order(Kind.STOP, 90.0), order(Kind.TARGET, 120.0)


def test_an_order_works_from_when_it_is_asked_for_and_is_said_to(rig: Rig) -> None:
    said = list(rig.do(lambda: rig.broker.send(Intent(Verb.SUBMIT, order()))))
    assert working(rig) == [order().order_id]
    rig.do(lambda: rig.broker.flush(START_MS))
    said += rig.settle()
    assert said and (said[0].order_id, said[0].status) == (order().order_id, Status.OPEN)


def test_a_stop_and_a_target_are_orders_of_their_own(rig: Rig) -> None:
    entered(rig, STOP, TARGET)
    assert {(one.kind, one.price) for one in rig.broker.open_orders()} == {(Kind.STOP, 90.0), (Kind.TARGET, 120.0)}


def test_what_is_cancelled_no_longer_works(rig: Rig) -> None:
    entered(rig, STOP, TARGET)
    ask(rig, Verb.CANCEL, TARGET)
    assert working(rig) == [STOP.order_id]


def test_what_is_filled_no_longer_works(rig: Rig) -> None:
    ask(rig, Verb.SUBMIT, order())
    for _ in range(2):
        rig.do(lambda: rig.broker.ended(order().order_id))
    assert working(rig) == []


def test_cancelling_what_is_gone_changes_nothing(rig: Rig) -> None:
    assert ask(rig, Verb.CANCEL, order()) == []
    assert working(rig) == []


def test_a_trailed_stop_has_its_new_level(rig: Rig) -> None:
    entered(rig, STOP)
    ask(rig, Verb.AMEND, replace(STOP, price=95.0))
    assert [one.price for one in rig.broker.open_orders()] == [95.0]


def test_an_order_that_is_sent_twice_is_there_once(rig: Rig) -> None:
    entered(rig, STOP, STOP)
    ask(rig, Verb.SUBMIT, STOP)
    assert working(rig) == [STOP.order_id]


def test_at_a_start_the_ledgers_orders_work_each_once(rig: Rig) -> None:
    entered(rig)
    orders = [STOP, order(name="9f8e7d6c5b-L-1641182700000")]
    said: list[Report] = []
    for _ in range(2):
        said += rig.do(lambda: rig.broker.resume(orders))
        assert sorted(working(rig)) == sorted(one.order_id for one in orders)
    said += rig.settle()
    unwatched = {one.order_id for one in orders} - ({STOP.order_id} if is_watched(rig) else set())
    assert {report.order_id for report in said if report.status is Status.OPEN} == unwatched


def test_a_report_names_each_fill_once(rig: Rig) -> None:
    said = ask(rig, Verb.SUBMIT, order())
    fills = [report.fill_id for report in said if report.qty]
    assert len(fills) == len(set(fills)) and sum(report.qty for report in said) in (0.0, 0.5)
    assert not rig.settle()


def is_watched(rig: Rig) -> bool:
    """Whether a stop works in the daemon: no venue confirms it."""
    return isinstance(rig, AtVenue) and rig.venue.markets[SYMBOL] == WATCHED
