"""Ways of learning beside each other, pooled and for each group."""

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.analysis.portfolio_report.blocks import (
    Block,
    Cell,
    Chart,
    Column,
    Note,
    Row,
    Section,
    Table,
    number,
    words,
)
from toolkit.models.comparison import CONTROL_COLUMNS, TOGETHER
from toolkit.models.controls import CONTROLS, FUTURE, NOISE, PAST, PERMUTED
from toolkit.models.report.cells import count, differences, interval, ratio, signed
from toolkit.models.report.source import Source

_MOST_DRAWN = 30
_SHORT = {PERMUTED: "permuted", NOISE: "noise", PAST: "past", FUTURE: "future"}
_DRAWN = {PERMUTED: "c2", NOISE: "muted"}


def backends(source: Source) -> Section | None:
    """The table of an experiment that compares ways of learning; nothing where a run compares none."""
    frame = source.tables.get("comparison")
    if frame is None or not frame.height:
        return None
    rows = list(frame.iter_rows(named=True))
    pooled = [row for row in rows if row["group"] == TOGETHER]
    apart = [row for row in rows if row["group"] != TOGETHER]
    chosen = (source.results.get("best") or {}).get("method")
    until = str((source.results.get("search") or {}).get("until", ""))[:16]
    blocks: list[Block] = [*_chart(pooled, chosen)]
    blocks.append(_table("backends-table", pooled, "All groups together"))
    blocks.append(_table("backends-groups-table", [row for row in apart if not row["error"]], "By group", fold=True))
    blocks += _failed(apart)
    lead = (
        f"The same recipe with each way of learning, on walk-forward blocks that end before {until}. A control that "
        "comes near the difference says that trading less made it, not what was learned; features of the future are "
        "the cheat. Where a way has no result for a group, that group trades without a model in the row of all."
    )
    return Section("backends", "Ways of learning", blocks, lead)


def _named(row: Mapping[str, Any]) -> str:
    return f"{row['backend']} ({row['settings']})" if row["settings"] else str(row["backend"])


def _chart(pooled: Sequence[Mapping[str, Any]], method: str | None) -> list[Block]:
    """What each way gained beside what it gained where there was nothing to learn, and the gain's interval."""
    mine = sorted((row for row in pooled if row["method"] == method), key=lambda row: -(row["difference"] or 0.0))
    rows = [(_named(row), row) for row in mine[:_MOST_DRAWN]]
    if not rows:
        return []
    bars = {"the model": ("difference", "c1"), **{_SHORT[k]: (CONTROL_COLUMNS[k], role) for k, role in _DRAWN.items()}}
    series = [
        {"name": name, "y": [row[column] for _, row in rows], "role": role,
         "text": [f"{who}, {name}: {signed(row[column])}" for who, row in rows]}
        for name, (column, role) in bars.items()
    ]  # fmt: skip
    data = {"kind": "grouped", "unit": "number", "x": [name for name, _ in rows], "series": series}
    title = f"Difference in the Sortino ratio by {method}, beside the controls"
    caption = "What permuted labels and noise gain as well is what trading less is worth."
    blocks: list[Block] = [Chart("backends-bars", title, data, caption, 300)]
    intervals = differences("backends-chart", "The same differences with their 95 % intervals", rows)
    return blocks if intervals is None else [*blocks, intervals]


def _table(id_: str, rows: Sequence[Mapping[str, Any]], title: str, *, fold: bool = False) -> Table:
    columns = [
        *([Column("group", numeric=False)] if fold else []),
        Column("learned by", numeric=False), Column("applied by", numeric=False), Column("Sortino before"),
        Column("after"), Column("gain"), Column("95 % interval"),
        *(Column(_SHORT[name], hint=f"gain of the same way: {CONTROLS[name]}") for name in CONTROL_COLUMNS),
        Column("trades before"), Column("after"), Column("profit before"), Column("after"),
        Column("worst fall", hint="of the summed days after, in notionals of one trade"),
        Column("secs"), Column("MB", hint="most, of a fit"),
    ]  # fmt: skip
    drawn = [
        Row(
            [
                *([words(row["group"])] if fold else []),
                words(_named(row)), words(row["method"]), ratio(row["sortino_before"]), ratio(row["sortino_after"]),
                Cell(signed(row["difference"]), sort=row["difference"]), interval(row),
                *(Cell(signed(row[name]), sort=row[name]) for name in CONTROL_COLUMNS.values()),
                count(row["trades_before"]), count(row["trades_after"]), number(row["profit_before"]),
                number(row["profit_after"]), number(row["drawdown_after"]), number(row["secs"], digits=0),
                number(row["peak_mb"], digits=0),
            ]
        )
        for row in rows
    ]  # fmt: skip
    return Table(id_, columns, drawn, title, tall=len(rows) > 24, folded="each group by itself" if fold else "")


def _failed(apart: Sequence[Mapping[str, Any]]) -> list[Block]:
    said = {(_named(row), row["group"]): row["error"] for row in apart if row["error"]}
    return [Note(f"{name}, {group}: {error}", "caution") for (name, group), error in said.items()]
