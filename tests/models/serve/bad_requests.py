"""Bodies that a server of the model "trend" refuses, whichever server that is."""

import json
import math
from typing import Any

import pytest

from tests.models.bundles import FEATURES

ROW = dict.fromkeys(FEATURES, 0.5)


def body(row: Any, model: str = "trend") -> bytes:
    return json.dumps({"model": model, "rows": row}).encode()


BAD = pytest.mark.parametrize(
    ("sent", "status", "expected"),
    [
        (body({**ROW, "colour": 1.0}), 422, "'colour', which the model does not know"),
        (body({"side": 1.0}), 422, "lacks feature 'rsi(14)' and 3 more"),
        (body([ROW, {**ROW, "side": math.nan}]), 422, "NaN is no number"),
        (body(ROW).replace(b"0.5", b"1e999", 1), 422, "must be a finite number"),
        (body({**ROW, "side": "1"}), 422, "must be a finite number, or null"),
        (body([]), 422, "must be 1 to 1,000 rows"),
        (body([ROW] * 1001), 422, "were 1,001"),
        (b"no", 422, "must be JSON"),
        (b"", 422, "must be JSON"),
        (b" " * (5 << 20), 413, "at most 4,194,304 bytes"),
        (body(ROW, "trends"), 404, "unknown model 'trends': did you mean 'trend'?"),
        (body(ROW, "trend@20200101T000000-0"), 404, "unknown version of model trend"),
        (body(ROW, "../../etc"), 404, "unknown model"),
        (body(ROW, "trend@../../x"), 404, "unknown version"),
    ],
)
"""What is sent, the status of the answer, and what its sentence says."""
