"""When it earns: by market regime, hour and weekday."""

from datetime import date, timedelta

import polars as pl

from toolkit.analysis.portfolio_report.blocks import (
    Block,
    Cell,
    Chart,
    Column,
    Note,
    Pair,
    Row,
    Section,
    Table,
    number,
    percent,
)
from toolkit.analysis.portfolio_report.source import Source

WINDOW_DAYS = 30
TRENDS, VOLATILITIES = ("falling", "sideways", "rising"), ("calm", "normal", "wild")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HOW = (
    f"Trend is the change of a symbol's daily close over {WINDOW_DAYS} days, volatility the standard deviation of its "
    f"{WINDOW_DAYS} daily log returns. Each is cut into terciles over this run's days, symbol by symbol: a "
    f"description, not a rule that could have been traded. A trade has the regime of its own symbol on the day before "
    f"it began."
)


def regimes(closes: pl.DataFrame, first: date) -> pl.DataFrame:
    """Regime of each symbol as known at the end of each day.

    Parameters
    ----------
    closes : `date`, `symbol`, `close`. first : where terciles begin, the day before the run's first.

    Returns symbol, date, trend and volatility (0 low to 2 high), null while the window has too little history or lacks
    a close (null or NaN).
    """
    close = pl.col("close")
    known = closes.sort("symbol", "date").with_columns(close.fill_nan(None))
    moves = known.with_columns(move=close.log().diff().over("symbol"))
    measured = moves.with_columns(
        trend=(close / close.shift(WINDOW_DAYS) - 1.0).over("symbol"),
        volatility=pl.col("move").rolling_std(WINDOW_DAYS, ddof=1).over("symbol"),
    ).filter(pl.col("date") >= first)
    return measured.select("symbol", "date", *(_tercile(name) for name in ("trend", "volatility")))


def _tercile(name: str) -> pl.Expr:
    value = pl.col(name)
    low, high = (value.quantile(q, "linear").over("symbol") for q in (1 / 3, 2 / 3))
    return pl.when(value.is_not_null()).then((value > low).cast(pl.Int64) + (value > high).cast(pl.Int64)).alias(name)


def conditions(source: Source) -> Section:
    """Results by regime, hour and weekday of the entry."""
    id_, title = "conditions", "Market, hour and weekday"
    if not source.closed.height:
        return Section(id_, title, [Note("No trade has closed.", "missing")])
    blocks: list[Block] = [*_regime_blocks(source), *_clock(source)]
    return Section(id_, title, blocks, "Closed trades by the moment they were entered, UTC.")


def _regime_blocks(source: Source) -> list[Block]:
    closes = source.tables.get("closes")
    if closes is None or not closes.height:
        return [Note(source.why_not("market regimes need daily closes of the traded symbols"), "missing")]
    first: date = (source.days if source.days.height else closes)["date"].to_list()[0]
    # The regime that stood when the trade was entered is that of the last day which had closed.
    known = regimes(closes, first - timedelta(days=1)).with_columns(pl.col("date") + pl.duration(days=1))
    entered = source.closed.with_columns(date=pl.col("entry_ts").dt.date())
    joined = entered.join(known, on=["symbol", "date"], how="left")
    cells = {
        (row["trend"], row["volatility"]): row
        for row in joined.group_by("trend", "volatility").agg(*_sums()).iter_rows(named=True)
    }
    unknown = [row for key, row in cells.items() if None in key]
    scale = max((abs(row["pnl"]) for key, row in cells.items() if None not in key), default=0.0) or 1.0
    rows = [
        Row([Cell(TRENDS[t]), *(_regime_cell(cells.get((t, v)), scale) for v in range(3))]) for t in (2, 1, 0)
    ]  # fmt: skip
    columns = [Column("trend \\ volatility", numeric=False), *(Column(v) for v in VOLATILITIES)]
    blocks: list[Block] = [
        Table("regimes", columns, rows, "Profit by market regime", sortable=False),
        Note(HOW, "soft"),
    ]
    if unknown:
        n, pnl = sum(r["trades"] for r in unknown), sum(r["pnl"] for r in unknown)
        text = f"{n:,} trades ({pnl:,.2f}) have no regime: fewer than {WINDOW_DAYS} days of closes lie before them."
        blocks.append(Note(text, "soft"))
    return blocks


def _sums() -> list[pl.Expr]:
    pnl = pl.col("pnl")
    return [pl.len().alias("trades"), pnl.sum(), (pnl > 0).mean().alias("won"), pnl.mean().alias("mean")]


def _regime_cell(row: dict[str, float] | None, scale: float) -> Cell:
    if row is None:
        return Cell("-", small="no trade")
    small = f"{row['trades']:,} trades, {100 * row['won']:.0f} % won"
    return Cell(f"{row['pnl']:,.2f}", small=small, sort=row["pnl"], tint=row["pnl"] / scale)


def _clock(source: Source) -> list[Block]:
    entry = pl.col("entry_ts")
    hours = _by(source, entry.dt.hour(), range(24))
    days = _by(source, entry.dt.weekday(), range(1, 8))
    hour_names = [f"{h:02d}" for h in range(24)]
    return [
        Pair(
            _bars("hours-chart", "Profit by hour of entry", hour_names, hours),
            _bars("weekdays-chart", "Profit by weekday of entry", list(_WEEKDAYS), days),
        ),
        Pair(
            _list("hours", "hour", hour_names, hours, "The hours as a table"),
            _list("weekdays", "weekday", list(_WEEKDAYS), days, "The weekdays as a table"),
        ),
    ]


def _by(source: Source, key: pl.Expr, order: range) -> pl.DataFrame:
    """A row a key in order, those without trades included."""
    frame = pl.DataFrame({"key": list(order)}, schema={"key": pl.Int64})
    sums = source.closed.group_by(key.cast(pl.Int64).alias("key")).agg(*_sums())
    joined = frame.join(sums, on="key", how="left", maintain_order="left")
    return joined.with_columns(pl.col("trades", "pnl").fill_null(0))


def _bars(id_: str, title: str, names: list[str], table: pl.DataFrame) -> Chart:
    text = [
        f"{trades:,} trades" + (f", {100 * won:.0f} % won" if won is not None else "")
        for trades, won in table.select("trades", "won").iter_rows()
    ]
    return Chart(id_, title, {"kind": "bars", "x": names, "y": table["pnl"].to_list(), "text": text, "unit": "money"})


def _list(id_: str, what: str, names: list[str], table: pl.DataFrame, folded: str) -> Table:
    rows = [
        Row(
            [
                Cell(name, sort=float(k)), number(r["trades"], digits=0), percent(r["won"], 1), number(r["pnl"]),
                number(r["mean"]),
            ]
        )
        for k, (name, r) in enumerate(zip(names, table.iter_rows(named=True), strict=True))
    ]  # fmt: skip
    heads = (Column("trades"), Column("won"), Column("profit"), Column("a trade"))
    return Table(id_, [Column(what, numeric=False), *heads], rows, folded=folded)
