"""`make_dataset`: the entry signals of members' own paths with their features, and what became of each."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from toolkit.bars.series import Bars
from toolkit.engine.run import Prepared
from toolkit.engine.shadow import shadow_leg
from toolkit.engine.types import TRADE, Judged
from toolkit.errors import InputError
from toolkit.models.dataset import ROW, Dataset
from toolkit.models.features import OF_SIGNAL, Entries, check_features, default_features, entries_of, feature_values
from toolkit.models.judging import resimulate
from toolkit.models.labels import LabelRule
from toolkit.models.outcome import profits
from toolkit.models.paths import NEVER, Outcomes, outcomes, until
from toolkit.models.uniqueness import weights
from toolkit.portfolio.loading import LoadedMember
from toolkit.sweep.local import default_jobs
from toolkit.sweep.progress import Progress
from toolkit.types import FloatArray, IntArray, Records

_NOTIONAL = 1.0
# Factors of a series that are in memory at once, whatever the number of members that read them.
_AT_ONCE = 8
NEVER_FILLED, STILL_OPEN, NO_STOP = "never filled", "still open at the end", "no stop, so no R multiple"
NO_BARRIERS = "too little history for the ATR of the barriers"


@dataclass(frozen=True, eq=False)
class _Piece:
    """One member's rows, label and entries; `left_out` by why."""

    rows: Records
    y: FloatArray
    entries: tuple[tuple[IntArray, Entries], ...]  # positions in `rows`, and the entries there
    left_out: Mapping[str, int]


def make_dataset(
    loaded: Sequence[LoadedMember],
    features: Sequence[str] | None = None,
    *,
    label: LabelRule | None = None,
    judged: Mapping[str, Mapping[int, Judged]] | None = None,
    end_ms: int | None = None,
    jobs: int | None = None,
    progress: bool = False,
) -> Dataset:
    """A row an entry signal of the members' own paths whose outcome is known.

    Each member is simulated by itself at a notional of 1, with what models said of its raw entries in the loop. An
    accepted signal is labelled by its trade, a refused one by its shadow, under the same `step` and costs.

    Parameters
    ----------
    loaded : members, with the history that the features need (`load_members(..., features=...)`).
    features : names of the columns, default `default_features` of the members' intervals.
    judged : by instance id and side; None = everything is taken.
    end_ms : outcomes that were not known by then are left out, and nothing after it is looked at; None = all.
    jobs : threads, default the cores that this process may use. progress : say on stderr how far it is.

    Raises
    ------
    InputError : no members, or features that an interval of theirs does not have.
    """
    if not loaded:
        raise InputError("a dataset needs at least one instance, was given none")
    if jobs is not None and jobs < 1:
        raise InputError(f"`jobs` must be at least 1, was {jobs}")
    rule, said = label or LabelRule(), judged or {}
    intervals = dict.fromkeys(one.instance.interval for one in loaded)
    names = check_features(features or default_features(intervals), intervals)
    workers = default_jobs() if jobs is None else jobs
    shown = Progress(len(loaded), shown=progress, unit="instances")

    def piece(number: int) -> _Piece:
        one = loaded[number]
        made = _piece(number, one, said.get(one.instance.id), rule, end_ms)
        shown.add(1)
        return made

    with ThreadPoolExecutor(workers, thread_name_prefix="dataset") as pool:
        pieces = list(pool.map(piece, range(len(loaded))))
    shown.close()
    rows = np.concatenate([one.rows for one in pieces])
    x = _features(loaded, pieces, names, workers)
    y = np.concatenate([one.y for one in pieces])
    order = np.lexsort((rows["side"], rows["member"], rows["ts"]))
    rows, x, y = rows[order], x[order], y[order]
    left_out: Counter[str] = sum((Counter(one.left_out) for one in pieces), Counter())
    owners = [one.instance for one in loaded]
    data = Dataset(
        names, x, rows, tuple(one.id for one in owners), tuple(one.strategy for one in owners), rule.text, y,
        np.ones(len(rows)), dict(left_out), tuple(one.symbol for one in owners),
    )  # fmt: skip
    return replace(data, weight=weights(rows["ts"], rows["known"], data.symbol))


def _piece(
    number: int, one: LoadedMember, judged: Mapping[int, Judged] | None, rule: LabelRule, end_ms: int | None
) -> _Piece:
    cut = one if end_ms is None else until(one, end_ms)
    if not len(cut.prepared.market.open) or cut.prepared.start_t >= _end_t(cut.prepared):
        return _Piece(np.zeros(0, ROW), np.empty(0), (), {})
    found = outcomes(cut, resimulate(cut, judged, _NOTIONAL))
    rows = _rows(number, one, found)
    y = rule.of(rows["ret"], rows["r"])
    if rule.kind == "barrier":
        y = _barrier(rule, cut, rows)
    unfilled, open_ = found.trades["qty"] == 0.0, (rows["known"] == NEVER) & (found.trades["qty"] > 0.0)
    undefined = ~unfilled & ~open_ & np.isnan(y)
    kept = ~unfilled & ~open_ & ~undefined
    why = NO_BARRIERS if rule.kind == "barrier" else NO_STOP
    left_out = {NEVER_FILLED: int(unfilled.sum()), STILL_OPEN: int(open_.sum()), why: int(undefined.sum())}
    rows, y = rows[kept], y[kept]
    return _Piece(rows, y, _entries(one, rows), {why: count for why, count in left_out.items() if count})


