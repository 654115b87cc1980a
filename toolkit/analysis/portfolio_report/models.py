"""Models that judged the entries while the account ran: what they let through and refused, when they were learned."""

from typing import Any

import polars as pl

from toolkit.analysis.portfolio_report.blocks import (
    Block,
    Cell,
    Column,
    Note,
    Row,
    Section,
    Table,
    missing,
    number,
    percent,
    words,
)
from toolkit.analysis.portfolio_report.source import Source

LEAD = (
    "Each version was learned from what was known at its cut-off, and judges the entries from then (and the time that "
    "learning takes) until the next one. The figures here are of every instance alone; what the account made with and "
    "without models stands at the top, as portfolio and no model."
)


def models(source: Source) -> Section | None:
    """The groups and their versions; nothing where no model judged."""
    groups = source.results.get("models")
    if not groups:
        return None
    blocks: list[Block] = [_groups(groups), *_versions(source.tables.get("model_versions"))]
    return Section("models", "Models", blocks, LEAD)


def _groups(groups: list[dict[str, Any]]) -> Table:
    columns = [
        Column("model of", numeric=False), Column("versions"), Column("not learned"), Column("signals"),
        Column("judged"), Column("refused"), Column("mean return, taken"), Column("mean return, refused"),
    ]  # fmt: skip
    counts = ("versions", "failed", "signals", "judged", "vetoed")
    rows = [
        Row(
            [
                words(str(row["group"])), *(_count(row.get(name)) for name in counts),
                percent(row.get("return_taken"), 3), percent(row.get("return_refused"), 3),
            ]
        )
        for row in groups
    ]  # fmt: skip
    return Table("model-groups", columns, rows, "What they said", tall=len(rows) > 15)


def _count(value: float | None) -> Cell:
    return Cell("-") if missing(value) else number(value, digits=0)


def _versions(table: pl.DataFrame | None) -> list[Block]:
    if table is None or not table.height:
        return [Note("Their versions are not in this run's folder.", "missing")]
    columns = [
        Column("version", numeric=False), Column("holds from, UTC", numeric=False),
        Column("learned from, UTC", numeric=False), Column("outcomes"), Column("seconds"),
        Column("why not", numeric=False, wide=True),
    ]  # fmt: skip
    rows = []
    for row in table.iter_rows(named=True):
        window = f"{row['trained_from']:%Y-%m-%d %H:%M} to {row['trained_until']:%Y-%m-%d %H:%M}"
        name, note = row["version"] or row["group"], row["note"] or ""
        held = words(f"{row['from_ts']:%Y-%m-%d %H:%M}") if row["version"] else Cell("-")
        cells = [words(name), held, words(window), number(row["rows"], digits=0), number(row["secs"]), words(note)]
        rows.append(Row(cells))
    return [Table("model-versions", columns, rows, folded=f"All {len(rows)} trainings", tall=len(rows) > 15)]
