"""One account in the engine's tables: the same `Book`, `Ledger` and `Tape` as a backtest, on windows that slide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from executor.engine.model import Verdict
from executor.engine.signals import AtClose, Traded
from executor.engine.windows import History
from executor.feed.base import Series
from toolkit.bars.intervals import origin_ms
from toolkit.engine.account import (
    ACT,
    ACT_ROW,
    AUDIT,
    DAY,
    EQUITY,
    HALT,
    HELD,
    HELD_NET,
    LEG,
    N_AUDIT,
    N_DAYS,
    N_HALTS,
    N_OPEN,
    N_PENDING,
    N_QUEUE,
    N_SIGNALS,
    N_TRADES,
    SCHEDULE_ROW,
    Tape,
)  # fmt: skip
from toolkit.engine.account_run import Place, Seat, make_book, new_ledger
from toolkit.engine.exposure import new_exposure
from toolkit.engine.moment import manage_moment, measure_moment, observe_moment, settle_moment
from toolkit.engine.portfolio import begin
from toolkit.engine.sizing import LimitRates
from toolkit.engine.types import ENTRY_ORDER, LONG, SIGNAL, TRADE, LegSignals, Market
from toolkit.portfolio.limits import Instrument
from toolkit.types import FloatArray, IntArray, Records

_NEVER_ENDS = 2**62
_MOST_DAYS = 4_000


@dataclass(frozen=True)
class Leg:
    """One side of an instance at the account's table."""

    traded: Traded
    side: int


@dataclass(frozen=True)
class Saved:
    """An account as the ledger keeps it: LEG records and SIGNAL records of live signals by leg id, money and clock."""

    legs: Mapping[str, Records]
    signals: Mapping[str, Records]
    money: FloatArray
    clock: IntArray


@dataclass(frozen=True)
class Terms:
    """What the account keeps to. schedule : (effective_ms, weight by instance id), ascending, the first may be past."""

    limits: LimitRates
    instruments: Mapping[str, Instrument]
    capital: float
    start_ms: int
    schedule: Sequence[tuple[int, Mapping[str, float]]]
    applied: int


