"""Axes and tables of an experiment written as command-line flags."""

import json
import re
from collections.abc import Sequence
from typing import Any

from toolkit.errors import InputError

_BETWEEN = re.compile(r",(?![^()]*\))")
_NUMBER_AND_UNIT = re.compile(r"\s*(-?(?:\d+(?:\.\d*)?|\.\d+)(?:e-?\d+)?)(.*)", re.DOTALL)
AXIS_FORMS = (
    "a value (96), values (48,96,192), a range (from:to:step, 1h:8h:1h, 1atr(14):3atr(14):0.5atr(14)), "
    "a log range (log:from:to:num), or with --sample everything between (from:to)"
)


def axis_of(name: str, text: str) -> Any:
    """An axis as `grid.parse_axis` takes it, from the text of a flag; see `AXIS_FORMS`."""
    parts = [part.strip() for part in text.split(":")]
    log = parts[0] == "log"
    numbers = [_NUMBER_AND_UNIT.fullmatch(part) for part in parts[log:]]
    if log or (len(parts) in (2, 3) and all(numbers)):
        if not all(numbers) or len(numbers) not in (2, 3):
            raise InputError(f"{name!r} must be {AXIS_FORMS}; was {text!r}")
        return _range_of(name, text, [(n[1], n[2].strip()) for n in numbers if n is not None], log)
    values = [value_of(part) for part in _BETWEEN.split(text)]
    return values if len(values) > 1 else values[0]


def _range_of(name: str, text: str, numbers: list[tuple[str, str]], log: bool) -> dict[str, Any]:
    count = log and len(numbers) == 3
    units = {unit for _, unit in (numbers[:2] if count else numbers)}
    if len(units) > 1:
        raise InputError(f"range of {name!r} must have one unit, was {text!r}")
    table: dict[str, Any] = {"from": value_of(numbers[0][0]), "to": value_of(numbers[1][0])}
    if len(numbers) == 3:
        table["num" if log else "step"] = value_of(numbers[2][0])
    if log:
        table["log"] = True
    unit = units.pop()
    return {**table, "form": "{}" + unit} if unit else table


def value_of(text: str) -> Any:
    """A number, true, false or plain text; nan and inf are read as numbers, to be refused as such."""
    try:
        value = float(text) if text.strip().lower() in ("nan", "inf", "-inf") else json.loads(text)
    except json.JSONDecodeError:
        return text.strip()
    return value if isinstance(value, int | float) else text.strip()


def pairs_of(
    flag: str, pairs: Sequence[str], *, example: str = "window=96", twice: str = "write its values with commas, 48,96"
) -> dict[str, str]:
    """Names and texts of repeated `--flag name=text`; `example` and `twice` (the remedy for a name twice) are said."""
    out: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip() or not text.strip():
            raise InputError(f"{flag} must be NAME=VALUE, such as {flag} {example}, was {pair!r}")
        if name.strip() in out:
            raise InputError(f"{flag} {name.strip()} is given twice; {twice}")
        out[name.strip()] = text
    return out


def strategies_of(
    names: Sequence[str], params: Sequence[str], sample: dict[str, Any] | None
) -> list[dict[str, Any]]:  # fmt: skip
    """Strategy tables from `--strategy` and `--param`; `strategy.param=...` is for that strategy alone."""
    axes = {name: axis_of(name, text) for name, text in pairs_of("--param", params).items()}
    tables = []
    for name in names:
        own = {key: axis for key, axis in axes.items() if "." not in key}
        own |= {key.split(".", 1)[1]: axis for key, axis in axes.items() if key.split(".", 1)[0] == name and "." in key}
        tables.append({"name": name, "params": own, "sample": sample})
    for key in axes:
        if "." in key and key.split(".", 1)[0] not in names:
            raise InputError(f"--param {key} is for strategy {key.split('.', 1)[0]!r}, which is not named")
    return tables
