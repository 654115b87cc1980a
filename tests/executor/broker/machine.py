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
from executor.broker.venue import Capabilities, Place, Seen, Type
from tests.executor.broker.by_hand import HandVenue
from tests.executor.broker.fake_venue import RULES, Record
from tests.executor.broker.guard import Guard, held_of, least
from tests.executor.broker.session import SYMBOL, Session

SETTINGS = LiveSettings()
# News may be lost: then a poll tells of a fill, and the stop has its own time from there.
ALLOWED_MS = 1000 * (SETTINGS.protect_within_secs + SETTINGS.poll_secs + 5.0)
REQUESTS = ("submit", "cancel", "find", "orders", "price")
BEFALL = ("lost", "unanswered", "late", "slow", "busy", "refused", "funds")
MAYBE = st.sampled_from(["", "", "", *BEFALL])
SECS = st.sampled_from([0.0, 0.01, 0.03, 0.4, 1.0, 2.0, 12.0, 40.0])
SHARE = st.sampled_from([1.0, 1.0, 0.3])
REFUSED = st.sampled_from([(), (), (), (Type.STOP,), (Type.STOP, Type.TARGET), (Type.LIMIT,)])


class HandSession(Session):
    """With a person at the venue."""

    venue: HandVenue
    venue_type = HandVenue


class Machine(RuleBasedStateMachine):
    """Entries, exits, prices, faults, hands and crashes in any order; `market` and `side` are set by subclasses."""

    market: Capabilities
    side = "buy"

    @initialize(base_fee=st.booleans(), before=st.booleans(), fault=MAYBE, share=SHARE, then=SECS)
    def begin(self, base_fee: bool, before: bool, fault: str, share: float, then: float) -> None:
        """A trade is entered; maybe beside another one, whose levels are others."""
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.s = HandSession(self.folder / "live.sqlite", {SYMBOL: self.market}, settings=SETTINGS, base_fee=base_fee)
        self.guard = Guard(self.s)
        self.entered = 0
        if before:
            self.s.price(90.0 if self.side == "buy" else 110.0)
            self.enter(2.0, "", 2.0)
            self.s.price(100.0)
        self.s.venue.faults.share = share
        self.enter(1.0, fault, then)

    def teardown(self) -> None:
        if hasattr(self, "s"):
            try:
                self.calm()
                self.at_rest()
            finally:
                self.s.close()
                shutil.rmtree(self.folder, ignore_errors=True)

    # Few rules with much in each: of many, an example tries only some.

    @rule(qty=st.sampled_from([0.5, 1.0, 2.0]), fault=MAYBE, then=SECS)
    def enter(self, qty: float, fault: str, then: float) -> None:
        self.befall("submit", fault)
        self.entered += 1
        self.s.enter(f"t{self.entered}-L-{self.entered}", self.side, qty)
        self.pass_secs(then)

    @rule(k=st.integers(0, 3), what=st.sampled_from(["leave", "leave", "trail", "give up"]), fault=MAYBE, then=SECS)
    def change(self, k: int, what: str, fault: str, then: float) -> None:
        engine, now, names = self.s.engine, self.s.venue.now_ms(), self.active()
        if what == "give up":
            self.s.do(lambda: engine.give_up(f"t{self.entered}-L-{self.entered}", now))
        elif names:
            name = names[k % len(names)]
            self.befall("submit", fault)
            level = 100.0 + (-1 if self.side == "buy" else 1) * (1.0 + 3.0 * k)
            self.s.do(lambda: engine.leave(name, now) if what == "leave" else engine.trail(name, level, now))
        self.pass_secs(then)

    @rule(price=st.sampled_from([90.0, 94.0, 97.0, 100.0, 103.0, 106.0, 115.0]), share=SHARE, fault=MAYBE, then=SECS)
    def trade(self, price: float, share: float, fault: str, then: float) -> None:
        self.befall("submit", fault)
        self.s.venue.faults.share = share
        self.s.price(price)
        self.pass_secs(then)

    @rule(what=st.sampled_from(["fail", "cancel", "expire", "place"]), types=REFUSED, then=SECS)
    def disturb(self, what: str, types: tuple[Type, ...], then: float) -> None:
        """The venue takes no orders of these types from now on, and does something by itself or by a person's hand."""
        venue, stops = self.s.venue, self.open(lambda r: r.ticket.kind is Kind.STOP)
        venue.refuses = lambda ticket: ticket.type in types
        if what == "fail":
            venue.faults.fails_triggers += 1
        elif what == "cancel" and stops:
            venue.cancel_by_hand(stops[0])
        elif what == "expire":
            venue.expire()
        else:
            venue.place(SYMBOL, "buy", 1.0, 50.0)
        self.pass_secs(then)

    @rule(verb=st.sampled_from(REQUESTS), what=st.sampled_from(BEFALL), times=st.integers(1, 3), then=SECS)
    def disconnect(self, verb: str, what: str, times: int, then: float) -> None:
        self.befall(verb, what, times)
        self.pass_secs(then)

    @rule(how=st.sets(st.sampled_from(["muted", "doubles", "hides_fees", "late"]), max_size=2), then=SECS)
    def hush(self, how: set[str], then: float) -> None:
        """How news come from now on."""
        faults = self.s.venue.faults
        faults.muted, faults.doubles, faults.hides_fees = "muted" in how, "doubles" in how, "hides_fees" in how
        faults.lags_secs = 1.5 if "late" in how else 0.0
        self.pass_secs(then)

    @rule(secs=st.sampled_from([0.0, 3.0, 60.0, 600.0]), then=SECS)
    def break_off(self, secs: float, then: float) -> None:
        """The venue is down, or the connection only just drops."""
        if secs:
            self.s.venue.faults.down_until = self.s.venue.loop.time() + secs
            self.s.venue.struck()
        else:
            self.s.venue.drop()
        self.pass_secs(then)

    @rule(secs=st.sampled_from([0.0, 0.0, 5.0, 300.0]), then=SECS)
    def crash(self, secs: float, then: float) -> None:
        self.s.kill()
        if secs:
            self.s.loop.pass_secs(secs)
            self.s.venue.struck()
        self.s.start()
        self.pass_secs(then)

    def befall(self, verb: str, what: str, times: int = 1) -> None:
        self.s.venue.faults.requests[verb].extend([what] * times if what else [])

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
        faults.fails_triggers, self.s.venue.refuses = 0, lambda ticket: False
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
