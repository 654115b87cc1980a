"""Weights as a file: CSV with the columns `instance` and `weight`, other columns for people."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from toolkit.analysis.runs import write_csv
from toolkit.errors import InputError
from toolkit.portfolio.weights import check_weights

_COLUMNS = ("instance", "weight")


def write_weights(path: str | Path, weights: Mapping[str, float]) -> None:
    """Write a row an instance, those of weight 0 (off) too; whole or not at all."""
    checked = check_weights(weights, weights)
    frame = {"instance": list(checked), "weight": list(checked.values())}
    write_csv(Path(path), pl.DataFrame(frame, schema={"instance": pl.String, "weight": pl.Float64}))


def read_weights(path: str | Path) -> dict[str, float]:
    """Weights by instance.

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
        return check_weights(weights, weights)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
