"""A line over time as inline SVG, small enough for a page of its own; colours come from the page's CSS."""

from collections.abc import Sequence
from html import escape

import numpy as np

from toolkit.types import FloatArray, IntArray

_WIDTH, _MOST_POINTS = 720, 1500


def area_chart(title: str, values: FloatArray, labels: Sequence[str], *, base: float, percent: bool = False) -> str:
    """An `<svg>` of `values` (one a day) filled towards `base`, with grid lines and the first and last label.

    More days than the page has room for are thinned to the lowest and highest of each stretch.
    """
    height, left, top, bottom = 180 if not percent else 110, 64, 8, 20
    if not len(values):
        return ""
    low, high = min(float(values.min()), base), max(float(values.max()), base)
    spread = (high - low) or 1.0
    inner = height - top - bottom
    days = _thinned(values)
    x = left + days / max(1, len(values) - 1) * (_WIDTH - left - 4)
    y = top + (high - values[days]) / spread * inner
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    zero = top + (high - base) / spread * inner
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        *(_grid(level, top + (high - level) / spread * inner, left, percent) for level in _levels(low, high)),
        f'<polygon class="fill" points="{x[0]:.1f},{zero:.1f} {line} {x[-1]:.1f},{zero:.1f}"/>',
        f'<polyline class="line" points="{line}"/>',
        f'<text x="{left}" y="{height - 5}">{escape(labels[0])}</text>',
        f'<text x="{_WIDTH - 4}" y="{height - 5}" text-anchor="end">{escape(labels[-1])}</text>',
        "</svg>",
    ]
    return "".join(parts)


def _thinned(values: FloatArray) -> IntArray:
    """Indices of the points to draw, ascending."""
    n = len(values)
    if n <= _MOST_POINTS:
        return np.arange(n, dtype=np.int64)
    stretches = np.array_split(np.arange(n), _MOST_POINTS // 2)
    chosen = {0, n - 1}
    for s in stretches:
        chosen |= {int(s[np.argmin(values[s])]), int(s[np.argmax(values[s])])}
    return np.array(sorted(chosen), dtype=np.int64)


def _levels(low: float, high: float) -> list[float]:
    """Three to six round levels between two values; the one level of a flat line."""
    if high <= low:
        return [low]
    step = 10.0 ** np.floor(np.log10(high - low))
    while (high - low) / step > 5:
        step *= 2
    while (high - low) / step < 2:
        step /= 2
    first = np.ceil(low / step)
    return [float(k * step) for k in np.arange(first, np.floor(high / step) + 1)]


def _grid(level: float, y: float, left: int, percent: bool) -> str:
    text = f"{100 * level:.3g} %" if percent else f"{level:,.6g}"
    return (
        f'<line class="grid" x1="{left}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )
