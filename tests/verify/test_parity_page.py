"""`docs/parity.md` says what is compared and which causes there are."""

import re
from pathlib import Path

from toolkit.verify.parity_evidence import Kind
from toolkit.verify.parity_tables import ASIDE, KEYS

PAGE = (Path(__file__).parents[2] / "docs" / "parity.md").read_text()


def test_every_cause_is_documented_and_no_other() -> None:
    part = PAGE.split("\n## First causes\n")[1]
    assert set(re.findall(r"^\| `([a-z ]+)` \|", part, re.MULTILINE)) == set(Kind)


def test_every_table_and_what_is_left_aside_is_documented() -> None:
    part = PAGE.split("\n## What is compared\n")[1].split("\n## ")[0]
    tables = set(re.findall(r"^\| ([a-z]+) \|", part, re.MULTILINE)) - {"table"}
    assert tables == {*KEYS, "bars"}
    assert set(ASIDE) <= set(re.findall(r"`([a-z_]+)`", part))
