"""What every broker keeps to, whoever fills its orders; a new broker is added to `BROKERS`."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from executor.broker.base import Broker, Intent, Kind, Order, Status, Verb
from executor.broker.paper import PaperBroker

BROKERS: dict[str, Callable[[], Broker]] = {"paper": PaperBroker}


@pytest.fixture(params=sorted(BROKERS))
def broker(request: pytest.FixtureRequest) -> Broker:
    return BROKERS[request.param]()


def order(name: str = "1a2b3c4d5e-L-1641182700000", kind: Kind = Kind.ENTRY, price: float = float("nan")) -> Order:
    side = "buy" if kind is Kind.ENTRY else "sell"
    kinds = {Kind.STOP: "stop_market", Kind.TARGET: "limit"}
    return Order(
        f"{name}-{kind.value}", name, "one", "BTC/USDT", kind, side, kinds.get(kind, "market"), 0.5, price,
        1_641_182_700_000,
    )  # fmt: skip


def test_an_order_that_is_taken_works_and_is_said_to(broker: Broker) -> None:
    wanted = order()
    (report,) = broker.send(Intent(Verb.SUBMIT, wanted))
    assert (report.order_id, report.status) == (wanted.order_id, Status.OPEN)
    assert [one.order_id for one in broker.open_orders()] == [wanted.order_id]


def test_a_stop_and_a_target_are_orders_of_their_own(broker: Broker) -> None:
    for kind, price in ((Kind.STOP, 90.0), (Kind.TARGET, 120.0)):
        broker.send(Intent(Verb.SUBMIT, order(kind=kind, price=price)))
    assert {(one.kind, one.price) for one in broker.open_orders()} == {(Kind.STOP, 90.0), (Kind.TARGET, 120.0)}


def test_what_is_cancelled_no_longer_works(broker: Broker) -> None:
    stop, target = order(kind=Kind.STOP, price=90.0), order(kind=Kind.TARGET, price=120.0)
    for one in (stop, target):
        broker.send(Intent(Verb.SUBMIT, one))
    broker.send(Intent(Verb.CANCEL, target, "stop"))
    assert [one.order_id for one in broker.open_orders()] == [stop.order_id]


def test_what_is_filled_no_longer_works(broker: Broker) -> None:
    wanted = order()
    broker.send(Intent(Verb.SUBMIT, wanted))
    for _ in range(2):
        broker.ended(wanted.order_id)
    assert not broker.open_orders()


def test_cancelling_what_is_gone_changes_nothing(broker: Broker) -> None:
    broker.send(Intent(Verb.CANCEL, order()))
    assert not broker.open_orders()


def test_a_trailed_stop_has_its_new_level(broker: Broker) -> None:
    stop = order(kind=Kind.STOP, price=90.0)
    broker.send(Intent(Verb.SUBMIT, stop))
    broker.send(Intent(Verb.AMEND, replace(stop, price=95.0)))
    assert [one.price for one in broker.open_orders()] == [95.0]


def test_an_order_that_is_sent_twice_is_there_once(broker: Broker) -> None:
    for _ in range(2):
        broker.send(Intent(Verb.SUBMIT, order()))
    assert len(broker.open_orders()) == 1


def test_at_a_start_the_ledgers_orders_work_each_once(broker: Broker) -> None:
    orders = [order(kind=Kind.STOP, price=90.0), order("9f8e7d6c5b-S-1641182700000")]
    for _ in range(2):
        reports = broker.resume(orders)
        assert {report.order_id for report in reports if report.status is Status.OPEN} == {o.order_id for o in orders}
    assert {one.order_id for one in broker.open_orders()} == {one.order_id for one in orders}
