"""The life of a trade: one step, one bar, one leg. The same compiled functions serve backtest, replay, dry and live.

`match` is the broker's half (fills, stop, target); `manage` and `decide` are the strategy's half (trail, exits,
entries, the verdict on an entry). `step` is the first two in order, `decide` ends the bar where an entry is proposed.
All are pure: state in, state out.
"""

import math

import numpy as np

from toolkit.compiled import inlined
from toolkit.engine.types import (
    ACCEPTED,
    ENTRY_ORDER,
    EXIT_ORDER,
    FINER_OPTIMISTIC,
    NEVER,
    NO_ORDER,
    NO_SIGNAL,
    Bar,
    CostRates,
    DistanceMode,
    EntrySignal,
    ExitReason,
    LegState,
    Managed,
    Matched,
    Order,
    Policy,
    Rules,
    SignalAt,
    TargetFill,
    Trade,
)
from toolkit.types import FloatArray

_NAN = math.nan
_STOP, _TARGET = int(ExitReason.STOP), int(ExitReason.TARGET)
_SIGNAL, _MAX_HOLD = int(ExitReason.SIGNAL), int(ExitReason.MAX_HOLD)
_RULE, _TRAIL = int(ExitReason.RULE), int(ExitReason.TRAIL)
_PESSIMISTIC, _OPTIMISTIC = int(Policy.PESSIMISTIC), int(Policy.OPTIMISTIC)
_OHLC, _ADAPTIVE, _FINER = int(Policy.OHLC), int(Policy.ADAPTIVE), int(Policy.FINER)
_THROUGH, _MARKET = int(TargetFill.THROUGH), int(TargetFill.MARKET)
_MODE_NONE, _MODE_SIGNAL = int(DistanceMode.NONE), int(DistanceMode.SIGNAL)


@inlined
def flat_leg(side: int) -> LegState:
    """A leg that has never signalled; `side` is LONG or SHORT."""
    order = Order(NO_ORDER, NEVER, 0)
    trade = Trade(False, NEVER, _NAN, NEVER, _NAN, 0.0, _NAN, _NAN, _NAN, _NAN, _NAN, _NAN, 0.0, 0.0)
    signal = EntrySignal(NO_SIGNAL, NEVER, _NAN, 0.0, _NAN, _NAN, _NAN, 0)
    return LegState(side, order, trade, signal, NEVER)


@inlined
def round_up(price: float, tick: float) -> float:
    """The lowest tick at or above `price`; tick 0 leaves it as it is. A price within 1e-9 ticks is on the tick.

    NaN (no level) stays NaN: `math.ceil` would make it an integer here.
    """
    return price if tick <= 0.0 else np.ceil(price / tick - 1e-9) * tick


@inlined
def round_down(price: float, tick: float) -> float:
    """The highest tick at or below `price`; tick 0 leaves it as it is."""
    return price if tick <= 0.0 else np.floor(price / tick + 1e-9) * tick


@inlined
def last_attempt(order_t: int, rules: Rules) -> int:
    """The last bar on which an entry order made at the close of `order_t` may fill.

    The open of the next bar is the moment of the decision itself, so it is always tried; after that the order waits
    for `entry_ttl` bars and not beyond its signal's life, [signal, signal + timeout).
    """
    wait: int = rules.entry_ttl
    if rules.signal_timeout > 0:
        wait = min(wait, rules.signal_timeout - 1)
    return order_t + max(1, wait)


