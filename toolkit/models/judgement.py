"""Tallies as figures, tables and a verdict: for one group, for all of them together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from toolkit.models.controls import CONTROLS, FUTURE, PAST, PERMUTED, Verdict, control_gains, verdict
from toolkit.models.fitness import DAILY
from toolkit.models.significance import Comparison, as_table, compare, difference_interval
from toolkit.models.tally import BEFORE, BEFORE_RANK, Tally
from toolkit.types import FloatArray

FIGURE = "sortino"
_EXPECTED = {FUTURE: "far above 0, what a leak would look like", PAST: "less than the model, what it tells is old"}
_NOTHING = "what trading less is worth by itself, near 0 for strategies that lose nothing"


def compared(tally: Tally, *, trials: int, seed: int) -> dict[str, Comparison]:
    """By method, after beside before."""
    return {
        method: compare(
            tally.before(method), tally.daily[method], permuted=tally.permuted.get(method), trials=trials,
            figure=FIGURE, seed=seed,
        )
        for method in tally.methods
    }  # fmt: skip


@dataclass(frozen=True)
class Controlled:
    """What a control made: the mean difference of its runs, and the middle 95 % of them (of one: of resampled days)."""

    control: str
    method: str
    runs: int
    before: float
    difference: float
    low: float
    high: float


def controlled(tally: Tally, method: str, *, seed: int) -> list[Controlled]:
    """Every control under one method."""
    before = tally.before(method)
    runs = {name: by_method[method] for name, by_method in tally.controls.items() if method in by_method}
    if tally.controls and method in tally.permuted:
        runs = {PERMUTED: tally.permuted[method], **runs}
    gains, base = control_gains(runs, before, FIGURE), float(DAILY[FIGURE](before))
    return [
        Controlled(name, method, len(days), base, gains[name], *_spread(before, days, seed))
        for name, days in runs.items()
    ]  # fmt: skip


def _spread(before: FloatArray, runs: FloatArray, seed: int) -> tuple[float, float]:
    if len(runs) == 1:
        return difference_interval(before, runs[0], figure=FIGURE, seed=seed)
    gains = DAILY[FIGURE](runs) - float(DAILY[FIGURE](before))
    known = gains[np.isfinite(gains)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def judged(tally: Tally, chosen: str, *, trials: int, seed: int) -> dict[str, Any]:
    """A tally as `results.json` has it.

    Returns
    -------
    `methods` (a comparison each, with trades), `controls` (a row each), `against` (by method, why its improvement does
    not survive; nothing where it does), and `verdict` of the chosen method, in words too.
    """
    found = compared(tally, trials=trials, seed=seed)
    beside = {method: controlled(tally, method, seed=seed) for method in found}
    said = {
        method: verdict(one, tally.trades.get(method, 0), {c.control: c.difference for c in beside[method]})
        for method, one in found.items()
    }
    first = chosen if chosen in said else next(iter(said), None)
    return {
        "methods": {method: {**as_table(one), **_trades(tally, method)} for method, one in found.items()},
        "controls": [_control(one) for controls in beside.values() for one in controls],
        "against": {method: list(one.against) for method, one in said.items()},
        "verdict": _verdict(first, said),
    }


def _verdict(chosen: str | None, said: Mapping[str, Verdict]) -> dict[str, Any]:
    if chosen is None:
        why = "nothing was compared, a member alone cannot be ranked"
        return {"method": None, "survives": False, "text": f"No improvement: {why}.", "against": [why]}
    one = said[chosen]
    return {"method": chosen, "survives": one.survives, "text": one.text, "against": list(one.against)}


def _trades(tally: Tally, method: str) -> Mapping[str, int | None]:
    return {"trades_before": tally.trades_before(method), "trades_after": tally.trades.get(method)}


def _control(one: Controlled) -> dict[str, Any]:
    row = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in asdict(one).items()}
    return {**row, "text": CONTROLS.get(one.control, ""), "expected": _EXPECTED.get(one.control, _NOTHING)}


def daily_frame(tally: Tally) -> pl.DataFrame:
    """A row a UTC day: `date`, profit before, before with rank's slots where there are any, and after each method."""
    n = len(tally.daily[BEFORE])
    dates = pl.Series("date", np.arange(tally.day0, tally.day0 + n), dtype=pl.Int32).cast(pl.Date)
    names = [BEFORE, *([BEFORE_RANK] if BEFORE_RANK in tally.daily else []), *tally.methods]
    return pl.DataFrame({name: tally.daily[name] for name in names}).insert_column(0, dates)


def permutation_frame(tally: Tally) -> pl.DataFrame | None:
    """A row a permutation: the difference that the same learning made of permuted labels, by method."""
    if not tally.permuted or not all(len(values) for values in tally.permuted.values()):
        return None
    of = DAILY[FIGURE]
    columns = {
        method: of(values) - float(of(tally.before(method))) for method, values in tally.permuted.items()
    }  # fmt: skip
    return pl.DataFrame({"permutation": np.arange(len(next(iter(columns.values())))), **columns})


def group_frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """A row a group and method, flat: what `results.json` has under `by_group`."""
    flat = [
        {"group": one["group"], "method": method, "members": one["members"], "rows": one["rows"], **cells,
         "against": "; ".join(one["against"][method])}
        for one in rows for method, cells in one["methods"].items()
    ]  # fmt: skip
    return pl.DataFrame(flat, infer_schema_length=None)


def fold_frame(facts: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    """A row a group, judged block and method: what it was learned from, and what was chosen in its training part.

    facts : of each group's tally.
    """
    rows = [
        {
            "group": name, "from": fold["from_ms"], "to": fold["to_ms"], "rows": fold["rows"], "method": method,
            **{key: applied[key] for key in ("threshold", "fraction", "cap", "payoff")}, "note": fold["note"],
        }
        for name, told in facts.items()
        for fold in told.get("folds", [])
        for method, applied in fold["applied"].items()
    ]  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(
        pl.col(name).cast(pl.Datetime("ms")) for name in ("from", "to") if rows
    )


def member_frame(facts: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    """A row a member: profit (on a notional of 1 a trade) and trades, before and after each method."""
    rows = [{"group": name, **row} for name, told in facts.items() for row in told.get("by_member", [])]
    return pl.DataFrame(rows, infer_schema_length=None)
