"""`Bars`: one regular series in memory, its other intervals, and the factors asked of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from toolkit.bars.intervals import asof_index, floor_ts, interval_ms, origin_ms, require_multiple, resample_groups
from toolkit.errors import BarsError, InputError, UnknownNameError
from toolkit.types import BoolArray, FloatArray, IntArray

_COLUMNS = ("open", "high", "low", "close", "volume")
_T = TypeVar("_T")
_Number = TypeVar("_Number", bound=np.generic)
_UNKNOWN = object()


def utc(ts_ms: int) -> str:
    """ISO time of an epoch millisecond, for messages."""
    return datetime.fromtimestamp(ts_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


@dataclass(frozen=True, eq=False)
class Bars:
    """A regular series of bars of one symbol on one interval.

    Attributes
    ----------
    ts : int64[n], open times, UTC epoch milliseconds, one interval apart; a bar is known at `ts + interval`.
    open, high, low, close : float64[n], quote units, finite and positive.
    volume : float64[n], base units; NaN = unknown (such a bar can trade), 0 = nothing can fill on it.
    filled : bool[n], True where the bar was missing and is filled flat with the last close and volume 0.
    interval : name of the interval, a key of `INTERVAL_MS`.
    base : the stored series this one was resampled from (itself where it is the base).
    native : natively stored higher series by interval, used only when asked for with `source="native"`.
    peers : base series of other symbols, for factors that read them.

    Arrays are read-only: factors are memoised on the object, so a changed price would go unnoticed.
    """

    symbol: str
    exchange: str
    interval: str
    ts: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    filled: BoolArray
    base_: "Bars | None" = None
    native: Mapping[str, "Bars"] = field(default_factory=dict)
    peers: Mapping[str, "Bars"] = field(default_factory=dict)
    _memo: dict[object, object] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in ("ts", *_COLUMNS, "filled"):
            getattr(self, name).setflags(write=False)

    def __len__(self) -> int:
        return len(self.ts)

    def __repr__(self) -> str:
        span = f"{utc(int(self.ts[0]))} .. {utc(int(self.ts[-1]))}" if len(self) else "empty"
        return f"Bars({self.exchange} {self.symbol} {self.interval}, {len(self)} bars, {span})"

    @property
    def interval_ms(self) -> int:
        return interval_ms(self.interval)

    @property
    def base(self) -> "Bars":
        return self if self.base_ is None else self.base_

    @property
    def close_ts(self) -> IntArray:
        """int64[n]: the moment each bar is known."""
        return self.memo("close_ts", lambda: self.ts + self.interval_ms)

    def memo(self, key: object, make: Callable[[], _T]) -> _T:
        """Value under `key`, made once per series; arrays are frozen."""
        known = self._memo.get(key, _UNKNOWN)
        if known is not _UNKNOWN:
            return known  # type: ignore[return-value]
        value = make()
        if isinstance(value, np.ndarray):
            value.setflags(write=False)
        # What was made is returned, not looked up: another thread may have dropped it to save memory. The first of two
        # threads that make it has its way, so that what is filled later (a dict) is one.
        return self._memo.setdefault(key, value)  # type: ignore[return-value]

    def factor_bytes(self) -> int:
        """Bytes of the factors memoised on this series and on those made from it."""
        own = 0
        for key, value in list(self._memo.items()):
            if isinstance(value, Bars | Aligned):
                own += value.factor_bytes()
            elif isinstance(value, np.ndarray) and isinstance(key, tuple) and key[0] == "factor":
                own += value.nbytes
        return own

    def drop_factors(self) -> None:
        """Forget those factors, to be made again when asked for: thousands of distinct windows would fill memory."""
        for key, value in list(self._memo.items()):
            if isinstance(value, Bars | Aligned):
                value.drop_factors()
            elif isinstance(key, tuple) and key[0] == "factor":
                self._memo.pop(key, None)

    def to(self, interval: str) -> "Bars":
        """The same history on another interval, resampled from the base; only complete groups are kept.

        The first group is dropped where the series begins inside it, the last where it has not closed: both would
        otherwise depend on where the loaded history starts or ends.
        """
        if interval == self.interval:
            return self
        if interval == self.base.interval:
            return self.base
        return self.base.memo(("to", interval), lambda: self.base._resample(interval))

    def _resample(self, interval: str) -> "Bars":
        ratio = require_multiple(interval, self.interval)
        step = interval_ms(interval)
        n = len(self)
        first = floor_ts(int(self.ts[0]) + step - 1, step) if n else 0
        start = (first - int(self.ts[0])) // self.interval_ms if n else 0
        groups = max(0, n - start) // ratio
        columns = resample_groups(
            first, step, groups, ratio, start,
            self.open, self.high, self.low, self.close, self.volume, self.filled,
        )  # fmt: skip
        return Bars(self.symbol, self.exchange, interval, *columns, base_=self, native=self.native, peers=self.peers)

    def at(self, interval: str, source: str = "resampled") -> "Aligned":
        """Another interval seen from this clock: each value is from the last bar **closed** by this bar's close.

        `source="native"` reads the natively stored series instead of resampling the base.
        """
        if source not in ("resampled", "native"):
            raise InputError(f"source must be 'resampled' or 'native', was {source!r}")
        if source == "native" and interval not in self.native:
            raise UnknownNameError(
                "native interval", interval, self.native, f"(load it with native=[{interval!r}] after importing it)"
            )
        other = self.native[interval] if source == "native" else self.to(interval)
        return self.memo(("at", interval, source), lambda: Aligned(other, asof_index(other.close_ts, self.close_ts)))

    def peer(self, symbol: str) -> "Aligned":
        """Another symbol's bars of the same interval, as-of this clock."""
        if symbol not in self.peers:
            raise UnknownNameError(
                "peer symbol", symbol, self.peers, f"(load it with peers=[{symbol!r}], or name it in the strategy)"
            )
        other = self.peers[symbol].to(self.interval)
        return self.memo(("peer", symbol), lambda: Aligned(other, asof_index(other.close_ts, self.close_ts)))

    def factor(self, name: str, *params: float | str) -> FloatArray:
        """float64[n] of a named factor on this series, NaN where its lookback is not covered; memoised."""
        from toolkit.factors import compute

        return self.memo(("factor", name, params), lambda: compute(name, self, params))

    def factor_at(self, indices: IntArray, name: str, *params: float | str) -> FloatArray:
        """float64[k] of a named factor at chosen bars, NaN where its lookback is not covered.

        The values of `factor`; a sparse factor is computed at those bars alone.
        """
        from toolkit.factors import compute_at

        return compute_at(name, self, indices, params)

    def window(self, start_ms: int, end_ms: int) -> "Bars":
        """The same interval seen with only the base bars that open in `[start_ms, end_ms)`; nothing later leaks in.

        Native series keep the bars that closed by `end_ms`; peers are cut alike.
        """
        base = _cut(self.base, start_ms, end_ms)
        native = {name: _cut(b, start_ms, end_ms - b.interval_ms + 1) for name, b in self.native.items()}
        peers = {name: _cut(b, start_ms, end_ms) for name, b in self.peers.items()}
        whole = Bars(
            base.symbol, base.exchange, base.interval, base.ts, base.open, base.high, base.low, base.close,
            base.volume, base.filled, native=native, peers=peers,
        )  # fmt: skip
        return whole.to(self.interval)


