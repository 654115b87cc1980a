"""Single trades: how far they went for and against, how they ended, and each one on its bars."""

from typing import Any

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
    words,
)
from toolkit.analysis.portfolio_report.source import Source

MOST_SHOWN, MOST_DOTS = 500, 4000
_REASONS = {
    "stop": "stop", "target": "target", "signal": "exit signal", "max_hold": "held long enough", "rule": "exit rule",
    "trail": "trailing stop", "halt": "halt",
}  # fmt: skip


def excursions(source: Source) -> Section:
    """How far trades went against and for, and exits by reason."""
    if not source.closed.height:
        return Section("excursions", "Excursions and exits", [Note("No trade has closed.", "missing")])
    blocks: list[Block] = []
    seen = source.closed.drop_nulls(["mae", "mfe", "pnl"])
    scatter: Chart | None = None
    if seen.height:
        scatter = _scatter(seen)
    else:
        blocks.append(Note(source.why_not("the worst and best price inside each trade (MAE, MFE)"), "missing"))
    ends = exits(source)
    if ends is None:
        blocks.append(Note(source.why_not("why each trade ended"), "missing"))
    if scatter and ends:
        blocks.append(Pair(scatter, ends))
    else:
        blocks += [b for b in (scatter, ends) if b is not None]
    lead = "Far left and won: the stop was lucky. High up and lost: the profit was there and was given back."
    return Section("excursions", "Excursions and exits", blocks, lead if scatter else "")


def _scatter(seen: pl.DataFrame) -> Chart:
    drawn, caption = seen, ""
    if seen.height > MOST_DOTS:
        drawn = seen.sample(MOST_DOTS, seed=0)
        caption = f"{MOST_DOTS:,} of {seen.height:,} trades, drawn at random."
    groups = []
    for name, role, own in (
        ("won", "gain", drawn.filter(pl.col("pnl") > 0)),
        ("lost", "loss", drawn.filter(pl.col("pnl") <= 0)),
    ):
        groups.append(
            {
                "name": name, "role": role, "x": _rounded(own["mae"]), "y": _rounded(own["mfe"]),
                "ids": own["trade_id"].to_list(), "pnl": own["pnl"].round(2).to_list(),
            }
        )  # fmt: skip
    data = {"kind": "scatter", "groups": groups, "x_title": "worst, against the entry", "y_title": "best"}
    return Chart("excursions-chart", "Worst and best price of each trade, from its entry", data, caption, 380)


def _rounded(values: pl.Series) -> list[float]:
    return values.round(6).to_list()


def exits(source: Source) -> Table | None:
    """Closed trades by why they ended; None where that is not known."""
    told = source.closed.filter(pl.col("exit_reason").is_not_null())
    if not told.height:
        return None
    held = (pl.col("exit_ts") - pl.col("entry_ts")).dt.total_seconds().median()
    grouped = (
        told.group_by("exit_reason")
        .agg(
            pl.len().alias("trades"),
            (pl.col("pnl") > 0).mean().alias("won"),
            pl.col("pnl").sum(),
            pl.col("pnl").mean().alias("mean"),
            held.alias("held"),
        )
        .sort("trades", "exit_reason", descending=[True, False])
    )
    scale = max(grouped["pnl"].abs().to_list(), default=0.0) or 1.0
    rows = [
        Row(
            [
                words(_REASONS.get(r["exit_reason"], r["exit_reason"])), number(r["trades"], digits=0),
                percent(r["won"], 1), _profit(r["pnl"], scale), number(r["mean"]), duration(r["held"]),
            ]
        )
        for r in grouped.iter_rows(named=True)
    ]  # fmt: skip
    heads = ("trades", "won", "profit", "a trade", "median time held")
    return Table("exits", [Column("exit", numeric=False), *(Column(h) for h in heads)], rows, "Exits by reason")


