"""A state machine of everything that can go wrong around a live broker, judged by the venue's own records."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from executor.broker.base import Kind
from executor.broker.desk import LiveSettings
from executor.broker.venue import Capabilities, Place, Seen
from tests.executor.broker.by_hand import HandVenue
from tests.executor.broker.fake_venue import RULES, Record
from tests.executor.broker.guard import Guard, held_of, least
from tests.executor.broker.session import SYMBOL, Session

SETTINGS = LiveSettings()
# News may be lost: then a poll tells of a fill, and the stop has its own time from there.
ALLOWED_MS = 1000 * (SETTINGS.protect_within_secs + SETTINGS.poll_secs + 5.0)
REQUESTS = ("submit", "cancel", "find", "orders", "price")
BEFALL = ("lost", "unanswered", "late", "slow", "busy", "refused", "funds")


class HandSession(Session):
    """With a person at the venue."""

    venue: HandVenue
    venue_type = HandVenue


class Machine(RuleBasedStateMachine):
    """Entries, exits, prices, faults, hands and crashes in any order; `market` and `side` are set by subclasses."""

    market: Capabilities
    side = "buy"

    @initialize(base_fee=st.booleans())
    def begin(self, base_fee: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.s = HandSession(self.folder / "live.sqlite", {SYMBOL: self.market}, settings=SETTINGS, base_fee=base_fee)
        self.guard = Guard(self.s)
        self.entered = 0

    def teardown(self) -> None:
        if hasattr(self, "s"):
            try:
                self.calm()
                self.at_rest()
            finally:
                self.s.close()
                shutil.rmtree(self.folder, ignore_errors=True)

    # What a strategy wants.

    @rule(qty=st.sampled_from([0.5, 1.0, 2.0]))
    def enter(self, qty: float) -> None:
        self.entered += 1
        self.s.enter(f"t{self.entered}-L-{self.entered}", self.side, qty)

    @rule(k=st.integers(0, 3))
    def leave(self, k: int) -> None:
        names = self.active()
        if names:
            self.s.leave(names[k % len(names)])

    @rule()
    def give_up(self) -> None:
        name = f"t{self.entered}-L-{self.entered}"
        self.s.do(lambda: self.s.engine.give_up(name, self.s.venue.now_ms()))

    @rule(k=st.integers(0, 3), away=st.sampled_from([8.0, 4.0, 1.0]))
    def trail(self, k: int, away: float) -> None:
        names, level = self.active(), 100.0 - away if self.side == "buy" else 100.0 + away
        if names:
            self.s.do(lambda: self.s.engine.trail(names[k % len(names)], level, self.s.venue.now_ms()))

    # What the market does.

    @rule(price=st.sampled_from([90.0, 94.0, 97.0, 100.0, 103.0, 108.0, 115.0]))
    def price(self, price: float) -> None:
        self.s.price(price)

    @rule(share=st.sampled_from([0.3, 1.0]))
    def depth(self, share: float) -> None:
        self.s.venue.faults.share = share

    @rule(secs=st.sampled_from([0.01, 0.05, 0.4, 2.0, 12.0, 40.0]))
    def time(self, secs: float) -> None:
        self.pass_secs(secs)

    # What goes wrong.

    @rule(verb=st.sampled_from(REQUESTS), what=st.sampled_from(BEFALL), times=st.integers(1, 3))
    def befall(self, verb: str, what: str, times: int) -> None:
        self.s.venue.faults.requests[verb].extend([what] * times)

    @rule()
    def mute(self) -> None:
        self.s.venue.faults.muted = not self.s.venue.faults.muted

    @rule(secs=st.sampled_from([0.0, 1.5]))
    def lag(self, secs: float) -> None:
        self.s.venue.faults.lags_secs = secs

    @rule()
    def double(self) -> None:
        self.s.venue.faults.doubles = not self.s.venue.faults.doubles

    @rule()
    def hide_fees(self) -> None:
        self.s.venue.faults.hides_fees = not self.s.venue.faults.hides_fees

    @rule()
    def drop(self) -> None:
        self.s.venue.drop()

    @rule(secs=st.sampled_from([3.0, 60.0, 600.0]))
    def down(self, secs: float) -> None:
        self.s.venue.faults.down_until = self.s.venue.loop.time() + secs
        self.s.venue.struck()

    @rule()
    def fail_trigger(self) -> None:
        self.s.venue.faults.fails_triggers += 1

    @rule()
    def cancel_by_hand(self) -> None:
        for record in self.open(lambda r: r.ticket.kind is Kind.STOP)[:1]:
            self.s.venue.cancel_by_hand(record)

    @rule()
    def place_by_hand(self) -> None:
        self.s.venue.place(SYMBOL, "buy", 1.0, 50.0)

    @rule()
    def expire(self) -> None:
        self.s.venue.expire()

    @rule(secs=st.sampled_from([0.0, 5.0, 300.0]))
    def crash(self, secs: float) -> None:
        self.s.kill()
        if secs:
            self.s.loop.pass_secs(secs)
            self.s.venue.struck()
        self.s.start()

    # What must always be so.

    @invariant()
    def every_order_is_known_and_was_sent_once(self) -> None:
        if not hasattr(self, "s"):
            return
        known = {row["client_id"] for row in self.s.ledger.rows("SELECT client_id FROM venue_orders")}
        assert {r.ticket.client_id for r in self.s.venue.records} <= known
        assert max(self.s.venue.submits.values(), default=0) <= 1
        entries = Counter(r.ticket.trade_id for r in self.s.venue.records if r.ticket.kind is Kind.ENTRY)
        assert max(entries.values(), default=0) <= 1

    @invariant()
    def nothing_is_unprotected_for_long(self) -> None:
        if hasattr(self, "s"):
            assert self.guard.longest_ms <= ALLOWED_MS, self.guard.longest_ms

    # What must be so in the end.

    def calm(self) -> None:
        faults = self.s.venue.faults
        faults.requests.clear()
        faults.muted, faults.doubles, faults.hides_fees, faults.lags_secs, faults.share = False, False, False, 0.0, 1.0
        faults.down_until = self.s.venue.loop.time()
        faults.fails_triggers = 0
        self.s.venue.drop()
        for _ in range(30):
            self.pass_secs(10.0)

    def at_rest(self) -> None:
        venue = self.s.venue
        booked = {row["trade_id"]: row["qty"] for row in self.s.ledger.rows(_ACTIVE)}
        kept = least(self.market, venue.prices[SYMBOL])
        held = held_of(venue.records)
        assert sum(held.values()) == pytest.approx(sum(abs(one.qty) for one in venue.everything()), abs=1e-6)
        for name in {*held, *booked}:
            # Each closed trade may leave less than the venue takes an order for.
            assert abs(held.get(name, 0.0) - booked.get(name, 0.0)) < (1e-6 if name in booked else 1.2 * kept), name
        for record in self.open(lambda r: True):
            assert record.ticket.trade_id in booked, record
        for name, qty in booked.items():
            stops = self.open(lambda r, name=name: r.ticket.trade_id == name and r.ticket.kind is Kind.STOP)
            if self.market.stop is Place.VENUE and qty >= 1.2 * kept:
                assert [abs(r.left - qty) <= RULES.lot_step for r in stops] == [True], (qty, stops)
        assert all(one.seen is Seen.OPEN for one in venue.others)
        unsettled = self.s.ledger.rows("SELECT * FROM venue_orders WHERE seen IN ('NEW', 'UNKNOWN')")
        assert not unsettled, [dict(row) for row in unsettled]
        self.every_fill_is_booked_once()
        self.every_order_is_known_and_was_sent_once()
        self.nothing_is_unprotected_for_long()

    def every_fill_is_booked_once(self) -> None:
        booked: dict[str, float] = {}
        for row in self.s.ledger.rows("SELECT fill_id, qty, fee, fee_currency FROM fills"):
            name = row["fill_id"].rpartition(".")[0]
            booked[name] = booked.get(name, 0.0) + abs(row["qty"])
            if row["fee"]:
                booked[name + row["fee_currency"]] = booked.get(name + row["fee_currency"], 0.0) + row["fee"]
        filled: dict[str, float] = {}
        for record in self.s.venue.records:
            if record.filled:
                name = record.ticket.client_id
                filled |= {name: record.filled} | {name + currency: fee for currency, fee in record.fees.items()}
        assert booked == pytest.approx(filled)

    def pass_secs(self, secs: float) -> None:
        """In steps, so that the guard sees what happens between."""
        left = secs
        while left > 0.0:
            self.s.pass_secs(min(left, 1.0))
            self.guard.look()
            left -= 1.0

    def active(self) -> list[str]:
        return [row["trade_id"] for row in self.s.ledger.rows(_ACTIVE)]

    def open(self, is_one: Callable[[Record], bool]) -> list[Record]:
        return [r for r in self.s.venue.records if r.seen in (Seen.OPEN, Seen.FIRED) and is_one(r)]


_ACTIVE = "SELECT trade_id, qty FROM trades WHERE status = 'ACTIVE' ORDER BY trade_id"
