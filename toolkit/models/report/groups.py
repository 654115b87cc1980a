"""Each group by itself, and those that have no result."""

from collections.abc import Mapping
from typing import Any

from toolkit.analysis.portfolio_report.blocks import Block, Cell, Column, Row, Section, Table, words
from toolkit.models.report.cells import chance_cell, count, differences, interval, ratio, signed
from toolkit.models.report.source import Source

_DRAWN = 30


def groups(source: Source) -> Section | None:
    """Before and after for each strategy (or instance) and way of applying."""
    found = source.results.get("by_group") or []
    if not found:
        return None
    columns = [
        Column("group", numeric=False), Column("applied by", numeric=False), Column("instances"), Column("signals"),
        Column("Sortino before"), Column("after"), Column("difference"), Column("95 % interval"), Column("p-value"),
        Column("trades before"), Column("after"), Column("does it survive", numeric=False, wide=True),
    ]  # fmt: skip
    rows = [_row(one, name, cells) for one in found for name, cells in one["methods"].items()]
    table = Table("groups-table", columns, rows, tall=len(rows) > 24)
    blocks: list[Block] = [*_chart(source, found), table]
    lead = "Each group has a model of its own; its members' days are added up."
    return Section("groups", "By strategy", blocks, lead)


def _row(one: Mapping[str, Any], name: str, cells: Mapping[str, Any]) -> Row:
    against = (one.get("against") or {}).get(name, [])
    said = "survives" if not against else against[0] + (f", and {len(against) - 1} more" if against[1:] else "")
    return Row(
        [
            words(one["group"]), words(name), count(one["members"]), count(one["rows"]), ratio(cells["sortino_before"]),
            ratio(cells["sortino_after"]), Cell(signed(cells["difference"]), sort=cells["difference"]), interval(cells),
            chance_cell(cells), count(cells.get("trades_before")), count(cells.get("trades_after")),
            Cell(said),
        ]
    )  # fmt: skip


def _chart(source: Source, found: list[Mapping[str, Any]]) -> list[Block]:
    """The chosen method's difference a group, where there are few enough to read."""
    name = source.chosen or next(iter(source.pooled), None)
    rows = [(one["group"], one["methods"][name]) for one in found if name in one["methods"]]
    if not rows or len(rows) > _DRAWN:
        return []
    title = f"Difference in {rows[0][1]['figure']} with {name}, and its 95 % interval"
    chart = differences("groups-chart", title, rows)
    return [] if chart is None else [chart]


def failures(source: Source) -> Section | None:
    """Groups without a result, each with its sentence."""
    rows = source.results.get("failures") or []
    if not rows:
        return None
    columns = [Column("group", numeric=False), Column("why", numeric=False, wide=True)]
    table = Table("failures-table", columns, [Row([words(row["group"]), Cell(row["error"])]) for row in rows])
    return Section("failures", "Without a result", [table])
