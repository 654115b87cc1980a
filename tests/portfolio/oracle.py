"""One account once more, from the design's text in plain slow Python: the portfolio engine's oracle.

The life of a trade is `tests.engine.oracle`, itself written from the text; here every leg is stepped on every base bar,
and money, sizes, halts and weights are kept in dictionaries and lists. Where the text is silent: "silent:".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.engine.oracle import LONG, SHORT, NaiveLeg
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars
from toolkit.engine.rules import Costs, TradeRules
from toolkit.portfolio.limits import Instrument, Limits
from toolkit.strategy import Signals

PAID_TOLERANCE = 1e-9
LOT_TOLERANCE = 1e-9
DUST = 1e-9
_SAID = ("ACCEPTED", "VETOED", "REJECTED")


@dataclass(frozen=True)
class Entrant:
    """An instance as the oracle takes it: everything by itself, nothing prepared."""

    id: str
    strategy: str
    symbol: str
    bars: Bars
    signals: Signals
    rules: TradeRules
    costs: Costs
    verdicts: Mapping[int, Any] = field(default_factory=dict)
    predictions: Mapping[int, Any] = field(default_factory=dict)
    finer: Bars | None = None
    start_ms: int | None = None
    scales: Mapping[int, Any] = field(default_factory=dict)


class AccountLeg(NaiveLeg):
    """A leg whose fills move an account's cash, and whose entries wait for the account's word."""

    def __init__(self, account: "NaiveAccount", member: int, entrant: Entrant, side: int) -> None:
        said = entrant.verdicts.get(side)
        super().__init__(side, entrant.bars, entrant.signals, entrant.rules, entrant.costs, said, entrant.finer)
        self.account, self.member, self.entrant = account, member, entrant
        first = -(-(entrant.start_ms or 0) // self.base_ms)
        self.start_t = max(self.first_t, first)
        self.end_t = self.first_t + len(self.base)
        self.predictions = entrant.predictions.get(side)
        self.halt_due = False
        self.weight = self.trade_weight = 0.0
        self.proposal: tuple[int, float, float, float] | None = None

    def scale(self) -> float:
        """The share of its size that the proposed entry gets."""
        said = self.entrant.scales.get(self.side)
        return 1.0 if said is None or self.proposal is None else float(said[self.proposal[0]])

    def start_afresh(self, moment: int) -> None:
        """silent: a refused signal from before it was switched off ends at the bar before the first that may signal."""
        if self.signal:
            self.t = max(self.start_t, -(-moment // self.base_ms) - 1) - 1
            self.end_signal("REFUSED")
        self.used_periods, self.proposal = set(), None

    def mark(self, moment: int) -> float:
        """Close of the last base bar that closed by then.

        silent: of a trade that was made after the moment asked for, on bars that begin after it, its entry price.
        """
        closed = min(moment // self.base_ms - self.first_t, len(self.base))
        return float(self.base.close[closed - 1]) if closed > 0 else float(self.trade["entry_price"])

    def charge_funding(self) -> None:
        before = self.trade["funding"] if self.trade else 0.0
        super().charge_funding()
        if self.trade:
            self.account.cash += self.trade["funding"] - before

    def open_trade(self) -> None:
        qty = self.signal["qty"]
        price = self.o * (1.0 + self.side * self.slip)
        opened = self.account.look(self.t * self.base_ms)
        if qty * price * (1.0 + self.costs.taker_rate) > (opened.equity - opened.held) * (1.0 + PAID_TOLERANCE):
            self.account.write_audit(self, (self.t + 1) * self.base_ms, opened, qty, 0.0, "UNPAID")
            self.signal["reason"] = "UNPAID"
            self.entry_order = None
            self.end_signal("UNPAID")
            return
        weight = self.trade_weight
        super().open_trade()
        trade = self.trade
        trade.update(qty=qty, entry_fee=qty * price * self.costs.taker_rate, member=self.member, weight=weight)
        self.account.cash -= self.side * qty * price + trade["entry_fee"]

    def close_trade(self, reason: str, price: float, expected: float, rate: float) -> None:
        trade = self.trade
        super().close_trade(reason, price, expected, rate)
        self.account.cash += self.side * trade["qty"] * price - trade["exit_fee"]
        self.account.trades.append(trade)

    def entries(self) -> None:
        """As the single leg's, up to the decision."""
        self.proposal = None
        timeout = self.duration(self.rules.signal_timeout)
        if self.signal and self.signal["decision"] != "ACCEPTED" and self.t >= self.signal["t"] + timeout:
            self.end_signal("TIMED_OUT")
        k = self.closing_signal_bar.get((self.t + 1) * self.base_ms)
        if k is None or not self.enter[k] or self.leave[k]:
            return
        if self.signal:
            self.signal["ignored"] += 1
            return
        if self.period_is_used():
            return
        stop, target, trail = self.distances(k)
        if self.weight > 0 and stop is not None and target is not None and trail is not None:
            self.proposal = (k, stop, target, trail)

    def period_is_used(self) -> bool:
        """By this side or, where the instance counts as one, by the other."""
        shared = self.rules.one_entry_scope == "instance"
        sides = [leg for leg in self.account.legs if leg is self or (shared and leg.member == self.member)]
        return self.period() is not None and any(self.period() in leg.used_periods for leg in sides)

    def accept_or_refuse(self, verdict: str, qty: float, reason: str) -> None:
        _, stop, target, trail = self.proposal
        timeout = self.duration(self.rules.signal_timeout)
        if self.period() is not None:
            self.used_periods.add(self.period())
        self.trade_weight = self.weight
        self.signal = {
            "t": self.t, "side": self.side, "decision": verdict, "price": self.c, "ignored": 0, "end": "LIVE",
            "closed_t": -1, "expires_t": self.t + timeout if timeout else -1, "stop": stop, "target": target,
            "trail": trail, "qty": qty, "reason": reason, "member": self.member,
        }  # fmt: skip
        self.account.signals.append(self.signal)
        if verdict == "ACCEPTED":
            self.entry_order = {"t": self.t}
        elif not timeout:
            self.end_signal("REFUSED")

    def halt(self) -> None:
        if self.entry_order:
            self.entry_order = None
            self.end_signal("HALT")
        elif self.trade and not self.exit_order:
            self.exit_order = {"t": self.t, "reason": "HALT"}
        self.halt_due = False

    def step(self, i: int) -> None:
        super().step(i)
        if self.halt_due:
            self.halt()


