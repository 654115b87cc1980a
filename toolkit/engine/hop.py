"""Hop: find the next bar on which `step` could do anything, fold the bars between into the state, step there.

Cost follows trades, not bars. Every function here only decides *where* the lifecycle is called; what happens there is
`step` and `decide` alone, so hopping equals stepping on every bar, bit for bit.
"""

import math

import numpy as np

from toolkit.compiled import borrowing, inlined, kernel
from toolkit.engine.lifecycle import (
    decide,
    flat_leg,
    further,
    ignore_entries,
    seen,
    step,
)
from toolkit.engine.types import (
    ACCEPTED,
    ENTRY_ORDER,
    EXIT_ORDER,
    NO_SIGNAL,
    UNANSWERED,
    VETOED,
    Bar,
    CostRates,
    DistanceMode,
    LegSignals,
    LegState,
    Managed,
    Market,
    Matched,
    Rules,
    SignalAt,
    SignalEnd,
)
from toolkit.types import IntArray, Records

_BLOCK, _SUPERBLOCK = 64, 4096
_NONE = int(DistanceMode.NONE)
_FRACTION, _COLUMN = int(DistanceMode.FRACTION), int(DistanceMode.COLUMN)
END_TRADE, END_TIMED_OUT = int(SignalEnd.TRADE_CLOSED), int(SignalEnd.TIMED_OUT)
END_REFUSED, END_EXPIRED = int(SignalEnd.REFUSED), int(SignalEnd.EXPIRED)
END_CANCELLED = int(SignalEnd.EXIT_SIGNAL)

# cursors: positions in entry_t and exit_t of the first event at or after the bar last looked at.
# counts: trades, signals, steps taken.
N_TRADES, N_SIGNALS, N_STEPS = 0, 1, 2


@borrowing
def seek(times: IntArray, start: int, t: int) -> int:
    """First position at or after `start` whose time is at least `t`: a gallop, then a bisection."""
    n = len(times)
    if start >= n or times[start] >= t:
        return start
    width = 1
    low = start
    while low + width < n and times[low + width] < t:
        low += width
        width *= 2
    high = min(low + width, n)
    while high - low > 1:
        mid = (low + high) // 2
        if times[mid] < t:
            low = mid
        else:
            high = mid
    return high


