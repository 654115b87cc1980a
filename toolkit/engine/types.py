"""State, inputs and results of the trade lifecycle: NamedTuples of scalars and arrays, as the kernels pass them.

Bars are counted by `t`, the absolute base bar number: open time in epoch ms divided by the base interval. It does not
depend on where loaded history starts, so a state saved live and a state of a backtest are the same numbers.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from toolkit.types import ByteArray, FloatArray, IntArray

LONG, SHORT = 1, -1

# Order.kind
NO_ORDER, ENTRY_ORDER, EXIT_ORDER = 0, 1, 2

# EntrySignal.status, and a verdict on a proposed entry
NO_SIGNAL, ACCEPTED, VETOED, REJECTED = 0, 1, 2, 3
# A verdict alone: a veto because the model gave no answer.
UNANSWERED = 4

NEVER = np.iinfo(np.int64).min


class ExitReason(IntEnum):
    """Why a trade was closed; 0 is an open trade."""

    OPEN = 0
    STOP = 1
    TARGET = 2
    SIGNAL = 3
    MAX_HOLD = 4
    RULE = 5
    TRAIL = 6
    HALT = 7
    MANUAL = 8


class SignalEnd(IntEnum):
    """Why an entry signal is no longer live; 0 is a live one."""

    LIVE = 0
    TRADE_CLOSED = 1
    TIMED_OUT = 2
    REFUSED = 3
    EXPIRED = 4
    EXIT_SIGNAL = 5
    UNPAID = 6
    HALT = 7
    MANUAL = 8


class Policy(IntEnum):
    """Which of stop and target comes first where one bar reaches both."""

    PESSIMISTIC = 0
    OPTIMISTIC = 1
    OHLC = 2
    ADAPTIVE = 3
    FINER = 4


# As FINER, but a bar that the finer bars do not decide goes to the target: the best case of a finer run.
FINER_OPTIMISTIC = 5


class TargetFill(IntEnum):
    """How a target fills: a resting limit when the price touches it or trades through it, or a market order."""

    TOUCH = 0
    THROUGH = 1
    MARKET = 2


class Bar(NamedTuple):
    """One closed base bar; `can_trade` is False where its volume is zero."""

    t: int
    open: float
    high: float
    low: float
    close: float
    can_trade: bool


class SignalAt(NamedTuple):
    """What the strategy says at the close of one base bar, for one leg.

    `enter` is a raw entry (enter and not exit). Distances are price units, NaN = none; `gates` is a bit a condition.
    """

    enter: bool
    exit: bool
    stop_distance: float
    target_distance: float
    trail_distance: float
    gates: int


class Order(NamedTuple):
    """The one pending market order of a leg: its kind, the bar at whose close it was made, and why (exits)."""

    kind: int
    t: int
    reason: int


class Trade(NamedTuple):
    """The leg's trade. After it closes the numbers stay until the next fill overwrites them; `active` says.

    `stop`, `target` are the levels that are armed now (NaN = none), `first_stop` the one at the fill. `best` and
    `worst` are the most favourable and most adverse prices seen while open.
    """

    active: bool
    signal_t: int
    expected_price: float
    entry_t: int
    entry_price: float
    qty: float
    stop: float
    target: float
    first_stop: float
    trail_distance: float
    best: float
    worst: float
    entry_fee: float
    funding: float


class EntrySignal(NamedTuple):
    """The leg's entry signal: decided at the close of bar `t` at `price`, its distances frozen there."""

    status: int
    t: int
    price: float
    qty: float
    stop_distance: float
    target_distance: float
    trail_distance: float
    ignored: int


class LegState(NamedTuple):
    """All that a leg remembers from one bar to the next; `period` is the last one in which it made a signal."""

    side: int
    order: Order
    trade: Trade
    signal: EntrySignal
    period: int


class Matched(NamedTuple):
    """What the broker's half did on one bar; `exit_reason` 0 = no trade was closed.

    `other_price` is where the trade would have closed had the sibling order come first (NaN = not ambiguous).
    """

    entered: bool
    expired: bool
    exit_reason: int
    exit_price: float
    expected_exit_price: float
    exit_fee: float
    other_price: float


class Managed(NamedTuple):
    """What the strategy's half did at one close; `proposed` asks for a decision on a new entry."""

    exit_ordered: bool
    cancelled: bool
    timed_out: bool
    proposed: bool