@inlined
def opened(state: LegState, t: int, price: float, qty: float, fee: float, tick: float) -> Trade:
    """The trade of the leg's entry signal, filled at `price` in base bar `t`.

    Stop and target keep the distance frozen at the signal, measured from the fill. Ticks round against the trader:
    the stop towards the entry (but not onto it or beyond: then it is the next tick away), the target away from it.
    """
    side, signal = state.side, state.signal
    stop_distance = signal.stop_distance
    if math.isnan(stop_distance):
        stop_distance = signal.trail_distance
    if side > 0:
        stop = round_up(price - stop_distance, tick)
        stop = stop - tick if stop >= price else stop
        target = round_up(price + signal.target_distance, tick)
    else:
        stop = round_down(price + stop_distance, tick)
        stop = stop + tick if stop <= price else stop
        target = round_down(price - signal.target_distance, tick)
    return Trade(
        True, signal.t, signal.price, t, price, qty, stop, target, stop, signal.trail_distance, price, price, fee, 0.0
    )


@inlined
def open_trade(state: LegState, bar: Bar, costs: CostRates) -> Trade:
    """The trade that the pending entry becomes: a market order at the open, slippage against it, taker fee."""
    side = state.side
    price = bar.open * (1.0 + side * costs.slippage)
    return opened(state, bar.t, price, state.signal.qty, state.signal.qty * price * costs.taker, costs.tick)


@inlined
def finer_target_first(side: int, stop: float, target: float, through: bool, fine: FloatArray) -> int:
    """1 where the finer bars reach the target first, 0 the stop, -1 where they do not tell.

    fine : float64[k, 4], the finer bars inside this bar; NaN rows are missing or cannot trade.
    """
    for j in range(fine.shape[0]):
        adverse, favourable = (fine[j, 2], fine[j, 1]) if side > 0 else (fine[j, 1], fine[j, 2])
        stop_hit = side * (adverse - stop) <= 0.0
        beyond = side * (favourable - target)
        target_hit = beyond > 0.0 if through else beyond >= 0.0
        if stop_hit and target_hit:
            return -1
        if stop_hit:
            return 0
        if target_hit:
            return 1
    return -1


@inlined
def target_comes_first(side: int, trade: Trade, bar: Bar, rules: Rules, gapped: bool, fine: FloatArray) -> int:
    """For a bar that reaches both: 1 target first, 0 stop first, -1 stop first because nothing tells.

    `gapped`: the open already is at the target. A pessimist does not count even on that.
    """
    if rules.policy == _PESSIMISTIC:
        return -1
    if rules.policy == _OPTIMISTIC:
        return 1
    if gapped:
        return 1
    if rules.policy == _OHLC:
        return 1 if side > 0 else 0
    if rules.policy == _ADAPTIVE:
        up, down = bar.high - bar.open, bar.open - bar.low
        return 1 if (up < down if side > 0 else down < up) else 0
    return finer_target_first(side, trade.stop, trade.target, rules.target_fill == _THROUGH, fine)


@inlined
def stop_or_target(side: int, trade: Trade, bar: Bar, rules: Rules, costs: CostRates, fine: FloatArray) -> Matched:
    """Whether the bar reaches the stop or the target, and at what price the trade closes there."""
    through = rules.target_fill == _THROUGH
    adverse, favourable = (bar.low, bar.high) if side > 0 else (bar.high, bar.low)
    stop_hit = side * (adverse - trade.stop) <= 0.0
    beyond, open_beyond = side * (favourable - trade.target), side * (bar.open - trade.target)
    target_hit = beyond > 0.0 if through else beyond >= 0.0
    if not stop_hit and not target_hit:
        return Matched(False, False, 0, _NAN, _NAN, 0.0, _NAN)
    # A stop is a market order once touched: the level, or the open where the bar gaps through it, less slippage.
    stop_gapped = side * (bar.open - trade.stop) <= 0.0
    stop_price = (bar.open if stop_gapped else trade.stop) * (1.0 - side * costs.slippage)
    # A target is a resting limit: its price, or the open where that is better. As a market order it pays slippage.
    gapped = open_beyond > 0.0 if through else open_beyond >= 0.0
    target_price = bar.open if gapped else trade.target
    target_rate = costs.maker
    if rules.target_fill == _MARKET:
        target_price *= 1.0 - side * costs.slippage
        target_rate = costs.taker
    take_target, other = target_hit, _NAN
    if stop_hit and target_hit:
        if stop_gapped:
            take_target = False
        else:
            first = target_comes_first(side, trade, bar, rules, gapped, fine)
            take_target = first == 1 or (first == -1 and rules.policy == FINER_OPTIMISTIC)
            # An open at the target and finer bars that tell are facts; everything else is the policy's word.
            told = gapped and rules.policy != _PESSIMISTIC
            told = told or (first != -1 and rules.policy >= _FINER)
            if not told:
                other = stop_price if take_target else target_price
    if take_target:
        fee = trade.qty * target_price * target_rate
        return Matched(False, False, _TARGET, target_price, trade.target, fee, other)
    reason = _STOP if trade.stop == trade.first_stop else _TRAIL
    return Matched(False, False, reason, stop_price, trade.stop, trade.qty * stop_price * costs.taker, other)


@inlined
def seen(trade: Trade, best: float, worst: float, active: bool, funding: float) -> Trade:
    """The trade with its extremes, life and funding brought up to date."""
    return Trade(
        active, trade.signal_t, trade.expected_price, trade.entry_t, trade.entry_price, trade.qty, trade.stop,
        trade.target, trade.first_stop, trade.trail_distance, best, worst, trade.entry_fee, funding,
    )  # fmt: skip


@inlined
def further(side: int, best: float, price: float) -> float:
    """The more favourable of two prices."""
    return max(best, price) if side > 0 else min(best, price)


@inlined
def extremes(side: int, trade: Trade, bar: Bar, matched: Matched) -> tuple[float, float]:
    """Best and worst price of the trade after this bar.

    On the closing bar only what surely happened before the exit counts in the trade's favour, and everything that may
    have happened counts against it: a stop's bar adds nothing favourable, a target's bar adds its adverse extreme (down
    to the stop), a market exit at the open adds its price alone.
    """
    best, worst = trade.best, trade.worst
    adverse, favourable = (bar.low, bar.high) if side > 0 else (bar.high, bar.low)
    if matched.exit_reason == 0:
        return further(side, best, favourable), further(-side, worst, adverse)
    if matched.exit_reason == _TARGET:
        if side * (adverse - trade.stop) < 0.0:
            adverse = trade.stop
        worst = further(-side, worst, adverse)
    return further(side, best, matched.exit_price), further(-side, worst, matched.exit_price)


@inlined
def match(state: LegState, bar: Bar, rules: Rules, costs: CostRates, fine: FloatArray) -> tuple[LegState, Matched]:
    """Steps 1 and 2: fill what is pending at this bar's open, then look at stop and target inside the bar.

    When a trade closes its signal closes with it. Funding is charged first, at the open of a stamp bar, to a trade that
    was already open: a fill on the stamp itself neither pays nor escapes it.
    """
    side, order, trade = state.side, state.order, state.trade
    entered = False
    funding = trade.funding
    if trade.active and costs.funding_bars > 0 and bar.t % costs.funding_bars == 0:
        funding -= side * trade.qty * bar.open * costs.funding_rate
        trade = seen(trade, trade.best, trade.worst, True, funding)
    if order.kind == ENTRY_ORDER:
        if bar.can_trade:
            trade = open_trade(state, bar, costs)
            order = Order(NO_ORDER, order.t, 0)
            entered = True
        elif bar.t >= last_attempt(order.t, rules):
            return cancel_entry(state), Matched(False, True, 0, _NAN, _NAN, 0.0, _NAN)
    if not trade.active or not bar.can_trade:
        return LegState(side, order, trade, state.signal, state.period), Matched(
            entered, False, 0, _NAN, _NAN, 0.0, _NAN
        )
    if order.kind == EXIT_ORDER:
        # A market order at the open comes before the stop: both are market orders, and the open is the first price.
        price = bar.open * (1.0 - side * costs.slippage)
        matched = Matched(False, False, order.reason, price, _NAN, trade.qty * price * costs.taker, _NAN)
    else:
        hit = stop_or_target(side, trade, bar, rules, costs, fine)
        matched = Matched(
            entered, False, hit.exit_reason, hit.exit_price, hit.expected_exit_price, hit.exit_fee, hit.other_price
        )
    best, worst = extremes(side, trade, bar, matched)
    active = matched.exit_reason == 0
    trade = seen(trade, best, worst, active, trade.funding)
    signal = state.signal
    if not active:
        order = Order(NO_ORDER, order.t, 0)
        signal = close_signal(signal)
    return LegState(side, order, trade, signal, state.period), matched


