"""What trading cost, and what one bar does not tell."""

from collections.abc import Mapping
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
    words,
)
from toolkit.analysis.portfolio_report.source import Source
from toolkit.analysis.texts import figure

_SIGN = pl.when(pl.col("side") == "short").then(-1.0).otherwise(1.0)
_STAKES = {
    "pnl": "profit under that policy", "best_pnl": "profit in the best case", "worst_pnl": "profit in the worst case",
}  # fmt: skip


def costs(source: Source) -> Section:
    """From the profit at decision prices to the profit that is left, and the ambiguous bars."""
    blocks: list[Block] = [*_breakdown(source), *_ambiguity(source)]
    return Section("costs", "Costs and ambiguity", blocks)


def slipped() -> pl.Expr:
    """Money a trade lost (above 0) between the prices it was decided at and the prices it got; null where not known."""
    into = _SIGN * (pl.col("entry_price") - pl.col("expected_entry_price"))
    out = _SIGN * (pl.col("expected_exit_price") - pl.col("exit_price"))
    return (into + pl.when(pl.col("exit_ts").is_null()).then(0.0).otherwise(out)) * pl.col("qty")


def _breakdown(source: Source) -> list[Block]:
    # An open trade has a mark in an account; in a file of trades it has made nothing yet.
    trades = (source.closed if source.foreign else source.trades).with_columns(slipped=slipped())
    if not trades.height:
        return [Note("There is no trade that could have cost anything.", "missing")]
    if not trades["fees"].count():
        return [Note(source.why_not("costs need fees and the prices that were expected"), "missing")]
    known = trades["slipped"].count() > 0
    # What no trade tells is not known, which is not 0.
    sums = [pl.when(pl.col(c).count() > 0).then(pl.col(c).sum()) for c in ("slipped", "fees", "funding", "pnl")]
    money = pl.col("qty") * (pl.col("entry_price") + pl.col("exit_price").fill_null(0.0))
    traded = money.filter(pl.col("fees").is_not_null()).sum().alias("traded")
    table = (
        trades.group_by("strategy")
        .agg(*sums, traded)
        .sort("fees", "strategy", descending=[True, False], nulls_last=True)
    )
    total = trades.select(pl.lit("all").alias("strategy"), *sums, traded)
    heads = ["at decision prices", "lost between decision and fill"] if known else []
    heads += [
        "before fees" if not known else "fees",
        *(["fees"] if not known else []),
        "funding",
        "profit",
        "fees in bp of money traded",
    ]
    rows = [_cost_row(r, known) for r in pl.concat([table, total]).iter_rows(named=True)]
    made = Table(
        "costs-table", [Column("strategy", numeric=False), *(Column(h) for h in heads)], rows, "What trading cost"
    )
    twice = source.results["figures"].get("return_at_twice_costs")
    blocks: list[Block] = [made]
    if not missing(twice):
        once = source.results["figures"].get("total_return")
        text = f"At twice the fees and slippage the same trades return {figure('return_at_twice_costs', twice)} "
        blocks.append(Note(text + f"instead of {figure('total_return', once)}."))
    return blocks


def _cost_row(row: Mapping[str, Any], known: bool) -> Row:
    fees, slipped = row["fees"], row["slipped"]
    before = None if fees is None else row["pnl"] + fees - (row["funding"] or 0.0)
    cells = [words(row["strategy"] or "-")]
    if known:
        decided = None if before is None or slipped is None else before + slipped
        cells += [number(decided), number(_less(slipped))]
    else:
        cells.append(number(before))
    bp = 10_000 * fees / row["traded"] if fees is not None and row["traded"] else None
    return Row([*cells, number(_less(fees)), number(row["funding"]), number(row["pnl"]), number(bp)])


def _less(cost: float | None) -> float | None:
    return None if cost is None else -cost


def _ambiguity(source: Source) -> list[Block]:
    found = source.results.get("ambiguity") or {}
    trades = found.get("trades", source.results["figures"].get("ambiguous_trades"))
    if missing(trades):
        return [Note(source.why_not("trades whose one bar reached stop and target cannot be told apart"), "missing")]
    stake = found.get("pnl_at_stake", source.results["figures"].get("ambiguous_pnl"))
    text = (
        f"{trades:,.0f} trades met a bar that reached both stop and target and does not tell which came first; "
        f"{figure('ambiguous_pnl', stake)} of profit hangs on that order"
    )
    policy = found.get("policy")
    text += f". Policy {policy} decided them." if policy else "."
    blocks: list[Block] = [Note(text)]
    rows = [Row([Cell(text), number(found[k])]) for k, text in _STAKES.items() if not missing(found.get(k))]
    if rows:
        blocks.append(Table("ambiguity", [Column("", numeric=False), Column("money")], rows, sortable=False))
    return blocks
