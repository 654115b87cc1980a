"""Bars whose future is something else: what a signal at an earlier bar must not notice."""

from typing import TypeAlias, cast

import numpy as np
from numpy.random import Generator

from toolkit.bars.series import Bars
from toolkit.types import BoolArray, FloatArray

# Open, high, low, close, volume, filled.
_Columns: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, BoolArray]


class NoiseFuture:
    """Replaces all bars that are not known at a moment by noise, in the series, its peers and its native series.

    The noise of a series is drawn once, and one copy of the series turns into it from the moment on: what `after`
    returned before changes with it. A copy for each moment would fill the memory with minutes where days are tested.
    """

    def __init__(self, bars: Bars, rng: Generator) -> None:
        self._bars = bars
        sources = [bars.base, *bars.native.values(), *bars.peers.values()]
        self._futures = {id(b): _Future(b, rng) for b in sources}

    def after(self, known_ms: int) -> Bars:
        """The series on its own interval, every bar that closes after `known_ms` replaced; until the next call."""
        b = self._bars.base
        whole = Bars(
            b.symbol, b.exchange, b.interval, b.ts.view(), *self._futures[id(b)].after(known_ms),
            native={name: self._replaced(n, known_ms) for name, n in self._bars.native.items()},
            peers={name: self._replaced(p, known_ms) for name, p in self._bars.peers.items()},
        )  # fmt: skip
        return whole.to(self._bars.interval)

    def _replaced(self, b: Bars, known_ms: int) -> Bars:
        return Bars(b.symbol, b.exchange, b.interval, b.ts.view(), *self._futures[id(b)].after(known_ms))


class _Future:
    """The columns of one series, of which those from a bar on are noise."""

    def __init__(self, bars: Bars, rng: Generator) -> None:
        self._bars = bars
        self._true = (bars.open, bars.high, bars.low, bars.close, bars.volume, bars.filled)
        self._noise = _noise(bars, rng)
        self._mixed = tuple(column.copy() for column in self._true)
        self._cut = len(bars)

    def after(self, known_ms: int) -> _Columns:
        cut = int(np.searchsorted(self._bars.ts, known_ms - self._bars.interval_ms, side="right"))
        changed = slice(min(cut, self._cut), max(cut, self._cut))
        for mixed, source in zip(self._mixed, self._noise if cut < self._cut else self._true, strict=True):
            mixed[changed] = source[changed]
        self._cut = cut
        return cast(_Columns, tuple(column.view() for column in self._mixed))


def _noise(bars: Bars, rng: Generator) -> _Columns:
    """Prices around the series' own level, far more volatile than it, some bars without volume, some filled."""
    n = len(bars)
    close = np.median(bars.close) * np.exp(rng.normal(0, 0.2, n)) if n else np.empty(0)
    open_ = close * np.exp(rng.normal(0, 0.05, n))
    wick = np.exp(np.abs(rng.normal(0, 0.05, (2, n))))
    volume = rng.lognormal(0, 1, n) * (rng.random(n) < 0.95)
    filled = rng.random(n) < 0.02
    return open_, np.maximum(open_, close) * wick[0], np.minimum(open_, close) / wick[1], close, volume, filled
