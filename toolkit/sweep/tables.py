"""What stands beside a sweep's metrics: the best combinations with trades, signals, daily equity and factors."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl

from toolkit.analysis.entry_factors import entry_factors
from toolkit.analysis.frames import Naming
from toolkit.analysis.result import BacktestResult
from toolkit.analysis.runs import RunWriter
from toolkit.bars.series import Bars
from toolkit.errors import InputError, UnknownNameError
from toolkit.sweep.parts import CSV_TIME, Pieces, stored
from toolkit.sweep.plan import Plan
from toolkit.sweep.ranking import best
from toolkit.sweep.record import record
from toolkit.sweep.room import Room
from toolkit.types import Records

CSV_MODES = ("combined", "separate", "both", "none")
TRADES_OF = ("top", "all")
MAX_RECORDED, MAX_TRADE_ROWS = 20_000, 5_000_000


@dataclass(frozen=True)
class Output:
    """What is written of the trades.

    Attributes
    ----------
    csv : trades as one CSV, one a combination, both or none. trades : of the best combinations ("top"), or of "all".
    factors : also factor values at the entries of the best.
    """

    csv: str = "combined"
    trades: str = "top"
    factors: bool = True

    def __post_init__(self) -> None:
        if self.csv not in CSV_MODES:
            raise UnknownNameError("csv mode", str(self.csv), CSV_MODES)
        if self.trades not in TRADES_OF:
            raise UnknownNameError("choice of trades", str(self.trades), TRADES_OF)

    def check(self, plan: Plan) -> None:
        """`InputError` where the trades of all combinations were asked for and there are too many."""
        if self.trades == "all" and plan.rows > MAX_RECORDED:
            raise InputError(
                f"trades of all combinations are written up to {MAX_RECORDED:,} of them, this sweep has {plan.rows:,}; "
                f"ask for those of the best (`trades` top), or make the grid smaller"
            )


def output_from(table: Mapping[str, Any]) -> Output:
    """`Output` from a table; an unknown key is refused with the nearest names."""
    known = {f.name for f in fields(Output)}
    for key in table:
        if key not in known:
            raise UnknownNameError("key of an output", key, known)
    return Output(**table)


def write_tables(plan: Plan, room: Room, writer: RunWriter, output: Output) -> None:
    """`top` with its CSV, then `trades`, `signals`, `top_equity` and `factors`, from the run's `metrics.parquet`.

    Combinations are run again one at a time with their records, and each table is written as they come.
    """
    folder, experiment = writer.folder, room.experiment
    metrics = pl.scan_parquet(folder / "metrics.parquet")
    top = best(metrics, experiment.top, experiment.by, experiment.min_trades)
    writer.write_frame("top", top, csv=True)
    ranks = dict(zip(top["instance"], top["rank"], strict=True))
    if output.trades == "all":
        _check_rows(metrics)
    chosen = range(plan.rows) if output.trades == "all" else top["combination"].to_list()
    with ExitStack() as stack:
        names = ["trades", "signals", "top_equity"]
        pieces = {n: stack.enter_context(Pieces(stack.enter_context(stored(folder / f"{n}.parquet")))) for n in names}
        factors = _Factors()
        for result in record(plan, room, chosen):
            ranked = result.instance.id in ranks
            _add(pieces, result, writer.run_id, ranked=ranked)
            if ranked and output.factors:
                factors.add(result)
            if output.csv in ("separate", "both"):
                _separate(folder / "trades", result, writer.run_id, ranks.get(result.instance.id))
        if not len(chosen):
            # Nothing is worth recording; the tables are there all the same, without rows.
            nothing = next(record(plan, room, [0]))
            _add(pieces, nothing, writer.run_id, ranked=True, empty=True)
            factors.add(nothing, empty=True)
    if output.csv in ("combined", "both"):
        _csv(folder / "trades.parquet", folder / "trades.csv")
    if output.factors:
        writer.write_frame("factors", factors.frame(), csv=True)


class _Factors:
    """Factor values at the entries of the best combinations, each factor made once a series.

    Results come symbol by symbol, and the bars of a symbol are let go when the next one begins.
    """

    def __init__(self) -> None:
        self._frames: list[pl.DataFrame] = []
        self._waiting: dict[str, tuple[Bars, list[tuple[Records, Naming]]]] = {}
        self._symbol = ""

    def add(self, result: BacktestResult, *, empty: bool = False) -> None:
        if result.instance.symbol != self._symbol:
            self._flush()
            self._symbol = result.instance.symbol
        signals = result.records.signals[:0] if empty else result.records.signals
        self._waiting.setdefault(result.instance.interval, (result.bars, []))[1].append((signals, result.naming()))

    def frame(self) -> pl.DataFrame:
        """All of them; a factor that an interval does not have is null in its rows."""
        self._flush()
        return pl.concat(self._frames, how="diagonal")

    def _flush(self) -> None:
        self._frames += [entry_factors(bars, runs) for bars, runs in self._waiting.values()]
        self._waiting.clear()


def _add(pieces: dict[str, Pieces], result: BacktestResult, run_id: str, *, ranked: bool, empty: bool = False) -> None:
    frames = {"trades": _of_run(result.trades, run_id), "signals": result.signals}
    if ranked:
        frames["top_equity"] = result.equity.select(pl.lit(result.instance.id).alias("instance"), pl.all())
    for name, frame in frames.items():
        pieces[name].add(frame.clear() if empty else frame)


def _separate(folder: Path, result: BacktestResult, run_id: str, rank: int | None) -> None:
    """Trades of one combination as `trades/001-<instance>.csv`, its rank in front where it has one."""
    name = result.instance.id if rank is None else f"{rank:03d}-{result.instance.id}"
    with stored(folder / f"{name}.csv") as out:
        _of_run(result.trades, run_id).write_csv(out, datetime_format=CSV_TIME)


def _csv(parquet: Path, file: Path) -> None:
    """The CSV twin of a table, written in pieces."""
    with stored(file) as out:
        pl.scan_parquet(parquet).sink_csv(out, datetime_format=CSV_TIME)


def _of_run(frame: pl.DataFrame, run_id: str) -> pl.DataFrame:
    return frame.with_columns(pl.lit(run_id).alias("run_id"))


def _check_rows(metrics: pl.LazyFrame) -> None:
    rows = metrics.select((pl.col("trades") + pl.col("open_trades")).sum()).collect().item()
    if rows > MAX_TRADE_ROWS:
        raise InputError(
            f"all combinations together have {rows:,.0f} trades, at most {MAX_TRADE_ROWS:,} are written; "
            f"ask for those of the best (`trades` top), or make the grid smaller"
        )
