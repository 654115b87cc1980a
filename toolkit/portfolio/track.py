"""What stand-alone strategies did, day by day and trade by trade, and the wall that hides what was not yet known."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import polars as pl

from toolkit.analysis.frames import TIME
from toolkit.bars.intervals import DAY_MS
from toolkit.errors import InputError

MEMBER_COLUMNS = ("instance", "strategy", "symbol", "interval", "side", "family")
FOREIGN_CAPITAL = 100_000.0
"""What daily profits are divided by where a trades table tells profits in money only."""

_NEEDED: dict[str, Any] = {
    "instance": pl.String, "strategy": pl.String, "symbol": pl.String, "side": pl.String, "entry_ts": TIME,
    "exit_ts": TIME, "pnl": pl.Float64,
}  # fmt: skip
_OPTIONAL: dict[str, Any] = {
    "trade_id": pl.String, "interval": pl.String, "family": pl.String, "return": pl.Float64, "r_multiple": pl.Float64,
    "fees": pl.Float64,
}  # fmt: skip
_BEGUN_MS = pl.col("date").cast(pl.Datetime("ms")).dt.epoch("ms")


@dataclass(frozen=True)
class TrackRecord:
    """What stand-alone strategies did, each on a fixed notional of 1.0 (returns are fractions of it).

    Attributes
    ----------
    trades : a row a trade: at least trade_id, strategy, instance, symbol, interval, side, family, entry_ts, exit_ts
        (null: still open), pnl, return (pnl over entry notional), r_multiple and fees. `known_ts`, where it is
        there, is the close of the bar that a trade closed in.
    returns : a row a UTC day, without holes: `date` (ascending), then a Float64 column an instance: the day's profit
        over the notional; 0.0 on days without a position, null before its bars begin and after they end.
    members : a row an instance: instance, strategy, symbol, interval, side, family.
    """

    trades: pl.DataFrame
    returns: pl.DataFrame
    members: pl.DataFrame

    @property
    def instances(self) -> list[str]:
        """Ids of the instances, in the order of the columns of `returns`."""
        return [name for name in self.returns.columns if name != "date"]

    def known_at(self, moment_ms: int, lookback_ms: int | None = None) -> "TrackRecord":
        """What was known at a moment: the wall against peeking.

        Trades whose closing was known by the moment (`known_ts <= moment`; without that column `exit_ts < moment`), and
        UTC days that had ended by then; with a `lookback_ms` only trades entered, and days begun, at or after
        `moment - lookback`. A trade that was open at the moment is left out whole; the days it was held until then are
        in `returns`, marked at their ends.
        """
        exits = pl.col("exit_ts").dt.epoch("ms")
        known = (
            pl.col("known_ts").dt.epoch("ms") <= moment_ms if "known_ts" in self.trades.columns else exits < moment_ms
        )
        closed = pl.col("exit_ts").is_not_null() & known
        ended = (_BEGUN_MS + DAY_MS).le(moment_ms)
        if lookback_ms is not None:
            since = moment_ms - lookback_ms
            closed &= pl.col("entry_ts").dt.epoch("ms") >= since
            ended &= _BEGUN_MS.ge(since)
        return TrackRecord(self.trades.filter(closed), self.returns.filter(ended), self.members)

    def between(self, start_ms: int | None, end_ms: int | None) -> "TrackRecord":
        """What happened in `[start, end)`: trades entered and closed inside it, whole days of it; None is open."""
        entered, begun = pl.lit(True), pl.lit(True)
        if start_ms is not None:
            entered, begun = pl.col("entry_ts").dt.epoch("ms") >= start_ms, _BEGUN_MS.ge(start_ms)
        record = self if end_ms is None else self.known_at(end_ms)
        return TrackRecord(record.trades.filter(entered), record.returns.filter(begun), self.members)

    def only(self, instances: Collection[str]) -> "TrackRecord":
        """The same of some of the instances, in this record's order."""
        kept = [name for name in self.instances if name in set(instances)]
        chosen = pl.col("instance").is_in(kept)
        return TrackRecord(self.trades.filter(chosen), self.returns.select("date", *kept), self.members.filter(chosen))


