"""What is asked in a body: a model, and rows that have each of its features by name, each a number or null."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from toolkit.errors import InputError
from toolkit.types import FloatArray

MAX_BODY_BYTES = 4 << 20
MAX_ROWS = 1_000


class Question(NamedTuple):
    """Rows of features for a model; version "" = its newest."""

    name: str
    version: str
    rows: Sequence[Mapping[str, Any]]


def read_question(body: bytes) -> Question:
    """The question in a body.

    Raises
    ------
    InputError : it is no JSON object with `model` and `rows`, names a value twice, or has too many rows or none.
    """
    try:
        said = json.loads(body, parse_constant=_refuse, object_pairs_hook=_once)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"the body must be JSON: {error}") from None
    if not isinstance(said, dict) or set(said) != {"model", "rows"}:
        found = ", ".join(map(repr, list(said)[:5])) if isinstance(said, dict) else f"a {type(said).__name__}"
        raise InputError(f"the body must be an object with `model` and `rows`, was {found or 'an empty one'}")
    if not isinstance(said["model"], str):
        raise InputError(f"`model` must be a name or name@version, was {str(said['model'])[:100]}")
    rows = said["rows"] if isinstance(said["rows"], list) else [said["rows"]]
    if not 1 <= len(rows) <= MAX_ROWS:
        remedy = "; ask in several requests" if rows else ""
        raise InputError(f"`rows` must be 1 to {MAX_ROWS:,} rows, were {len(rows):,}{remedy}")
    for row in rows:
        if not isinstance(row, dict):
            raise InputError(f"a row must be an object of feature values by name, was a {type(row).__name__}")
    name, _, version = said["model"].partition("@")
    return Question(name, version, rows)


def features_of(rows: Sequence[Mapping[str, Any]], features: Sequence[str]) -> FloatArray:
    """float64[n, k] of rows, in the model's order; NaN for null.

    Raises
    ------
    InputError : a row lacks a feature, has one that the model does not know, or a value that is no finite number.
    """
    out = np.empty((len(rows), len(features)))
    for number, row in enumerate(rows):
        if len(row) != len(features) or any(name not in row for name in features):
            raise InputError(_wrong_names(number, row, features))
        for column, name in enumerate(features):
            out[number, column] = _number(row[name], number, name)
    return out


def _number(value: Any, row: int, name: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise InputError(
        f"feature {name!r} of row {row} must be a finite number, or null where it is missing, was {str(value)[:40]}"
    )


def _wrong_names(number: int, row: Mapping[str, Any], features: Sequence[str]) -> str:
    missing = [name for name in features if name not in row]
    extra = sorted(set(row) - set(features))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"row {number} lacks feature {missing[0]!r}{more}; a missing value is sent as null"
    return f"row {number} has feature {extra[0][:100]!r}, which the model does not know; leave it out"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for k, name in enumerate(names) if name in names[:k])
        raise InputError(f"{twice[:100]!r} is named twice in the body; which one is meant cannot be known")
    return table


def _refuse(text: str) -> float:
    raise InputError(f"{text} is no number that JSON has; a missing value is sent as null")
