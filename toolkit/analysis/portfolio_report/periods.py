"""Returns by month and week, and how daily returns are spread."""

from datetime import date

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
    missing,
    number,
    percent,
    words,
)
from toolkit.analysis.portfolio_report.source import Source

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def period_returns(source: Source, every: str) -> pl.DataFrame:
    """`start` (first day of the calendar period), `pnl`, `return` (over the equity it began with), in order.

    `every` is "1w" (from Monday), "1mo" or "1y".
    """
    ends = (
        source.days.group_by(pl.col("date").dt.truncate(every).alias("start"), maintain_order=True)
        .agg(pl.col("equity").last())
        .with_columns(began=pl.col("equity").shift(1, fill_value=source.capital))
    )
    change = pl.col("equity") - pl.col("began")
    return ends.select(
        "start", change.alias("pnl"), pl.when(pl.col("began") > 0).then(change / pl.col("began")).alias("return")
    )


def periods(source: Source) -> Section:
    """The monthly and the weekly table."""
    if not source.days.height:
        return Section("periods", "Months and weeks", [Note(source.why_not("it needs daily equity"), "missing")])
    lead = "Each return is over the equity that the month or week began with; weeks begin on Monday, UTC."
    return Section("periods", "Months and weeks", [_months(source), _weeks(source)], lead)


def _months(source: Source) -> Table:
    months, years = period_returns(source, "1mo"), period_returns(source, "1y")
    found: dict[tuple[int, int], float] = {
        (start.year, start.month): value for start, value in months.select("start", "return").iter_rows()
    }
    scale = _scale(months["return"])
    rows = []
    for start, total in years.select("start", "return").iter_rows():
        cells = [percent(found.get((start.year, m)), 1, scale) for m in range(1, 13)]
        rows.append(Row([Cell(str(start.year), sort=start.year), *cells, percent(total, 1)]))
    columns = [Column("year", numeric=False), *(Column(m) for m in _MONTHS), Column("year's")]
    return Table("months", columns, rows, "Return by month", sortable=len(rows) > 1)


def _weeks(source: Source) -> Table:
    weeks = period_returns(source, "1w")
    ended = (
        source.closed.group_by(pl.col("exit_ts").dt.date().dt.truncate("1w").alias("start"))
        .agg(pl.len().alias("trades"), (pl.col("pnl") > 0).mean().alias("won"))
    )  # fmt: skip
    scale = _scale(weeks["return"])
    rows = []
    for row in weeks.join(ended, on="start", how="left", maintain_order="left").reverse().iter_rows(named=True):
        cells = [words(_iso(row["start"])), percent(row["return"], 2, scale), number(row["pnl"])]
        rows.append(Row([*cells, number(row["trades"] or 0, digits=0), percent(row["won"], 0)]))
    columns = [
        Column("week from", numeric=False),
        Column("return"),
        Column("profit"),
        Column("trades closed"),
        Column("won"),
    ]
    return Table("weeks", columns, rows, f"Return by week ({len(rows)})", tall=True)


def _scale(returns: pl.Series) -> float:
    """The return that gets the full colour."""
    most = returns.abs().max()
    return float(most) if isinstance(most, float) and most > 0 else 1.0


def _iso(day: date) -> str:
    return day.isoformat()


def distribution(source: Source) -> Section:
    """Daily returns as a histogram, and the numbers that describe their spread."""
    if source.days.height < 2:
        return Section("distribution", "Spread of returns", [Note(source.why_not("it needs daily equity"), "missing")])
    returns = source.days["return"]
    chart = Chart(
        "distribution-chart",
        "Daily returns: how many days",
        {"kind": "histogram", "values": returns.to_list(), "unit": "percent"},
        height=300,
    )
    blocks: list[Block] = [Pair(chart, _spread(source))]
    return Section("distribution", "Spread of returns", blocks)


def _spread(source: Source) -> Table:
    days = source.days.select("date", "return").sort("return")
    returns = days["return"]
    worst, best = days.row(0, named=True), days.row(-1, named=True)
    tail = returns.filter(returns <= returns.quantile(0.05, "linear"))
    rows = [
        ("mean", returns.mean(), 3, "of all days"),
        ("median", returns.median(), 3, ""),
        ("standard deviation", returns.std(), 2, "ddof 1"),
        ("best day", best["return"], 2, _iso(best["date"])),
        ("worst day", worst["return"], 2, _iso(worst["date"])),
        ("5 % quantile", returns.quantile(0.05, "linear"), 2, "one day in twenty was worse"),
        ("mean of that worst twentieth", tail.mean(), 2, "expected shortfall"),
    ]
    made = [Row([words(name), percent(_float(value), digits), Cell(note)]) for name, value, digits, note in rows]
    for name, value, note in (
        ("skew", returns.skew(), "below 0: the long tail is on the side of losses"),
        ("excess kurtosis", returns.kurtosis(), "above 0: more extreme days than a normal spread has"),
    ):
        made.append(Row([words(name), number(_float(value)), Cell(note)]))
    columns = [Column("daily return", numeric=False), Column("value"), Column("", numeric=False, wide=True)]
    return Table("spread", columns, made, sortable=False)


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not missing(float(value)) else None
