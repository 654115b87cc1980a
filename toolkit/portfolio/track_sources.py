"""Track records of what a command is given: a run, or trades files made elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from toolkit.analysis.runs import Run, read_run
from toolkit.bars.moments import Moment, check_range, to_ms
from toolkit.errors import InputError
from toolkit.portfolio.track import FOREIGN_CAPITAL, MEMBER_COLUMNS, TrackRecord, money_only, track_from_trades
from toolkit.portfolio.trades_file import read_trades


@dataclass(frozen=True)
class Source:
    """A record and what is to be said about it.

    Attributes
    ----------
    track : the record, within the asked range.
    notes : sentences: how profits became daily returns, columns that were ignored, how the instances were found.
    """

    track: TrackRecord
    notes: tuple[str, ...]

    @property
    def first(self) -> str:
        """First UTC day of the record."""
        return str(self.track.returns["date"].min())

    @property
    def last(self) -> str:
        """Last UTC day of the record."""
        return str(self.track.returns["date"].max())


def read_source(
    given: Sequence[str], *, start: Moment | None = None, end: Moment | None = None, root: Path | None = None
) -> Source:
    """The record of a run (id, folder, or "latest": the newest sweep), or of one or many trades.csv.

    Of a sweep: its best instances, marked daily. Of other runs (a portfolio's: every instance alone), and of files: by
    trades, their profit on the day of the exit. `start` and `end` leave out trades and days not wholly inside.

    Raises
    ------
    InputError : a run and files together, no whole day in the range, or what `read_trades` raises. UnknownNameError,
    RunError : no such run.
    """
    first = None if start is None else to_ms(start, "start")
    last = None if end is None else to_ms(end, "end")
    check_range(first, last)
    files = [name for name in given if name.lower().endswith(".csv") or Path(name).is_file()]
    if len(given) != 1 and len(files) != len(given):
        raise InputError(f"give one run, or one or many trades.csv; was given {', '.join(given) or 'nothing'}")
    source = _of_files(files) if files else _of_run(read_run(given[0], root, latest_of="sweep"))
    track = source.track.between(first, last)
    if not track.returns.height:
        raise InputError(
            f"no whole UTC day of the record is in the asked range: it has {source.first} to {source.last}; change "
            f"start or end"
        )
    return Source(track, source.notes)


def _of_files(files: Sequence[str]) -> Source:
    read = read_trades(files)
    ignored = [f"{file}: ignored columns {', '.join(names)}" for file, names in read.ignored.items()]
    return Source(track_from_trades(read.trades), (*ignored, *_by_exit(read.trades)))


def _of_run(run: Run) -> Source:
    if "top_equity" in run.tables:
        return _of_sweep(run)
    table = "all_trades" if "all_trades" in run.tables else "trades"
    trades = run.frame(table)
    return Source(track_from_trades(trades), _by_exit(trades))


def _by_exit(trades: pl.DataFrame) -> tuple[str, ...]:
    said = "profits are counted on the day of the exit; the days that a trade was held are not known"
    if money_only(trades):
        return said, f"profits are known in money only, and taken as shares of a capital of {FOREIGN_CAPITAL:,.0f}"
    return (said,)


def _of_sweep(run: Run) -> Source:
    equity, top = run.frame("top_equity"), run.frame("top")
    names = top["instance"].to_list()
    if not names:
        raise InputError(f"sweep {run.run_id} has no best instances; run it with fewer `min_trades`")
    # A mark stands at the end of its day.
    day = (pl.col("ts") - pl.duration(milliseconds=1)).dt.date().alias("date")
    marked = equity.select(day, "instance", "return").pivot(
        on="instance", index="date", values="return", on_columns=names
    )  # fmt: skip
    days = marked.select(pl.date_range(pl.col("date").min(), pl.col("date").max()).alias("date"))
    returns = days.join(marked, on="date", how="left").sort("date").select("date", *names)
    members = top.with_columns(pl.col("strategy").alias("family")).select(MEMBER_COLUMNS)
    trades = run.frame("trades").filter(pl.col("instance").is_in(names))
    tried = int(run.info["combinations"])
    note = (
        f"the {len(names)} best of {tried:,} combinations of sweep {run.run_id}, found on the days of that sweep: "
        f"the best of many is luck in part"
    )
    return Source(TrackRecord(trades.with_columns(pl.col("strategy").alias("family")), returns, members), (note,))
