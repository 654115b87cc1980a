"""Weights as a file: CSV with the columns `instance`, `weight`, and the days that they were learned on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from toolkit.analysis.runs import write_csv
from toolkit.bars.moments import to_ms
from toolkit.errors import InputError
from toolkit.portfolio.schedule import check_weights

_COLUMNS = ("instance", "weight")
_DAYS = ("learned_from", "learned_to")


@dataclass(frozen=True)
class WeightsFile:
    """Weights by instance, and the first and last UTC day that they were learned on (ISO; None: not known)."""

    weights: dict[str, float]
    learned: tuple[str, str] | None


def write_weights(path: str | Path, weights: Mapping[str, float], learned: tuple[str, str] | None = None) -> None:
    """Write a row an instance, those of weight 0 (off) too; whole or not at all.

    learned : first and last day that the weights were learned on, ISO; a backtest over those days says so.
    """
    checked = check_weights(weights, weights)
    frame = pl.DataFrame(
        {"instance": list(checked), "weight": list(checked.values())},
        schema={"instance": pl.String, "weight": pl.Float64},
    )
    if learned is not None:
        frame = frame.with_columns(pl.lit(day).alias(name) for name, day in zip(_DAYS, learned, strict=True))
    write_csv(Path(path), frame)


def read_weights(path: str | Path) -> WeightsFile:
    """Weights by instance, and what they were learned on.

    Raises
    ------
    InputError : names file, row, value, rule and remedy: no such file or no CSV, a column missing, an instance missing
    or twice, a weight that is no number, or what `check_weights` refuses.
    """
    try:
        cells = pl.read_csv(Path(path), infer_schema=False)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}; name a CSV of weights") from None
    except pl.exceptions.PolarsError as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{path} is no CSV of weights ({why}); it needs the columns instance and weight") from None
    missing = [name for name in _COLUMNS if name not in cells.columns]
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(cells.columns)}")
    weights: dict[str, float] = {}
    for row, (name, text) in enumerate(cells.select(_COLUMNS).iter_rows(), start=2):
        if not name or name in weights:
            raise InputError(f"{path}, row {row}: each row must name an instance of its own, was {name!r}; correct it")
        try:
            weights[name] = float(text or "")
        except ValueError:
            raise InputError(f"{path}, row {row}: `weight` must be a number, was {text!r}; 0 switches it off") from None
    try:
        return WeightsFile(check_weights(weights, weights), _learned(path, cells))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _learned(path: str | Path, cells: pl.DataFrame) -> tuple[str, str] | None:
    if not set(_DAYS) <= set(cells.columns) or not cells.height:
        return None
    first, last = cells[_DAYS[0]].drop_nulls(), cells[_DAYS[1]].drop_nulls()
    if not len(first) or not len(last):
        return None
    # Files put together by hand may name several ranges: all of them were looked at.
    days = str(first.min()), str(last.max())
    for day in days:
        to_ms(day, "learned_from and learned_to")
    return days
