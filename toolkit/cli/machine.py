"""What commands print for a machine."""

import json
import math
from collections.abc import Mapping
from typing import Any


def print_json(value: Any) -> None:
    """`value` as JSON on stdout."""
    print(json_text(value))


def json_text(value: Any) -> str:
    """`value` as JSON; null stands for NaN and infinity, which JSON does not have."""
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
