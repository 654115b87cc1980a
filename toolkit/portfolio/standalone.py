"""Each member alone, on a fixed notional of 1: `track_of`."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl

from toolkit.analysis.frames import RowNaming, trade_frame
from toolkit.analysis.metrics import Account, Calendar, make_calendar, summarise_one
from toolkit.engine.market import first_t
from toolkit.engine.run import run
from toolkit.engine.types import LONG, SHORT
from toolkit.errors import InputError
from toolkit.portfolio.loading import LoadedMember
from toolkit.portfolio.track import TrackRecord
from toolkit.sweep.local import default_jobs
from toolkit.types import FloatArray, Records

NOTIONAL = 1.0
# Members whose trades become one frame: a frame each would cost more than their simulation, one of all would hold
# millions of records twice.
BATCH = 32


def track_of(loaded: Sequence[LoadedMember], jobs: int | None = None) -> TrackRecord:
    """What each member does alone with a notional of 1 a trade: figures are fractions of it.

    Parameters
    ----------
    loaded : see `loading.load_members`; trades are in their order, and by entry within each.
    jobs : threads, default the cores that this process may use.

    Returns
    -------
    TrackRecord : daily returns of members are side by side on the UTC days of all of them, null on days before a
    member's first traded bar and after its last.
    """
    workers = default_jobs() if jobs is None else jobs
    if workers < 1:
        raise InputError(f"`jobs` must be at least 1, was {workers}")
    if not loaded:
        raise InputError("a track record needs at least one instance, was given none")
    batches = [loaded[k : k + BATCH] for k in range(0, len(loaded), BATCH)]
    with ThreadPoolExecutor(workers, thread_name_prefix="standalone") as pool:
        done = list(pool.map(_batch, batches))
    alone = [one for _, days in done for one in days]
    return TrackRecord(
        pl.concat([trades for trades, _ in done]),
        _returns([one.instance.id for one in loaded], alone),
        _members(loaded),
    )


def _batch(loaded: Sequence[LoadedMember]) -> tuple[pl.DataFrame, list[tuple[Calendar, FloatArray]]]:
    """Trades of some members as one frame, and each one's days with their profits; the records are forgotten."""
    trades, alone = [], []
    for one in loaded:
        records, days, daily = _alone(one)
        trades.append(records)
        alone.append((days, daily))
    return _trades(loaded, trades), alone


def _alone(one: LoadedMember) -> tuple[Records, Calendar, FloatArray]:
    """TRADE records, the days, and float64[n_days], the profit of each."""
    prepared, base = one.prepared, one.bars.base
    trades = run(prepared, NOTIONAL).trades
    days = make_calendar(base, prepared.start_t)
    account = Account(NOTIONAL, False, prepared.rates, prepared.rules.target_fill)
    long, short = (trades[trades["side"] == side] for side in (LONG, SHORT))
    _, daily, _ = summarise_one(long, short, base.open, first_t(base), account, days)
    return trades, days, daily


def _trades(loaded: Sequence[LoadedMember], trades: Sequence[Records]) -> pl.DataFrame:
    member = np.repeat(np.arange(len(loaded)), [len(records) for records in trades])
    base_ms = np.array([one.bars.base.interval_ms for one in loaded], np.int64)
    naming = RowNaming(tuple(one.instance for one in loaded), member, base_ms[member])
    families = pl.Series("family", [one.member.family for one in loaded], dtype=pl.String)
    bar = pl.Series(base_ms[member], dtype=pl.Int64).cast(pl.Duration("ms"))
    return trade_frame(np.concatenate(trades), naming).with_columns(
        families.gather(member), known_ts=pl.col("exit_ts") + bar
    )


def _returns(names: Sequence[str], alone: Sequence[tuple[Calendar, FloatArray]]) -> pl.DataFrame:
    first = min(days.day0 for days, _ in alone)
    n_days = max(days.day0 + len(daily) for days, daily in alone) - first
    table = np.full((n_days, len(alone)), np.nan, order="F")
    for column, (days, daily) in zip(table.T, alone, strict=True):
        column[days.day0 - first :][: len(daily)] = daily / NOTIONAL
    dates = pl.Series("date", np.arange(first, first + n_days), dtype=pl.Int32).cast(pl.Date)
    columns = pl.from_numpy(table, schema=list(names)).with_columns(pl.all().fill_nan(None))
    return columns.insert_column(0, dates)


def _members(loaded: Sequence[LoadedMember]) -> pl.DataFrame:
    rows = [
        (one.instance.id, one.instance.strategy, one.instance.symbol, one.instance.interval, one.instance.rules.side,
         one.member.family)
        for one in loaded
    ]  # fmt: skip
    names = ("instance", "strategy", "symbol", "interval", "side", "family")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
