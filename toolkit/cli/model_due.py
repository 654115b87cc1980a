"""`toolkit model train --due`: what the clock of retraining asks for now, for cron."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.cli.machine import print_json
from toolkit.cli.retrain import retrain_policy
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.models.due import Due

Clock = tuple[str | None, int | None, str | None, str | None]
_STATES = ("trained", "due", "not learned", "not due")


def check_undue(clock: Mapping[str, Any]) -> None:
    """An option of the clock without `--due` is refused, not passed over."""
    for option, value in clock.items():
        if value:
            raise InputError(f"{option} says when a model is due, and this trains now; add --due, or leave it out")


def check_due(others: Mapping[str, Any]) -> None:
    """An option that has no meaning with `--due` is refused, not passed over."""
    for option, value in others.items():
        if value:
            raise InputError(
                f"{option} is not for --due, which trains a recipe as it is, by its clock; leave it out, or train "
                f"without --due"
            )


def train_what_is_due(
    source: str | None, recipe: str | None, clock: Clock, given: Mapping[str, Any], *, dry_run: bool, out: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Train what is due and say so, a row a group.

    recipe : a recipe.toml or an experiment; None = as the newest version was made. clock : every, min_trades, window,
    latency. given : other arguments of `due.train_due` by name.
    """
    from toolkit.models.due import train_due
    from toolkit.models.recipe_file import read_recipe

    found = None if recipe is None else read_recipe(recipe, out)
    told = {name: value for name, value in given.items() if value is not None}
    rows = train_due(
        source or "latest", found, retrain_policy(*clock), dry_run=dry_run, root=out, progress=True, **told
    )  # fmt: skip
    if as_json:
        print_json({"groups": [asdict(row) for row in rows]})
        return
    for row in rows:
        print(_line(row))
    counts = {state: sum(row.state == state for row in rows) for state in _STATES}
    print(", ".join(f"{count:,} {state}" for state, count in counts.items() if count))


def _line(row: "Due") -> str:
    from toolkit.bars.series import utc

    if row.state == "not due":
        return f"{row.group}: not due, {row.note}"
    assert row.cutoff_ms is not None
    when = f"{row.rows:,} outcomes up to {utc(row.cutoff_ms)}"
    if row.version is None or row.holds_from_ms is None:
        return f"{row.group}: {row.state}, {row.note or when}"
    return f"{row.group}: {row.version}, learned from {when}, counts from {utc(row.holds_from_ms)}"