class Rules(NamedTuple):
    """`TradeRules` in numbers; durations in base bars, 0 = none.

    Distances: `*_mode` is a `DistanceMode`, `*_k` its factor, `*_col` the row of `LegSignals.distances` it reads.
    exit_rules : float64[k, 6], a row: on_signal, after_bars, min_profit, max_profit, in_r, gate (-1 = none).
    """

    stop_mode: int
    stop_k: float
    stop_col: int
    target_mode: int
    target_k: float
    target_col: int
    trail_mode: int
    trail_k: float
    trail_col: int
    trail_on_extreme: bool
    max_hold: int
    signal_timeout: int
    entry_ttl: int
    period_ms: int
    period_origin_ms: int
    period_shared: bool
    base_ms: int
    policy: int
    target_fill: int
    watch_from: int
    exit_rules: FloatArray


class DistanceMode(IntEnum):
    """What a stop, target or trail distance is a multiple of."""

    NONE = 0
    SIGNAL = 1  # the strategy's own array; NaN there = none
    FRACTION = 2  # of the decision's close
    COLUMN = 3  # a factor in price units, such as ATR; NaN there = no entry
    STOP = 4  # the stop distance: a target in R


class CostRates(NamedTuple):
    """Rates as fractions. `funding_rate` is charged at every bar whose number is a multiple of `funding_bars`."""

    taker: float
    maker: float
    slippage: float
    funding_rate: float
    funding_bars: int
    tick: float


class Market(NamedTuple):
    """Base bars prepared for the engine; index = t - t0.

    `low` and `high` are masked where nothing can trade (+inf and -inf), so no level is ever reached there.
    `low64`, `high64`, `low4096`, `high4096` : extremes of aligned blocks of 64 and 4,096 bars.
    fine : float64[n * fine_ratio, 4], open, high, low, close of a finer series, NaN where it has no tradable bar;
    zero rows where there is none.
    """

    t0: int
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    can_trade: np.ndarray[tuple[int], np.dtype[np.bool_]]
    low64: FloatArray
    high64: FloatArray
    low4096: FloatArray
    high4096: FloatArray
    fine: FloatArray
    fine_ratio: int


class LegSignals(NamedTuple):
    """A leg's signals on the base clock.

    entry_t, exit_t : int64, ascending t of raw entries (enter and not exit) and of exits.
    distances : float64[k, n_entries], at the raw entries: row 0 the strategy's stop distance, row 1 its target
    distance, then factors.
    verdicts : uint8[n_entries] or empty (all accepted): ACCEPTED, VETOED, REJECTED or UNANSWERED.
    gates : uint8[n_signal_bars] or empty: bit g set where exit condition g holds.
    Signal bar of base bar t: (t + 1 - origin_bars) // ratio - 1 - first.
    """

    entry_t: IntArray
    exit_t: IntArray
    distances: FloatArray
    verdicts: ByteArray
    gates: ByteArray
    ratio: int
    origin_bars: int
    first: int


class Judged(NamedTuple):
    """What a model says of a leg's raw entries, an element each.

    verdicts : uint8[n], ACCEPTED, VETOED, REJECTED or UNANSWERED. predictions : float64[n], the probability of a win,
    NaN = none.
    scales : float64[n], what the size is multiplied by, 0 to 1. versions : int64[n], which model said so, -1 = none.
    """

    verdicts: ByteArray
    predictions: FloatArray
    scales: FloatArray
    versions: IntArray


TRADE = np.dtype(
    [
        ("signal_t", np.int64),
        ("entry_t", np.int64),
        ("exit_t", np.int64),
        ("side", np.int64),
        ("entry_price", np.float64),
        ("exit_price", np.float64),
        ("expected_entry_price", np.float64),
        ("expected_exit_price", np.float64),
        ("qty", np.float64),
        ("stop_price", np.float64),
        ("target_price", np.float64),
        ("exit_reason", np.int64),
        ("entry_fee", np.float64),
        ("exit_fee", np.float64),
        ("funding", np.float64),
        ("best", np.float64),
        ("worst", np.float64),
        ("other_price", np.float64),
        ("exit_order_t", np.int64),
    ]
)
"""A closed trade, or (exit_reason 0) the one still open at the end, marked at the last close."""

SIGNAL = np.dtype(
    [
        ("t", np.int64),
        ("side", np.int64),
        ("decision", np.int64),
        ("end", np.int64),
        ("closed_t", np.int64),
        ("expires_t", np.int64),
        ("ignored", np.int64),
        ("price", np.float64),
    ]
)
"""An entry signal; `closed_t` -1 where it is still live at the end, `expires_t` -1 where it has no timeout."""