def _rows(number: int, one: LoadedMember, found: Outcomes) -> Records:
    signals, trades = found.signals, found.trades
    rows = np.zeros(len(signals), ROW)
    rows["member"] = number
    for name in ("side", "t", "decision"):
        rows[name] = signals[name]
    rows["ts"] = (signals["t"] + 1) * one.bars.base.interval_ms
    rows["known"], rows["exit_reason"] = found.known, trades["exit_reason"]
    rows["ret"], rows["r"] = returns(trades)
    return rows


def returns(trades: Records) -> tuple[FloatArray, FloatArray]:
    """Profit after costs over the entry's notional, and over what the first stop put at risk (NaN without one);
    NaN where nothing was filled.
    """
    profit = profits(trades)
    entry, risk = trades["qty"] * trades["entry_price"], np.abs(trades["entry_price"] - trades["stop_price"])
    with np.errstate(divide="ignore", invalid="ignore"):
        ret = np.where(entry > 0.0, profit / entry, np.nan)
        r = np.where(trades["qty"] * risk > 0.0, profit / (trades["qty"] * risk), np.nan)
    return ret, r


def _barrier(rule: LabelRule, one: LoadedMember, rows: Records) -> FloatArray:
    """float64[n]; a row is known once both its own trade and the barriers' are."""
    p = rule.prepared(one.bars, one.prepared)
    y = np.full(len(rows), np.nan)
    for side, leg in p.legs.items():
        mine = np.flatnonzero(rows["side"] == side)
        trades = np.zeros(len(mine), TRADE)
        shadow_leg(side, np.ascontiguousarray(rows["t"][mine]), p.market, leg, p.rules, (p.rates, _NOTIONAL), trades)
        closed = (trades["qty"] > 0.0) & (trades["exit_reason"] != 0)
        barred = ~np.isnan(leg.distances[2:, np.searchsorted(leg.entry_t, rows["t"][mine])]).any(axis=0)
        y[mine] = np.where(closed & barred, profits(trades) > 0.0, np.nan)
        known = np.where(closed, (trades["exit_t"] + 1) * one.bars.base.interval_ms, NEVER)
        rows["known"][mine] = np.maximum(rows["known"][mine], known)
    return y


def _entries(one: LoadedMember, rows: Records) -> tuple[tuple[IntArray, Entries], ...]:
    out = []
    for side, leg in one.prepared.legs.items():
        mine = np.flatnonzero(rows["side"] == side)
        if len(mine):
            at = np.searchsorted(leg.entry_t, rows["t"][mine])
            some = leg._replace(entry_t=leg.entry_t[at], distances=np.ascontiguousarray(leg.distances[:, at]))
            out.append((mine, entries_of(one.bars, some, one.prepared.rules, side)))
    return tuple(out)


def _features(
    loaded: Sequence[LoadedMember], pieces: Sequence[_Piece], names: Sequence[str], workers: int
) -> FloatArray:
    """float64[n, k]; a factor is computed once a series, and let go of once every member has read it."""
    starts = np.concatenate([[0], np.cumsum([len(one.rows) for one in pieces])])
    x = np.empty((int(starts[-1]), len(names)))
    by_series: dict[int, tuple[Bars, list[tuple[IntArray, Entries]]]] = {}
    for number, (one, made) in enumerate(zip(loaded, pieces, strict=True)):
        group = by_series.setdefault(id(one.bars), (one.bars, []))
        group[1].extend((starts[number] + rows, entries) for rows, entries in made.entries)
    own = [k for k, name in enumerate(names) if name in OF_SIGNAL]
    factors = [k for k, name in enumerate(names) if name not in OF_SIGNAL]
    with ThreadPoolExecutor(min(workers, os.cpu_count() or 1), thread_name_prefix="features") as pool:
        for bars, wanted in by_series.values():
            if not wanted:
                continue
            for at, entries in wanted:
                x[at[:, None], own] = feature_values(bars, entries, [names[k] for k in own])
            if not factors:
                continue
            rows = np.concatenate([at for at, _ in wanted])
            nothing = np.full(len(rows), np.nan)
            every = Entries(np.concatenate([entries.bar for _, entries in wanted]), 0, nothing, nothing)

            def column(k: int, bars: Bars = bars, every: Entries = every) -> FloatArray:
                return feature_values(bars, every, [names[k]])[:, 0]

            for first in range(0, len(factors), _AT_ONCE):
                some = factors[first : first + _AT_ONCE]
                for k, values in zip(some, pool.map(column, some), strict=True):
                    x[rows, k] = values
                bars.drop_factors()
            bars.base.drop_factors()
    return x


def _end_t(prepared: Prepared) -> int:
    return prepared.market.t0 + len(prepared.market.open)
