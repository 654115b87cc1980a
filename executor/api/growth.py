"""Equity since a deployment took effect, beside the band that its backtest predicts."""

import json
import math
from itertools import pairwise
from typing import Any

from executor.ledger import Ledger
from executor.ledger.views import DAY_MS, Fact

LINES = ("p05", "p50", "p95")
_POINTS = 600

_ACTIVE = """
    SELECT id, effective_from_ms, band FROM deployments
    WHERE id = (SELECT value FROM meta WHERE key = 'deployment')
"""
# The mark that the deployment began with; where there is none, the first after it.
_BASE = """
    SELECT COALESCE(
        (SELECT max(ts_ms) FROM equity WHERE ts_ms <= :start AND equity IS NOT NULL),
        (SELECT min(ts_ms) FROM equity WHERE equity IS NOT NULL))
"""
_SPAN = "SELECT min(ts_ms) AS first, max(ts_ms) AS last FROM equity WHERE ts_ms >= ?"
# Of each slot the last, the highest and the lowest mark (SQLite takes bare columns from the row of the extreme), and
# the marks around a cash flow, between which growth is no quotient of two marks.
_MARKS = """
    WITH kept AS (
        SELECT ts_ms, equity, ts_ms / :width AS slot FROM equity WHERE ts_ms >= :start AND equity IS NOT NULL
    ), chosen AS (
        SELECT max(ts_ms) AS ts_ms FROM kept GROUP BY slot
        UNION SELECT ts_ms FROM (SELECT ts_ms, max(equity) FROM kept GROUP BY slot)
        UNION SELECT ts_ms FROM (SELECT ts_ms, min(equity) FROM kept GROUP BY slot)
        UNION SELECT min(ts_ms) FROM kept
        UNION SELECT :base
        UNION SELECT (SELECT max(k.ts_ms) FROM kept AS k WHERE k.ts_ms < f.ts_ms) FROM cash_flows AS f
        UNION SELECT (SELECT min(k.ts_ms) FROM kept AS k WHERE k.ts_ms >= f.ts_ms) FROM cash_flows AS f
    )
    SELECT ts_ms, equity, cash, gross, net, open_trades FROM equity
    WHERE ts_ms IN (SELECT ts_ms FROM chosen) AND ts_ms >= :start AND equity IS NOT NULL ORDER BY ts_ms
"""
_FLOWS = """
    SELECT ts_ms, CASE kind WHEN 'withdrawal' THEN -abs(amount) ELSE amount END AS amount FROM cash_flows
    ORDER BY ts_ms, id
"""


def equity(ledger: Ledger, since_ms: int | None = None, points: int = _POINTS) -> Fact:
    """Marks of equity, thinned to about `points` slots of time, and how far they are from what was expected.

    Parameters
    ----------
    since_ms : the first mark's moment; None = where the deployment took effect.

    Returns
    -------
    `currency`; `deployment`, its `start_ms` (the mark that growth counts from; None before the first mark); `marks`,
    oldest first, each with its `growth`: equity over that of `start_ms`, deposits and withdrawals taken out (None
    before `start_ms`); `band`: `ts_ms` and the lines `p05, p50, p95` of growth, None where the deployment has none;
    `place`: the newest mark's `growth`, the band's lines at that moment, and `where` it is: below, inside or above;
    before or beyond the band's days.
    """
    with ledger.snapshot():
        active = ledger.rows(_ACTIVE)
        effective = active[0]["effective_from_ms"] if active else 0
        base = ledger.value(_BASE, {"start": effective})
        marks = [] if base is None else _marks(ledger, base, base if since_ms is None else since_ms, points)
        flows = [(row["ts_ms"], row["amount"]) for row in ledger.rows(_FLOWS)]
        currency = ledger.meta("currency")
    grown = _grown(marks, flows, base or 0)
    band = _band(active[0]["band"], effective) if active else None
    newest = grown[-1] if grown else None
    return {
        "currency": currency,
        "deployment": active[0]["id"] if active else None,
        "start_ms": base,
        "marks": grown if since_ms is None else [mark for mark in grown if mark["ts_ms"] >= since_ms],
        "band": band,
        "place": _place(newest, band),
    }


def _marks(ledger: Ledger, base: int, since_ms: int, points: int) -> list[Fact]:
    # What growth needs begins at its base, whatever is shown of it.
    start = min(base, since_ms)
    span = ledger.rows(_SPAN, (start,))[0]
    width = max(1, math.ceil((span["last"] - span["first"] + 1) / points))
    return [dict(row) for row in ledger.rows(_MARKS, {"start": start, "width": width, "base": base})]


def _grown(marks: list[Fact], flows: list[tuple[int, float]], base: int) -> list[Fact]:
    """Marks with their growth: the product of the quotients of neighbours, money that came in taken out of each."""
    growth: float | None = None
    found = [{**mark, "growth": 1.0 if mark["ts_ms"] == base else None} for mark in marks[:1]]
    if found and found[0]["growth"]:
        growth = 1.0
    for before, mark in pairwise(marks):
        if mark["ts_ms"] == base:
            growth = 1.0
        elif growth is not None:
            paid = math.fsum(amount for ts, amount in flows if before["ts_ms"] < ts <= mark["ts_ms"])
            growth = growth * (mark["equity"] - paid) / before["equity"] if before["equity"] > 0 else None
        found.append({**mark, "growth": growth})
    return found


def _band(text: str | None, effective: int) -> dict[str, list[Any]] | None:
    """The ledger's band, its days counted from `effective`, as moments; None where it is none."""
    if text is None:
        return None
    band = json.loads(text)
    days = band["ts"]
    return {"ts_ms": [effective + round(day * DAY_MS) for day in days], **{line: band[line] for line in LINES}}


def _place(mark: Fact | None, band: dict[str, list[Any]] | None) -> Fact | None:
    """Where a mark is in the band; between two days of it on the straight line."""
    if mark is None or mark["growth"] is None or not band:
        return None
    at, ts = mark["ts_ms"], band["ts_ms"]
    facts: Fact = {"ts_ms": at, "growth": mark["growth"]}
    if not ts or not ts[0] <= at <= ts[-1]:
        return {**facts, **dict.fromkeys(LINES), "where": "before" if ts and at < ts[0] else "beyond"}
    right = next(k for k, moment in enumerate(ts) if moment >= at)
    left = max(0, right - 1)
    share = (at - ts[left]) / (ts[right] - ts[left]) if right > left else 0.0
    lines = {line: band[line][left] + share * (band[line][right] - band[line][left]) for line in LINES}
    where = "below" if mark["growth"] < lines["p05"] else "above" if mark["growth"] > lines["p95"] else "inside"
    return {**facts, **lines, "where": where}
