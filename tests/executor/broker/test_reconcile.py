"""Each kind of difference between a ledger and a venue, and what follows from it."""

import math
from dataclasses import replace

import pytest

from executor.broker.base import Kind
from executor.broker.reconcile import Tolerance, What, missing, reconcile
from executor.broker.venue import Balance, Held, Seen, Type
from tests.executor.broker.fake_venue import SPOT, SWAP
from tests.executor.broker.sides import (
    BTC,
    HEDGE,
    NOW,
    applied,
    entered,
    kinds,
    listed,
    others,
    ours,
    placed,
    theirs,
    ticket,
    word,
)

STOP = ticket("a", Kind.STOP)


def test_what_agrees_needs_nothing() -> None:
    mine = ours(entered("a"), placed(STOP), cash=900.0, capital=1_000.0)
    assert reconcile(mine, theirs(listed(STOP), held=1.0, money=900.0)) == []


def test_an_order_whose_outcome_is_not_known_is_adopted() -> None:
    entry = ticket("a")
    mine = ours(placed(entry, Seen.UNKNOWN), placed(STOP, Seen.NEW))
    plan = reconcile(mine, theirs(listed(STOP), held=1.0, found=[word(entry, Seen.FILLED, 1.0)]))
    assert kinds(plan) == ["adopt", "adopt"]
    assert {one.word.client_id: one.word.seen for one in plan if one.word} == {
        STOP.client_id: Seen.OPEN, entry.client_id: Seen.FILLED,
    }  # fmt: skip
    assert plan[0].text == (
        "order ls-a-stop (stop sell 1 at 95) is ours: the ledger says NEW, the venue OPEN, which is taken over"
    )


def test_an_order_that_never_arrived_waits_for_who_sent_it() -> None:
    entry = ticket("a")
    mine = ours(placed(entry, Seen.UNKNOWN))
    for found in ([], [word(entry, Seen.ABSENT)]):
        assert kinds(reconcile(mine, theirs(found=found))) == ["waits"]


def test_an_order_that_the_ledger_gave_up_and_the_venue_has_is_adopted() -> None:
    mine = ours(entered("a"), placed(STOP, Seen.ABSENT))
    assert kinds(reconcile(mine, theirs(listed(STOP), held=1.0))) == ["adopt"]


def test_an_order_of_ours_that_nobody_wants_is_cancelled() -> None:
    orphan = replace(STOP, client_id="ls-0123456789abcdef-0")
    closed = ours(entered("a"), placed(ticket("a", Kind.EXIT), Seen.FILLED, 1.0), placed(STOP), closed="a", wanted=())
    plan = reconcile(closed, theirs(listed(STOP), listed(orphan)))
    assert kinds(plan) == ["cancel", "cancel"]
    assert [(one.ticket.client_id, one.ticket.type) for one in plan if one.ticket] == [
        (STOP.client_id, Type.STOP), (orphan.client_id, Type.STOP),
    ]  # fmt: skip
    assert "no row in the ledger" in plan[1].text and "trade a, which is closed" in plan[0].text
    ended = ours(entered("a"), placed(STOP, Seen.CANCELLED))
    assert kinds(reconcile(ended, theirs(listed(STOP), held=1.0))) == ["cancel"]
    fresh = ours(entered("a"), replace(placed(STOP, Seen.CANCELLED), changed_ms=NOW - 100))
    assert kinds(reconcile(fresh, theirs(listed(STOP), held=1.0))) == ["waits"]


def test_an_order_that_vanished_is_looked_up() -> None:
    mine = ours(entered("a"), placed(STOP))
    assert [one.ticket for one in missing(mine, theirs(held=1.0))] == [STOP]
    assert kinds(reconcile(mine, theirs(held=1.0))) == ["waits"]
    (plan,) = reconcile(mine, theirs(held=0.0, found=[word(STOP, Seen.FILLED, 1.0)]))
    assert (plan.what, plan.word and plan.word.filled) == (What.VANISHED, 1.0)
    assert "its history says FILLED, 1 filled" in plan.text
    (halt,) = reconcile(mine, theirs(held=1.0, found=[word(STOP, Seen.ABSENT)]))
    assert (halt.what, halt.symbol) == (What.HALT, BTC)
    halted = replace(mine, halted={BTC: halt.text})
    assert kinds(reconcile(halted, theirs(held=1.0, found=[word(STOP, Seen.ABSENT)]))) == ["unsettled"]


def test_what_was_heard_after_the_list_need_not_be_in_it() -> None:
    mine = ours(entered("a"), replace(placed(STOP), changed_ms=NOW))
    assert missing(mine, theirs()) == [] and reconcile(mine, theirs(held=1.0)) == []


def test_orders_and_coins_that_are_not_ours_are_left_alone() -> None:
    hand = replace(others("x1"), seen=Seen.OPEN, filled=0.0, type=Type.LIMIT, limit_price=50.0)
    plan = reconcile(ours(cash=1_000.0, capital=1_000.0), theirs(hand, held=2.0, money=1_000.0))
    assert kinds(plan) == ["foreign order", "foreign balance"]
    assert plan[0].text == "order x1 (limit sell 1 at 50) is not ours and is left alone"
    assert plan[1].text.startswith("the venue holds 2 of BTC, our open trades 0")
    assert not any(one.what.acts for one in plan)