def track_from_trades(trades: pl.DataFrame, capital: float | None = None) -> TrackRecord:
    """The record of a trades table made elsewhere (`trades_file.read_trades`), or of a run's `trades`.

    A trade's profit counts on the UTC day of its exit: nothing is known of the days before. Where every closed trade
    has a `return`, a day's return is the sum of those (each trade on a notional of 1.0); else, or where `capital` is
    given, it is the day's `pnl` over the capital (100,000 unless given). An open trade is in `trades` only. An instance
    is followed, 0.0 on days without an exit, from the first entry to the last exit (or later entry) of all trades of
    its `source` (the file it came from; without that column: of all trades), and null outside.

    Raises
    ------
    InputError : a needed column is missing (instance, strategy, symbol, side, entry_ts, exit_ts, pnl), there are no
        closed trades, or the capital is not positive.
    """
    missing = [name for name in _NEEDED if name not in trades.columns]
    if missing:
        raise InputError(f"a track record needs the columns {', '.join(_NEEDED)} of its trades; missing: {missing}")
    if capital is not None and not 0.0 < capital < float("inf"):
        raise InputError(f"capital must be a positive amount of money, was {capital}")
    table = _completed(trades)
    closed = table.filter(pl.col("exit_ts").is_not_null())
    if not closed.height:
        raise InputError(
            f"a track record needs closed trades, and none of the {trades.height} trades has an exit time; add trades"
        )
    if capital is None and not closed["return"].null_count():
        profit = pl.col("return")
    else:
        profit = pl.col("pnl") / (FOREIGN_CAPITAL if capital is None else capital)
    return TrackRecord(table, _by_exit_day(table, closed, profit), _members(table))


def money_only(trades: pl.DataFrame) -> bool:
    """Whether `track_from_trades` has to divide money by a capital: a closed trade without `return`."""
    if "return" not in trades.columns:
        return True
    return bool(trades.filter(pl.col("exit_ts").is_not_null())["return"].null_count())


def _completed(trades: pl.DataFrame) -> pl.DataFrame:
    """The table with every column that a record promises; null where it tells nothing."""
    absent = [pl.lit(None, dtype=kind).alias(name) for name, kind in _OPTIONAL.items() if name not in trades.columns]
    types = [pl.col(name).cast(kind) for name, kind in {**_NEEDED, **_OPTIONAL}.items()]
    return (
        trades.with_columns(absent)
        .with_columns(types)
        .with_columns(
            pl.col("family").fill_null(pl.col("strategy")),
            pl.col("interval").fill_null(""),
            pl.col("trade_id").fill_null(pl.format("trade-{}", pl.int_range(1, pl.len() + 1))),
        )
        .sort("entry_ts", "instance", maintain_order=True)
    )


def _by_exit_day(table: pl.DataFrame, closed: pl.DataFrame, profit: pl.Expr) -> pl.DataFrame:
    source = pl.col("source") if "source" in table.columns else pl.lit("")
    ended = pl.max_horizontal("entry_ts", "exit_ts").max().dt.date()
    spans = table.group_by(source.alias("source")).agg(
        pl.col("instance").unique(), pl.col("entry_ts").min().dt.date().alias("first"), ended.alias("last")
    )
    days = spans.select(pl.date_range(pl.col("first").min(), pl.col("last").max()).alias("date"))
    daily = closed.group_by(pl.col("exit_ts").dt.date().alias("date"), "instance").agg(profit.sum().alias("profit"))
    followed = (
        spans.explode("instance")
        .join_where(days, pl.col("date") >= pl.col("first"), pl.col("date") <= pl.col("last"))
        .select("date", "instance")
        .unique()
        .join(daily, on=["date", "instance"], how="left")
        .with_columns(pl.col("profit").fill_null(0.0))
    )
    names = sorted(table["instance"].unique().to_list())
    wide = followed.pivot(on="instance", index="date", values="profit", on_columns=names)
    return days.join(wide, on="date", how="left").sort("date").select("date", *names)


def _members(table: pl.DataFrame) -> pl.DataFrame:
    """A row an instance; where its trades differ in something, "both" sides or "several" symbols, ..."""
    told = []
    for name in MEMBER_COLUMNS[1:]:
        mixed = pl.lit("both" if name == "side" else "several")
        told.append(pl.when(pl.col(name).n_unique() > 1).then(mixed).otherwise(pl.col(name).first()).alias(name))
    return table.group_by("instance").agg(told).select(MEMBER_COLUMNS).sort("instance")
