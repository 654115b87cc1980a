"""Ways of learning beside each other: all groups together and each by itself, before and after, with controls."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from toolkit.models.controls import FUTURE, NOISE, PAST, PERMUTED, control_gains
from toolkit.models.grid import Space, Trial
from toolkit.models.leaderboard import Found, tally_of_trial
from toolkit.models.parts import Part
from toolkit.models.significance import Comparison, compare
from toolkit.models.tally import Tally, added
from toolkit.types import FloatArray

TOGETHER = "all together"
CONTROL_COLUMNS: Mapping[str, str] = {
    PERMUTED: "control_permuted", NOISE: "control_noise", PAST: "control_past", FUTURE: "control_future",
}  # fmt: skip
"""Column of each control: its difference of the figure, by the same way of learning and applying."""


def comparison(space: Space, found: Found, figure: str = "sortino", seed: int = 0) -> pl.DataFrame:
    """A row a trial and group, and a trial over all groups together, in the order of the trials.

    A group in which a way of learning has no result is a row with its sentence in `error`, and in the row of all
    together it trades as without a model, so that every such row is of the same groups.

    Columns: `group, trial, backend, settings, method`, trades, Sortino, Sharpe, profit (in notionals of one trade) and
    worst fall from a peak (`drawdown`) before and after, `difference` of the figure with its 95 % interval, what the
    controls made of it, seconds and the most memory (MB) of a fit, and `error`.
    """
    groups = list(dict.fromkeys(name for _, name in found))
    rows = [row for trial in space.trials for row in _rows(trial, found, groups, figure, seed)]
    return pl.DataFrame(rows, infer_schema_length=None)


def _rows(
    trial: Trial, found: Found, groups: Sequence[str], figure: str, seed: int
) -> Iterator[dict[str, Any]]:  # fmt: skip
    parts = {name: found[trial.learning, name] for name in groups}
    tallies = {name: tally for name in groups if (tally := tally_of_trial(trial, found, name)) is not None}
    recipe = trial.recipe
    settings = ", ".join(f"{name} {value}" for name, value in recipe.settings.items())
    named = {"trial": trial.number, "backend": recipe.backend, "settings": settings, "method": recipe.method}
    if tallies:
        errors = "; ".join(part.error for part in parts.values() if part.error)
        figures = _figures(added(list(tallies.values())), recipe.method, figure, seed)
        yield {"group": TOGETHER, **named, **figures, **_costs(list(parts.values())), "error": errors}
    for name in groups:
        part = parts[name]
        if part.error:
            yield {"group": name, **named, "error": part.error}
        else:
            figures = _figures(tallies[name], recipe.method, figure, seed)
            yield {"group": name, **named, **figures, **_costs([part]), "error": ""}


def _figures(tally: Tally, method: str, figure: str, seed: int) -> dict[str, Any]:
    before, after = tally.before(method), tally.daily[method]
    found = compare(before, after, figure=figure, seed=seed)
    runs = {name: made[method] for name, made in tally.controls.items() if method in made}
    gains = control_gains(runs, before, figure)
    return {
        "trades_before": tally.trades_before(method), "trades_after": tally.trades[method],
        **_compared(found),
        "drawdown_before": _drawdown(before), "drawdown_after": _drawdown(after),
        **{column: _known(gains.get(name, math.nan)) for name, column in CONTROL_COLUMNS.items()},
    }  # fmt: skip


def _compared(found: Comparison) -> dict[str, Any]:
    names = (
        "sortino_before", "sortino_after", "difference", "low", "high", "sharpe_before", "sharpe_after",
        "profit_before", "profit_after",
    )  # fmt: skip
    told = asdict(found)
    return {name: _known(told[name]) for name in names}


def _drawdown(daily: FloatArray) -> float:
    """The largest fall of the sum of the days from its highest point, in notionals of a trade."""
    equity = np.concatenate([[0.0], np.cumsum(daily)])
    return float((np.maximum.accumulate(equity) - equity).max())


def _costs(parts: Sequence[Part]) -> dict[str, Any]:
    told = [part.facts["facts"] for part in parts if not part.error]
    peaks = [one["peak_mb"] for one in told if one.get("peak_mb")]
    return {"secs": sum(one["secs"] for one in told), "peak_mb": max(peaks, default=None)}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
