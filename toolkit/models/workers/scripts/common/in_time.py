"""Rows in order of time, as worker modules divide them: none is scored by what was learned from a later one."""

from __future__ import annotations

from typing import Any


def folds(y: Any, wanted: int, gap: int) -> Any:
    """Folds that learn from earlier rows and score on later ones, fewer than wanted where some would see one class."""
    from sklearn.model_selection import TimeSeriesSplit

    for count in range(wanted, 1, -1):
        if len(y) // (count + 1) <= gap:
            continue
        splitter = TimeSeriesSplit(count, gap=gap)
        if all(0 < y[part].mean() < 1 for split in splitter.split(y) for part in split):
            return splitter
    raise ValueError(str(len(y)) + " rows are too few for two folds in order of time with both classes in each part")


def cut(y: Any, percent: int, gap: int) -> tuple[int, int]:
    """Rows before the first of these are learned from, the second is the first that is scored."""
    score = len(y) - len(y) * percent // 100
    learn = score - gap
    if learn < 1 or score >= len(y) or not (0 < y[:learn].mean() < 1 and 0 < y[score:].mean() < 1):
        raise ValueError(
            str(len(y)) + " rows are too few to learn from the earlier ones and score on the last "
            + str(percent) + " % with both classes in each part"
        )  # fmt: skip
    return learn, score
