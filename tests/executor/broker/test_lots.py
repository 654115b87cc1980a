"""Quantities that a venue takes, and how long to wait before it is asked again."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.broker.base import Kind
from executor.broker.pausing import pause_until
from executor.broker.tickets import Sent
from executor.broker.trade import Market, Trade, sellable, whole_lots
from executor.broker.venue import Capabilities, Rules, Seen, Ticket, Type
from tests.executor.broker.fake_venue import RULES, SPOT, SWAP

TICKET = Ticket(
    "ls-1-0", "t-stop", "t", Kind.STOP, "BTC/USDT", "sell", "long", Type.STOP, 1.0, math.nan, 90.0, False, 0
)


def market(can: Capabilities = SPOT, price: float = 100.0, rules: Rules = RULES) -> Market:
    return Market(rules, can, price, True, 0.0)


@pytest.mark.parametrize(
    ("qty", "step", "lots"),
    [(0.998, 0.001, 0.998), (0.1 + 0.2, 0.1, 0.3), (0.9999999999, 0.001, 1.0), (0.0019, 0.001, 0.001), (-1.0, 0.1, 0.0),
     (1.2345, 0.0, 1.2345)],
)  # fmt: skip
def test_down_to_whole_lots_but_for_noise(qty: float, step: float, lots: float) -> None:
    assert whole_lots(qty, step) == pytest.approx(lots, rel=1e-9)


@given(st.integers(0, 10**7), st.sampled_from([0.1, 0.001, 0.00001, 5.0]))
def test_what_is_whole_stays_as_it_is(count: int, step: float) -> None:
    assert whole_lots(count * step, step) == count * step


@pytest.mark.parametrize(
    ("qty", "price", "can", "least", "taken"),
    [
        (0.5, 100.0, SPOT, 0.001, 0.5),
        (0.0009, 100.0, SPOT, 0.001, 0.0),
        (0.05, 100.0, SPOT, 0.1, 0.0),
        (0.009, 100.0, SPOT, 0.001, 0.0),
        # What a position is worth does not keep an order from reducing it.
        (0.009, 100.0, SWAP, 0.001, 0.009),
        # A price that is not known refuses nothing.
        (0.009, math.nan, SPOT, 0.001, 0.009),
        (-0.5, 100.0, SWAP, 0.001, 0.0),
    ],
)
def test_dust_is_not_sellable(qty: float, price: float, can: Capabilities, least: float, taken: float) -> None:
    assert sellable(qty, market(can, price, RULES._replace(min_qty=least))) == taken


@pytest.mark.parametrize(
    ("side", "fees", "held"),
    [
        ("long", {"BTC": 0.001}, 0.999),
        ("long", {"USDT": 0.2}, 1.0),
        ("long", {"BTC": 0.001, "KCS": 0.5}, 0.999),
        # Not said yet: as if the taker's fee were taken from what was bought.
        ("long", None, 0.998),
        ("short", None, 1.0),
    ],
)
def test_held_is_net_of_fees_in_base(side: str, fees: dict[str, float] | None, held: float) -> None:
    trade = Trade("t", "BTC/USDT", side)
    ticket = trade.ticket(Kind.ENTRY, 1.0, 0)
    trade.sent[ticket.client_id] = Sent(ticket, Seen.FILLED, 1.0, 100.0, fees)
    assert trade.held(market()) == pytest.approx(held)


def failed(ended_ms: int, known_ms: int | None = None, **more: object) -> Sent:
    return Sent(TICKET, Seen.REFUSED, known_ms=known_ms, ended_ms=ended_ms, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "until"),
    [
        ([], -math.inf),
        ([failed(1000)], -math.inf),
        ([failed(1000), failed(2000)], 2500.0),
        ([failed(1000)] * 3 + [failed(2000)], 4000.0),
        ([failed(1000)] * 20 + [failed(2000)], 32_000.0),
        # One that filled something, was cancelled as asked, or stood for long, has not failed.
        ([failed(1000)] * 5 + [failed(2000, filled=0.1)], -math.inf),
        ([failed(1000)] * 5 + [failed(2000, is_cancelled=True)], -math.inf),
        ([failed(1000)] * 5 + [failed(60_000, known_ms=2000)], -math.inf),
        ([failed(1000, pause_ms=9000.0)], 9000.0),
    ],
)
def test_after_one_failure_at_once_after_more_later_and_later(line: list[Sent], until: float) -> None:
    assert pause_until(line, 2000) == until
