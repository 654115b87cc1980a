"""What a ticket makes of a venue's words, and what the engine is told of it."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.broker.base import Kind
from executor.broker.telling import increments
from executor.broker.tickets import Sent, client_id
from executor.broker.trade import Trade
from executor.broker.venue import Seen, Ticket, Type, Word

TICKET = Ticket(
    "ls-1-0", "t-L-1-entry", "t-L-1", Kind.ENTRY, "BTC/USDT", "buy", "long", Type.MARKET, 1.0, math.nan, math.nan,
    False, 1000,
)  # fmt: skip


def word(seen: Seen, filled: float = 0.0, fees: dict[str, float] | None = None, **more: object) -> Word:
    price = 100.0 + filled if filled else math.nan
    return Word("ls-1-0", seen, filled, price, fees, 2000 + round(1000 * filled), **more)  # type: ignore[arg-type]


def fees(filled: float) -> dict[str, float]:
    return {"BTC": 0.001 * filled, "KCS": 0.01 * filled} if filled else {}


LIFE = [
    word(Seen.OPEN, venue_id="v1"),
    word(Seen.FIRED, 0.0, fired_id="f1", venue_id="v1"),
    word(Seen.FIRED, 0.25, fees(0.25), fired_id="f1", venue_id="v1"),
    word(Seen.FIRED, 0.5, None, fired_id="f1", venue_id="v1"),
    word(Seen.FILLED, 1.0, None, fired_id="f1", venue_id="v1"),
    word(Seen.FILLED, 1.0, fees(1.0), fired_id="f1", venue_id="v1"),
]


@given(st.lists(st.sampled_from(LIFE), max_size=12))
def test_words_may_come_late_twice_and_in_any_order(words: list[Word]) -> None:
    sent, trade = Sent(TICKET), Trade("t-L-1", "BTC/USDT", "long")
    reports = []
    for now, one in enumerate(words, 5000):
        sent.hear(one, now)
        reports += increments(trade, sent)
        assert not sent.hear(one, now) and not list(increments(trade, sent))
    for now, one in enumerate([*LIFE, *words], 6000):
        sent.hear(one, now)
        reports += increments(trade, sent)
    assert (sent.seen, sent.filled, sent.price, sent.fees) == (Seen.FILLED, 1.0, 101.0, fees(1.0))
    assert (sent.venue_id, sent.fired_id) == ("v1", "f1")
    assert sum(one.qty for one in reports) == pytest.approx(1.0)
    assert sum(one.qty * one.price for one in reports if one.qty) == pytest.approx(101.0)
    for currency, fee in fees(1.0).items():
        assert sum(one.fee for one in reports if one.fee_currency == currency) == pytest.approx(fee)
    names = [one.fill_id for one in reports]
    assert names == [f"ls-1-0.{n}" for n in range(1, len(names) + 1)]


def test_each_currency_of_fees_is_a_report_of_its_own() -> None:
    sent, trade = Sent(TICKET), Trade("t-L-1", "BTC/USDT", "long")
    sent.hear(word(Seen.FILLED, 1.0, {"BTC": 0.001, "KCS": 0.5, "USDT": -0.01, "GT": 0.0}), 1)
    told = [(one.qty, one.fee, one.fee_currency) for one in increments(trade, sent)]
    assert told == [(1.0, 0.001, "BTC"), (0.0, 0.5, "KCS"), (0.0, -0.01, "USDT")]


def test_what_was_bought_back_is_reported_below_zero() -> None:
    sent, trade = Sent(replace(TICKET, kind=Kind.EXIT, order_id="t-L-1-exit")), Trade("t-L-1", "BTC/USDT", "long")
    sent.hear(word(Seen.FILLED, 1.0, {}), 1)
    assert [one.qty for one in increments(trade, sent)] == [-1.0]


@pytest.mark.parametrize(
    ("before", "after", "becomes"),
    [
        (Seen.ABSENT, Seen.OPEN, Seen.OPEN),
        (Seen.REFUSED, Seen.FILLED, Seen.FILLED),
        (Seen.OPEN, Seen.ABSENT, Seen.OPEN),
        (Seen.OPEN, Seen.REFUSED, Seen.OPEN),
        (Seen.CANCELLED, Seen.FIRED, Seen.CANCELLED),
        (Seen.CANCELLED, Seen.FILLED, Seen.FILLED),
        (Seen.FILLED, Seen.CANCELLED, Seen.FILLED),
        (Seen.UNKNOWN, Seen.ABSENT, Seen.ABSENT),
    ],
)
def test_what_a_later_word_may_change(before: Seen, after: Seen, becomes: Seen) -> None:
    sent = Sent(TICKET, before, venue_id="" if before in (Seen.ABSENT, Seen.REFUSED, Seen.UNKNOWN) else "v1")
    sent.hear(word(after), 1)
    assert sent.seen is becomes


def test_a_fill_without_a_price_says_nothing() -> None:
    sent = Sent(TICKET)
    assert not sent.hear(replace(word(Seen.FILLED, 1.0), price=math.nan), 1) and sent.seen is Seen.NEW


def test_the_last_bit_of_a_quantity_is_no_rest() -> None:
    sent = Sent(replace(TICKET, qty=0.3))
    sent.hear(word(Seen.FILLED, 0.1 + 0.2), 1)
    assert sent.filled == 0.3 and sent.left == 0.0


def test_client_ids_are_the_same_after_a_restart_and_suit_every_venue() -> None:
    names = [client_id(order, n) for order in ("a-L-1-entry", "a-L-1-stop") for n in (0, 1, 99_999)]
    assert len(set(names)) == 6 and names[0] == client_id("a-L-1-entry", 0)
    assert all(len(name) <= 26 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in names)
