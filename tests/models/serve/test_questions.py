"""What a body asks: every feature there, none too many, each a finite number or null."""

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import InputError
from toolkit.models.serve.questions import MAX_ROWS, features_of, read_question

FEATURES = ("rsi(14)", "side", "1d:natr(14)")
ROW = {"rsi(14)": 51.5, "side": 1, "1d:natr(14)": None}


def body(rows: Any, model: str = "trend") -> bytes:
    return json.dumps({"model": model, "rows": rows}).encode()


def refused(text: bytes) -> str:
    with pytest.raises(InputError) as caught:
        features_of(read_question(text).rows, FEATURES)
    return str(caught.value)


def test_one_row_or_many() -> None:
    one, many = read_question(body(ROW)), read_question(body([ROW, ROW], "trend@20230101T000000-0"))
    assert (one.name, one.version, list(one.rows)) == ("trend", "", [ROW])
    assert (many.name, many.version, len(many.rows)) == ("trend", "20230101T000000-0", 2)


def test_columns_are_in_the_models_order_whatever_the_bodys_is() -> None:
    x = features_of([dict(reversed(ROW.items()))], FEATURES)
    assert x.shape == (1, 3)
    assert x[0, :2].tolist() == [51.5, 1.0]
    assert math.isnan(x[0, 2])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3))
def test_values_come_through_to_the_bit(values: list[float]) -> None:
    row = dict(zip(FEATURES, values, strict=True))
    x = features_of(read_question(body(row)).rows, FEATURES)
    assert x.tobytes() == struct.pack("3d", *values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "must be JSON"),
        (b"\xff", "must be JSON"),
        (b"[" * 100_000, "must be JSON"),
        (b"[]", "was a list"),
        (b"{}", "was an empty one"),
        (b'{"model": "trend"}', "was 'model'"),
        (b'{"model": "trend", "rows": {}, "more": 1}', "an object with `model` and `rows`"),
        (b'{"model": 3, "rows": {}}', "`model` must be a name"),
        (body([]), "must be 1 to 1,000 rows, were 0"),
        (body([ROW] * (MAX_ROWS + 1)), "were 1,001"),
        (body([3]), "was a int"),
        (body(None), "was a NoneType"),
        (b'{"model": "a", "model": "b", "rows": {}}', "'model' is named twice"),
        (b'{"model": "a", "rows": {"side": 1, "side": -1}}', "'side' is named twice"),
        (body({"side": 1}), "row 0 lacks feature 'rsi(14)' and 1 more"),
        (
            body([ROW, {"side": 1, "rsi(14)": 1.0}]),
            "row 1 lacks feature '1d:natr(14)'; a missing value is sent as null",
        ),
        (body({**ROW, "colour": 1.0}), "has feature 'colour', which the model does not know"),
        (body({"side": 1, "rsi(14)": 1.0, "colour": 1.0}), "lacks feature '1d:natr(14)'"),
        (body({**ROW, "side": math.nan}), "NaN is no number that JSON has; a missing value is sent as null"),
        (body({**ROW, "side": math.inf}), "Infinity is no number that JSON has"),
        (body({**ROW, "side": -math.inf}), "-Infinity is no number that JSON has"),
        (body(ROW).replace(b"51.5", b"1e999"), "feature 'rsi(14)' of row 0 must be a finite number"),
        (body({**ROW, "side": 10**400}), "feature 'side' of row 0 must be a finite number"),
        (body({**ROW, "side": True}), "was True"),
        (body({**ROW, "side": "long"}), "was long"),
        (body({**ROW, "side": [1.0]}), "was [1.0]"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: bytes, expected: str) -> None:
    assert expected in refused(text)
