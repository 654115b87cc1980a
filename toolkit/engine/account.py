"""One account's state, as flat records that a kernel can stop at, go on from, and a ledger can keep."""

import math
from typing import NamedTuple

import numpy as np

from toolkit.compiled import borrowing, inlined
from toolkit.engine.lifecycle import seen
from toolkit.engine.sizing import LimitRates
from toolkit.engine.types import EntrySignal, LegState, Order, Trade
from toolkit.types import FloatArray, IntArray, Records, Row

LEG = np.dtype(
    [(name, np.int64) for name in (
        "side", "order_kind", "order_t", "order_reason", "active", "trade_signal_t", "entry_t",
        "status", "signal_t", "ignored", "period", "ahead_ignored", "last_t", "queued", "signal_row", "halt_t",
        "halt_reason",
    )]
    + [(name, np.float64) for name in (
        "expected_price", "entry_price", "qty", "stop", "target", "first_stop", "trail_distance", "best", "worst",
        "entry_fee", "funding", "signal_price", "signal_qty", "stop_distance", "target_distance",
        "signal_trail_distance", "ahead_best", "ahead_worst", "weight", "trade_weight", "reserved", "pending",
        "order_price",
    )]
)  # fmt: skip
"""A `LegState` and what the account knows of the leg.

`last_t` : the bar it was last stepped on. `ahead_*` : what the bars before its next event add to its trade and signal.
`queued` : its key in the queue, -1 = none. `signal_row` : row of its last entry signal. `halt_t` : the bar in
progress at whose close a halt reaches the leg, -1 = none; `halt_reason` why (HALT, MANUAL). `weight` : its share of
equity now, `trade_weight` that at its last signal. `pending`, `reserved` : notional of its waiting entry, and the
money kept free for it, 0 = none. `order_price` : the close at which its last exit was ordered.
"""

AUDIT = np.dtype(
    [
        ("ts", np.int64), ("member", np.int32), ("open_trades", np.int32), ("side", np.int8), ("reason", np.int8),
        ("asked", np.float64), ("given", np.float64), ("price", np.float64), ("weight", np.float64),
        ("equity", np.float64), ("gross", np.float64), ("net", np.float64),
    ]
)  # fmt: skip
"""A decision on an entry, or an entry that could not be paid: quantities asked and given, and the account before it."""

DAY = np.dtype(
    [(name, np.int64) for name in ("ts", "open_trades", "halted")]
    + [(name, np.float64) for name in ("equity", "cash", "gross", "net", "gross_share", "net_share", "symbol_share")]
)
"""A mark at 00:00 UTC (or at the end); `*_share` are the largest of equity since the mark before, pending included."""

ACT = np.dtype([("ts", np.int64), ("kind", np.int64), ("leg", np.int64), ("amount", np.float64)])
"""What a person, or the executor, did to the account at a moment; see `portfolio.act`.

kind HALT_ACT : new entries are refused, `leg` is BY_HAND_HALT or STALE_HALT; NO_HALT, no longer. CLOSE_ACT :
leg `leg` is wound down at the close of its next bar. CASH_ACT : `amount` is paid in (out, where negative).
"""

HALT_ACT, CLOSE_ACT, CASH_ACT = range(3)

HALT = np.dtype([("ts", np.int64), ("kind", np.int64), ("until_ts", np.int64), ("equity", np.float64)])

# Ledger.money
CASH, PEAK, DAY_START, GROSS_SHARE, NET_SHARE, SYMBOL_SHARE = range(6)
# Ledger.clock
NEXT_MIDNIGHT, SCHEDULE_ROW, HALTED, HALTED_TODAY, N_QUEUE, N_OPEN, N_PENDING, SAID, ACT_ROW = range(9)
N_CLOCK, N_MONEY, N_COUNTS = 9, 6, 6
# Ledger.counts
N_TRADES, N_SIGNALS, N_AUDIT, N_DAYS, N_HALTS, N_STEPS = range(6)
# Exposure.money and .counts
EQUITY, GROSS, NET, HELD, HELD_NET, RESERVED = range(6)
SLOTS = 0


class Book(NamedTuple):
    """What a simulation of an account reads.

    markets, seats : MARKET and SEAT records, see `views`. exit_rules, rules : see `rule_table`, a row a seat.
    acts : ACT records, ascending.
    effective_ms, weights, n_on : rows of the weight schedule, float64[k, members], and how many members are on.
    n_symbols, n_strategies : how many there are. start_ms, end_ms : the period.
    """

    markets: Records
    seats: Records
    rules: FloatArray
    exit_rules: FloatArray
    effective_ms: IntArray
    weights: FloatArray
    n_on: IntArray
    acts: Records
    limits: LimitRates
    n_symbols: int
    n_strategies: int
    start_ms: int
    end_ms: int


class Ledger(NamedTuple):
    """What changes: legs (LEG), their cursors int64[L, 2], money, clock, counts, the queue of next events (a heap of
    `close time << 20 | leg`), and the legs with an open trade and with a waiting entry, ascending."""

    legs: Records
    cursors: IntArray
    money: FloatArray
    clock: IntArray
    counts: IntArray
    queue: IntArray
    open_legs: IntArray
    pending_legs: IntArray


class Tape(NamedTuple):
    """Records as they are made; `trade_leg` and `signal_leg` say whose a row is."""

    trades: Records
    trade_leg: IntArray
    trade_weight: FloatArray
    signals: Records
    signal_leg: IntArray
    signal_reason: IntArray
    audit: Records
    days: Records
    halts: Records