def _cut(bars: Bars, start_ms: int, end_ms: int) -> Bars:
    a, b = np.searchsorted(bars.ts, [start_ms, max(start_ms, end_ms)])
    return Bars(
        bars.symbol, bars.exchange, bars.interval,
        bars.ts[a:b], bars.open[a:b], bars.high[a:b], bars.low[a:b], bars.close[a:b], bars.volume[a:b],
        bars.filled[a:b],
    )  # fmt: skip


class Aligned:
    """Another series read as-of the main clock; arrays have the main clock's length.

    `open`, `high`, `low`, `close`, `volume`, `ts` are those of the last closed bar, NaN (ts: -1) where none has closed.
    """

    def __init__(self, bars: Bars, index: IntArray) -> None:
        self.bars = bars
        self.index = index
        self._memo: dict[object, FloatArray] = {}

    def take(self, values: FloatArray) -> FloatArray:
        """float64[n main]: `values` (one a bar of the other series) as known at each main close, NaN before any."""
        out = np.full(len(self.index), np.nan)
        known = self.index >= 0
        out[known] = values[self.index[known]]
        return out

    def _once(self, key: object, make: Callable[[], FloatArray]) -> FloatArray:
        known = self._memo.get(key)
        if known is None:
            known = self._memo[key] = self.take(make())
            known.setflags(write=False)
        return known

    def factor_bytes(self) -> int:
        """Bytes of the values taken so far."""
        return sum(array.nbytes for array in list(self._memo.values()))

    def drop_factors(self) -> None:
        """Forget them, to be taken again when asked for."""
        self._memo.clear()

    def _column(self, name: str) -> FloatArray:
        return self._once(name, lambda: getattr(self.bars, name))

    @property
    def open(self) -> FloatArray:
        return self._column("open")

    @property
    def high(self) -> FloatArray:
        return self._column("high")

    @property
    def low(self) -> FloatArray:
        return self._column("low")

    @property
    def close(self) -> FloatArray:
        return self._column("close")

    @property
    def volume(self) -> FloatArray:
        return self._column("volume")

    @property
    def ts(self) -> IntArray:
        return np.where(self.index >= 0, self.bars.ts[np.maximum(self.index, 0)], -1) if len(self.bars) else self.index

    def factor(self, name: str, *params: float | str) -> FloatArray:
        """float64[n main]: a factor computed on the other series, as known at each main close."""
        return self._once((name, params), lambda: self.bars.factor(name, *params))

    def factor_at(self, indices: IntArray, name: str, *params: float | str) -> FloatArray:
        """float64[k]: the values of `factor` at chosen bars of the main clock; see `Bars.factor_at`."""
        own = self.index[indices]
        known = own >= 0
        out = np.full(len(own), np.nan)
        out[known] = self.bars.factor_at(own[known], name, *params)
        return out