@inlined
def close_signal(signal: EntrySignal) -> EntrySignal:
    return EntrySignal(
        NO_SIGNAL, signal.t, signal.price, signal.qty, signal.stop_distance, signal.target_distance,
        signal.trail_distance, signal.ignored,
    )  # fmt: skip


@inlined
def ignore_entries(signal: EntrySignal, count: int) -> EntrySignal:
    return EntrySignal(
        signal.status, signal.t, signal.price, signal.qty, signal.stop_distance, signal.target_distance,
        signal.trail_distance, signal.ignored + count,
    )  # fmt: skip


@inlined
def cancel_entry(state: LegState) -> LegState:
    """The leg without its pending entry order; the signal that made it closes with it."""
    order = Order(NO_ORDER, state.order.t, 0)
    return LegState(state.side, order, state.trade, close_signal(state.signal), state.period)


@inlined
def trailed_stop(side: int, trade: Trade, bar: Bar, rules: Rules, tick: float) -> float:
    """Step 3: the stop after this close, never loosened; effective from the next bar."""
    extreme = bar.high if side > 0 else bar.low
    reference = extreme if rules.trail_on_extreme else bar.close
    level = reference - side * trade.trail_distance
    level = round_up(level, tick) if side > 0 else round_down(level, tick)
    return level if side * (level - trade.stop) > 0.0 else trade.stop


@inlined
def exit_reason(side: int, trade: Trade, bar: Bar, at: SignalAt, rules: Rules) -> int:
    """Step 4: why the open trade should be left at this close, 0 = it should not.

    Exit rules are tried in their order, then `max_hold`.
    """
    held = bar.t - trade.entry_t + 1
    move = side * (bar.close - trade.entry_price)
    risk = side * (trade.entry_price - trade.first_stop)
    for k in range(rules.exit_rules.shape[0]):
        on_signal = rules.exit_rules[k, 0] != 0.0
        if on_signal and not at.exit:
            continue
        if held < rules.exit_rules[k, 1]:
            continue
        low, high = rules.exit_rules[k, 2], rules.exit_rules[k, 3]
        if not math.isnan(low) or not math.isnan(high):
            # In R where the rule says so: without a stop there is no R, NaN, and the condition does not hold.
            profit = move / risk if rules.exit_rules[k, 4] != 0.0 else move / trade.entry_price
            if math.isnan(profit) or profit < low or profit > high:
                continue
        gate = int(rules.exit_rules[k, 5])
        if gate >= 0 and not (at.gates >> gate) & 1:
            continue
        return _SIGNAL if on_signal else _RULE
    if rules.max_hold > 0 and held >= rules.max_hold:
        return _MAX_HOLD
    return 0


@inlined
def entry_period(t: int, rules: Rules) -> int:
    """The UTC period of a decision at the close of bar `t`: a decision at 00:00 belongs to the day that begins."""
    return ((t + 1) * rules.base_ms - rules.period_origin_ms) // rules.period_ms


@inlined
def placeable(mode: int, distance: float) -> bool:
    """Whether a stop or target of this mode can be placed: a positive distance, or `none` said by the strategy."""
    return mode == _MODE_NONE or distance > 0.0 or (mode == _MODE_SIGNAL and math.isnan(distance))