class Exposure(NamedTuple):
    """The account at a moment.

    money : EQUITY; GROSS and NET with waiting entries, HELD and HELD_NET without; RESERVED, kept free for those that
    wait. marks : by market. symbol_gross : by symbol, waiting entries counted. slots, by_side, by_strategy : trades
    open or waiting, in all (slots[0]), by symbol and side (longs, then shorts), by strategy.
    """

    money: FloatArray
    marks: FloatArray
    symbol_gross: FloatArray
    slots: IntArray
    by_side: IntArray
    by_strategy: IntArray


@inlined
def load_leg(row: Row) -> LegState:
    """The leg's state, with the bars before its next event folded in."""
    order = Order(row["order_kind"], row["order_t"], row["order_reason"])
    trade = Trade(
        row["active"] != 0, row["trade_signal_t"], row["expected_price"], row["entry_t"], row["entry_price"],
        row["qty"], row["stop"], row["target"], row["first_stop"], row["trail_distance"], row["ahead_best"],
        row["ahead_worst"], row["entry_fee"], row["funding"],
    )  # fmt: skip
    signal = EntrySignal(
        row["status"], row["signal_t"], row["signal_price"], row["signal_qty"], row["stop_distance"],
        row["target_distance"], row["signal_trail_distance"], row["ahead_ignored"],
    )  # fmt: skip
    return LegState(row["side"], order, trade, signal, row["period"])


@inlined
def save_leg(row: Row, state: LegState) -> None:
    """Write the state, with nothing ahead of it."""
    order, trade, signal = state.order, state.trade, state.signal
    row["side"] = state.side
    row["order_kind"] = order.kind
    row["order_t"] = order.t
    row["order_reason"] = order.reason
    row["active"] = 1 if trade.active else 0
    row["trade_signal_t"] = trade.signal_t
    row["expected_price"] = trade.expected_price
    row["entry_t"] = trade.entry_t
    row["entry_price"] = trade.entry_price
    row["qty"] = trade.qty
    row["stop"] = trade.stop
    row["target"] = trade.target
    row["first_stop"] = trade.first_stop
    row["trail_distance"] = trade.trail_distance
    row["best"] = trade.best
    row["worst"] = trade.worst
    row["entry_fee"] = trade.entry_fee
    row["funding"] = trade.funding
    row["status"] = signal.status
    row["signal_t"] = signal.t
    row["signal_price"] = signal.price
    row["signal_qty"] = signal.qty
    row["stop_distance"] = signal.stop_distance
    row["target_distance"] = signal.target_distance
    row["signal_trail_distance"] = signal.trail_distance
    row["ignored"] = signal.ignored
    row["period"] = state.period
    set_ahead(row, state)


@inlined
def set_ahead(row: Row, state: LegState) -> None:
    """Keep what the bars up to the next event add, beside the state as it is now."""
    row["ahead_best"] = state.trade.best
    row["ahead_worst"] = state.trade.worst
    row["ahead_ignored"] = state.signal.ignored


@inlined
def forget_ahead(row: Row) -> None:
    """The state as of the last stepped bar."""
    row["ahead_best"] = row["best"]
    row["ahead_worst"] = row["worst"]
    row["ahead_ignored"] = row["ignored"]


@inlined
def with_funding(state: LegState, funding: float) -> LegState:
    """The leg with another funding of its trade."""
    trade = state.trade
    trade = seen(trade, trade.best, trade.worst, trade.active, funding)
    return LegState(state.side, state.order, trade, state.signal, state.period)


@borrowing
def add_leg(legs: IntArray, n: int, leg: int) -> int:
    """Put a leg into an ascending list of `n`; returns the new length."""
    k = n
    while k > 0 and legs[k - 1] > leg:
        legs[k] = legs[k - 1]
        k -= 1
    legs[k] = leg
    return n + 1


@borrowing
def drop_leg(legs: IntArray, n: int, leg: int) -> int:
    """Take a leg out of an ascending list of `n`; returns the new length."""
    k = 0
    while k < n and legs[k] != leg:
        k += 1
    if k == n:
        return n
    while k + 1 < n:
        legs[k] = legs[k + 1]
        k += 1
    return n - 1


@borrowing
def push(queue: IntArray, n: int, key: int) -> int:
    """Put a key into the heap; returns its new length."""
    k = n
    while k > 0:
        parent = (k - 1) // 2
        if queue[parent] <= key:
            break
        queue[k] = queue[parent]
        k = parent
    queue[k] = key
    return n + 1


@borrowing
def pop(queue: IntArray, n: int) -> int:
    """Take the least key off the heap; returns its new length."""
    last = queue[n - 1]
    n -= 1
    k = 0
    while True:
        child = 2 * k + 1
        if child >= n:
            break
        if child + 1 < n and queue[child + 1] < queue[child]:
            child += 1
        if queue[child] >= last:
            break
        queue[k] = queue[child]
        k = child
    if n > 0:
        queue[k] = last
    return n


@inlined
def worst_share(money: FloatArray, index: int, value: float, equity: float) -> None:
    """Keep the largest share of equity; an account without equity has an infinite one where it holds anything."""
    share = value / equity if equity > 0.0 else (math.inf if value > 0.0 else 0.0)
    money[index] = max(money[index], share)
