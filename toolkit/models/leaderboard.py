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
    learn trades as without a model. Trials with an undefined score, or with fewer than 30 trades after, come last, and
    before them those with a group that has an error.

    Raises
    ------
    RunError : no group has a result under any way of learning.
    """
    failed = failed_groups(space, found)
    known = [name for name in _groups(found) if name not in failed]
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
    ways = range(len(space.learning))
    return {name: found[0, name].error for name in _groups(found) if all(found[way, name].error for way in ways)}


def _groups(found: Found) -> list[str]:
    return list(dict.fromkeys(name for _, name in found))


def _row(trial: Trial, found: Found, known: Sequence[str], figure: str) -> dict[str, Any]:
    total = added([tally for name in known if (tally := tally_of_trial(trial, found, name)) is not None])
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


def tally_of_trial(trial: Trial, found: Found, group: str) -> Tally | None:
    """A group's days before, and after one trial, under the name of its method.

    Where its way of learning has no result, after is before; None where no way has one.
    """
    mine = found[trial.learning, group]
    parts = [mine, *(part for (_, name), part in found.items() if name == group)]
    first = next((part for part in parts if not part.error), None)
    if first is None:
        return None
    return _of_trial(trial, Tally.of(first), found=not mine.error)


def _of_trial(trial: Trial, base: Tally, *, found: bool) -> Tally:
    method, number = trial.recipe.method, str(trial.number)
    before = before_ranked(trial.recipe) if method == RANK else BEFORE
    names = {BEFORE: BEFORE, BEFORE_RANK: before, method: number if found else before}
    # Another way of learning, in whose place before stands, did not rank by these slots.
    known = {name: key if key in base.daily else BEFORE for name, key in names.items()}
    controls = {name: {method: made[number]} for name, made in base.controls.items() if found and number in made}
    return Tally(
        base.day0,
        {name: base.daily[key] for name, key in known.items()},
        controls=controls,
        trades={name: base.trades[key] for name, key in known.items()},
        members=base.members,
        rows=base.rows,
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _unworthy(row: Mapping[str, Any]) -> bool:
    return row["score"] is None or row["trades_after"] < LEAST_TRADES


def _worth(row: Mapping[str, Any]) -> tuple[bool, bool, float, int]:
    return _unworthy(row), bool(row["error"]), -(row["score"] or 0.0), row["trial"]


def _axes(trial: Trial, axes: Sequence[str]) -> dict[str, Any]:
    """The axes' values, lists and tables as JSON."""
    point = {name: trial.point.get(name) for name in axes}
    return {name: json.dumps(v) if isinstance(v, list | Mapping) else v for name, v in point.items()}
