"""Trials of an experiment in the order of what they are worth."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from toolkit.errors import RunError
from toolkit.models.controls import LEAST_TRADES
from toolkit.models.fitness import DAILY
from toolkit.models.grid import Space, Trial
from toolkit.models.parts import Part
from toolkit.models.searching import before_ranked
from toolkit.models.tally import BEFORE, BEFORE_RANK, RANK, Tally, added

Found = Mapping[tuple[int, str], Part]


def leaderboard(space: Space, found: Found, figure: str = "sortino") -> pl.DataFrame:
    """A row a trial, the best first: its axes, and all groups together before and after on the inner folds.

    `score` is the difference of the figure (after less before). A group in which a way of learning found nothing to
    learn trades as without a model. Trials with an undefined score, or with fewer than 30 trades after, come last.

    Raises
    ------
    RunError : no group has a result under any way of learning.
    """
    groups = list(dict.fromkeys(name for _, name in found))
    known = {name: tallies for name in groups if (tallies := _tallies(space, found, name))}
    if not known:
        first = next(iter(found.values()))
        raise RunError(first.error)
    rows = [_row(trial, found, known, figure) for trial in space.trials]
    axes = list(dict.fromkeys(name for trial in space.trials for name in trial.point))
    order = sorted(range(len(rows)), key=lambda k: _worth(rows[k]))
    board = [{"rank": place, **_axes(space.trials[k], axes), **rows[k]} for place, k in enumerate(order, start=1)]
    return pl.DataFrame(board, infer_schema_length=None)


def best(space: Space, board: pl.DataFrame) -> Trial:
    """The first trial of the board; `RunError` where none has a defined score and enough trades."""
    first = board.row(0, named=True)
    if _unworthy(first):
        most = max(row["trades_after"] for row in board.iter_rows(named=True))
        raise RunError(
            f"none of {board.height:,} ways has a defined score and {LEAST_TRADES} trades after the model (the most "
            f"are {most:,}); choose a longer period, or strategies that trade more often"
        )
    return space.trials[int(first["trial"])]


def failed_groups(space: Space, found: Found) -> dict[str, str]:
    """Groups without a result under any way of learning, with the reason of the first."""
    groups = list(dict.fromkeys(name for _, name in found))
    return {name: found[0, name].error for name in groups if not _tallies(space, found, name)}


def _tallies(space: Space, found: Found, name: str) -> dict[int, Tally]:
    parts = {number: found[number, name] for number in range(len(space.learning))}
    return {number: Tally.of(part) for number, part in parts.items() if not part.error}


def _row(
    trial: Trial, found: Found, known: Mapping[str, Mapping[int, Tally]], figure: str
) -> dict[str, Any]:  # fmt: skip
    total = added([_of_trial(trial, tallies) for tallies in known.values()])
    of = DAILY[figure]
    before, after = total.before(trial.recipe.method), total.daily[trial.recipe.method]
    errors = [found[trial.learning, name].error for name in known if found[trial.learning, name].error]
    return {
        "trial": trial.number,
        "score": _known(float(of(after)) - float(of(before))),
        "sortino_before": _known(float(DAILY["sortino"](before))),
        "sortino_after": _known(float(DAILY["sortino"](after))),
        "trades_before": total.trades_before(trial.recipe.method),
        "trades_after": total.trades[trial.recipe.method],
        "error": "; ".join(errors),
    }


def _of_trial(trial: Trial, tallies: Mapping[int, Tally]) -> Tally:
    """A group's days before, and after this trial, under the name of its method."""
    method = trial.recipe.method
    mine = tallies.get(trial.learning)
    base = mine or next(iter(tallies.values()))
    before = before_ranked(trial.recipe) if method == RANK else BEFORE
    after = str(trial.number) if mine is not None else before
    names = {BEFORE: BEFORE, BEFORE_RANK: before, method: after}
    return Tally(
        base.day0,
        {name: base.daily[key] for name, key in names.items()},
        trades={name: base.trades[key] for name, key in names.items()},
        members=base.members,
        rows=base.rows,
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _unworthy(row: Mapping[str, Any]) -> bool:
    return row["score"] is None or row["trades_after"] < LEAST_TRADES


def _worth(row: Mapping[str, Any]) -> tuple[bool, float, int]:
    return _unworthy(row), -(row["score"] or 0.0), row["trial"]


def _axes(trial: Trial, axes: Sequence[str]) -> dict[str, Any]:
    """The axes' values, lists and tables as JSON."""
    point = {name: trial.point.get(name) for name in axes}
    return {name: json.dumps(v) if isinstance(v, list | Mapping) else v for name, v in point.items()}
