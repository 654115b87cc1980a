"""What the account refused: the audit by reason, halts, drift beyond limits; and what the run was told to do."""

import json
from typing import Any

import polars as pl

from toolkit.analysis.portfolio_report.blocks import (
    Block,
    Cell,
    Code,
    Column,
    Fact,
    Facts,
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
from toolkit.analysis.texts import label

_DECISIONS = {
    "accepted": "entries that got what they asked for",
    "clipped": "entries that got less",
    "rejected": "entries that got nothing",
    "vetoed": "entries that the model refused",
}
_DRIFT = {
    "max_gross_share": ("largest gross exposure", "max_gross"),
    "max_net_share": ("largest net exposure, either way", "max_net"),
    "max_symbol_share": ("largest share in one symbol", "max_symbol"),
}


def compliance(source: Source) -> Section:
    """Decisions by outcome and reason, halts, drift."""
    audit = source.results.get("audit")
    if not audit:
        text = source.why_not("what was asked, given and refused is in an account's audit")
        return Section("compliance", "Refusals, halts and drift", [Note(text, "missing")])
    facts = [Fact(k, f"{audit.get(k, 0):,}", text, f"audit.{k}", audit.get(k, 0)) for k, text in _DECISIONS.items()]
    blocks: list[Block] = [Facts(facts), _reasons(source, audit.get("by_reason", {})), *_halts(source), *_drift(source)]
    lead = "Every entry is decided at its bar's close, in one global order, by the function that the executor calls."
    return Section("compliance", "Refusals, halts and drift", blocks, lead)


def _reasons(source: Source, counts: dict[str, int]) -> Table:
    """Decisions by reason; money asked and given from the audit table where it is kept."""
    table = source.tables.get("audit")
    money: dict[str, tuple[float, float]] = {}
    if table is not None:
        sums = table.group_by("reason").agg(pl.col("asked_notional").sum(), pl.col("given_notional").sum())
        money = {reason: (asked, given) for reason, asked, given in sums.iter_rows()}
    total = sum(counts.values()) or 1
    rows = []
    for reason, n in sorted(counts.items(), key=lambda pair: -pair[1]):
        asked, given = money.get(reason, (None, None))
        rows.append(Row([words(reason), number(n, digits=0), percent(n / total, 1), number(asked), number(given)]))
    heads = (Column("decisions"), Column("share"), Column("money asked"), Column("money given"))
    return Table("reasons", [Column("reason", numeric=False, wide=True), *heads], rows, "Decisions by reason")


def _halts(source: Source) -> list[Block]:
    halts = source.results.get("halts") or []
    if not halts:
        return [Note("No halt: neither the daily loss nor the drawdown limit was reached, or none was set.", "soft")]
    rows = [
        Row([words(_moment(h.get("ts"))), words(str(h.get("kind", "-"))), number(h.get("equity")), words(_until(h))])
        for h in halts
    ]
    columns = [Column("halted at, UTC", numeric=False), Column("why", numeric=False), Column("equity")]
    columns.append(Column("until", numeric=False))
    return [Table("halts", columns, rows, f"Halts ({len(rows)})", tall=len(rows) > 15)]


def _moment(value: Any) -> str:
    return str(value or "-").replace("T", " ").removesuffix("Z").removesuffix("+00:00")[:16]


def _until(halt: dict[str, Any]) -> str:
    until = halt.get("until", halt.get("until_ts"))
    return "the end" if until in (None, -1) else _moment(until)


def _drift(source: Source) -> list[Block]:
    drift = source.results.get("drift") or {}
    limits = dict(source.results.get("config", {}).get("limits") or {})
    # As days over a limit are counted: without a limit of its own, gross exposure has the account's leverage.
    gross = [limits[k] for k in ("max_gross", "leverage") if isinstance(limits.get(k), int | float)]
    limits["max_gross"] = min(gross, default=None)
    rows = [
        Row([words(text), percent(drift[name], 1), _limit(limits.get(limit))])
        for name, (text, limit) in _DRIFT.items()
        if not missing(drift.get(name))
    ]
    if not rows:
        return []
    columns = [Column("share of equity", numeric=False), Column("reached"), Column("limit at decisions")]
    days = drift.get("days_over_limit")
    said = f" Days over a limit: {days:,}." if isinstance(days, int) else ""
    text = "Limits hold when an entry is decided; prices then move, and the account may drift beyond them." + said
    return [Table("drift", columns, rows, "Drift", sortable=False), Note(text, "soft")]


def _limit(value: Any) -> Cell:
    return percent(float(value), 1) if isinstance(value, int | float) else Cell("none")


def configuration(source: Source) -> Section:
    """The run's configuration, data and code."""
    if source.foreign:
        shown: dict[str, Any] = {"config": source.results.get("config", {})}
    else:
        shown = {k: source.info[k] for k in ("config", "data", "seeds", "code", "versions") if k in source.info}
        shown.setdefault("config", source.results.get("config", {}))
    limits = shown["config"].get("limits") or {}
    blocks: list[Block] = []
    set_ = {k: v for k, v in limits.items() if v is not None}
    if set_:
        rows = [Row([words(label(k)), Cell(str(v))]) for k, v in set_.items()]
        columns = [Column("limit", numeric=False), Column("value", numeric=True)]
        blocks.append(Table("limits", columns, rows, "Sizing and limits", sortable=False))
    names = {"config": "Configuration", "data": "Data", "seeds": "Seeds", "code": "Code", "versions": "Versions"}
    blocks += [Code(names[k], json.dumps(v, indent=2, default=str)) for k, v in shown.items() if v]
    return Section("configuration", "Configuration", blocks)
