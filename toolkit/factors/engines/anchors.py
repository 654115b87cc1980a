"""The absolute schedule on which models of the market are fitted."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from toolkit.bars.series import Bars
from toolkit.factors.rolling import absolute_bar
from toolkit.types import FloatArray, IntArray


@dataclass(frozen=True)
class Anchored:
    """Bars that are judged by one fit.

    Attributes
    ----------
    rows : slice of the indices that were asked for. last : int64[k], those bars' places in `span`.
    span : places in the series of the fitted window and all that follows up to the last asked bar; the fit sees the
        first `window` of them.
    """

    rows: slice
    last: IntArray
    span: slice

    def of(self, values: FloatArray) -> FloatArray:
        """The values of the span."""
        return values[self.span]


def anchored(bars: Bars, indices: IntArray, window: int, refit: int) -> Iterator[Anchored]:
    """Asked bars (ascending) by the fit that holds for them.

    Of `n` bars closed since the epoch, the newest anchor is the largest multiple of `refit` that is not above `n`; its
    fit sees the `window` bars closed by then. So bar `n - 1` may be the last that was fitted on, and never a later one.
    """
    closed = absolute_bar(bars) + indices + 1
    anchors = closed // refit * refit
    starts = np.flatnonzero(np.concatenate(([True], anchors[1:] != anchors[:-1])))
    for a, b in zip(starts.tolist(), [*starts[1:].tolist(), len(indices)], strict=True):
        first = int(anchors[a]) - window - absolute_bar(bars)
        yield Anchored(slice(a, b), indices[a:b] - first, slice(first, int(indices[b - 1]) + 1))


def anchored_lookback(window: int, refit: int, observed: int) -> int:
    """Bars that a value depends on, where an observation is made of a bar and the `observed` closes before it."""
    return window + refit - 1 + observed
