"""Pulling a venue's candles into the store: what is not there yet, page by page, each kept as soon as it is read."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from toolkit.bars.columns import Columns, fingerprint
from toolkit.bars.download import RefusedError, Venue
from toolkit.bars.intervals import DAY_MS, floor_ts, interval_ms
from toolkit.bars.series import utc
from toolkit.bars.store import ImportResult, Source, Store, series_key
from toolkit.errors import InputError, VenueError
from toolkit.types import IntArray


@dataclass(frozen=True)
class Gap:
    """A run of bars that the store lacks: open times of the first and last, epoch ms."""

    first_ts: int
    last_ts: int
    bars: int


@dataclass(frozen=True)
class Progress:
    """How far a pull is: slots of the series that are dealt with, of all that had to be asked for."""

    symbol: str
    done_bars: int
    total_bars: int
    at_ts: int


@dataclass(frozen=True)
class PullReport:
    """What one pull did. Times are epoch ms; `until_ms` is exclusive and never beyond the last finished bar.

    Attributes
    ----------
    first_ts, last_ts : open times of the first and last bar stored in the range, None where there is none.
    missing : runs of bars between the first stored one and `until_ms` that the venue does not have.
    served_from_ts : earliest bar the venue would still serve, None where it refused nothing.
    lost_bars : bars asked for before `served_from_ts` that are not stored and cannot be had there.
    volume_known : False where the volume's unit is not known and it is stored as NaN.
    """

    exchange: str
    symbol: str
    interval: str
    since_ms: int
    until_ms: int
    first_ts: int | None
    last_ts: int | None
    rows: ImportResult
    pages: int
    missing: tuple[Gap, ...]
    served_from_ts: int | None
    lost_bars: int
    volume_known: bool


def pull(
    venue: Venue,
    store: Store,
    symbol: str,
    interval: str = "1m",
    since_ms: int | None = None,
    until_ms: int | None = None,
    *,
    replace: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> PullReport:
    """Store the finished bars that open in `[since_ms, until_ms)` and were not had from the venue before.

    Asked for are the ranges before, between and after the stored bars, holes that the venue showed before left out; the
    stored bar in front of each range is read again and must agree. Stopped at any moment, it loses the page in flight,
    and the next pull goes on.

    Parameters
    ----------
    since_ms : None: go on after the last stored bar.
    until_ms : None: now.
    replace : read the whole range again and let the venue's bars take the place of stored ones that differ.

    Raises
    ------
    InputError : nothing to go on from, an empty range, or an interval or symbol that the venue does not have.
    StoreError : the venue's bars disagree with stored ones. VenueError : no usable answer; earlier pages are kept.
    """
    name = venue.symbol(symbol)
    venue.check_interval(interval)
    step = interval_ms(interval)
    if since_ms is None:
        since_ms = store.last_ts(venue.name, name, interval)
        if since_ms is None:
            raise InputError(f"no {interval} bars of {name} from {venue.name} are stored to go on from; name a --since")
    now_ms = venue.now_ms()
    start, end = (
        floor_ts(since_ms + step - 1, step),
        floor_ts(min(now_ms, now_ms if until_ms is None else until_ms), step),
    )
    if start >= end:
        raise InputError(
            f"no finished {interval} bar opens from {utc(since_ms)} to {utc(end)} UTC; --since must be earlier than "
            f"--until, and than the last finished bar"
        )
    job = _Job(venue, store, name, interval, replace, on_progress)
    ranges = [(start, end)] if replace else job.unasked(start, end)
    job.total_bars = sum(b - a for a, b in ranges) // step
    for first, last in ranges:
        job.read_range(first, last)
    instrument = venue.instrument(name)
    if instrument != store.instrument(venue.name, name):
        store.put_instrument(instrument)
    return job.report(start, end)


class _Job:
    """One series being pulled."""

    def __init__(
        self, venue: Venue, store: Store, symbol: str, interval: str, replace: bool, tell: Callable[[Progress], None]
    ) -> None:
        self.venue, self.store, self.symbol, self.interval = venue, store, symbol, interval
        self.key = series_key(venue.name, symbol, interval)
        self.replace, self.tell = replace, tell
        self.step = interval_ms(interval)
        self.page_bars = venue.page_bars(symbol)
        self.rows = ImportResult(0, 0, 0)
        self.pages = self.done_bars = self.total_bars = 0
        self.served_from_ts: int | None = None

    def unasked(self, start: int, end: int) -> list[tuple[int, int]]:
        """Ranges `[first, last)` to ask for. A hole inside what an earlier request covered is the venue's own."""
        stored = self.store.read(self.venue.name, self.symbol, self.interval, start, end)["ts"]
        covered = [
            (r.first_ts, r.last_ts) for r in self.store.imports() if r.key == self.key and r.source.kind == "request"
        ]
        return ranges_to_ask(stored, covered, (start, end), self.step, self.page_bars)

    def read_range(self, start: int, end: int) -> None:
        """Page through `[start, end)`. Pages overlap by one bar, so that a bar that changed is noticed."""
        cursor, refused_at = start, None
        while cursor < end:
            count = min(self.page_bars, (end - cursor) // self.step)
            try:
                page = self.venue.candles(self.symbol, self.interval, cursor, count)
            except RefusedError as refusal:
                if refused_at == cursor:
                    raise
                refused_at = cursor
                served = self._earliest_served(cursor, refusal)
                if served > cursor:
                    self.served_from_ts = served
            else:
                self.pages += 1
                served = self._keep(page, cursor, end)
            served = min(served, end)
            self.done_bars += (served - cursor) // self.step
            cursor = served
            self.tell(Progress(self.symbol, self.done_bars, self.total_bars, cursor))

    def _keep(self, page: Columns, cursor: int, end: int) -> int:
        """Store the page's finished bars; returns where to ask next."""
        finished = min(end, self.venue.now_ms() - self.step + 1)
        inside = (page["ts"] >= cursor) & (page["ts"] < finished)
        kept = {name: column[inside] for name, column in page.items()}
        if not inside.any():
            return self._after_empty(cursor, end)
        request = f"{self.venue.name} fetch_ohlcv {self.symbol} {self.interval} since {utc(cursor)}"
        source = Source("request", request, fingerprint(kept))
        done = self.store.write(*self._series(), kept, source, replace=self.replace)
        self.rows = ImportResult(
            self.rows.rows_new + done.rows_new,
            self.rows.rows_same + done.rows_same,
            self.rows.rows_replaced + done.rows_replaced,
        )
        last = int(kept["ts"][-1])
        if last + self.step >= end:
            return end
        # Only the bar of the overlap: the venue has nothing in the rest of this page.
        return last if last > cursor else self._after_empty(cursor, end)

    def _after_empty(self, cursor: int, end: int) -> int:
        """Where to ask after a page without bars: the day of the venue's next daily candle, if it lies further on."""
        after = cursor + self.page_bars * self.step
        if after >= end or self.step >= DAY_MS or not self.venue.offers("1d"):
            return min(after, end)
        day = floor_ts(after, DAY_MS)
        while day < end:
            days = self.venue.candles(self.symbol, "1d", day, self.page_bars)["ts"]
            found = days[days >= day]
            if len(found):
                return max(after, int(found[0]))
            day += self.page_bars * DAY_MS
        return end

    def _earliest_served(self, refused: int, refusal: RefusedError) -> int:
        """Earliest bar from `refused` on that the venue serves, by bisection; raises where it refuses recent bars."""
        served = floor_ts(self.venue.now_ms(), self.step) - self.step
        if self._accepts(refused):
            return refused
        if not self._accepts(served):
            raise VenueError(f"{refusal}; it refuses recent bars too, so this is no matter of their age") from refusal
        while served - refused > self.step:
            middle = floor_ts((refused + served) // 2, self.step)
            if self._accepts(middle):
                served = middle
            else:
                refused = middle
        return served

    def _accepts(self, ts: int) -> bool:
        try:
            self.venue.candles(self.symbol, self.interval, ts, 1)
        except RefusedError:
            return False
        return True

    def report(self, start: int, end: int) -> PullReport:
        stored = self.store.read(*self._series(), start, end)["ts"]
        served = self.served_from_ts
        lost = 0
        if served is not None:
            asked = (min(served, end) - start) // self.step
            lost = asked - int(np.searchsorted(stored, served))
        return PullReport(
            *self._series(), start, end,
            int(stored[0]) if len(stored) else None,
            int(stored[-1]) if len(stored) else None,
            self.rows, self.pages, gaps(stored, end, self.step), served, lost,
            self.venue.volume_is_known(self.symbol),
        )  # fmt: skip

    def _series(self) -> tuple[str, str, str]:
        return self.key.exchange, self.key.symbol, self.key.interval


def ranges_to_ask(
    stored: IntArray, covered: Iterable[tuple[int, int]], span: tuple[int, int], step: int, page_bars: int
) -> list[tuple[int, int]]:
    """Ranges `[first, last)` of `span` that are neither stored nor covered; near ones (within a page) become one.

    Parameters
    ----------
    stored : int64[n], open times (epoch ms) of the stored bars of the span.
    covered : first and last open time of each earlier request.
    span : first slot and end (exclusive), on the grid of `step` ms.
    page_bars : ranges with at most this many slots between them are asked for in one go.

    Returns
    -------
    Ascending ranges; each begins at the stored bar in front of it, if there is one.
    """
    start, end = span
    have = np.zeros((end - start) // step, np.bool_)
    have[(stored - start) // step] = True
    known = have.copy()
    for first, last in covered:
        known[max(0, (first - start) // step) : max(0, (last - start) // step + 1)] = True
    edges = np.flatnonzero(np.diff(np.concatenate(([True], known, [True])).astype(np.int8)))
    merged: list[list[int]] = []
    for a, b in edges.reshape(-1, 2).tolist():
        if merged and a - merged[-1][1] <= page_bars:
            merged[-1][1] = b
        else:
            merged.append([a - 1 if a and have[a - 1] else a, b])
    return [(start + a * step, start + b * step) for a, b in merged]


def gaps(stored: IntArray, end: int, step: int) -> tuple[Gap, ...]:
    """Runs of slots without a bar between the first stored bar and `end`, ascending."""
    if not len(stored):
        return ()
    ts = np.append(stored, end)
    before = np.flatnonzero(np.diff(ts) > step)
    return tuple(Gap(int(ts[i]) + step, int(ts[i + 1]) - step, int(ts[i + 1] - ts[i]) // step - 1) for i in before)
