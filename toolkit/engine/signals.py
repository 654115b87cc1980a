"""From a strategy's arrays to a leg's events on the base clock."""

import operator
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from toolkit.bars.intervals import origin_ms
from toolkit.bars.series import Bars
from toolkit.engine.rules import Columns, parse_when
from toolkit.engine.types import LONG, SHORT, LegSignals
from toolkit.errors import InputError
from toolkit.factors.table import parse_spec
from toolkit.strategy import Signals
from toolkit.types import ByteArray, FloatArray, IntArray

_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_ALL_ACCEPTED = np.empty(0, np.uint8)


class SignalClock(NamedTuple):
    """How signal bars map to base bars; see `LegSignals`."""

    ratio: int
    origin_bars: int
    first: int


def signal_clock(bars: Bars) -> SignalClock:
    base_ms = bars.base.interval_ms
    origin = origin_ms(bars.interval_ms)
    first = (int(bars.ts[0]) - origin) // bars.interval_ms if len(bars) else 0
    return SignalClock(bars.interval_ms // base_ms, origin // base_ms, first)


def effect_t(bars: Bars, index: IntArray) -> IntArray:
    """int64: absolute number of the base bar that closes together with each signal bar of `index`."""
    base_ms = bars.base.interval_ms
    return (bars.ts[index] + bars.interval_ms) // base_ms - 1


def distance_columns(bars: Bars, signals: Signals, columns: Columns) -> list[FloatArray]:
    """The strategy's stop and target distances, then every factor that the rules read; each float64[n]."""
    return [
        signals.stop_distance,
        signals.target_distance,
        *(parse_spec(spec).values(bars) for spec in columns.distances),
    ]


def gate_bits(bars: Bars, columns: Columns) -> ByteArray:
    """uint8[n], a bit an exit condition; empty where there is none. A comparison with NaN does not hold."""
    if not columns.gates:
        return np.empty(0, np.uint8)
    bits = np.zeros(len(bars), np.uint8)
    for when, position in columns.gates.items():
        spec, compare, number = parse_when(when)
        bits |= _COMPARE[compare](parse_spec(spec).values(bars), number).astype(np.uint8) << np.uint8(position)
    return bits


def leg_signals(
    bars: Bars,
    signals: Signals,
    side: int,
    distances: list[FloatArray],
    gates: ByteArray,
    verdicts: ByteArray | None = None,
) -> LegSignals:
    """One side's events.

    Parameters
    ----------
    bars : the signal-interval bars that `signals` were made from.
    distances, gates : see `distance_columns` and `gate_bits`.
    verdicts : uint8[n] over signal bars, ACCEPTED, VETOED or REJECTED; None accepts every entry.
    """
    enter, leave = (
        (signals.enter_long, signals.exit_long) if side == LONG else (signals.enter_short, signals.exit_short)
    )
    entries, exits = np.flatnonzero(enter & ~leave), np.flatnonzero(leave)
    # Distances and verdicts are read at raw entries alone: a year of minutes shrinks to some hundred numbers.
    at_entries = np.empty((len(distances), len(entries)))
    for row, column in zip(at_entries, distances, strict=True):
        row[:] = column[entries]
    said = _ALL_ACCEPTED if verdicts is None else verdicts[entries]
    return LegSignals(effect_t(bars, entries), effect_t(bars, exits), at_entries, said, gates, *signal_clock(bars))


def verdicts_by_side(verdicts: ByteArray | Mapping[int | str, ByteArray] | None) -> dict[int, ByteArray]:
    """Verdicts under LONG and SHORT, from one array for both sides, or by side (LONG, SHORT or their names)."""
    if verdicts is None:
        return {}
    if not isinstance(verdicts, Mapping):
        return {LONG: verdicts, SHORT: verdicts}
    sides: dict[int | str, int] = {LONG: LONG, SHORT: SHORT, "long": LONG, "short": SHORT}
    found: dict[int, ByteArray] = {}
    for key, array in verdicts.items():
        if key not in sides:
            raise InputError(f"verdicts must be by side, 'long' ({LONG}) or 'short' ({SHORT}), one was for {key!r}")
        if sides[key] in found:
            raise InputError(f"verdicts must be given once a side, {key!r} is there twice")
        found[sides[key]] = array
    return found


def check_verdicts(verdicts: Mapping[int, ByteArray], n: int) -> None:
    """Verdicts must be by side (LONG, SHORT), uint8 of the signal bars' length with values 1 to 3."""
    for side, array in verdicts.items():
        if side not in (LONG, SHORT):
            raise InputError(f"verdicts must be by side, {LONG} (long) or {SHORT} (short), one was for {side!r}")
        if not isinstance(array, np.ndarray):
            raise InputError(f"verdicts must be uint8[{n}], one a signal bar, were a {type(array).__name__}")
        if array.shape != (n,) or array.dtype != np.uint8:
            raise InputError(f"verdicts must be uint8[{n}], one a signal bar, were {array.dtype}{list(array.shape)}")
        if len(array) and not 1 <= array.min() <= array.max() <= 3:
            raise InputError("verdicts must be 1 (accepted), 2 (vetoed) or 3 (rejected)")
