"""What is wrong, or odd, in a stored series; nothing is mended."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from toolkit.bars.columns import Columns
from toolkit.bars.intervals import interval_ms
from toolkit.bars.store import Reader, SeriesKey
from toolkit.types import BoolArray, FloatArray

Kind: TypeAlias = Literal["gap", "halt", "duplicate", "range", "frozen", "partial", "outlier", "flat"]

MEANING: dict[Kind, str] = {
    "gap": "bars are missing",
    "halt": "no volume beside a gap, or for long",
    "duplicate": "a bar is stored twice",
    "range": "high below low, or open or close outside them",
    "frozen": "the same bar, volume included, again and again",
    "partial": "a bar stored before it had closed, or a last bar with hardly any volume",
    "outlier": "a jump that comes straight back, or a range far beyond its neighbours'",
    "flat": "the close does not move for long",
}

# A bar without a trade is common on a small market, thirty of them are not; nor are fifteen closes at one price.
LONG_RUN_BARS = 30
FLAT_BARS = 15
FROZEN_BARS = 3
# Far beyond what a market does in one bar and takes back in the next, in multiples of the usual and in itself.
OUTLIER_RATIO, OUTLIER_MOVE = 25.0, 0.03
_BLOCK_BARS = 500
_LAST_BARS = 100


@dataclass(frozen=True)
class Finding:
    """One stretch of bars: kind, epoch ms of the first and last bar's open, how many bars, and what was seen."""

    kind: Kind
    first_ts: int
    last_ts: int
    bars: int
    detail: str


def check_stored(reader: Reader, key: SeriesKey) -> list[Finding]:
    """Findings on a stored series, by time."""
    found = check_bars(reader.read_unchecked(key), key.interval)
    found += [Finding("partial", ts, ts, 1, "stored before it had closed") for ts in reader.stored_early(key)]
    return sorted(found, key=lambda f: (f.first_ts, f.kind))


def check_bars(columns: Columns, interval: str) -> list[Finding]:
    """Findings on raw columns, ascending by `ts`, without filled bars; ordered by time."""
    if not len(columns["ts"]):
        return []
    checks = (_gaps, _halts, _duplicates, _ranges, _frozen, _partial, _outliers, _flat)
    step = interval_ms(interval)
    found = [finding for check in checks for finding in check(columns, step)]
    return sorted(found, key=lambda f: (f.first_ts, f.kind))


def _gaps(columns: Columns, step: int) -> Iterator[Finding]:
    ts = columns["ts"]
    for i in np.flatnonzero(np.diff(ts) > step):
        missing = int((ts[i + 1] - ts[i]) // step) - 1
        yield Finding("gap", int(ts[i]) + step, int(ts[i + 1]) - step, missing, f"{_bars(missing)} missing")


def _halts(columns: Columns, step: int) -> Iterator[Finding]:
    ts = columns["ts"]
    for a, b in _runs(columns["volume"] == 0):
        before = int((ts[a] - ts[a - 1]) // step) - 1 if a > 0 else 0
        after = int((ts[b] - ts[b - 1]) // step) - 1 if b < len(ts) else 0
        if not (before > 0 or after > 0 or b - a >= LONG_RUN_BARS):
            continue
        parts = [f"{_bars(before)} missing"] * (before > 0) + [f"{_bars(b - a)} without volume"]
        parts += [f"{_bars(after)} missing"] * (after > 0)
        yield Finding("halt", int(ts[a]), int(ts[b - 1]), b - a, ", then ".join(parts))


def _duplicates(columns: Columns, step: int) -> Iterator[Finding]:
    ts = columns["ts"]
    for i in np.flatnonzero(np.diff(ts) == 0):
        yield Finding("duplicate", int(ts[i]), int(ts[i]), 1, "stored more than once")


def _ranges(columns: Columns, step: int) -> Iterator[Finding]:
    o, h, lo, c = (columns[name] for name in ("open", "high", "low", "close"))
    bad = (h < lo) | (np.maximum(o, c) > h) | (np.minimum(o, c) < lo) | (lo <= 0)
    for i in np.flatnonzero(bad):
        ts = int(columns["ts"][i])
        yield Finding("range", ts, ts, 1, f"open {o[i]:g}, high {h[i]:g}, low {lo[i]:g}, close {c[i]:g}")


def _frozen(columns: Columns, step: int) -> Iterator[Finding]:
    same = np.ones(len(columns["ts"]) - 1, np.bool_)
    for name in ("open", "high", "low", "close", "volume"):
        same &= columns[name][1:] == columns[name][:-1]
    same &= columns["volume"][1:] > 0
    for a, b in _runs(same):
        if b - a + 1 >= FROZEN_BARS:
            ts = columns["ts"]
            volume = float(columns["volume"][a])
            yield Finding("frozen", int(ts[a]), int(ts[b]), b - a + 1, f"same prices and volume {volume:g} each")


def _partial(columns: Columns, step: int) -> Iterator[Finding]:
    volume = columns["volume"][-_LAST_BARS - 1 :]
    if len(volume) <= _LAST_BARS:
        return
    least = float(np.min(volume[:-1]))
    if volume[-1] < least / 2:
        ts = int(columns["ts"][-1])
        yield Finding("partial", ts, ts, 1, f"last bar, volume {volume[-1]:g} where {least:g} was the least before")


def _outliers(columns: Columns, step: int) -> Iterator[Finding]:
    h, lo, c, ts = (columns[name] for name in ("high", "low", "close", "ts"))
    if len(ts) < 3 or not (lo > 0).all():
        return
    spread = np.log(h / lo)
    usual = _block_median(spread)
    move = np.diff(np.log(c))
    there, back = move[:-1], move[1:]
    reverts = (there * back < 0) & (np.abs(there + back) < 0.2 * np.abs(there))
    jump = np.zeros(len(ts), np.bool_)
    jump[1:-1] = reverts & (np.abs(there) > np.maximum(OUTLIER_MOVE, OUTLIER_RATIO * usual[1:-1]))
    wide = spread > np.maximum(OUTLIER_MOVE, OUTLIER_RATIO * usual)
    for i in np.flatnonzero(jump | wide):
        seen = f"close {c[i - 1]:g}, {c[i]:g}, {c[i + 1]:g}" if jump[i] else f"low {lo[i]:g}, high {h[i]:g}"
        yield Finding("outlier", int(ts[i]), int(ts[i]), 1, f"{seen}; the usual range here is {usual[i]:.2%}")


def _flat(columns: Columns, step: int) -> Iterator[Finding]:
    c, ts = columns["close"], columns["ts"]
    moved = np.flatnonzero(np.append(True, c[1:] != c[:-1]))
    for a, b in zip(moved, np.append(moved[1:], len(c)), strict=True):
        if b - a >= FLAT_BARS:
            yield Finding("flat", int(ts[a]), int(ts[b - 1]), int(b - a), f"close {c[a]:g} throughout")


def _bars(count: int) -> str:
    return f"{count} bar" if count == 1 else f"{count} bars"


def _runs(mask: BoolArray) -> list[tuple[int, int]]:
    """Half-open index ranges in which the mask is true."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _block_median(values: FloatArray) -> FloatArray:
    """Median of each value's block of bars."""
    out = np.empty_like(values)
    for a in range(0, len(values), _BLOCK_BARS):
        out[a : a + _BLOCK_BARS] = np.median(values[a : a + _BLOCK_BARS])
    return out
