"""A portfolio's result in one table for machines (`results.json`), and in a few lines for people."""

import math
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from toolkit.analysis.texts import HEADLINE, SYNTHETIC, figure, label
from toolkit.bars.series import utc
from toolkit.portfolio.account import group_figures

if TYPE_CHECKING:
    from toolkit.portfolio.result import PortfolioResult

SCHEMA = "lockstep.results/1"
_GROUP = ("trades", "pnl", "win_rate", "profit_factor", "sharpe", "max_drawdown", "fees")
_HALTS = {1: "daily loss", 2: "drawdown"}


def results_of(result: "PortfolioResult", run_id: str) -> dict[str, Any]:
    """What `results.json` holds: strict JSON, null where a figure is not defined."""
    run = result.run
    whole = {
        "schema": SCHEMA,
        "run_id": run_id,
        "synthetic": is_synthetic(result),
        "period": {"start": utc(run.start_ms), "end": utc(run.end_ms)},
        "capital": run.capital,
        "figures": result.metrics,
        "variants": {name: dict(variant.figures) for name, variant in result.variants.items()},
        "strategies": strategies(result),
        "instances": instances(result).to_dicts(),
        "audit": audit_counts(result),
        "halts": halts(result),
        "drift": drift(result),
        "ambiguity": result.ambiguity,
        "ended_early": ended_early(result),
        "never_traded": never_traded(result),
        "combinations_tried": result.origin.combinations_tried,
        "in_sample": in_sample(result),
        "models": models(result),
        "notes": list(result.notes),
        "config": result.config,
    }
    return {name: strict(value) for name, value in whole.items()}