class Account:
    """Legs of all members, in the order of a backtest: by instance id, long before short.

    Attributes
    ----------
    legs : what each row of `state` is of. state : LEG records. said : by leg, what a model says at this moment.
    tape : records of the moment that is being stepped; rows `0 .. len(legs)` of its signals are the legs' live ones,
        what is behind them is new.
    """

    def __init__(self, members: Sequence[Traded], histories: Mapping[Series, History], terms: Terms) -> None:
        self.members = tuple(sorted(members, key=lambda one: one.instance_id))
        self.legs = tuple(Leg(one, side) for one in self.members for side in one.sides)
        self.terms = terms
        self.histories = dict(histories)
        self.series = tuple(dict.fromkeys(one.series for one in self.members))
        self._place = {series: k for k, series in enumerate(self.series)}
        n, depth = len(self.legs), max(2 + len(one.columns.distances) for one in self.members)
        self._entry, self._exit = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._distances, self._gates = np.full((n, depth), np.nan), np.zeros(n, np.uint8)
        self._verdicts, self._predictions = np.zeros(n, np.uint8), np.full(n, np.nan)
        self._scales = np.ones(n)
        self.said: dict[int, Verdict] = {}
        self._tradable = {s: np.zeros(len(histories[s].base.ts), np.bool_) for s in self.series}
        self._masked = {s: np.zeros((2, len(histories[s].base.ts))) for s in self.series}
        self._masked_to = dict.fromkeys(self.series, (0, 0))
        self.book, self._kept = make_book(
            self._places(), self._seats(), self._weights(), (terms.limits, None), (terms.start_ms, _NEVER_ENDS)
        )
        self.ledger = new_ledger(n)
        self.tape = _tape(n)
        self.exposure = new_exposure(self.book)
        seats: Any = self.book.seats
        self._market: IntArray = seats["market"].copy()
        self._quiet()
        for series in self.series:
            self._point(series)
        begin(self.book, self.ledger, terms.capital)
        self.ledger.clock[SCHEDULE_ROW] = terms.applied

    @property
    def state(self) -> Records:
        return self.ledger.legs

    def restore(self, saved: Saved, names: Sequence[str]) -> None:
        """Take up where a ledger left off; `names` are the ids of the legs. Legs that it does not know start flat."""
        ledger = self.ledger
        ledger.money[:] = saved.money
        kept = ledger.clock[SCHEDULE_ROW]
        ledger.clock[:] = saved.clock
        ledger.clock[SCHEDULE_ROW], ledger.clock[ACT_ROW], ledger.clock[N_QUEUE] = kept, 0, 0
        for k, name in enumerate(names):
            if name in saved.legs:
                ledger.legs[k] = saved.legs[name]
                ledger.legs[k]["signal_row"] = -1
            if name in saved.signals:
                self.tape.signals[k] = saved.signals[name]
                self.tape.signal_leg[k] = k
                ledger.legs[k]["signal_row"] = k
            last = self.histories[self.legs[k].traded.series].base.last_ts
            base_ms = self.legs[k].traded.series.base_ms
            ledger.legs[k]["last_t"] = max(int(self.book.seats[k]["start_t"]), last // base_ms + 1) - 1
        open_, waiting = np.flatnonzero(ledger.legs["active"]), np.flatnonzero(ledger.legs["order_kind"] == ENTRY_ORDER)
        ledger.open_legs[: len(open_)], ledger.clock[N_OPEN] = open_, len(open_)
        ledger.pending_legs[: len(waiting)], ledger.clock[N_PENDING] = waiting, len(waiting)

    def settle(self, moment_ms: int, bars: Mapping[Series, int], acts: Records | None = None) -> IntArray:
        """The broker's half of a moment; returns the legs due. bars : open time of the bar each series steps on."""
        due, bar = self._due(bars, acts)
        settle_moment(self.book, self.ledger, self.tape, (due, bar), moment_ms, self.exposure)
        return due

    def observe(self, moment_ms: int, bars: Mapping[Series, int], acts: Records | None = None) -> IntArray:
        """As `settle` where a venue fills the orders: bars are seen, nothing is matched."""
        due, bar = self._due(bars, acts)
        observe_moment(self.book, self.ledger, self.tape, (due, bar), moment_ms, self.exposure)
        return due

    def waiting(self) -> list[int]:
        """Legs whose entry order waits."""
        return [int(k) for k in self.ledger.pending_legs[: int(self.ledger.clock[N_PENDING])]]

    def clear_tape(self) -> None:
        """Nothing was recorded yet of what comes now; the legs' live signals stay."""
        for index in (N_TRADES, N_AUDIT, N_DAYS, N_HALTS):
            self.ledger.counts[index] = 0
        self.ledger.counts[N_SIGNALS] = len(self.legs)

    def _due(self, bars: Mapping[Series, int], acts: Records | None) -> tuple[IntArray, IntArray]:
        """The legs that step, and the base bar of each."""
        self.said.clear()
        for series in bars:
            self._point(series)
        if acts is not None:
            self.ledger.clock[ACT_ROW] = 0
        self.book = self.book._replace(acts=np.zeros(0, ACT) if acts is None else acts)
        self.clear_tape()
        on = np.full(len(self.series), -1, np.int64)
        for series, ts in bars.items():
            on[self._place[series]] = ts // series.base_ms
        bar = on[self._market]
        due: IntArray = np.flatnonzero(bar >= 0)
        return due, bar[due]

    def say(self, one: Traded, first: int, said: AtClose, bars: tuple[int, int]) -> None:
        """What a member's strategy says. first : number of its first leg. bars : base and signal bar numbers."""
        t, signal_bar = bars
        seats: Any = self.book.seats
        for k, side in enumerate(one.sides):
            leg, what = first + k, said.sides[side]
            self._entry[leg] = self._exit[leg] = t
            seats["n_entry"][leg], seats["n_exit"][leg] = int(what.enter), int(what.exit)
            self._distances[leg, : len(what.distances)] = what.distances
        self.gate(one, first, said.gates, signal_bar)

    def gate(self, one: Traded, first: int, gates: int, signal_bar: int) -> None:
        """Which of a member's exit conditions hold, from its signal bar on until the next."""
        seats: Any = self.book.seats
        self._gates[first : first + len(one.sides)] = gates
        seats["first"][first : first + len(one.sides)] = signal_bar

    def judge(self, leg: int, said: Verdict) -> None:
        """What the model says of the entry that the leg may propose at this moment."""
        seats: Any = self.book.seats
        prediction = said.prediction
        self._verdicts[leg], self._predictions[leg], self._scales[leg] = said.decision, prediction, said.scale
        self.said[leg] = said
        seats["n_verdicts"][leg] = seats["n_scales"][leg] = 1
        seats["n_predictions"][leg] = int(prediction == prediction)

    def manage(self, moment_ms: int, due: IntArray) -> None:
        """The strategy's half of a moment, with what was said; then nothing is said any more."""
        self.ledger.cursors[:] = 0
        manage_moment(self.book, self.ledger, self.tape, due, moment_ms, self.exposure)
        self._quiet()

    def keep_signals(self) -> None:
        """Bring the legs' live signals to the front of the tape, where the next moment finds them."""
        for leg, row in enumerate(self.ledger.legs["signal_row"].tolist()):
            if row >= len(self.legs):
                self.tape.signals[leg] = self.tape.signals[row]
                self.tape.signal_leg[leg], self.tape.signal_reason[leg] = leg, self.tape.signal_reason[row]
                self.ledger.legs[leg]["signal_row"] = leg

    def replace(self, series: Series, history: History) -> None:
        """Read the series from another window of the same length."""
        self.histories[series] = history
        self._masked_to[series] = (0, 0)
        self._point(series)

    def reschedule(self, schedule: Sequence[tuple[int, Mapping[str, float]]], applied: int) -> None:
        """Other weights to come; the row at `applied` holds now, and stays."""
        self.terms = replace(self.terms, schedule=schedule, applied=applied)
        moments, weights = self._weights()
        on = np.count_nonzero(weights > 0.0, axis=1).astype(np.int64)
        self.book = self.book._replace(effective_ms=moments, weights=weights, n_on=on)
        self.ledger.clock[SCHEDULE_ROW] = applied

    @property
    def applied_ms(self) -> int | None:
        """The moment of the weights that hold; None where none do yet."""
        row = int(self.ledger.clock[SCHEDULE_ROW])
        return int(self.book.effective_ms[row]) if row >= 0 else None

    def weights_now(self) -> dict[str, float]:
        """The row of weights that holds, by instance."""
        row = self.book.weights[int(self.ledger.clock[SCHEDULE_ROW])]
        return {one.instance_id: float(weight) for one, weight in zip(self.members, row, strict=True)}

    def mark(self, moment_ms: int) -> dict[str, float]:
        """The account now: equity, cash, gross and net exposure (money), open trades."""
        measure_moment(self.book, self.ledger, moment_ms, self.exposure)
        money = self.exposure.money
        return {
            "equity": float(money[EQUITY]), "cash": float(self.ledger.money[0]), "gross": float(money[HELD]),
            "net": float(money[HELD_NET]), "open_trades": int(self.ledger.clock[N_OPEN]),
        }  # fmt: skip

    def _quiet(self) -> None:
        seats: Any = self.book.seats
        for name in ("n_entry", "n_exit", "n_verdicts", "n_predictions", "n_scales"):
            seats[name] = 0

    def _point(self, series: Series) -> None:
        """Let the market's row show the series' window as it is now."""
        base, row = self.histories[series].base, self.book.markets[self._place[series]]
        start, n = base.start, len(base)
        row["n"], row["end_t"] = n, _NEVER_ENDS
        if not n:
            return
        self._mask(series, start)
        for name in ("open", "close", "volume"):
            row[name] = base.columns[name].ctypes.data + 8 * start
        masked, tradable = self._masked[series], self._tradable[series]
        row["low"], row["high"] = masked[0].ctypes.data + 8 * start, masked[1].ctypes.data + 8 * start
        row["can_trade"] = tradable.ctypes.data + start
        row["t0"] = int(base.ts[start]) // series.base_ms

    def _mask(self, series: Series, start: int) -> None:
        """Extremes of bars that cannot trade are out of every level's reach, as in `engine.market`."""
        base, (done, last_ts) = self.histories[series].base, self._masked_to[series]
        # The window has slid to the front of its arrays: what was masked is elsewhere.
        begin_at = done if done and base.ts[done - 1] == last_ts and done <= base.end else start
        new = slice(begin_at, base.end)
        can = base.columns["volume"][new] != 0.0
        self._tradable[series][new] = can
        self._masked[series][0, new] = np.where(can, base.columns["low"][new], np.inf)
        self._masked[series][1, new] = np.where(can, base.columns["high"][new], -np.inf)
        self._masked_to[series] = (base.end, base.last_ts)

    def _places(self) -> list[Place]:
        nothing, one = np.zeros(1), np.zeros(1, np.bool_)
        market = Market(
            0, nothing, nothing, nothing, nothing, one, nothing, nothing, nothing, nothing, np.empty((0, 4)), 1
        )
        return [Place(market, series.base_ms, nothing) for series in self.series]

    def _seats(self) -> list[Seat]:
        symbols, strategies = (
            {name: k for k, name in enumerate(dict.fromkeys(names))}
            for names in ([m.series.symbol for m in self.members], [m.strategy.name for m in self.members])
        )
        seats: list[Seat] = []
        for number, one in enumerate(self.members):
            venue = self.terms.instruments.get(one.series.symbol, Instrument())
            rates = one.costs.rates(one.series.base_ms)
            first = len(seats)
            for k, side in enumerate(one.sides):
                seats.append(Seat(
                    self._place[one.series], number, strategies[one.strategy.name], symbols[one.series.symbol], side,
                    -(-self.terms.start_ms // one.series.base_ms), self._leg_signals(first + k, one), one.numbers,
                    rates._replace(tick=venue.tick) if venue.tick else rates,
                    sibling=first + 1 - k if len(one.sides) == 2 else -1,
                    predictions=self._predictions[first + k : first + k + 1],
                    scales=self._scales[first + k : first + k + 1],
                    venue=(float(venue.lot_step), float(venue.min_qty), float(venue.min_notional)),
                    spot=venue.market == "spot", hedge=venue.hedge_mode,
                ))  # fmt: skip
        return seats

    def _leg_signals(self, leg: int, one: Traded) -> LegSignals:
        part = slice(leg, leg + 1)
        depth = 2 + len(one.columns.distances)
        gates = self._gates[part] if one.columns.gates else np.empty(0, np.uint8)
        return LegSignals(
            self._entry[part], self._exit[part], self._distances[leg, :depth].reshape(depth, 1), self._verdicts[part],
            gates, one.signal_ms // one.series.base_ms, origin_ms(one.signal_ms) // one.series.base_ms, -1,
        )  # fmt: skip

    def _weights(self) -> tuple[IntArray, FloatArray]:
        schedule = self.terms.schedule
        moments = np.array([effective for effective, _ in schedule], np.int64)
        rows = [[weights.get(one.instance_id, 0.0) for one in self.members] for _, weights in schedule]
        return moments, np.array(rows, np.float64).reshape(len(schedule), len(self.members))


def _tape(n: int) -> Tape:
    """Room for what one moment can bring: of every leg a trade, a signal, and two rows of the audit."""
    return Tape(
        np.zeros(n + 1, TRADE), np.zeros(n + 1, np.int64), np.zeros(n + 1), np.zeros(2 * n + 1, SIGNAL),
        np.zeros(2 * n + 1, np.int64), np.zeros(2 * n + 1, np.int64), np.zeros(3 * n + 1, AUDIT),
        np.zeros(_MOST_DAYS, DAY), np.zeros(2 * _MOST_DAYS, HALT),
    )  # fmt: skip


def side_name(side: int) -> str:
    return "long" if side == LONG else "short"


def as_record(blob: bytes, dtype: np.dtype[Any] = LEG) -> Records:
    """The record that the bytes hold."""
    record: Records = np.frombuffer(blob, dtype).copy()[0]
    return record
