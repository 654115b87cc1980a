"""From prepared legs to the records of their account: tables by address, buffers that grow, one pass."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toolkit.engine.account import (
    ACT,
    AUDIT,
    DAY,
    HALT,
    LEG,
    N_AUDIT,
    N_CLOCK,
    N_COUNTS,
    N_DAYS,
    N_HALTS,
    N_MONEY,
    N_SIGNALS,
    N_STEPS,
    N_TRADES,
    Book,
    Ledger,
    Tape,
)  # fmt: skip
from toolkit.engine.exposure import new_exposure
from toolkit.engine.portfolio import MAX_LEGS, advance, begin, finish
from toolkit.engine.rule_table import rule_table
from toolkit.engine.sizing import LimitRates
from toolkit.engine.types import SIGNAL, TRADE, CostRates, LegSignals, Market, Rules
from toolkit.engine.views import MARKET, SEAT
from toolkit.errors import InputError
from toolkit.types import FloatArray, IntArray, Records

_DAY_MS = 86_400_000
_FIRST_CAPACITY = 65_536


@dataclass(frozen=True)
class Place:
    """A market that legs of the account trade on, with the volume of its bars (float64[n], NaN = unknown)."""

    market: Market
    base_ms: int
    volume: FloatArray


@dataclass(frozen=True)
class Seat:
    """A leg of the account.

    Attributes
    ----------
    place, member, strategy, symbol : numbers; legs are processed in the order that they are given in.
    sibling : number of the other side's seat, -1 where it is not there.
    predictions : float64, one a raw entry, or empty. scales : the same; what the size is multiplied by (0 to 1).
    venue : lot step, smallest quantity, smallest notional (0 = none). spot, hedge : see `Instrument`.
    """

    place: int
    member: int
    strategy: int
    symbol: int
    side: int
    start_t: int
    signals: LegSignals
    rules: Rules
    rates: CostRates
    sibling: int = -1
    predictions: FloatArray = field(default_factory=lambda: np.empty(0))
    scales: FloatArray = field(default_factory=lambda: np.empty(0))
    venue: tuple[float, float, float] = (0.0, 0.0, 0.0)
    spot: bool = False
    hedge: bool = True


@dataclass(frozen=True)
class AccountRun:
    """Records of an account; `*_leg` are the numbers of the seats. `legs` are the last states (LEG)."""

    trades: Records
    trade_leg: IntArray
    trade_weight: FloatArray
    signals: Records
    signal_leg: IntArray
    signal_reason: IntArray
    audit: Records
    days: Records
    halts: Records
    legs: Records
    steps: int


def run_account(
    places: Sequence[Place],
    seats: Sequence[Seat],
    schedule: tuple[IntArray, FloatArray],
    limits: LimitRates,
    capital: float,
    period_ms: tuple[int, int],
    acts: Records | None = None,
) -> AccountRun:
    """Simulate one account.

    Parameters
    ----------
    schedule : int64[k] moments, ascending, and float64[k, members] weights that hold from them on.
    capital : money at the start. period_ms : first moment, and the last close.
    acts : ACT records, ascending: what was done to the account by hand.
    """
    if not 0 < len(seats) <= MAX_LEGS:
        raise InputError(f"an account holds 1 to {MAX_LEGS:,} legs, was given {len(seats):,}")
    book, kept = make_book(places, seats, schedule, (limits, acts), period_ms)
    ledger, tape = new_ledger(len(seats)), _new_tape(len(seats), period_ms)
    begin(book, ledger, capital)
    exposure = new_exposure(book)
    while not advance(book, ledger, tape, exposure):
        tape = _longer(tape, ledger.counts, len(seats))
    finish(book, ledger, tape, exposure)
    # The tables hold addresses only: the arrays behind them live until here.
    del kept
    n = ledger.counts
    trades, signals = slice(int(n[N_TRADES])), slice(int(n[N_SIGNALS]))
    return AccountRun(
        tape.trades[trades], tape.trade_leg[trades], tape.trade_weight[trades],
        tape.signals[signals], tape.signal_leg[signals], tape.signal_reason[signals],
        tape.audit[: n[N_AUDIT]], tape.days[: n[N_DAYS]], tape.halts[: n[N_HALTS]], ledger.legs, int(n[N_STEPS]),
    )  # fmt: skip


def make_book(
    places: Sequence[Place],
    seats: Sequence[Seat],
    schedule: tuple[IntArray, FloatArray],
    settings: tuple[LimitRates, Records | None],
    period_ms: tuple[int, int],
) -> tuple[Book, list[object]]:
    """The tables, and every array that they point to."""
    kept: list[object] = []

    def address(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> int:
        whole = np.ascontiguousarray(array)
        kept.append(whole)
        return whole.ctypes.data

    markets = np.zeros(len(places), MARKET)
    for row, place in zip(markets, places, strict=True):
        m = place.market
        for name in ("open", "high", "low", "close", "can_trade", "low64", "high64", "low4096", "high4096", "fine"):
            row[name] = address(getattr(m, name))
        # What lies after the period is not there, whatever was loaded.
        row["t0"], row["base_ms"] = m.t0, place.base_ms
        row["n"] = max(0, min(len(m.open), period_ms[1] // place.base_ms - m.t0))
        row["end_t"] = row["t0"] + row["n"]
        row["fine_ratio"], row["fine_rows"] = m.fine_ratio, len(m.fine)
        row["volume"] = address(place.volume)
    table = np.zeros(len(seats), SEAT)
    for row, seat in zip(table, seats, strict=True):
        row["market"] = seat.place
        for name in ("member", "side", "strategy", "symbol", "sibling", "start_t", "spot", "hedge"):
            row[name] = getattr(seat, name)
        s = seat.signals
        row["entry_t"], row["n_entry"] = address(s.entry_t), len(s.entry_t)
        row["exit_t"], row["n_exit"] = address(s.exit_t), len(s.exit_t)
        row["distances"], row["n_distances"] = address(s.distances), len(s.distances)
        row["verdicts"], row["n_verdicts"] = address(s.verdicts), len(s.verdicts)
        row["gates"], row["n_gates"] = address(s.gates), len(s.gates)
        row["predictions"], row["n_predictions"] = address(seat.predictions), len(seat.predictions)
        row["scales"], row["n_scales"] = address(seat.scales), len(seat.scales)
        row["ratio"], row["origin_bars"], row["first"] = s.ratio, s.origin_bars, s.first
        for name in CostRates._fields:
            row[name] = getattr(seat.rates, name)
        row["lot_step"], row["min_qty"], row["min_notional"] = seat.venue
    rules, exits = rule_table([seat.rules for seat in seats])
    effective_ms, weights = schedule
    limits, acts = settings
    on = np.count_nonzero(weights > 0.0, axis=1).astype(np.int64)
    n_symbols, n_strategies = (1 + max(getattr(s, name) for s in seats) for name in ("symbol", "strategy"))
    book = Book(
        markets, table, rules, exits, np.ascontiguousarray(effective_ms), np.ascontiguousarray(weights), on,
        np.zeros(0, ACT) if acts is None else np.ascontiguousarray(acts), limits,
        n_symbols, n_strategies, *period_ms,
    )  # fmt: skip
    return book, kept


def new_ledger(n: int) -> Ledger:
    return Ledger(
        np.zeros(n, LEG), np.zeros((n, 2), np.int64), np.zeros(N_MONEY), np.zeros(N_CLOCK, np.int64),
        np.zeros(N_COUNTS, np.int64),
        np.zeros(4 * n + 64, np.int64), np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64),
    )  # fmt: skip


def _new_tape(n: int, period_ms: tuple[int, int]) -> Tape:
    days = (period_ms[1] - period_ms[0]) // _DAY_MS + 3
    size = max(_FIRST_CAPACITY, 4 * n)
    return Tape(
        np.zeros(size, TRADE), np.zeros(size, np.int64), np.zeros(size), np.zeros(size, SIGNAL),
        np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, AUDIT), np.zeros(days, DAY),
        np.zeros(2 * days, HALT),
    )  # fmt: skip


def _longer(tape: Tape, counts: IntArray, n: int) -> Tape:
    """Half as long again, where it is nearly full; an array is replaced while the others are still there."""

    def grown(array: Any, used: int) -> Any:
        if used + 2 * n <= len(array):
            return array
        out = np.zeros(len(array) + max(len(array) // 2, 4 * n), array.dtype)
        out[:used] = array[:used]
        return out

    trades, signals, audit = int(counts[N_TRADES]), int(counts[N_SIGNALS]), int(counts[N_AUDIT])
    return Tape(
        grown(tape.trades, trades), grown(tape.trade_leg, trades), grown(tape.trade_weight, trades),
        grown(tape.signals, signals), grown(tape.signal_leg, signals), grown(tape.signal_reason, signals),
        grown(tape.audit, audit), tape.days, tape.halts,
    )  # fmt: skip
