"""A state machine of everything that can go wrong around a live broker, judged by the venue's own records."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from executor.broker.base import Kind
from executor.broker.desk import LiveSettings
from executor.broker.venue import Capabilities, Place, Seen, Type
from tests.executor.broker.fake_venue import RULES, Record
from tests.executor.broker.session import SYMBOL, Session

SETTINGS = LiveSettings()
# News may be lost: then a poll tells of a fill, and the stop has its own time from there.
ALLOWED_MS = 1000 * (SETTINGS.protect_within_secs + SETTINGS.poll_secs + 5.0)
REQUESTS = ("submit", "cancel", "find", "orders", "price")
BEFALL = ("lost", "unanswered", "late", "slow", "busy", "refused", "funds")


class Guard:
    """How long what is held was without a stop while nothing was wrong; the venue calls it at each change."""

    def __init__(self, session: Session) -> None:
        self._session, self._bare_ms = session, None
        self.longest_ms = 0.0
        session.venue.watchers.append(self.look)

    def look(self) -> None:
        venue, now = self._session.venue, self._session.venue.now_ms()
        faults = venue.faults
        if faults.muted or faults.lags_secs or faults.down_until > venue.loop.time() or any(faults.requests.values()):
            venue.struck()
        held = abs(sum(one.qty for one in venue.everything()))
        waiting = [r.left for r in venue.records if r.is_open and r.ticket.kind is Kind.STOP]
        leaving = [r.left for r in venue.records if r.is_open and r.ticket.type is Type.MARKET]
        bare = held - sum(waiting) - sum(leaving) >= RULES.min_qty
        if bare and self._bare_ms is None:
            self._bare_ms = now
        if self._bare_ms is not None:
            self.longest_ms = max(self.longest_ms, now - max(self._bare_ms, venue.fault_ms))
        if not bare:
            self._bare_ms = None


class Machine(RuleBasedStateMachine):
    """Entries, exits, prices, faults, hands and crashes in any order; `market` is set by subclasses."""

    market: Capabilities

    @initialize(base_fee=st.booleans())
    def begin(self, base_fee: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.s = Session(self.folder / "live.sqlite", {SYMBOL: self.market}, settings=SETTINGS, base_fee=base_fee)
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
        self.s.enter(f"t{self.entered}-L-{self.entered}", qty=qty)

    @rule(k=st.integers(0, 3))
    def leave(self, k: int) -> None:
        names = self.active()
        if names:
            self.s.leave(names[k % len(names)])

    @rule()
    def give_up(self) -> None:
        name = f"t{self.entered}-L-{self.entered}"
        self.s.do(lambda: self.s.engine.give_up(name, self.s.venue.now_ms()))

    @rule(k=st.integers(0, 3), level=st.sampled_from([92.0, 96.0, 99.0]))
    def trail(self, k: int, level: float) -> None:
        names = self.active()
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
            self.s.venue.struck()
            self.s.venue.cancel_by_hand(record)

    @rule()
    def expire(self) -> None:
        self.s.venue.expire()

    @rule()
    def crash(self) -> None:
        self.s.venue.struck()
        self.s.broker._doing.is_running = False
        self.s.restart()

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
        if hasattr(self, "s") and self.market.stop is Place.VENUE and not self.market.triggers_lock:
            assert self.guard.longest_ms <= ALLOWED_MS

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
        held = sum(one.qty for one in self.s.venue.everything())
        booked = {row["trade_id"]: row["qty"] for row in self.s.ledger.rows(_ACTIVE)}
        # Each closed trade may leave less than the venue takes an order for.
        dust = (RULES.min_notional / 90.0 if self.market.market == "spot" else RULES.lot_step) * (1 + self.entered)
        assert abs(held - sum(booked.values())) <= dust, (held, booked)
        for record in self.open(lambda r: True):
            assert record.ticket.trade_id in booked, record
        for name, qty in booked.items():
            stops = self.open(lambda r, name=name: r.ticket.trade_id == name and r.ticket.kind is Kind.STOP)
            if self.market.stop is Place.VENUE and qty >= RULES.min_qty:
                assert [abs(r.left - qty) <= RULES.lot_step for r in stops] == [True], (qty, stops)
        unsettled = self.s.ledger.rows("SELECT * FROM venue_orders WHERE seen IN ('NEW', 'UNKNOWN')")
        assert not unsettled, [dict(row) for row in unsettled]
        self.every_order_is_known_and_was_sent_once()
        self.nothing_is_unprotected_for_long()

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