def strict(value: Any) -> Any:
    """`value` as strict JSON can hold it: null for NaN and infinity, plain numbers for numpy's."""
    if isinstance(value, Mapping):
        return {str(name): strict(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [strict(one) for one in value]
    if isinstance(value, np.generic):
        return strict(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def is_synthetic(result: "PortfolioResult") -> bool:
    return any(m.bars.base.exchange == "synthetic" for m in result.run.members)


def in_sample(result: "PortfolioResult") -> bool | None:
    """Whether candidates or weights were chosen on days that they are tested on here; None where that is not known."""
    return result.origin.seen(result.run.start_ms, result.run.end_ms)


def strategies(result: "PortfolioResult") -> list[dict[str, Any]]:
    """A row a strategy: what its instances together made in the portfolio."""
    of_member = [m.instance.strategy for m in result.run.members]
    counts = pl.Series("strategy", of_member).value_counts().rename({"count": "instances"})
    table = group_figures(result, "strategy", of_member).join(counts, on="strategy", how="left")
    return table.sort("pnl", "strategy", descending=[True, False]).select("strategy", "instances", *_GROUP).to_dicts()


def models(result: "PortfolioResult") -> list[dict[str, Any]] | None:
    """A row a group: its versions, and what it said of its members' own signals; None where no model judged."""
    if result.models is None:
        return None
    from toolkit.models.tables import groups_table

    return groups_table(result.models, result.predictions).to_dicts()


def instance_metrics(result: "PortfolioResult") -> pl.DataFrame:
    """The `metrics` table: a row an instance, what it did in the portfolio; see `account.group_figures`."""
    names = [
        {
            "instance": one.id, "strategy": one.strategy, "symbol": one.symbol, "interval": one.interval,
            "side": one.rules.side,
        }
        for one in (m.instance for m in result.run.members)
    ]  # fmt: skip
    weight = last_weights(result)
    table = pl.DataFrame(names).with_columns(pl.col("instance").replace_strict(weight, default=0.0).alias("weight"))
    return table.join(group_figures(result, "instance", [row["instance"] for row in names]), on="instance", how="left")


def last_weights(result: "PortfolioResult") -> dict[str, float]:
    """The weight of each instance at the end of the run."""
    return result.schedule.at(result.run.end_ms)


def instances(result: "PortfolioResult") -> pl.DataFrame:
    """A row an instance with its figures of `results.json`."""
    columns = ("instance", "strategy", "symbol", "interval", "side", "weight", *_GROUP)
    return instance_metrics(result).select(columns).sort("pnl", "instance", descending=[True, False])


def audit_counts(result: "PortfolioResult") -> dict[str, Any]:
    """How many entries were accepted, clipped, rejected and vetoed, and for which reasons they got less than asked."""
    audit = result.audit
    counts = dict(audit["decision"].value_counts().iter_rows())
    less = audit.filter(pl.col("decision") != "accepted")["reason"].value_counts().sort("count", "reason")
    words = ("accepted", "clipped", "rejected", "vetoed")
    return {w: counts.get(w, 0) for w in words} | {"by_reason": dict(less.reverse().iter_rows())}


def halts(result: "PortfolioResult") -> list[dict[str, Any]]:
    """Each halt: when, why, at which equity, until when (null = to the end)."""
    return [
        {
            "ts": utc(int(row["ts"])), "kind": _HALTS[int(row["kind"])], "equity": float(row["equity"]),
            "until": None if row["until_ts"] < 0 else utc(int(row["until_ts"])),
        }
        for row in result.run.halts
    ]  # fmt: skip


def drift(result: "PortfolioResult") -> dict[str, Any]:
    """The largest exposures between decisions, as shares of equity, and on how many days a limit was exceeded by drift.

    Limits hold at a decision, at its prices; prices move afterwards.
    """
    days, limits = result.run.days, result.limits
    over = np.zeros(len(days), np.bool_)
    found: dict[str, Any] = {}
    for name in ("gross", "net", "symbol"):
        share, most = np.abs(days[f"{name}_share"]), getattr(limits, f"max_{name}")
        if name == "gross":
            most = limits.leverage if most is None else min(most, limits.leverage)
        found[f"max_{name}_share"] = float(share.max(initial=0.0))
        if most is not None:
            over |= share > most
    return found | {"days_over_limit": int(over.sum())}


def ended_early(result: "PortfolioResult") -> list[dict[str, Any]]:
    """Instances whose bars end before the run does, by more than the longest base bar."""
    run = result.run
    tolerance = max((m.bars.base.interval_ms for m in run.members), default=0)
    ends = [(m.instance, int(m.bars.base.close_ts[-1])) for m in run.members]
    return [
        {"instance": one.id, "symbol": one.symbol, "last": utc(end)}
        for one, end in ends
        if end < run.end_ms - tolerance
    ]


def never_traded(result: "PortfolioResult") -> list[dict[str, Any]]:
    """Instances without a trade, and why: no weight, no entry signal, or every one refused."""
    run = result.run
    traded, signalled = set(run.trade_member.tolist()), set(run.signal_member.tolist())
    rows = []
    for k, loaded in enumerate(run.members):
        if k in traded:
            continue
        one = loaded.instance
        column = result.schedule.instances.index(one.id) if one.id in result.schedule.instances else -1
        if column < 0 or not result.schedule.weights[:, column].any():
            why = "it had no weight"
        else:
            why = "none of its entry signals became a trade" if k in signalled else "it gave no entry signal"
        rows.append({"instance": one.id, "symbol": one.symbol, "why": why})
    return rows


def result_html(result: "PortfolioResult") -> str:
    """A result in a notebook: what it is, its main figures beside those of the variants."""
    run, variants = result.run, result.variants
    names = [name for name in HEADLINE if name in result.metrics]
    head = "".join(f"<th>{escape(text)}</th>" for text in ("", *variants))
    rows = "".join(
        f"<tr><td>{escape(label(n))}</td>"
        + "".join(f"<td>{figure(n, v.figures.get(n))}</td>" for v in variants.values())
        + "</tr>"
        for n in names
    )
    warnings = [SYNTHETIC] if is_synthetic(result) else []
    said = "".join(f"<p><b>{escape(text)}</b></p>" for text in (*warnings, *result.notes))
    title = f"Portfolio of {len(run.members)} candidates, {utc(run.start_ms)} to {utc(run.end_ms)}"
    return f"<h4>{escape(title)}</h4>{said}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
