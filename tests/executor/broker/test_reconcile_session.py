"""Random sessions with a person at the venue: in the end the ledger says what is held, or the symbol is halted."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.broker.base import Kind
from executor.broker.venue import Capabilities, Seen
from tests.executor.broker.fake_venue import RULES, SPOT, SWAP
from tests.executor.broker.session import SYMBOL
from tests.executor.broker.test_reconciling import Hands

ACTS = ("short", "halt", "cancel", "adopt", "vanished")
STEPS = st.one_of(
    st.tuples(st.just("enter"), st.sampled_from([1.0, 2.0])),
    st.tuples(st.just("leave"), st.just(0.0)),
    st.tuples(st.just("price"), st.sampled_from([93.0, 97.0, 100.0, 104.0, 112.0])),
    st.tuples(st.just("sell"), st.sampled_from([0.25, 1.0, 2.0])),
    st.tuples(st.just("buy"), st.just(0.5)),
    st.tuples(st.just("place"), st.just(1.0)),
    st.tuples(st.just("unstop"), st.just(0.0)),
    st.tuples(st.just("mute"), st.just(0.0)),
    st.tuples(st.just("drop"), st.just(0.0)),
    st.tuples(st.just("lose"), st.sampled_from([1.0, 3.0])),
    st.tuples(st.just("restart"), st.just(0.0)),
    st.tuples(st.just("look"), st.just(0.0)),
    st.tuples(st.just("pass"), st.sampled_from([0.05, 1.0, 20.0])),
)


def held(s: Hands) -> float:
    return sum(one.qty for one in s.venue.everything())


def step(s: Hands, what: str, amount: float, k: int) -> None:
    names = [row["trade_id"] for row in s.ledger.rows("SELECT trade_id FROM trades WHERE status = 'ACTIVE'")]
    if what == "enter":
        s.enter(f"t{k}-L-{k}", qty=amount)
    elif what == "leave" and names:
        s.leave(names[0])
    elif what == "price":
        s.price(amount)
    elif what == "sell":
        qty = min(amount, held(s))
        if qty >= RULES.min_qty:
            s.venue.trade(SYMBOL, "sell", qty)
    elif what == "buy":
        s.venue.trade(SYMBOL, "buy", amount)
    elif what == "place":
        s.venue.place(SYMBOL, "buy", amount, 50.0)
    elif what == "unstop":
        for one in s.venue.records:
            if one.seen is Seen.OPEN and one.ticket.kind is Kind.STOP:
                s.venue.cancel_by_hand(one)
    elif what == "mute":
        s.venue.faults.muted = not s.venue.faults.muted
    elif what == "drop":
        s.venue.drop()
    elif what == "lose":
        s.venue.faults.requests["submit"].extend(["unanswered"] * int(amount))
    elif what == "restart":
        s.restart()
    elif what == "look":
        s.look()
    elif what == "pass":
        s.pass_secs(amount)


def check(s: Hands, others: list[object]) -> None:
    """After things have calmed down and a look or two, both sides agree or the symbol is halted."""
    s.venue.faults.muted = False
    s.venue.faults.requests.clear()
    for _ in range(2):
        s.pass_secs(60.0)
        s.look()
    s.pass_secs(60.0)
    assert [row for row in s.look() if row[1] in ACTS] == []
    assert s.venue.others == others
    halted = s.value("SELECT count(*) FROM symbol_halts WHERE until_ms IS NULL")
    mine = s.value("SELECT total(qty) FROM trades WHERE status = 'ACTIVE'")
    if not halted:
        assert mine <= held(s) + RULES.lot_step
        foreign = sum(one.qty if one.side == "buy" else 0.0 for one in s.venue.history)
        assert held(s) <= mine + foreign + RULES.lot_step


@pytest.mark.parametrize("market", [SPOT, SWAP], ids=["spot", "swap"])
@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEPS, max_size=12))
def test_in_the_end_both_sides_agree(market: Capabilities, steps: list[tuple[str, float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        s = Hands(Path(folder) / "live.sqlite", {SYMBOL: market}, base_fee=False)
        try:
            s.ledger.insert("cash_flows", {"ts_ms": 0, "kind": "allocated", "amount": s.venue.money, "note": ""})
            s.enter("t-L-99", qty=2.0)
            s.pass_secs(5.0)
            for k, (what, amount) in enumerate(steps):
                step(s, what, amount, k)
            check(s, list(s.venue.others))
        finally:
            s.close()
