"""The life of a trade once more, written from the design's text in plain Python, one `if` a rule: the engine's oracle.

It shares no code with the engine, is slow, and remembers everything by name. Assumptions where the text is silent are
marked "silent:".
"""

import math
import re
from typing import Any

import numpy as np

from toolkit.bars.series import Bars
from toolkit.engine.rules import Costs, TradeRules
from toolkit.strategy import Signals

LONG, SHORT = 1, -1
NOTIONAL = 1000.0


def naive_run(
    bars: Bars,
    signals: Signals,
    rules: TradeRules,
    costs: Costs,
    verdicts: dict[int, Any] | None = None,
    finer: Bars | None = None,
    start_ms: int | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Trades (an open one marked last) and entry signals of both sides, sorted as the engine's records are."""
    sides = {"both": (LONG, SHORT), "long": (LONG,), "short": (SHORT,)}[rules.side]
    legs = [NaiveLeg(side, bars, signals, rules, costs, (verdicts or {}).get(side), finer) for side in sides]
    shared = rules.one_entry_scope == "instance"
    for i in np.flatnonzero(bars.base.ts >= (start_ms or 0)):
        for leg in legs:
            leg.step(i)
            if shared:
                for other in legs:
                    other.used_periods |= leg.used_periods
    for leg in legs:
        leg.finish()
    trades = sorted((t for leg in legs for t in leg.trades), key=lambda t: (t["entry_t"], -t["side"]))
    said = sorted((s for leg in legs for s in leg.signals), key=lambda s: (s["t"], -s["side"]))
    return trades, said


class NaiveLeg:
    """One side of one instance, stepped a closed base bar at a time."""

    def __init__(
        self,
        side: int,
        bars: Bars,
        signals: Signals,
        rules: TradeRules,
        costs: Costs,
        verdicts: Any,
        finer: Bars | None,
    ) -> None:
        self.side, self.bars, self.base, self.rules, self.costs = side, bars, bars.base, rules, costs
        self.enter, self.leave = (
            (signals.enter_long, signals.exit_long) if side == LONG else (signals.enter_short, signals.exit_short)
        )
        self.strategy_stop, self.strategy_target = signals.stop_distance, signals.target_distance
        self.verdicts, self.finer = verdicts, finer
        self.base_ms, self.signal_ms = self.base.interval_ms, bars.interval_ms
        self.first_t = int(self.base.ts[0]) // self.base_ms
        self.closing_signal_bar = {int(c): k for k, c in enumerate(bars.close_ts)}
        self.slip = costs.slippage_bps / 1e4
        self.entry_order: dict[str, Any] | None = None
        self.exit_order: dict[str, Any] | None = None
        self.trade: dict[str, Any] | None = None
        self.signal: dict[str, Any] | None = None
        self.used_periods: set[int] = set()
        self.trades: list[dict[str, Any]] = []
        self.signals: list[dict[str, Any]] = []

    def step(self, i: int) -> None:
        self.i, self.t = i, self.first_t + i
        self.o, self.h, self.l, self.c = (float(getattr(self.base, n)[i]) for n in ("open", "high", "low", "close"))
        self.can_trade = self.base.volume[i] != 0.0  # unknown volume can trade
        # silent: funding is charged at the stamp bar's open to a trade that was open before it.
        self.charge_funding()
        self.fill_pending()
        if self.trade and self.can_trade:
            self.stop_and_target()
        if self.trade and self.can_trade:
            self.trail()
        self.exits()
        self.entries()

    # 1. Fill.

    def fill_pending(self) -> None:
        if self.exit_order and self.can_trade:
            price = self.o * (1.0 - self.side * self.slip)
            decided = float(self.base.close[self.exit_order["t"] - self.first_t])
            self.close_trade(self.exit_order["reason"], price, decided, self.costs.taker_rate)
        elif self.entry_order:
            if self.can_trade:
                self.open_trade()
            elif self.t >= self.last_attempt():
                self.entry_order = None
                self.end_signal("EXPIRED")

    def last_attempt(self) -> int:
        """Waits at most `entry_ttl`, and not beyond the signal's life [t, t + timeout).

        silent: the next open is the moment of the decision, so it is tried whatever the timeout.
        """
        wait = self.duration(self.rules.entry_ttl) or self.signal_ms // self.base_ms
        timeout = self.duration(self.rules.signal_timeout)
        if timeout:
            wait = min(wait, timeout - 1)
        return self.entry_order["t"] + max(wait, 1)

    def open_trade(self) -> None:
        signal, side, tick = self.signal, self.side, self.costs.tick
        self.entry_order = None
        price = self.o * (1.0 + side * self.slip)
        stop_distance = signal["stop"]
        if math.isnan(stop_distance):
            stop_distance = signal["trail"]  # silent: a trail alone begins as a stop at its distance
        # Towards the entry is up for a long. silent: a target is rounded away from it.
        stop = self.to_tick(price - side * stop_distance, tick, side)
        # silent: never onto the entry or beyond it, which would be no stop; then it is the next tick away.
        if tick and side * (stop - price) >= 0:
            stop -= side * tick
        target = self.to_tick(price + side * signal["target"], tick, side)
        self.trade = {
            "signal_t": signal["t"], "entry_t": self.t, "side": side, "entry_price": price,
            "expected_entry_price": signal["price"], "qty": NOTIONAL / signal["price"], "stop_price": stop,
            "target_price": target, "entry_fee": NOTIONAL / signal["price"] * price * self.costs.taker_rate,
            "funding": 0.0, "stop": stop, "trail": signal["trail"], "best": price, "worst": price,
        }  # fmt: skip

    @staticmethod
    def to_tick(price: float, tick: float, side: int) -> float:
        if tick == 0 or math.isnan(price):
            return price
        return (math.ceil(price / tick - 1e-9) if side > 0 else math.floor(price / tick + 1e-9)) * tick

    # 2. Stop and target.

    def stop_and_target(self) -> None:
        trade, side, through = self.trade, self.side, self.rules.target_fill == "through"
        stop, target = trade["stop"], trade["target_price"]
        worst, best = (self.l, self.h) if side == LONG else (self.h, self.l)
        stop_hit = worst <= stop if side == LONG else worst >= stop
        gap_stop = self.o <= stop if side == LONG else self.o >= stop
        target_hit, gap_target = self.reaches(best, target, through), self.reaches(self.o, target, through)
        if stop_hit and target_hit:
            # The open is the first price of the bar: a gap through the stop is no question of policy.
            target_hit = not gap_stop and self.target_first(gap_target)
            stop_hit = not target_hit
        if stop_hit:
            price = (self.o if gap_stop else stop) * (1.0 - side * self.slip)
            reason = "STOP" if stop == trade["stop_price"] else "TRAIL"
            self.close_trade(reason, price, stop, self.costs.taker_rate)
        elif target_hit:
            price, rate = (self.o if gap_target else target), self.costs.maker_rate
            if self.rules.target_fill == "market":
                price, rate = price * (1.0 - side * self.slip), self.costs.taker_rate
            self.close_trade("TARGET", price, target, rate)
        else:
            trade["best"] = max(trade["best"], best) if side == LONG else min(trade["best"], best)
            trade["worst"] = min(trade["worst"], worst) if side == LONG else max(trade["worst"], worst)

    def reaches(self, price: float, target: float, through: bool) -> bool:
        if self.side == LONG:
            return price > target if through else price >= target
        return price < target if through else price <= target

    def target_first(self, gap_target: bool) -> bool:
        policy, long = self.rules.policy, self.side == LONG
        if policy == "pessimistic":
            return False
        if policy == "optimistic" or gap_target:
            return True
        if policy == "ohlc":
            return long
        if policy == "adaptive":
            up, down = self.h - self.o, self.o - self.l
            return up < down if long else down < up  # silent: as near one as the other is the stop
        return self.finer_says_target()

    def finer_says_target(self) -> bool:
        begin = int(self.base.ts[self.i])
        for j in np.flatnonzero((self.finer.ts >= begin) & (self.finer.ts < begin + self.base_ms)):
            if self.finer.volume[j] == 0.0:
                continue
            low, high = float(self.finer.low[j]), float(self.finer.high[j])
            worst, best = (low, high) if self.side == LONG else (high, low)
            stop_hit = worst <= self.trade["stop"] if self.side == LONG else worst >= self.trade["stop"]
            target_hit = self.reaches(best, self.trade["target_price"], self.rules.target_fill == "through")
            if stop_hit:
                return False
            if target_hit:
                return True
        return False

    def close_trade(self, reason: str, price: float, expected: float, rate: float) -> None:
        trade, side = self.trade, self.side
        worst = self.l if side == LONG else self.h
        extremes = [price]
        if reason == "TARGET":
            # silent: what may have happened before the target counts against the trade, down to its stop.
            stop = trade["stop"]
            beyond = worst < stop if side == LONG else worst > stop
            extremes.append(stop if beyond else worst)
        better, worse = (max, min) if side == LONG else (min, max)
        trade["best"], trade["worst"] = better(trade["best"], price), worse(trade["worst"], *extremes)
        trade.update(
            exit_t=self.t, exit_price=price, expected_exit_price=expected, exit_reason=reason,
            exit_fee=trade["qty"] * price * rate,
        )  # fmt: skip
        self.trades.append(trade)
        self.trade = self.exit_order = None
        self.end_signal("TRADE_CLOSED")

    def charge_funding(self) -> None:
        stamp = {"30m": 30, "1h": 60, "8h": 480}[self.costs.funding_interval] * 60_000 // self.base_ms
        if self.trade and self.costs.funding_rate and self.t % stamp == 0:
            self.trade["funding"] -= self.side * self.trade["qty"] * self.o * self.costs.funding_rate

    # 3. Trail.

    def trail(self) -> None:
        if self.rules.trail is None:
            return
        extreme = self.h if self.side == LONG else self.l
        reference = extreme if self.rules.trail_on == "extreme" else self.c
        level = self.to_tick(reference - self.side * self.trade["trail"], self.costs.tick, self.side)
        if level > self.trade["stop"] if self.side == LONG else level < self.trade["stop"]:
            self.trade["stop"] = level

    # 4. Exit.

    def exits(self) -> None:
        k = self.closing_signal_bar.get((self.t + 1) * self.base_ms)
        exit_signal = k is not None and bool(self.leave[k])
        if self.entry_order and exit_signal:
            self.entry_order = None
            self.end_signal("EXIT_SIGNAL")
        if self.trade and not self.exit_order:
            reason = self.exit_wanted(exit_signal)
            if reason:
                self.exit_order = {"t": self.t, "reason": reason}

    def exit_wanted(self, exit_signal: bool) -> str | None:
        held = self.t - self.trade["entry_t"] + 1
        for rule in self.rules.exits:
            if (
                (rule.on == "time" or exit_signal)
                and held >= self.duration(rule.after)
                and self.within(rule.min_profit, rule.max_profit)
                and (rule.when is None or self.factor_holds(rule.when))
            ):
                return "SIGNAL" if rule.on == "signal" else "RULE"
        # silent: rules come before max_hold where both say so at one close.
        max_hold = self.duration(self.rules.max_hold)
        return "MAX_HOLD" if max_hold and self.t >= self.trade["entry_t"] + max_hold - 1 else None

    def within(self, low: Any, high: Any) -> bool:
        for bound, sign in ((low, 1), (high, -1)):
            if bound is None:
                continue
            move = self.side * (self.c - self.trade["entry_price"])
            if isinstance(bound, str):
                risk = self.side * (self.trade["entry_price"] - self.trade["stop_price"])
                if math.isnan(risk) or risk <= 0:
                    return False
                profit, limit = move / risk, float(bound.removesuffix("R"))
            else:
                profit, limit = move / self.trade["entry_price"], bound
            if sign * (profit - limit) < 0:
                return False
        return True

    def factor_holds(self, when: str) -> bool:
        name, window, compare, number = re.fullmatch(r"(\w+)\((\d+)\) ([<>]) (\S+)", when).groups()
        known = np.flatnonzero(self.bars.close_ts <= (self.t + 1) * self.base_ms)
        if not len(known):
            return False
        value = self.bars.factor(name, int(window))[known[-1]]
        return bool(value < float(number) if compare == "<" else value > float(number))

    # 5. Enter.

    def entries(self) -> None:
        timeout = self.duration(self.rules.signal_timeout)
        if self.signal and self.signal["decision"] != "ACCEPTED" and self.t >= self.signal["t"] + timeout:
            self.end_signal("TIMED_OUT")
        k = self.closing_signal_bar.get((self.t + 1) * self.base_ms)
        if k is None or not self.enter[k] or self.leave[k]:
            return
        if self.signal:
            self.signal["ignored"] += 1
            return
        period = self.period()
        if period is not None and period in self.used_periods:
            return
        stop, target, trail = self.distances(k)
        if stop is None or target is None or trail is None:
            return
        if period is not None:
            self.used_periods.add(period)
        verdict = "ACCEPTED" if self.verdicts is None else ("ACCEPTED", "VETOED", "REJECTED")[self.verdicts[k] - 1]
        self.signal = {
            "t": self.t, "side": self.side, "decision": verdict, "price": self.c, "ignored": 0, "end": "LIVE",
            "closed_t": -1, "expires_t": self.t + timeout if timeout else -1, "stop": stop, "target": target,
            "trail": trail,
        }  # fmt: skip
        self.signals.append(self.signal)
        if verdict == "ACCEPTED":
            self.entry_order = {"t": self.t}
        elif not timeout:
            self.end_signal("REFUSED")

    def period(self) -> int | None:
        """By UTC period of the decision, which is made at the close."""
        if self.rules.one_entry_per is None:
            return None
        length = {"1h": 3_600_000, "4h": 4 * 3_600_000, "1d": 86_400_000}[self.rules.one_entry_per]
        return (self.t + 1) * self.base_ms // length

    def distances(self, k: int) -> tuple[float | None, float | None, float | None]:
        """Stop, target and trail in price units, NaN = none; None = asked for and not to be had: no entry."""
        own = {"stop": float(self.strategy_stop[k]), "target": float(self.strategy_target[k])}
        found: dict[str, float | None] = {}
        for name in ("stop", "trail", "target"):
            rule = getattr(self.rules, name)
            if rule is None:
                found[name] = math.nan
                continue
            number, unit = re.fullmatch(r"([\d.]*)(.+)", rule).groups()
            factor = float(number or 1)
            if unit == "%":
                value = factor / 100 * self.c
            elif unit == "signal":
                # A trail reads the strategy's stop distance.
                value = factor * own["target" if name == "target" else "stop"]
            elif unit == "R":
                risk = found["stop"] if found["stop"] is None or not math.isnan(found["stop"]) else found["trail"]
                value = math.nan if risk is None else factor * risk
            else:
                value = factor * float(self.bars.factor("atr", 5)[k])
            none_said = math.isnan(value) and unit == "signal" and name != "trail"
            found[name] = value if value > 0 or none_said else None
        return found["stop"], found["target"], found["trail"]

    def duration(self, value: str | None) -> int:
        """Base bars; 0 for none."""
        if value is None:
            return 0
        number, unit = re.fullmatch(r"(\d+)(\w+)", value).groups()
        unit_ms = {"m": 60_000, "h": 3_600_000, "bars": self.signal_ms}[unit]
        return int(number) * unit_ms // self.base_ms

    def end_signal(self, why: str) -> None:
        self.signal.update(end=why, closed_t=self.t)
        self.signal = None

    def finish(self) -> None:
        """An open trade is marked, never closed by force."""
        if self.trade:
            mark = float(self.base.close[-1])
            self.trade.update(
                exit_t=self.t, exit_price=mark, expected_exit_price=math.nan, exit_reason="OPEN", exit_fee=0.0
            )
            self.trades.append(self.trade)
