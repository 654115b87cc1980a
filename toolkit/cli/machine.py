"""What commands print: JSON for a machine, and tables."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any


def print_json(value: Any) -> None:
    """`value` as JSON on stdout."""
    print(json_text(value))


def json_text(value: Any) -> str:
    """`value` as JSON; null stands for NaN and infinity, which JSON does not have."""
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as columns, the first one to the left and the others to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = []
    for row in rows:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *numbers]).rstrip())
    return "\n".join(lines)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
