"""What two runs are compared by: their tables, over the period that both have, in values that compare bit for bit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from toolkit.analysis.runs import Run
from toolkit.bars.intervals import DAY_MS, interval_ms
from toolkit.bars.moments import to_ms
from toolkit.engine.sizing import REASONS, Reason
from toolkit.errors import RunError

# Table -> the columns that name a row, the moment it was made first. Rows of one name are told apart by their order.
KEYS = {
    "signals": ("ts", "signal_id"),
    "audit": ("ts", "instance", "side"),
    "orders": ("created_ts", "order_id"),
    "trades": ("signal_ts", "trade_id"),
    "equity": ("ts",),
}
# What says where a row is kept, not what was traded.
ASIDE = ("run_id", "deployment", "shadow_pnl", "model_version")
SCALE = "scale"
_UNPAID = REASONS[Reason.UNPAID]
_EXIT = (
    "exit_ts", "exit_price", "expected_exit_price", "fees", "funding", "gross_pnl", "pnl", "return", "r_multiple",
    "mae", "mfe", "bars_held",
)  # fmt: skip


@dataclass(frozen=True)
class RunTables:
    """One run as `compare` takes it.

    Attributes
    ----------
    name : how reports call it. kind : "portfolio", "replay", "dry" or "live".
    tables : signals, audit, orders, trades, equity.
    start_ms, end_ms : first moment, and the last close.
    bars : exchange, symbol, base, ts (epoch ms), open, high, low, close, volume, filled; None = not known.
    series : exchange, symbol and base of each instance that is known.
    acts : what people did to the account: verb, target, value, ts_ms.
    capital : money at the start.
    """

    name: str
    kind: str
    tables: Mapping[str, pl.DataFrame]
    start_ms: int
    end_ms: int
    bars: pl.DataFrame | None = None
    series: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    acts: tuple[Mapping[str, Any], ...] = ()
    capital: float | None = None


@dataclass(frozen=True)
class Period:
    """What both runs have. `cut` : one of them goes on, and what is known later than the end is left out of it."""

    start_ms: int
    end_ms: int
    cut: bool


def read_tables(run: Run) -> RunTables:
    """The tables of a run folder.

    Raises
    ------
    RunError : it is no portfolio's backtest and no exported session, or is damaged.
    """
    config, kind = run.info["config"], str(run.info["kind"])
    missing = sorted(set(KEYS) - set(run.tables))
    if missing:
        raise RunError(
            f"run {run.run_id} ({kind}) has no table {', '.join(missing)}; compare a portfolio's backtest or an "
            "exported session"
        )
    bars = run.frame("bars") if "bars" in run.tables else None
    members = run.frame("members").iter_rows(named=True) if "members" in run.tables else ()
    start, end = (config.get("start_ms", config.get("start")), config.get("end_ms", config.get("end")))
    return RunTables(
        run.run_id, kind, {name: run.frame(name) for name in KEYS}, _moment(start), _moment(end), bars,
        {row["instance"]: (row["exchange"], row["symbol"], row["base"]) for row in members},
        tuple(run.info.get("acts", ())), config.get("capital"),
    )  # fmt: skip


def _moment(value: Any) -> int:
    if value is None:
        raise RunError("a run without a start and an end cannot be compared; export its ledger again")
    return int(value) if str(value).isdigit() else to_ms(value, "moment of a run")


def common_period(a: RunTables, b: RunTables) -> Period:
    """The moments that both runs cover; its end is one at which no bar of theirs is half done."""
    start, end = max(a.start_ms, b.start_ms), min(a.end_ms, b.end_ms)
    if a.end_ms != b.end_ms:
        bases = {base for run in (a, b) for _, _, base in run.series.values()}
        bases |= {base for run in (a, b) if run.bars is not None for base in run.bars["base"].unique().to_list()}
        end -= end % max((interval_ms(base) for base in bases), default=1)
    return Period(start, end, (a.start_ms, a.end_ms) != (b.start_ms, b.end_ms))


def within(run: RunTables, table: str, period: Period, other: RunTables) -> pl.DataFrame:
    """A run's table as it was at the end of the period, its columns ready to be compared.

    A run's last mark of equity, where it is at no midnight, is compared only where the other has one there too.
    """
    frame = run.tables[table]
    frame = frame.drop(name for name in ASIDE if name in frame.columns)
    if SCALE in other.tables[table].columns and SCALE not in frame.columns:
        # A run without models gave every entry its whole size.
        frame = frame.with_columns(pl.lit(1.0).alias(SCALE))
    if table == "equity":
        marked = set(_ms(other.tables[table]["ts"]))
        ms = pl.col("ts").cast(pl.Int64)
        frame = frame.filter(((ms % DAY_MS == 0) | (ms != run.end_ms) | ms.is_in(marked)).fill_null(True))
    if period.cut:
        frame = _CUTS[table](frame, period.start_ms, period.end_ms)
    return frame


def _ms(times: pl.Series) -> list[int]:
    return times.drop_nulls().cast(pl.Int64).to_list()


def _made(frame: pl.DataFrame, column: str, start_ms: int, end_ms: int) -> pl.DataFrame:
    ms = pl.col(column).cast(pl.Int64)
    return frame.filter((ms >= start_ms) & (ms <= end_ms))


def _cut_signals(frame: pl.DataFrame, start_ms: int, end_ms: int) -> pl.DataFrame:
    later = pl.col("closed_ts").cast(pl.Int64).fill_null(end_ms) >= end_ms
    unpaid = later & (pl.col("reason") == _UNPAID).fill_null(False)
    return _made(frame, "ts", start_ms, end_ms).with_columns(
        pl.when(unpaid).then(pl.lit("accepted")).otherwise(pl.col("decision")).alias("decision"),
        *(pl.when(~later).then(pl.col(n)).alias(n) for n in ("reason", "closed_ts", "ignored_entries")),
    )


def _cut_audit(frame: pl.DataFrame, start_ms: int, end_ms: int) -> pl.DataFrame:
    # Whether an entry could be paid is known at its fill, in the bar that begins at that moment.
    kept = (pl.col("ts").cast(pl.Int64) < end_ms) | (pl.col("reason") != _UNPAID)
    return _made(frame, "ts", start_ms, end_ms).filter(kept)


def _cut_orders(frame: pl.DataFrame, start_ms: int, end_ms: int) -> pl.DataFrame:
    resting = pl.col("kind").is_in(["stop", "target"])
    known = ~resting | (pl.col("created_ts").cast(pl.Int64) < end_ms)
    later = pl.col("closed_ts").cast(pl.Int64).fill_null(end_ms) >= end_ms
    return (
        _made(frame, "created_ts", start_ms, end_ms)
        .filter(known)
        .with_columns(
            pl.when(later).then(pl.lit("NEW")).otherwise(pl.col("status")).alias("status"),
            pl.when(~later).then(pl.col("closed_ts")).alias("closed_ts"),
            # A market order has no price before it fills, and a trailing stop's is its last one then.
            pl.when(~later).then(pl.col("price")).alias("price"),
        )
    )


def _cut_trades(frame: pl.DataFrame, start_ms: int, end_ms: int) -> pl.DataFrame:
    later = pl.col("exit_ts").cast(pl.Int64).fill_null(end_ms) >= end_ms
    return (
        _made(frame, "signal_ts", start_ms, end_ms)
        .filter(pl.col("entry_ts").cast(pl.Int64) < end_ms)
        .with_columns(
            pl.when(later).then(pl.lit("open")).otherwise(pl.col("exit_reason")).alias("exit_reason"),
            *(pl.when(~later).then(pl.col(n)).alias(n) for n in _EXIT),
        )
    )


def _cut_equity(frame: pl.DataFrame, start_ms: int, end_ms: int) -> pl.DataFrame:
    return _made(frame, "ts", start_ms + 1, end_ms)


_CUTS = {
    "signals": _cut_signals, "audit": _cut_audit, "orders": _cut_orders, "trades": _cut_trades, "equity": _cut_equity,
}  # fmt: skip
