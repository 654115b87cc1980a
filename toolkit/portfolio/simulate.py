"""Members on one account: `simulate`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from toolkit.bars.intervals import DAY_MS
from toolkit.engine.account import load_leg
from toolkit.engine.account_run import Place, Seat, run_account
from toolkit.engine.types import LONG, SHORT, Judged, LegState
from toolkit.errors import InputError
from toolkit.portfolio.limits import Instrument, Limits
from toolkit.portfolio.loading import LoadedMember
from toolkit.portfolio.schedule import WeightSchedule
from toolkit.types import FloatArray, IntArray, Records, Row

_NOTHING = np.empty(0)


@dataclass(frozen=True)
class PortfolioRun:
    """Records of an account.

    Attributes
    ----------
    members : in the order of their instance ids; `*_member` are positions in it.
    capital, start_ms, end_ms : money at the start; first moment, and the last close.
    trades : TRADE records as they closed, then those still open (exit_reason 0, at their mark). Their bars are counted
        on their own member's base.
    trade_weight : the weight that the instance had at each trade's signal.
    signals : SIGNAL records as they were decided. signal_reason : the `Reason` of each.
    audit : AUDIT, days : DAY, halts : HALT records (`engine.account`).
    states : last state by (member, side).
    """

    members: tuple[LoadedMember, ...]
    capital: float
    start_ms: int
    end_ms: int
    trades: Records
    trade_member: IntArray
    trade_weight: FloatArray
    signals: Records
    signal_member: IntArray
    signal_reason: IntArray
    audit: Records
    days: Records
    halts: Records
    states: Mapping[tuple[int, int], LegState]
    steps: int


def simulate(
    loaded: Sequence[LoadedMember],
    schedule: WeightSchedule,
    limits: Limits,
    *,
    capital: float,
    start_ms: int | None = None,
    end_ms: int | None = None,
    instruments: Mapping[str, Instrument] | None = None,
    judged: Mapping[str, Mapping[int, Judged]] | None = None,
    acts: Records | None = None,
) -> PortfolioRun:
    """Many instances, long and short, on one account.

    Parameters
    ----------
    loaded : members with their bars; their order does not matter.
    schedule : weights by instance id; what it does not name is off.
    capital : money at the start.
    start_ms, end_ms : the period; default: from the earliest traded bar to the latest close.
    instruments : venue rules by symbol; those of symbols that no member trades are not looked at.
    judged : by instance id and side: what a model says of the raw entries (`LegSignals.entry_t`); who is not there is
        always accepted.
    acts : ACT records, ascending: what people did to the account. Legs are numbered by instance id, long before short.

    Raises
    ------
    InputError : no members, one of them twice, weights for an instance that is not there, no capital.
    """
    if not loaded:
        raise InputError("a portfolio needs at least one instance, was given none")
    if isinstance(capital, bool) or not isinstance(capital, int | float) or not 0 < capital < math.inf:
        raise InputError(f"`capital` must be a positive amount of money, was {capital!r}")
    members = tuple(sorted(loaded, key=lambda one: one.instance.id))
    ids = [one.instance.id for one in members]
    for first, second in pairwise(ids):
        if first == second:
            raise InputError(f"a portfolio must name each instance once, {first} is there twice")
    weights = schedule.of(ids)
    places, place_of = _places(members)
    start, end = period_of(members, start_ms, end_ms)
    seats = _seats(members, place_of, start, instruments or {}, judged or {})
    run = run_account(
        places, seats, (weights.effective_ms, weights.weights), limits.rates(), float(capital), (start, end), acts
    )
    owner = np.array([seat.member for seat in seats], np.int64)
    states = {(seat.member, seat.side): _state(row) for seat, row in zip(seats, run.legs, strict=True)}
    return PortfolioRun(
        members, float(capital), start, end, run.trades, owner[run.trade_leg], run.trade_weight, run.signals,
        owner[run.signal_leg], run.signal_reason, run.audit, run.days, run.halts, states, run.steps,
    )  # fmt: skip


def _state(row: Row) -> LegState:
    """The state of a last row, outside of compiled code."""
    state: LegState = getattr(load_leg, "py_func", load_leg)(row)
    return state


def _places(members: Sequence[LoadedMember]) -> tuple[list[Place], dict[tuple[int, int], int]]:
    """Each market once: members share their base bars, and those that read finer bars have rows of their own."""
    places: list[Place] = []
    numbers: dict[tuple[int, int], int] = {}
    for one in members:
        key = _market_key(one)
        if key not in numbers:
            numbers[key] = len(places)
            places.append(Place(one.prepared.market, one.bars.base.interval_ms, one.bars.base.volume))
    return places, numbers


def _market_key(one: LoadedMember) -> tuple[int, int]:
    return id(one.bars.base), one.prepared.market.fine_ratio


def _seats(
    members: Sequence[LoadedMember],
    place_of: Mapping[tuple[int, int], int],
    start_ms: int,
    instruments: Mapping[str, Instrument],
    judged: Mapping[str, Mapping[int, Judged]],
) -> list[Seat]:
    symbols = _numbers([one.instance.symbol for one in members])
    strategies = _numbers([one.instance.strategy for one in members])
    seats: list[Seat] = []
    for number, one in enumerate(members):
        venue = instruments.get(one.instance.symbol, Instrument())
        prepared, first = one.prepared, len(seats)
        rates = prepared.rates._replace(tick=venue.tick) if venue.tick else prepared.rates
        # As in a backtest: the first bar that is stepped is the first that opens in the period.
        start_t = max(prepared.start_t, -(-start_ms // one.bars.base.interval_ms))
        sides = [side for side in (LONG, SHORT) if side in prepared.legs]
        said = _judged(one, judged.get(one.instance.id, {}))
        for k, side in enumerate(sides):
            signals, says = prepared.legs[side], said.get(side)
            if says is not None:
                signals = signals._replace(verdicts=says.verdicts)
            seats.append(Seat(
                place_of[_market_key(one)], number, strategies[one.instance.strategy], symbols[one.instance.symbol],
                side, start_t, signals, prepared.rules, rates,
                sibling=first + 1 - k if len(sides) == 2 else -1,
                predictions=_NOTHING if says is None else says.predictions,
                scales=_NOTHING if says is None else says.scales,
                venue=(float(venue.lot_step), float(venue.min_qty), float(venue.min_notional)),
                spot=venue.market == "spot", hedge=venue.hedge_mode,
            ))  # fmt: skip
    return seats


def _judged(one: LoadedMember, said: Mapping[int, Judged]) -> Mapping[int, Judged]:
    """The same, or `InputError` where it is not about this member's raw entries."""
    for side, says in said.items():
        n = len(one.prepared.legs[side].entry_t) if side in one.prepared.legs else 0
        for name in Judged._fields:
            array = getattr(says, name)
            if array.shape != (n,):
                raise InputError(
                    f"`{name}` of what is said of {one.instance.id} must have {n} elements, one a raw entry, were of "
                    f"shape {array.shape}"
                )
    return said


def _numbers(names: Sequence[str]) -> dict[str, int]:
    return {name: k for k, name in enumerate(dict.fromkeys(names))}


def period_of(members: Sequence[LoadedMember], start_ms: int | None, end_ms: int | None) -> tuple[int, int]:
    """First moment and last close of an account, over all members unless they are given."""
    steps = [one.bars.base.interval_ms for one in members]
    first = min(one.prepared.start_t * step for one, step in zip(members, steps, strict=True))
    last = max(int(one.bars.base.ts[-1]) + step for one, step in zip(members, steps, strict=True))
    start = first if start_ms is None else start_ms
    end = last if end_ms is None else min(end_ms, -(-last // DAY_MS) * DAY_MS)
    if start >= end:
        raise InputError("the period of a portfolio must end after it begins, and its members' bars must reach into it")
    return start, end
