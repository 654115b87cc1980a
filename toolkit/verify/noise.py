"""Bars whose future is something else: what a signal at an earlier bar must not notice."""

import numpy as np
from numpy.random import Generator

from toolkit.bars.series import Bars
from toolkit.types import BoolArray, FloatArray


class NoiseFuture:
    """Replaces all bars that are not known at a moment by noise, in the series, its peers and its native series.

    The noise of a series is drawn once; `after` splices it in, so that any number of moments cost little.
    """

    def __init__(self, bars: Bars, rng: Generator) -> None:
        self._bars = bars
        sources = [bars.base, *bars.native.values(), *bars.peers.values()]
        self._noise = {id(b): _noise(b, rng) for b in sources}

    def after(self, known_ms: int) -> Bars:
        """The series on its own interval, every bar that closes after `known_ms` replaced."""
        base = self._spliced(self._bars.base, known_ms)
        whole = Bars(
            base.symbol, base.exchange, base.interval, base.ts, base.open, base.high, base.low, base.close,
            base.volume, base.filled,
            native={name: self._spliced(b, known_ms) for name, b in self._bars.native.items()},
            peers={name: self._spliced(b, known_ms) for name, b in self._bars.peers.items()},
        )  # fmt: skip
        return whole.to(self._bars.interval)

    def _spliced(self, bars: Bars, known_ms: int) -> Bars:
        cut = int(np.searchsorted(bars.ts, known_ms - bars.interval_ms, side="right"))
        o, h, lo, c, v, filled = self._noise[id(bars)]
        return Bars(
            bars.symbol, bars.exchange, bars.interval, bars.ts.view(),
            np.concatenate((bars.open[:cut], o[cut:])), np.concatenate((bars.high[:cut], h[cut:])),
            np.concatenate((bars.low[:cut], lo[cut:])), np.concatenate((bars.close[:cut], c[cut:])),
            np.concatenate((bars.volume[:cut], v[cut:])), np.concatenate((bars.filled[:cut], filled[cut:])),
        )  # fmt: skip


def _noise(bars: Bars, rng: Generator) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, BoolArray]:
    """Prices around the series' own level, far more volatile than it, some bars without volume, some filled."""
    n = len(bars)
    close = np.median(bars.close) * np.exp(rng.normal(0, 0.2, n)) if n else np.empty(0)
    open_ = close * np.exp(rng.normal(0, 0.05, n))
    wick = np.exp(np.abs(rng.normal(0, 0.05, (2, n))))
    volume = rng.lognormal(0, 1, n) * (rng.random(n) < 0.95)
    filled = rng.random(n) < 0.02
    return open_, np.maximum(open_, close) * wick[0], np.minimum(open_, close) / wick[1], close, volume, filled
