"""Who earned it: a table a strategy and an instance, with small lines, and how their daily returns move together."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from toolkit.analysis.portfolio_report.blocks import (
    Block,
    Cell,
    Chart,
    Column,
    Note,
    Row,
    Section,
    Table,
    missing,
    number,
    percent,
    spark,
    words,
)
from toolkit.analysis.portfolio_report.source import Source
from toolkit.analysis.texts import label

MOST_INSTANCES, MOST_CORRELATED, FEW = 500, 40, 15
_COLUMNS = ("trades", "pnl", "win_rate", "profit_factor", "sharpe", "max_drawdown", "fees")
_SHARES = {"win_rate", "max_drawdown"}
_HEADS = {"pnl": "profit"}


def strategies(source: Source) -> Section:
    """Figures a strategy and an instance."""
    rows = source.results.get("strategies", [])
    if not rows:
        return Section("strategies", "Strategies", [Note(source.why_not("figures by strategy"), "missing")])
    blocks: list[Block] = [_table("strategies-table", "strategy", rows, _profits(source, "strategy"), ("instances",))]
    instances = sorted(source.results.get("instances", []), key=lambda row: -abs(row.get("pnl") or 0.0))
    if instances:
        shown = instances[:MOST_INSTANCES]
        text = f"Instances ({len(instances):,})"
        if len(shown) < len(instances):
            text += f": the {len(shown)} that moved most money; the run's table `metrics` has all"
        what = ("symbol", "interval", "side", "weight")
        blocks.append(_table("instances-table", "instance", shown, _profits(source, "instance"), what, text))
    blocks += _idle(source)
    lead = "Closed trades and daily profit of each inside this account; the small line is its profit over time."
    return Section("strategies", "Strategies and instances", blocks, lead)


def _profits(source: Source, by: str) -> dict[str, list[float]]:
    """Profit to date by day, for each strategy or instance."""
    table = source.tables.get("instance_returns")
    if table is None:
        sums = source.closed.sort("exit_ts").group_by(by, maintain_order=True).agg(pl.col("pnl").cum_sum())
        return {name: [0.0, *values] for name, values in sums.iter_rows()}
    daily = _by_strategy(source, table, "pnl") if by == "strategy" else table.select("date", "pnl", name="instance")
    sums = daily.sort("date").group_by("name", maintain_order=True).agg(pl.col("pnl").fill_null(0.0).cum_sum())
    return {name: [0.0, *values] for name, values in sums.iter_rows()}


def _by_strategy(source: Source, table: pl.DataFrame, value: str) -> pl.DataFrame:
    """date, name, `value` of the instances of each strategy added up."""
    named = table.with_columns(name=pl.col("instance").replace_strict(source.strategy_of, default=pl.col("instance")))
    return named.group_by("date", "name", maintain_order=True).agg(pl.col(value).sum())


def _table(
    id_: str,
    by: str,
    rows: Sequence[Mapping[str, Any]],
    lines: Mapping[str, list[float]],
    what: Sequence[str],
    title: str = "",
) -> Table:
    kept = [w for w in what if any(row.get(w) is not None for row in rows)]
    columns = [Column(by, numeric=False)]
    columns += [Column(w, numeric=w in ("instances", "weight")) for w in kept]
    columns += [Column("profit over time", numeric=False), *(Column(_HEADS.get(c, label(c))) for c in _COLUMNS)]
    scale = max((abs(row.get("pnl") or 0.0) for row in rows), default=0.0)
    made = []
    for row in rows:
        cells = [_name(by, row), *(_what(w, row.get(w)) for w in kept)]
        cells.append(Cell("", sort=row.get("pnl"), spark=spark(lines.get(row[by], []))))
        made.append(Row([*cells, *(_figure(c, row.get(c), scale) for c in _COLUMNS)]))
    return Table(id_, columns, made, title, tall=len(rows) > FEW)


def _name(by: str, row: Mapping[str, Any]) -> Cell:
    """A strategy's name; an instance's strategy with what tells it apart below (the whole id does not fit a screen)."""
    whole = str(row[by])
    if by == "strategy" or not row.get("strategy"):
        return words(whole)
    short = whole.rpartition("-")[2] if whole.startswith(str(row["strategy"])) else whole
    return Cell(str(row["strategy"]), small=short, sort=whole)


def _what(name: str, value: Any) -> Cell:
    if name == "weight":
        return percent(value)
    return number(value, digits=0) if name == "instances" else words(str(value or "-"))


def _figure(name: str, value: float | None, scale: float) -> Cell:
    if name in _SHARES:
        return percent(value, 1)
    cell = number(value, digits=0 if name == "trades" else 2)
    if name == "pnl" and scale and not missing(value):
        return Cell(cell.text, sort=cell.sort, tint=(value or 0.0) / scale)
    return cell


def _idle(source: Source) -> list[Block]:
    said = []
    for key, text in (("never_traded", "never traded"), ("ended_early", "have bars that end before the period does")):
        names = [n if isinstance(n, str) else str(n.get("instance", n)) for n in source.results.get(key) or []]
        if names:
            more = f" and {len(names) - 10} more" if len(names) > 10 else ""
            said.append(Note(f"{len(names)} instances {text}: {', '.join(names[:10])}{more}.", "soft"))
    return list(said)


def correlations(source: Source) -> Section:
    """Correlation of daily returns between strategies, and between instances where they are few."""
    id_, title = "correlations", "Correlation"
    table = source.tables.get("instance_returns")
    if table is None:
        why = source.why_not("correlation needs daily returns of each strategy")
        return Section(id_, title, [Note(why, "missing")])
    by_strategy = _by_strategy(source, table, "return")
    n_strategies, n_instances = by_strategy["name"].n_unique(), table["instance"].n_unique()
    blocks: list[Block] = []
    if n_strategies > 1:
        blocks.append(_heat("strategies-heat", "Strategies", by_strategy))
    else:
        blocks.append(Note("One strategy has nothing to be correlated with.", "missing"))
    if n_strategies < n_instances <= FEW:
        blocks.append(_heat("instances-heat", "Instances", table.select("date", "return", name="instance")))
    lead = "Pearson correlation of daily returns, days without a position included. Near 0: they help each other."
    return Section(id_, title, blocks, lead)


def _heat(id_: str, title: str, daily: pl.DataFrame) -> Chart:
    moved = daily.group_by("name", maintain_order=True).agg(pl.col("return").abs().sum())
    names = sorted(moved.sort("return", descending=True)["name"].head(MOST_CORRELATED).to_list())
    left_out = moved.height - len(names)
    wide = daily.filter(pl.col("name").is_in(names)).pivot(on="name", index="date", values="return", on_columns=names)
    z = [[_correlation(wide[a], wide[b]) for b in names] for a in names]
    caption = f"The {len(names)} that moved most; {left_out} others are left out." if left_out else ""
    height = max(320, min(760, 120 + 34 * len(names)))
    return Chart(id_, title, {"kind": "heat", "labels": names, "z": z}, caption, height)


def _correlation(a: pl.Series, b: pl.Series) -> float | None:
    """None where it is not defined: no days in common, or one of them never moves."""
    both = pl.DataFrame({"a": a, "b": b}).drop_nulls()
    if both.height < 2 or both["a"].n_unique() < 2 or both["b"].n_unique() < 2:
        return None
    value = both.select(pl.corr("a", "b")).item()
    return None if missing(value) else round(float(value), 4)