def test_dust_of_closed_trades_is_nobodys() -> None:
    mine = ours(entered("a"), placed(ticket("a", Kind.EXIT), Seen.FILLED, 0.9995), closed="a")
    for held in (0.0, 0.0005):
        assert reconcile(mine, theirs(held=held)) == []


def test_more_coins_than_ours_are_fine() -> None:
    plan = reconcile(ours(entered("a"), placed(STOP)), theirs(listed(STOP), held=3.0))
    assert kinds(plan) == ["more"] and "2 is not ours" in plan[0].text


@pytest.mark.parametrize(("can", "held"), [(SPOT, 0.0), (SPOT, 0.4), (SWAP, 0.0), (SWAP, 0.4), (HEDGE, 0.0)])
def test_a_trade_closed_by_hand_is_booked_at_the_order_that_did_it(can: object, held: float) -> None:
    mine = ours(entered("a"), placed(STOP))
    venue = theirs(listed(STOP), held=held, can=can, traded=[others("x1", 1.0 - held)])  # type: ignore[arg-type]
    plan = reconcile(mine, venue)
    assert kinds(plan) == ["short"]
    ((trade_id, said),) = plan[0].bookings
    assert (trade_id, said.venue_id, said.seen, said.price) == ("a", "x1", Seen.FILLED, 99.0)
    assert said.filled == pytest.approx(1.0 - held) and said.fees == pytest.approx({"USDT": 0.2 * (1.0 - held)})
    assert not any(one.what.acts for one in reconcile(*applied(plan, mine, venue)))


def test_coins_that_were_sold_with_ours_are_not_booked() -> None:
    plan = reconcile(ours(entered("a")), theirs(held=0.0, traded=[others("x1", 4.0)]))
    ((_, said),) = plan[0].bookings
    assert said.filled == 1.0 and said.fees == pytest.approx({"USDT": 0.2})


@pytest.mark.parametrize(
    ("traded", "why"),
    [
        ([], "nothing is there"),
        ([others("x1", 0.5)], "too little"),
        ([others("x1", side="buy")], "the wrong side"),
        ([others("x1", ts_ms=1)], "before the trade"),
        ([others("x1", client_id="ls-0123456789abcdef-0")], "ours"),
        ([others("v-ls-a-stop")], "ours, by its number"),
        ([others("x1", 1.0), others("x2", 1.0), others("x3", 0.3, ts_ms=NOW)], "two would do"),
    ],
)
def test_what_nobody_explains_halts_the_symbol(traded: list[object], why: str) -> None:
    mine = ours(entered("a"), numbers=frozenset({"v-ls-a-stop"}))
    venue = theirs(held=0.0, traded=traded)  # type: ignore[arg-type]
    plan = reconcile(mine, venue)
    assert kinds(plan) == ["halt"], why
    assert plan[0].text.startswith("the venue holds 0 of BTC, our open trades 1: 1 is missing")
    assert kinds(reconcile(*applied(plan, mine, venue))) == ["unsettled"]


def test_the_newest_orders_that_make_it_up_together_are_booked() -> None:
    traded = [others("x1", 1.0), others("x2", 0.25, ts_ms=NOW - 20), others("x3", 0.75, ts_ms=NOW - 10)]
    (plan,) = reconcile(ours(entered("a")), theirs(held=0.0, traded=traded))
    assert [(one.word.venue_id, one.word.filled) for one in plan.bookings] == [("x2", 0.25), ("x3", 0.75)]


def test_trades_of_one_symbol_are_summed() -> None:
    mine = ours(entered("a", 1.0), entered("b", 2.0))
    assert reconcile(mine, theirs(held=3.0)) == []
    (plan,) = reconcile(mine, theirs(held=0.0, traded=[others("x1", 3.0)]))
    assert [(one.trade_id, one.word.filled) for one in plan.bookings] == [("a", 1.0), ("b", 2.0)]
    (plan,) = reconcile(mine, theirs(held=1.0, traded=[others("x1", 2.0)]))
    assert [(one.trade_id, one.word.filled) for one in plan.bookings] == [("b", 2.0)]
    (plan,) = reconcile(mine, theirs(held=1.5, traded=[others("x1", 1.5)]))
    assert plan.what is What.HALT and "which of the trades a, b it was of cannot be said" in plan.text


def test_pairs_of_one_base_share_a_balance() -> None:
    pairs = (BTC, "BTC/USDC")
    mine = ours(entered("a", 1.0), entered("b", 2.0, symbol="BTC/USDC"), symbols=pairs)
    held = [Held(symbol, 3.0) for symbol in pairs]
    assert reconcile(mine, theirs(held=held, symbols=pairs)) == []
    plan = reconcile(mine, theirs(held=[Held(symbol, 1.5) for symbol in pairs], symbols=pairs))
    assert [(one.what, one.symbol) for one in plan] == [(What.HALT, symbol) for symbol in pairs]


