"""The account over time: equity beside its variants, drawdown, rolling Sharpe, exposure and margin."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from toolkit.analysis.metrics import DAYS_PER_YEAR
from toolkit.analysis.portfolio_report.blocks import Block, Chart, Note, Pair, Section, missing
from toolkit.analysis.portfolio_report.source import Source
from toolkit.analysis.texts import figure, label

_REFERENCES = {"buy_and_hold": "buy and hold", "twice_costs": "at twice the costs"}
_DAYS = {"ref": "days"}


def day_labels(source: Source) -> list[str]:
    """The x axis of every daily chart."""
    return source.days["date"].dt.strftime("%Y-%m-%d").to_list()


def equity(source: Source) -> Section:
    """Equity, drawdown and rolling Sharpe."""
    days = source.days
    if days.height < 2:
        return Section("equity", "Equity and drawdown", [Note(source.why_not("a line needs two days"), "missing")])
    lines = [_line("portfolio", days["equity"], "c1", width=2.2)]
    lines += _variants(source)
    drawdown = (days["equity"] / days["equity"].cum_max().clip(lower_bound=source.capital) - 1).to_list()
    blocks: list[Block] = [
        Chart("equity-chart", "Equity, money", {"kind": "lines", "unit": "money", "series": lines}, height=360),
        Chart(
            "drawdown-chart",
            "Drawdown from the highest equity before",
            {"kind": "lines", "unit": "percent", "series": [_line("drawdown", drawdown, "loss", fill=True)]},
            height=190,
        ),
        *_beside(source),
        *_rolling(source),
    ]
    lead = "Equity at the end of each UTC day, open trades at their mark."
    return Section("equity", "Equity and drawdown", blocks, lead)


def _line(name: str, y: pl.Series | Sequence[float | None], role: str, **more: Any) -> dict[str, Any]:
    values = y.to_list() if isinstance(y, pl.Series) else list(y)
    return {"name": name, "x": _DAYS, "y": values, "role": role, **more}


def _variants(source: Source) -> list[dict[str, Any]]:
    """A line a variant, on its own days; what it is measured against is drawn quieter."""
    table = source.tables.get("variants")
    if table is None:
        return []
    dates = (pl.col("ts") - pl.duration(milliseconds=1)).dt.strftime("%Y-%m-%d")
    lines, roles = [], iter(("c2", "c3", "c4", "c5", "c6"))
    for name in table["variant"].unique(maintain_order=True):
        if name == "portfolio":
            continue
        own = table.filter(variant=name).select(dates.alias("x"), "equity")
        quiet = name in _REFERENCES
        look = (
            {"role": "muted", "dash": "dash" if name == "buy_and_hold" else "dot"}
            if quiet
            else {"role": next(roles, "c6")}
        )
        lines.append(
            {"name": _REFERENCES.get(name, label(name)), "x": own["x"].to_list(), "y": own["equity"].to_list(), **look}
        )
    return lines


def _beside(source: Source) -> list[Block]:
    """Buy and hold and twice the costs in words, and why one of them has no line."""
    figures, table = source.results["figures"], source.tables.get("variants")
    drawn = set() if table is None else set(table["variant"].to_list())
    held, twice = figures.get("buy_and_hold_return"), figures.get("return_at_twice_costs")
    said = []
    if missing(held):
        said.append(source.why_not("buy and hold needs the bars of the symbols"))
    else:
        line = "" if "buy_and_hold" in drawn else ", without a line because its path is not kept"
        said.append(f"Buying and holding the symbols made {figure('buy_and_hold_return', held)}{line}.")
    if missing(twice):
        said.append(source.why_not("the return at twice the costs needs fees and slippage"))
    else:
        line = "" if "twice_costs" in drawn else " (a figure alone: its path is not kept)"
        made = figure("total_return", figures.get("total_return"))
        paid = figure("return_at_twice_costs", twice)
        said.append(f"The portfolio made {made}, and {paid} had it paid its fees and slippage twice{line}.")
    return [Note(" ".join(said))]


def _rolling(source: Source) -> list[Block]:
    returns = source.days["return"]
    windows = [w for w in (30, 90) if returns.len() >= 2 * w]
    if not windows:
        text = f"No rolling Sharpe: it needs 60 days, and there are {returns.len()}."
        return [Note(text, "missing")]
    series = []
    for window, role in zip(reversed(windows), ("c1", "muted"), strict=False):
        ratio = pl.col("return").rolling_mean(window) / pl.col("return").rolling_std(window, ddof=1)
        values = source.days.select((ratio * DAYS_PER_YEAR**0.5).alias("v"))["v"]
        finite = pl.Series([None if missing(v) else v for v in values.to_list()], dtype=pl.Float64)
        series.append(_line(f"{window} days", finite, role))
    return [
        Chart(
            "rolling-sharpe-chart",
            "Rolling Sharpe",
            {"kind": "lines", "unit": "number", "series": series, "zero": True},
            "Sharpe of the days behind each point, annualised with sqrt(365); no value before the window is full.",
            230,
        )
    ]


def exposure(source: Source) -> Section:
    """Gross and net exposure over equity, margin, and how many trades were open."""
    days = source.days
    if "gross_exposure" not in days.columns or not days.height:
        why = "exposure needs the account's marks at each day's end"
        return Section("exposure", "Exposure and margin", [Note(source.why_not(why), "missing")])
    limits = source.results.get("config", {}).get("limits") or {}
    series = [
        _line("gross (margin in use)", days["gross_exposure"] / days["equity"], "c1", fill=True),
        _line("net (long less short)", days["net_exposure"] / days["equity"], "c2"),
    ]
    marks: list[dict[str, Any]] = [
        {"y": float(limits[name]), "name": text}
        for name, text in (("max_gross", "gross limit"), ("leverage", "leverage limit"))
        if isinstance(limits.get(name), int | float)
    ]
    money = Chart(
        "exposure-chart",
        "Exposure, share of equity",
        {
            "kind": "lines",
            "unit": "percent",
            "series": series,
            "marks": sorted(marks, key=_height)[:1],
            "bands": _halted(days),
        },
        "The margin in use is the gross exposure. A limit holds at decisions; prices may carry the account over it.",
        280,
    )
    count = Chart(
        "open-trades-chart",
        "Open trades at each day's end",
        {"kind": "lines", "unit": "count", "series": [_line("open trades", days["open_trades"], "c3", step=True)]},
        height=280,
    )
    return Section("exposure", "Exposure and margin", [Pair(money, count)], "At the end of each UTC day.")


def _height(mark: dict[str, Any]) -> float:
    return float(mark["y"])


def _halted(days: pl.DataFrame) -> list[list[str]]:
    """First and last day of each stretch on which entries were halted."""
    if "halted" not in days.columns:
        return []
    stretch = days.select("date", "halted", run=pl.col("halted").rle_id()).filter("halted")
    spans = stretch.group_by("run", maintain_order=True).agg(
        first=pl.col("date").first().dt.strftime("%Y-%m-%d"), last=pl.col("date").last().dt.strftime("%Y-%m-%d")
    )
    return [[first, last] for first, last in spans.select("first", "last").iter_rows()]