def from_arrays(
    ts: IntArray,
    open: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    volume: FloatArray | None = None,
    *,
    interval: str,
    symbol: str = "SERIES",
    exchange: str = "arrays",
    native: Mapping[str, Bars] | None = None,
    peers: Mapping[str, Bars] | None = None,
    span: tuple[int, int] | None = None,
    checked: bool = False,
) -> Bars:
    """Bars from raw arrays: checked, then made regular (missing bars filled flat, volume 0, `filled`).

    Parameters
    ----------
    ts : int64[n], open times in epoch ms, ascending, each on the grid of `interval`.
    open, high, low, close : float64[n], finite, positive, low <= open, close <= high.
    volume : float64[n] or None; NaN = unknown; must not be negative.
    span : open times of the first and the last bar of the series, where it is to begin or end inside a gap. Given bars
        that open before it only fill a gap at its beginning; none may open after it.
    checked : the arrays are the store's own, which checked them when they were written; they are not checked again.

    Raises
    ------
    BarsError : names the first bar that breaks a rule.
    """
    step = interval_ms(interval)
    t = np.ascontiguousarray(ts, dtype=np.int64)
    arrays = [np.ascontiguousarray(a, dtype=np.float64) for a in (open, high, low, close)]
    arrays.append(np.full(len(t), np.nan) if volume is None else np.ascontiguousarray(volume, dtype=np.float64))
    if not checked:
        check_columns(t, *arrays, interval=interval, what=f"{exchange} {symbol} {interval}")
    first, last = span or ((int(t[0]), int(t[-1])) if len(t) else (0, -step))
    n = (last - first) // step + 1
    filled = np.zeros(n, np.bool_)
    if n != len(t) or (n and t[0] != first):
        slot = (t - first) // step
        filled[:] = True
        filled[slot[slot >= 0]] = False
        source = np.cumsum(~filled) - 1 + np.count_nonzero(slot < 0)
        last_close = arrays[3][source]
        arrays = [np.where(filled, last_close, a[source]) for a in arrays[:4]] + [
            np.where(filled, 0.0, arrays[4][source])
        ]
        t = first + step * np.arange(n, dtype=np.int64)
    o, h, lo, c, v = (_own(a) for a in arrays)
    return Bars(symbol, exchange, interval, _own(t), o, h, lo, c, v, filled, None, native or {}, peers or {})


def _own(array: NDArray[_Number]) -> NDArray[_Number]:
    """A view that can be frozen without freezing the caller's array."""
    return array.view()


def check_columns(
    ts: IntArray,
    open: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    volume: FloatArray,
    *,
    interval: str,
    what: str,
    rows: bool = False,
) -> None:
    """Raise `BarsError` for the first bar that breaks a rule of a series (order, grid, finite prices, range).

    rows : the bars are a file's rows, which people count from 1.
    """
    step = interval_ms(interval)
    lengths = {len(a) for a in (ts, open, high, low, close, volume)}
    if len(lengths) > 1:
        raise BarsError(f"{what}: columns must have one length, were {sorted(lengths)}")

    def refuse(bad: BoolArray, rule: str, shown: FloatArray | IntArray) -> None:
        if bad.any():
            i = int(np.argmax(bad))
            number = f"row {i + 1}" if rows else f"bar {i}"
            raise BarsError(f"{what}: {number} ({utc(int(ts[i]))}, {int(ts[i])}) {rule}, was {shown[i]!s}")

    refuse((ts - origin_ms(step)) % step != 0, f"must open on the {interval} grid (UTC)", ts)
    if len(ts) > 1:
        gap = np.diff(ts, prepend=ts[0] - step)
        refuse(gap == 0, "must not have the time stamp of the bar before it (duplicate)", ts)
        refuse(gap < 0, "must be later than the bar before it (sort by ts)", ts)
    for name, column in (("open", open), ("high", high), ("low", low), ("close", close)):
        refuse(~np.isfinite(column), f"must have a finite {name}", column)
        refuse(column <= 0, f"must have a positive {name}", column)
    refuse(high < low, "must not have its high below its low", high)
    refuse((open > high) | (open < low), "must open between its low and its high", open)
    refuse((close > high) | (close < low), "must close between its low and its high", close)
    refuse(volume < 0, "must not have negative volume", volume)
    refuse(np.isinf(volume), "must have a finite volume, or NaN where it is unknown", volume)