@borrowing
def first_touch(
    market: Market, start: int, end: int, side: int, stop: float, target: float
) -> tuple[int, float, float]:
    """First index of `[start, end)` whose bar reaches the stop or the target, else `end`; and the lowest low and
    highest high of the bars before it. Blocks of 64 and 4,096 bars that reach neither are passed in one look."""
    floor, ceiling = (stop, target) if side > 0 else (target, stop)
    if math.isnan(floor):
        floor = -np.inf
    if math.isnan(ceiling):
        ceiling = np.inf
    lowest, highest = np.inf, -np.inf
    i = start
    while i < end:
        if i % _BLOCK == 0:
            if i % _SUPERBLOCK == 0 and i + _SUPERBLOCK <= end:
                block = i // _SUPERBLOCK
                if market.low4096[block] > floor and market.high4096[block] < ceiling:
                    lowest = min(lowest, market.low4096[block])
                    highest = max(highest, market.high4096[block])
                    i += _SUPERBLOCK
                    continue
            if i + _BLOCK <= end:
                block = i // _BLOCK
                if market.low64[block] > floor and market.high64[block] < ceiling:
                    lowest = min(lowest, market.low64[block])
                    highest = max(highest, market.high64[block])
                    i += _BLOCK
                    continue
        stop_at = min(end, (i // _BLOCK + 1) * _BLOCK)
        while i < stop_at:
            if market.low[i] <= floor or market.high[i] >= ceiling:
                return i, lowest, highest
            lowest = min(lowest, market.low[i])
            highest = max(highest, market.high[i])
            i += 1
    return end, lowest, highest


@inlined
def next_idle(state: LegState, t: int, signals: LegSignals, rules: Rules, cursors: IntArray) -> int:
    """Next raw entry after `t` that a free leg could take; `one_entry_per` jumps to the next period."""
    earliest = t + 1
    if rules.period_ms > 0 and state.period >= 0:
        opens_ms = (state.period + 1) * rules.period_ms + rules.period_origin_ms
        # The first bar whose close is in a later period: ceil(opens / base) - 1.
        earliest = max(earliest, -(-opens_ms // rules.base_ms) - 1)
    position = seek(signals.entry_t, cursors[0], earliest)
    return signals.entry_t[position] if position < len(signals.entry_t) else -1


@inlined
def next_timed(state: LegState, t: int, end_t: int, signals: LegSignals, rules: Rules, costs: CostRates,
               cursors: IntArray) -> int:  # fmt: skip
    """The last bar that an open trade may be left alone until: its next exit signal, time rule or funding stamp."""
    until = end_t
    position = seek(signals.exit_t, cursors[1], t + 1)
    if position < len(signals.exit_t):
        until = min(until, signals.exit_t[position])
    if rules.max_hold > 0:
        until = min(until, max(t + 1, state.trade.entry_t + rules.max_hold - 1))
    if rules.watch_from > 0:
        until = min(until, max(t + 1, state.trade.entry_t + rules.watch_from - 1))
    if costs.funding_bars > 0:
        until = min(until, (t // costs.funding_bars + 1) * costs.funding_bars)
    return until


@inlined
def next_event(
    state: LegState, t: int, end_t: int, market: Market, signals: LegSignals, rules: Rules, costs: CostRates,
    cursors: IntArray,
) -> tuple[int, LegState]:  # fmt: skip
    """The next bar after `t` on which `step` could do anything (`end_t` where there is none), and the state with the
    bars before it folded in: the trade's extremes, and the raw entries that a busy leg ignores."""
    trade = state.trade
    if trade.active:
        if state.order.kind == EXIT_ORDER or rules.trail_mode != _NONE:
            return t + 1, state
        until = next_timed(state, t, end_t - 1, signals, rules, costs, cursors)
        start, stop_at = t + 1 - market.t0, until - market.t0
        index, lowest, highest = first_touch(market, start, stop_at, state.side, trade.stop, trade.target)
        event = max(index + market.t0, t + 1)
        if lowest <= highest:
            favourable, adverse = (highest, lowest) if state.side > 0 else (lowest, highest)
            best = further(state.side, trade.best, favourable)
            trade = seen(trade, best, further(-state.side, trade.worst, adverse), True, trade.funding)
    elif state.order.kind == ENTRY_ORDER:
        return t + 1, state
    elif state.signal.status != NO_SIGNAL:
        event = min(state.signal.t + rules.signal_timeout, end_t)
    else:
        event = next_idle(state, t, signals, rules, cursors)
        return (end_t if event < 0 else event), state
    a = seek(signals.entry_t, cursors[0], t + 1)
    skipped = seek(signals.entry_t, a, event) - a
    signal = ignore_entries(state.signal, skipped) if skipped > 0 else state.signal
    return event, LegState(state.side, state.order, trade, signal, state.period)


@inlined
def distance(mode: int, k: float, column: int, close: float, entry: int, signals: LegSignals) -> float:
    """A stop, target or trail distance of the raw entry number `entry`, price units, NaN = none."""
    if mode == _NONE:
        return math.nan
    if mode == _FRACTION:
        return k * close
    return float(k * signals.distances[column, entry])


@inlined
def signal_bar(t: int, signals: LegSignals) -> int:
    """Index of the last signal bar that has closed by the close of base bar `t`; below 0: none has."""
    return (t + 1 - signals.origin_bars) // signals.ratio - 1 - signals.first


@inlined
def signal_at(t: int, close: float, signals: LegSignals, rules: Rules, cursors: IntArray) -> SignalAt:
    """The leg's signals at the close of base bar `t`; moves the cursors there."""
    cursors[0] = seek(signals.entry_t, cursors[0], t)
    cursors[1] = seek(signals.exit_t, cursors[1], t)
    enter = cursors[0] < len(signals.entry_t) and signals.entry_t[cursors[0]] == t
    leave = cursors[1] < len(signals.exit_t) and signals.exit_t[cursors[1]] == t
    bar = signal_bar(t, signals)
    gates = int(signals.gates[bar]) if 0 <= bar < len(signals.gates) else 0
    if not enter:
        return SignalAt(False, leave, math.nan, math.nan, math.nan, gates)
    stop = distance(rules.stop_mode, rules.stop_k, rules.stop_col, close, cursors[0], signals)
    trail = distance(rules.trail_mode, rules.trail_k, rules.trail_col, close, cursors[0], signals)
    if rules.target_mode > _COLUMN:
        target = rules.target_k * (trail if math.isnan(stop) else stop)
    else:
        target = distance(rules.target_mode, rules.target_k, rules.target_col, close, cursors[0], signals)
    return SignalAt(True, leave, stop, target, trail, gates)


@inlined
def bar_at(market: Market, t: int) -> Bar:
    i = t - market.t0
    can_trade = market.can_trade[i]
    close = market.close[i]
    # Extremes of bars that cannot trade are masked in the market; nothing looks at them, and the close stands in.
    high = market.high[i] if can_trade else close
    low = market.low[i] if can_trade else close
    return Bar(t, market.open[i], high, low, close, can_trade)


@inlined
def ordered_price(state: LegState, market: Market) -> float:
    """The close at which the leg's last order was made, NaN where it is not in the market."""
    i = state.order.t - market.t0
    return float(market.close[i]) if 0 <= i < len(market.close) else math.nan


@inlined
def record_trade(
    state: LegState, t: int, matched: Matched, order_price: float, trades: Records, n: int
) -> None:  # fmt: skip
    """Write, as row `n`, the trade that closed on bar `t` (or, with reason 0, the one still open, at its mark).

    order_price : the close at which its exit was ordered, if it was.
    """
    if n >= len(trades):
        return
    trade, row = state.trade, trades[n]
    expected = matched.expected_exit_price
    if math.isnan(expected) and matched.exit_reason != 0:
        expected = order_price
    row["signal_t"] = trade.signal_t
    row["entry_t"] = trade.entry_t
    row["exit_t"] = t
    row["side"] = state.side
    row["entry_price"] = trade.entry_price
    row["exit_price"] = matched.exit_price
    row["expected_entry_price"] = trade.expected_price
    row["expected_exit_price"] = expected
    row["qty"] = trade.qty
    row["stop_price"] = trade.first_stop
    row["target_price"] = trade.target
    row["exit_reason"] = matched.exit_reason
    row["entry_fee"] = trade.entry_fee
    row["exit_fee"] = matched.exit_fee
    row["funding"] = trade.funding
    row["best"] = trade.best
    row["worst"] = trade.worst
    row["other_price"] = matched.other_price
    row["exit_order_t"] = state.order.t if math.isnan(matched.expected_exit_price) else -1


@inlined
def open_signal(state: LegState, verdict: int, rules: Rules, signals_out: Records, n: int) -> None:
    """Write, as row `n`, the entry signal that was just decided; its end is filled in when it closes."""
    if n >= len(signals_out):
        return
    row, signal = signals_out[n], state.signal
    row["t"] = signal.t
    row["side"] = state.side
    row["decision"] = verdict
    row["end"] = 0
    row["closed_t"] = -1
    row["expires_t"] = signal.t + rules.signal_timeout if rules.signal_timeout > 0 else -1
    row["ignored"] = 0
    row["price"] = signal.price
    if verdict != ACCEPTED and rules.signal_timeout == 0:
        row["end"] = END_REFUSED
        row["closed_t"] = signal.t


@inlined
def signal_end(matched: Matched, managed: Managed) -> int:
    """How the leg's entry signal ended on a bar that was stepped, 0 = it did not."""
    if matched.exit_reason != 0:
        return END_TRADE
    if matched.expired:
        return END_EXPIRED
    if managed.cancelled:
        return END_CANCELLED
    return END_TIMED_OUT if managed.timed_out else 0


@inlined
def end_signal(state: LegState, t: int, end: int, signals_out: Records, n: int) -> None:
    """Write the end of the leg's last entry signal, row `n`; a leg keeps one at a time."""
    if 0 <= n < len(signals_out):
        signals_out[n]["end"] = end
        signals_out[n]["closed_t"] = t
        signals_out[n]["ignored"] = state.signal.ignored


@inlined
def step_at(
    state: LegState, t: int, market: Market, signals: LegSignals, rules: Rules, costs: CostRates, notional: float,
    cursors: IntArray, counts: IntArray, trades: Records, signals_out: Records,
) -> LegState:  # fmt: skip
    """`step` and `decide` of one leg on base bar `t`, with their records.

    An accepted entry is sized here at a fixed notional, at the decision's close.
    """
    counts[N_STEPS] += 1
    bar = bar_at(market, t)
    at = signal_at(t, bar.close, signals, rules, cursors)
    # The finer bars inside this one; no rows where there is no finer series.
    i = (t - market.t0) * market.fine_ratio
    state, matched, managed = step(state, bar, at, rules, costs, market.fine[i : i + market.fine_ratio])
    if matched.exit_reason != 0:
        record_trade(state, t, matched, ordered_price(state, market), trades, counts[N_TRADES])
        counts[N_TRADES] += 1
    end = signal_end(matched, managed)
    if end != 0:
        end_signal(state, t, end, signals_out, counts[N_SIGNALS] - 1)
    if managed.proposed:
        verdict = ACCEPTED
        if len(signals.verdicts) > 0:
            verdict = int(signals.verdicts[cursors[0]])
            if verdict == UNANSWERED:
                verdict = VETOED
        state = decide(state, bar, at, rules, verdict, notional / bar.close)
        open_signal(state, verdict, rules, signals_out, counts[N_SIGNALS])
        counts[N_SIGNALS] += 1
    return state


@inlined
def finish(
    state: LegState, end_t: int, market: Market, counts: IntArray, trades: Records, signals_out: Records
) -> None:  # fmt: skip
    """At the end of the bars an open trade is marked at the last close, never closed; a live signal stays live."""
    if state.signal.status != NO_SIGNAL and 0 < counts[N_SIGNALS] <= len(signals_out):
        signals_out[counts[N_SIGNALS] - 1]["ignored"] = state.signal.ignored
    if state.trade.active:
        mark = Matched(False, False, 0, market.close[end_t - 1 - market.t0], math.nan, 0.0, math.nan)
        record_trade(state, end_t - 1, mark, math.nan, trades, counts[N_TRADES])
        counts[N_TRADES] += 1


@kernel
def simulate_leg(
    side: int, start_t: int, market: Market, signals: LegSignals, rules: Rules, costs: CostRates, notional: float,
    every_bar: bool, trades: Records, signals_out: Records,
) -> tuple[LegState, IntArray]:  # fmt: skip
    """One leg from bar `start_t` to the end of the market, by hops or, with `every_bar`, by stepping each bar.

    Returns the last state and the counts of trades (an open one included), entry signals and steps. Counts beyond the
    capacity of `trades` or `signals_out` were not written: call again with larger arrays.
    """
    counts = np.zeros(3, np.int64)
    cursors = np.zeros(2, np.int64)
    end_t = market.t0 + len(market.open)
    state = flat_leg(side)
    t = start_t - 1
    while True:
        if every_bar:
            t += 1
        else:
            t, state = next_event(state, t, end_t, market, signals, rules, costs, cursors)
        if t >= end_t:
            break
        state = step_at(state, t, market, signals, rules, costs, notional, cursors, counts, trades, signals_out)
    finish(state, end_t, market, counts, trades, signals_out)
    return state, counts


@inlined
def share_period(state: LegState, other: LegState) -> LegState:
    """The leg with the later of both legs' last entry periods: `one_entry_per` counted per instance."""
    return LegState(state.side, state.order, state.trade, state.signal, max(state.period, other.period))


@kernel
def simulate_pair(
    start_t: int, market: Market, long: LegSignals, short: LegSignals, rules: Rules, costs: CostRates, notional: float,
    every_bar: bool, trades: tuple[Records, Records], signals_out: tuple[Records, Records],
) -> tuple[LegState, LegState, IntArray, IntArray]:  # fmt: skip
    """Both legs of an instance that share `one_entry_per`, in time order; at one bar the long leg goes first."""
    counts_l, counts_s = np.zeros(3, np.int64), np.zeros(3, np.int64)
    cursors_l, cursors_s = np.zeros(2, np.int64), np.zeros(2, np.int64)
    end_t = market.t0 + len(market.open)
    state_l, state_s = flat_leg(1), flat_leg(-1)
    last_l = last_s = start_t - 1
    while True:
        if every_bar:
            t_l, t_s = last_l + 1, last_s + 1
        else:
            # The other leg's next step may use up this leg's period, so a hop is proposed and made anew.
            t_l, ahead_l = next_event(state_l, last_l, end_t, market, long, rules, costs, cursors_l)
            t_s, ahead_s = next_event(state_s, last_s, end_t, market, short, rules, costs, cursors_s)
            if t_l <= t_s:
                state_l = ahead_l
            else:
                state_s = ahead_s
        if min(t_l, t_s) >= end_t:
            if not every_bar:
                state_l, state_s = ahead_l, ahead_s
            break
        if t_l <= t_s:
            state_l = step_at(
                state_l, t_l, market, long, rules, costs, notional, cursors_l, counts_l, trades[0], signals_out[0]
            )
            last_l = t_l
            state_s = share_period(state_s, state_l)
        else:
            state_s = step_at(
                state_s, t_s, market, short, rules, costs, notional, cursors_s, counts_s, trades[1], signals_out[1]
            )
            last_s = t_s
            state_l = share_period(state_l, state_s)
    finish(state_l, end_t, market, counts_l, trades[0], signals_out[0])
    finish(state_s, end_t, market, counts_s, trades[1], signals_out[1])
    return state_l, state_s, counts_l, counts_s
