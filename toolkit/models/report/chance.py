"""Is it luck: what the same model makes of permuted labels, of noise, and of features shifted in time."""

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
    words,
)
from toolkit.models.report.cells import chance_cell, count, interval, ratio, signed
from toolkit.models.report.source import Source


def chance(source: Source) -> Section | None:
    """The permutation test in a picture a method."""
    table = source.tables.get("permutations")
    if not source.pooled:
        return None
    if table is None or not table.height:
        text = "No permutation test was made (--permutations 0), so nothing here says how much of it is luck."
        return Section("chance", "Could it be luck", [Note(text, "missing")])
    names = [name for name in source.pooled if name in table.columns]
    first = source.chosen if source.chosen in names else None
    blocks: list[Block] = []
    for name in [first, *(n for n in names if n != first)] if first else names:
        row = source.pooled[name]
        values = [value for value in table[name].to_list() if not missing(value)]
        if not values or missing(row["difference"]):
            blocks.append(Note(f"{name}: the difference is not defined, so there is nothing to compare.", "missing"))
            continue
        data = {
            "kind": "chance", "unit": "number", "values": values, "values_name": "on permuted labels",
            "marks": [{"x": row["difference"], "name": f"the model {signed(row['difference'])}", "role": "c1"}],
        }  # fmt: skip
        caption = (
            f"Differences in {row['figure']} that the same way of learning made of permuted labels, "
            f"{row['permutations']:,} times; p = {chance_cell(row).text}."
        )
        blocks.append(Chart(f"chance-{name}-chart", f"{name} against permuted labels", data, caption, 230))
    lead = (
        "Labels are dealt out anew among the training signals, everything else stays: what the model then gains is "
        "luck. The p-value counts the model itself, so it is never 0."
    )
    beside: list[Block] = [
        Pair(blocks[k], blocks[k + 1]) if len(blocks) > k + 1 else blocks[k] for k in range(0, len(blocks), 2)
    ]
    return Section("chance", "Could it be luck", beside, lead)


def controls(source: Source) -> Section | None:
    """Negative controls, the cheat, and the verdict in words."""
    pooled = source.results.get("pooled") or {}
    rows = pooled.get("controls") or []
    if not source.pooled:
        return None
    if not rows:
        return Section("controls", "Controls", [Note("No controls were run (--no-controls).", "missing")])
    columns = [
        Column("control", numeric=False), Column("what it is", numeric=False, wide=True),
        Column("applied by", numeric=False), Column("runs"), Column("before"), Column("mean difference"),
        Column("95 % of runs", hint="of one run: of resampled days"),
    ]  # fmt: skip
    table = Table(
        "controls-table", columns,
        [
            Row(
                [
                    words(row["control"]), Cell(f"{row['text']}. Expected: {row['expected']}."),
                    words(row["method"]), count(row["runs"]), ratio(row["before"]),
                    Cell(signed(row["difference"]), sort=row["difference"]), interval(row),
                ]
            )
            for row in rows
        ],
    )  # fmt: skip
    verdict = pooled.get("verdict")
    blocks: list[Block] = [table]
    if verdict:
        blocks.append(Note(verdict["text"]))
    lead = (
        "The same learning where there is nothing to learn must come out near 0; where it is let to cheat, it must not."
    )
    return Section("controls", "Controls", blocks, lead)