@dataclass
class Looked:
    """The account at a moment; gross, net and symbols count waiting entries, `held` and `held_net` do not."""

    equity: float
    gross: float
    net: float
    held: float
    held_net: float
    reserved: float
    symbols: dict[str, float]
    legs: list[AccountLeg]


class NaiveAccount:
    """Many entrants on one account."""

    def __init__(
        self,
        entrants: Sequence[Entrant],
        schedule: Sequence[tuple[int, Mapping[str, float]]],
        limits: Limits,
        capital: float,
        period_ms: tuple[int, int],
        instruments: Mapping[str, Instrument],
    ) -> None:
        self.entrants = sorted(entrants, key=lambda e: e.id)
        self.limits, self.instruments = limits, instruments
        self.schedule = list(schedule)
        self.start_ms, self.end_ms = period_ms
        self.cash = self.peak = self.day_start = capital
        self.halted: str | None = None
        self.halted_today = False
        self.shares = [0.0, 0.0, 0.0]
        self.n_on = 0
        self.trades: list[dict[str, Any]] = []
        self.signals: list[dict[str, Any]] = []
        self.audit: list[dict[str, Any]] = []
        self.days: list[dict[str, Any]] = []
        self.halts: list[dict[str, Any]] = []
        self.legs: list[AccountLeg] = []
        for number, entrant in enumerate(self.entrants):
            sides = {"both": (LONG, SHORT), "long": (LONG,), "short": (SHORT,)}[entrant.rules.side]
            self.legs += [AccountLeg(self, number, entrant, side) for side in sides]

    def run(self) -> "NaiveAccount":
        for moment in self.moments():
            self.reweigh(moment)
            for leg in self.legs:
                t = moment // leg.base_ms - 1
                leg.proposal = None
                if moment % leg.base_ms == 0 and leg.start_t <= t < leg.end_t:
                    leg.step(t - leg.first_t)
            if moment % DAY_MS == 0 and moment > self.start_ms:
                self.mark_day(moment)
            proposed = [leg for leg in self.legs if leg.proposal]
            if proposed:
                self.decide(moment, sorted(proposed, key=self.rank))
        if self.end_ms % DAY_MS:
            self.mark_day(self.end_ms)
        self.finish()
        return self

    def moments(self) -> list[int]:
        found = {max(at, self.start_ms) for at, _ in self.schedule}
        found |= set(range(-(-self.start_ms // DAY_MS) * DAY_MS, self.end_ms + 1, DAY_MS))
        for leg in self.legs:
            found |= {int(ts) + leg.base_ms for ts in leg.base.ts}
        return sorted(m for m in found if self.start_ms <= m <= self.end_ms)

    def reweigh(self, moment: int) -> None:
        """An instance that is switched on starts flat, unless it still trades."""
        while self.schedule and self.schedule[0][0] <= moment:
            _, weights = self.schedule.pop(0)
            self.n_on = sum(weights.get(e.id, 0.0) > 0 for e in self.entrants)
            for leg in self.legs:
                weight = weights.get(leg.entrant.id, 0.0)
                if weight > 0 and leg.weight <= 0 and not (leg.trade or leg.entry_order):
                    leg.start_afresh(moment)
                leg.weight = weight

    def look(self, moment: int) -> Looked:
        equity, gross, net, held, held_net, reserved = self.cash, 0.0, 0.0, 0.0, 0.0, 0.0
        symbols: dict[str, float] = {}
        busy = [leg for leg in self.legs if leg.trade]
        for leg in busy:
            value = leg.trade["qty"] * leg.mark(moment)
            equity += leg.side * value
            held += value
            held_net += leg.side * value
            symbols[leg.entrant.symbol] = symbols.get(leg.entrant.symbol, 0.0) + value
        gross, net = held, held_net
        waiting = [leg for leg in self.legs if leg.entry_order]
        for leg in waiting:
            value = leg.signal["qty"] * leg.signal["price"]
            reserved += value * (1.0 + self.limits.price_buffer) * (1.0 + leg.costs.taker_rate)
            gross += value
            net += leg.side * value
            symbols[leg.entrant.symbol] = symbols.get(leg.entrant.symbol, 0.0) + value
        return Looked(equity, gross, net, held, held_net, reserved, symbols, busy + waiting)

    def note_shares(self, now: Looked) -> None:
        for k, value in enumerate((now.gross, abs(now.net), max(now.symbols.values(), default=0.0))):
            share = value / now.equity if now.equity > 0 else (math.inf if value > 0 else 0.0)
            self.shares[k] = max(self.shares[k], share)

    # Halts and marks.

    def look_at_halts(self, moment: int, now: Looked) -> None:
        self.peak = max(self.peak, now.equity)
        daily, drawdown = self.limits.daily_loss_halt, self.limits.drawdown_halt
        if drawdown is not None and self.halted != "DRAWDOWN" and now.equity < self.peak * (1.0 - drawdown):
            self.halt("DRAWDOWN", -1, moment, now)
        elif daily is not None and not self.halted and now.equity < self.day_start * (1.0 - daily):
            # silent: a day's loss seen at its last mark stops nothing, the next day has begun; it may close.
            self.halt("DAILY_LOSS", -(-moment // DAY_MS) * DAY_MS, moment, now)

    def halt(self, kind: str, until: int, moment: int, now: Looked) -> None:
        self.halted, self.halted_today = kind, True
        self.halts.append({"ts": moment, "kind": kind, "until_ts": until, "equity": now.equity})
        if not self.limits.halt_closes:
            return
        for leg in self.legs:
            if leg.trade or leg.entry_order:
                # A bar that is under way opened before the halt: what was ordered before it has been filled there.
                leg.halt_due = True
                over = moment // leg.base_ms >= leg.end_t
                if over or moment % leg.base_ms == 0:
                    leg.halt()

    def mark_day(self, moment: int) -> None:
        now = self.look(moment)
        self.note_shares(now)
        if moment % DAY_MS == 0:
            self.look_at_halts(moment, now)
        self.days.append({
            "ts": moment, "open_trades": sum(bool(leg.trade) for leg in self.legs),
            "halted": int(self.halted_today or self.halted is not None), "equity": now.equity, "cash": self.cash,
            "gross": now.held, "net": now.held_net, "gross_share": self.shares[0], "net_share": self.shares[1],
            "symbol_share": self.shares[2],
        })  # fmt: skip
        self.shares, self.day_start, self.halted_today = [0.0, 0.0, 0.0], now.equity, False
        if self.halted == "DAILY_LOSS":
            self.halted = None

    # Decisions.

    def decide(self, moment: int, proposed: Sequence[AccountLeg]) -> None:
        self.look_at_halts(moment, self.look(moment))
        for leg in proposed:
            if leg.period_is_used():
                continue
            now = self.look(moment)
            asked, qty, reason = self.size(leg, now)
            verdict = "ACCEPTED" if qty > 0 else "REJECTED"
            said = "ACCEPTED" if leg.verdicts is None else _SAID[leg.verdicts[leg.proposal[0]] - 1]
            if said != "ACCEPTED":
                verdict, qty, reason = said, 0.0, "VETOED" if said == "VETOED" else "REFUSED"
            leg.accept_or_refuse(verdict, qty, reason)
            self.write_audit(leg, moment, now, asked, qty, reason)
        self.note_shares(self.look(moment))

    def write_audit(self, leg: AccountLeg, moment: int, now: Looked, asked: float, given: float, reason: str) -> None:
        self.audit.append({
            "ts": moment, "member": leg.member, "side": leg.side, "reason": reason, "asked": asked, "given": given,
            "price": leg.signal["price"] if leg.signal else leg.c, "weight": leg.trade_weight, "equity": now.equity,
            "gross": now.gross, "net": now.net, "open_trades": len(now.legs),
        })  # fmt: skip

    def rank(self, leg: AccountLeg) -> tuple[float, float]:
        """What is decided first sorts first."""
        p = math.nan if leg.predictions is None else float(leg.predictions[leg.proposal[0]])
        by = self.limits.entry_order == "prediction"
        return (math.inf if math.isnan(p) else -p) if by else 0.0, -leg.weight

    def asked(self, leg: AccountLeg, equity: float) -> float:
        return self.whole(leg, equity) * leg.scale()

    def whole(self, leg: AccountLeg, equity: float) -> float:
        limits, price = self.limits, leg.c
        k, stop, _, trail = leg.proposal
        if limits.sizing == "weight":
            return leg.weight * limits.exposure * equity / price
        share = leg.weight * self.n_on
        if limits.sizing == "risk":
            distance = trail if math.isnan(stop) else stop
            level = price - leg.side * distance
            return limits.risk_per_trade * equity * share / abs(price - level)
        if limits.sizing == "notional":
            return limits.notional_per_trade * share / price
        p = math.nan if leg.predictions is None else float(leg.predictions[k])
        bet = p if math.isnan(p) else min(1.0, max(0.0, 2.0 * p - 1.0))
        return leg.weight * limits.exposure * equity * bet / price

    def size(self, leg: AccountLeg, now: Looked) -> tuple[float, float, str]:
        """Asked, given, and why."""
        limits, price, symbol = self.limits, leg.c, leg.entrant.symbol
        venue = self.instruments.get(symbol, Instrument())
        asked = self.asked(leg, now.equity)
        mates = [other for other in now.legs if other.entrant.symbol == symbol]
        clan = [other for other in now.legs if other.entrant.strategy == leg.entrant.strategy]
        forbidden = (
            (now.equity <= 0, "NO_EQUITY"),
            (self.halted is not None, self.halted),
            (venue.market == "spot" and leg.side == SHORT, "SHORT_ON_SPOT"),
            (not venue.hedge_mode and any(other.side != leg.side for other in mates), "OPPOSITE_LEG"),
            (limits.max_open is not None and len(now.legs) >= limits.max_open, "MAX_OPEN"),
            (limits.max_open_symbol is not None and len(mates) >= limits.max_open_symbol, "MAX_OPEN_SYMBOL"),
            (limits.max_open_strategy is not None and len(clan) >= limits.max_open_strategy, "MAX_OPEN_STRATEGY"),
        )
        for holds, reason in forbidden:
            if holds:
                return asked, 0.0, str(reason)
        if leg.scale() == 0:
            return asked, 0.0, "NO_BET"
        if not 0 < asked < math.inf:
            nothing = "NO_STOP" if limits.sizing == "risk" else "NO_PREDICTION" if math.isnan(asked) else "NO_BET"
            return asked, 0.0, nothing
        equity, gap = now.equity, (1.0 + limits.price_buffer) * (1.0 + leg.costs.taker_rate)
        in_symbol = now.symbols.get(symbol, 0.0)
        rooms = [
            (limits.max_trade and limits.max_trade * equity, "MAX_TRADE"),
            (limits.max_trade_notional, "MAX_TRADE_NOTIONAL"),
            (limits.max_symbol and limits.max_symbol * equity - in_symbol, "MAX_SYMBOL"),
            (limits.max_gross and limits.max_gross * equity - now.gross, "MAX_GROSS"),
            (limits.max_net and limits.max_net * equity - leg.side * now.net, "MAX_NET"),
            ((limits.leverage * equity - now.held - now.reserved) / gap, "LEVERAGE"),
        ]
        least, limit = min(((room, why) for room, why in rooms if room is not None), key=lambda pair: pair[0])
        # silent: what is left of a limit that is used up, but for the rounding of sums, is nothing.
        least = least if least > DUST * equity else 0.0
        qty, reason = asked, "FULL"
        if least < asked * price:
            qty, reason = least / price, limit
        volume = float(leg.base.volume[leg.i])
        if limits.max_volume_share is not None and limits.max_volume_share * volume < qty:
            qty, reason = limits.max_volume_share * volume, "VOLUME"
        if venue.lot_step:
            lots = math.floor(qty / venue.lot_step + LOT_TOLERANCE) * venue.lot_step
            if lots < qty:
                qty, reason = lots, "LOT" if reason == "FULL" else reason
        for least_order, size, why in (
            (venue.min_qty, qty, "MIN_QTY"),
            (venue.min_notional, qty * price, "MIN_NOTIONAL"),
        ):
            if 0 < size < least_order:
                # A limit that left too little is the reason, not the venue.
                return asked, 0.0, why if reason in ("FULL", "LOT") else reason
        return asked, qty, reason

    def finish(self) -> None:
        for leg in self.legs:
            if leg.trade:
                last = min(self.end_ms // leg.base_ms, leg.end_t) - 1
                leg.trade.update(
                    exit_t=last, exit_price=leg.mark(self.end_ms), expected_exit_price=math.nan, exit_reason="OPEN",
                    exit_fee=0.0,
                )  # fmt: skip
                self.trades.append(leg.trade)