def test_each_side_of_a_hedged_swap_is_compared_for_itself() -> None:
    mine = ours(entered("a", 1.0), entered("b", 2.0, long=False))
    assert reconcile(mine, theirs(held=[Held(BTC, 1.0), Held(BTC, -2.0)], can=HEDGE)) == []
    (plan,) = reconcile(mine, theirs(held=[Held(BTC, 1.0)], can=HEDGE, traded=[others("x1", 2.0, side="buy")]))
    assert [(one.trade_id, one.word.filled) for one in plan.bookings] == [("b", 2.0)]
    plan = reconcile(mine, theirs(held=[Held(BTC, 4.0), Held(BTC, -2.0)], can=HEDGE))
    assert kinds(plan) == ["more"] and "BTC/USDT long" in plan[0].text


@pytest.mark.parametrize(
    ("trades", "held", "expected"),
    [
        ([entered("a")], -0.5, ["halt"]),
        ([entered("a")], 1.5, ["halt", "more"]),
        ([], -0.5, ["halt", "foreign position"]),
    ],
)
def test_one_net_position_that_is_not_ours_halts_the_swap(
    trades: list[object], held: float, expected: list[str]
) -> None:
    plan = reconcile(ours(*trades), theirs(held=held, can=SWAP))  # type: ignore[arg-type]
    assert kinds(plan) == expected


def test_what_is_under_way_is_no_difference() -> None:
    exit_ = ticket("a", Kind.EXIT)
    venue = theirs(held=0.0, traded=[others("x1")], found=[word(exit_, Seen.ABSENT)])
    assert kinds(reconcile(ours(entered("a"), placed(exit_, Seen.UNKNOWN)), venue)) == ["waits", "waits"]
    listing = theirs(listed(exit_), held=0.0)
    assert "is being filled" in reconcile(ours(entered("a"), placed(exit_)), listing)[0].text
    fired = ours(entered("a"), placed(STOP, Seen.FIRED))
    assert kinds(reconcile(fired, theirs(held=0.0, found=[word(STOP, Seen.FIRED)]))) == ["waits"]
    late = replace(entered("a"), changed_ms=NOW - 4_000)
    (plan,) = reconcile(ours(late), theirs(held=0.0))
    assert plan.what is What.WAITS and "filled a moment ago" in plan.text
    assert kinds(reconcile(ours(late), theirs(held=0.0), Tolerance(fresh_secs=1.0))) == ["halt"]


def test_fees_that_were_not_said_yet_are_no_difference() -> None:
    mine = ours(replace(entered("a"), fees=None))
    for held in (0.9963, 0.998, 1.0):
        assert reconcile(mine, theirs(held=held)) == []


def test_fees_in_base_are_not_held() -> None:
    mine = ours(replace(entered("a"), fees={"BTC": 0.002}))
    assert reconcile(mine, theirs(held=0.998)) == []
    assert kinds(reconcile(mine, theirs(held=0.9))) == ["halt"]


@pytest.mark.parametrize(
    ("money", "expected"), [(1_000.0, []), (989.0, ["drift"]), (991.0, []), (2_000.0, ["foreign balance"])]
)
def test_money_may_differ_within_the_tolerance(money: float, expected: list[str]) -> None:
    plan = reconcile(ours(cash=1_000.0, capital=1_000.0), theirs(money=money))
    assert kinds(plan) == expected
    assert not any(one.what.acts for one in plan)


def test_money_is_not_compared_while_something_is_open_to_question() -> None:
    unknown = ours(placed(ticket("a"), Seen.UNKNOWN), cash=1_000.0, capital=1_000.0)
    assert kinds(reconcile(unknown, theirs(money=5.0))) == ["waits"]
    untold = ours(cash=math.nan, capital=1_000.0)
    assert reconcile(untold, theirs(money=5.0)) == []


def test_a_swaps_margin_account_does_not_pay_for_positions() -> None:
    mine = ours(entered("a", 2.0), cash=800.0, capital=1_000.0)
    for money in (1_000.0, 1_100.0):
        assert reconcile(mine, theirs(held=2.0, can=SWAP, money=money, prices={BTC: 150.0})) == []
    assert kinds(reconcile(mine, theirs(held=2.0, can=SWAP, money=1_120.0, prices={BTC: 150.0}))) == ["foreign balance"]
    assert kinds(reconcile(mine, theirs(held=2.0, can=SWAP, money=980.0, prices={BTC: 150.0}))) == ["drift"]


def test_other_coins_are_said_once() -> None:
    venue = replace(theirs(), balances=(Balance("KCS", 3.0, 3.0), Balance("BTC", 0.0, 0.0)))
    (plan,) = reconcile(ours(), venue)
    assert (plan.what, plan.text) == (What.FOREIGN_BALANCE, "the account also has 3 KCS: not ours, left alone")