@inlined
def has_distances(at: SignalAt, rules: Rules) -> bool:
    """Whether every distance that the rules ask for is there.

    A distance of zero or less is no distance. NaN is `none` only in the strategy's own arrays; a rule that asks for a
    stop it cannot place (an ATR without history) makes no entry, never a trade without its stop.
    """
    if rules.trail_mode != _MODE_NONE and not at.trail_distance > 0.0:
        return False
    return placeable(rules.stop_mode, at.stop_distance) and placeable(rules.target_mode, at.target_distance)


@inlined
def manage(state: LegState, bar: Bar, at: SignalAt, rules: Rules, costs: CostRates) -> tuple[LegState, Managed]:
    """Steps 3 to 5 up to the decision: trail the stop, order an exit, let a refused signal time out, propose an entry.

    Levels move only on bars that can trade. A raw entry met while the leg is not free is ignored and counted.
    """
    side, order, trade, signal = state.side, state.order, state.trade, state.signal
    exit_ordered = cancelled = timed_out = proposed = False
    if trade.active:
        if rules.trail_mode != _MODE_NONE and bar.can_trade:
            trade = Trade(
                True, trade.signal_t, trade.expected_price, trade.entry_t, trade.entry_price, trade.qty,
                trailed_stop(side, trade, bar, rules, costs.tick), trade.target, trade.first_stop,
                trade.trail_distance, trade.best, trade.worst, trade.entry_fee, trade.funding,
            )  # fmt: skip
        if order.kind == NO_ORDER:
            reason = exit_reason(side, trade, bar, at, rules)
            if reason != 0:
                order = Order(EXIT_ORDER, bar.t, reason)
                exit_ordered = True
    elif order.kind == ENTRY_ORDER:
        if at.exit:
            order = Order(NO_ORDER, order.t, 0)
            signal = close_signal(signal)
            cancelled = True
    elif signal.status > ACCEPTED and bar.t >= signal.t + rules.signal_timeout:
        signal = close_signal(signal)
        timed_out = True
    if at.enter:
        if signal.status != NO_SIGNAL:
            signal = ignore_entries(signal, 1)
        elif rules.period_ms == 0 or entry_period(bar.t, rules) != state.period:
            proposed = has_distances(at, rules)
    managed = Managed(exit_ordered, cancelled, timed_out, proposed)
    return LegState(side, order, trade, signal, state.period), managed


@inlined
def decide(state: LegState, bar: Bar, at: SignalAt, rules: Rules, verdict: int, qty: float) -> LegState:
    """Step 5: a proposed entry becomes an entry signal, accepted with its quantity or refused.

    Accepted: an entry order for the next bar's open. Refused: the signal stays live and blocks until its timeout;
    without a timeout it closes at once.
    """
    order, status = state.order, verdict
    if verdict == ACCEPTED:
        order = Order(ENTRY_ORDER, bar.t, 0)
    elif rules.signal_timeout == 0:
        status = NO_SIGNAL
    signal = EntrySignal(status, bar.t, bar.close, qty, at.stop_distance, at.target_distance, at.trail_distance, 0)
    period = entry_period(bar.t, rules) if rules.period_ms > 0 else state.period
    return LegState(state.side, order, state.trade, signal, period)


@inlined
def step(
    state: LegState, bar: Bar, at: SignalAt, rules: Rules, costs: CostRates, fine: FloatArray
) -> tuple[LegState, Matched, Managed]:
    """One closed bar of one leg up to the decision: `match`, then `manage`. Every caller goes through here.

    Where `Managed.proposed` says so the caller finds the verdict and the quantity (a portfolio asks all of its legs
    first) and `decide` makes the bar whole.

    fine : the finer bars inside this bar, zero rows where there are none.
    """
    state, matched = match(state, bar, rules, costs, fine)
    state, managed = manage(state, bar, at, rules, costs)
    return state, matched, managed
