"""What is written as TOML is read back as the same table."""

import math
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import InputError
from toolkit.models.toml_text import toml_text

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PLAIN = st.one_of(
    st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=True), TEXTS
)  # fmt: skip
VALUES: Any = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=12
)


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_a_table_comes_back(table: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(table)) == table


def test_it_reads_well() -> None:
    table = {"backend": "lightgbm", "keep": None, "settings": {"num_leaves": 7}, "instance": [{"a": 1}, {"a": 2}]}
    expected = 'backend = "lightgbm"\n\n[settings]\nnum_leaves = 7\n\n[[instance]]\na = 1\n\n[[instance]]\na = 2\n'
    assert toml_text(table) == expected


def test_numbers_that_are_none_and_values_that_are_not_toml() -> None:
    assert math.isnan(tomllib.loads(toml_text({"x": math.nan}))["x"])
    with pytest.raises(InputError, match=r"`a\.b` cannot be written as TOML: it is a set"):
        toml_text({"a": {"b": {1}}})