def duration(seconds: float | None) -> Cell:
    """A time span as people say it: `45 m`, `7.5 h`, `3.2 d`."""
    if seconds is None:
        return Cell("-")
    for size, unit in ((86_400 * 2, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            divisor = 86_400 if unit == "d" else size
            return Cell(f"{seconds / divisor:,.1f} {unit}", sort=seconds)
    return Cell(f"{seconds:,.0f} s", sort=seconds)


def trade_list(source: Source) -> Section:
    """The trades that can be opened, the newest first."""
    if not source.trades.height:
        return Section("trades", "Trades", [Note("There is no trade.", "missing")])
    shown = _shown(source)
    notes: list[Block] = []
    if "trade_bars" not in source.tables:
        notes.append(Note(source.why_not("candles need the bars around each trade"), "missing"))
    if shown.height < source.trades.height:
        text = (
            f"{shown.height:,} of {source.trades.height:,} trades: the largest wins and losses and the newest. All are "
            f"in {'the file' if source.foreign else 'portfolio_trades.csv'}."
        )
        notes.append(Note(text, "soft"))
    heads = [Column(h, numeric=False) for h in ("entry, UTC", "strategy", "symbol", "side")]
    heads += [Column(h) for h in ("profit", "return", "R", "held")]
    heads.append(Column("exit", numeric=False))
    scale = max(shown["pnl"].abs().drop_nulls().to_list(), default=0.0) or 1.0
    table = Table("trades-table", heads, [_row(r, scale) for r in shown.iter_rows(named=True)], tall=True)
    lead = "Click a trade to open it on its bars, with entry, exit, stop and target."
    return Section("trades", "Trades", [*notes, table], lead if "trade_bars" in source.tables else "")


def _shown(source: Source) -> pl.DataFrame:
    """At most `MOST_SHOWN` trades: those with bars, then the newest."""
    bars = source.tables.get("trade_bars")
    with_bars = [] if bars is None else bars["trade_id"].unique().to_list()
    ranked = source.trades.with_columns(has=pl.col("trade_id").is_in(with_bars)).sort(
        "has", "entry_ts", descending=True, maintain_order=True
    )
    return ranked.head(MOST_SHOWN).sort("entry_ts", descending=True, maintain_order=True)


def _row(row: dict[str, Any], scale: float) -> Row:
    entry = f"{row['entry_ts']:%Y-%m-%d %H:%M}"
    held = None if row["exit_ts"] is None else (row["exit_ts"] - row["entry_ts"]).total_seconds()
    reason = "open" if row["exit_ts"] is None else _REASONS.get(row["exit_reason"], row["exit_reason"] or "-")
    cells = [
        words(entry), words(row["strategy"] or "-"), words(row["symbol"] or "-"), words(row["side"] or "-"),
        _profit(row["pnl"], scale), percent(row["return"]), number(row["r_multiple"]), duration(held), words(reason),
    ]  # fmt: skip
    return Row(cells, trade=row["trade_id"])


def _profit(value: float | None, scale: float) -> Cell:
    """Money, tinted; a dash for an open trade of which nothing is told."""
    return Cell("-") if value is None else Cell(f"{value:,.2f}", sort=value, tint=value / scale)


def trade_details(source: Source) -> dict[str, Any]:
    """What a click on a trade opens, by trade id: its prices, and its bars where they are kept."""
    bars = source.tables.get("trade_bars")
    parts = (
        {} if bars is None else {str(key[0]): part for key, part in bars.partition_by("trade_id", as_dict=True).items()}
    )
    wanted = set(_shown(source)["trade_id"].to_list())
    found = {}
    for row in source.trades.filter(pl.col("trade_id").is_in(list(wanted))).iter_rows(named=True):
        own = parts.get(row["trade_id"])
        found[row["trade_id"]] = {
            "title": f"{row['strategy'] or 'trade'}, {row['symbol'] or ''} {row['side'] or ''}".strip(),
            "instance": row["instance"],
            "side": row["side"],
            "times": [_ms(row["entry_ts"]), _ms(row["exit_ts"])],
            "prices": {
                name: row[f"{name}_price"]
                for name in ("entry", "exit", "stop", "target")
                if row[f"{name}_price"] is not None
            },
            "bars": None if own is None else _bars(own),
        }
    return found


def _bars(part: pl.DataFrame) -> dict[str, Any]:
    columns = {name: part[name].round_sig_figs(9).to_list() for name in ("open", "high", "low", "close")}
    return {"t": part["ts"].cast(pl.Int64).to_list(), **columns}


def _ms(moment: Any) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
