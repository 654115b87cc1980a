"""Members come back from the file that names them, with the same ids."""

import json
import tomllib

import pytest

from tests.portfolio.stored import members
from toolkit.engine.rules import ExitRule, TradeRules
from toolkit.models.members_file import member_rows, members_text
from toolkit.portfolio.members import Member, members_from_table

EXITS = (ExitRule("time", after="4h", max_profit=0.0), ExitRule(when="adx(14) < 20", min_profit="1R"))
MEMBERS = [
    *members(),
    Member("trend_day", "ETH/USDT", "1h", rules=TradeRules(stop=None, target=None, exits=(), side="short")),
    Member(
        "trend_day", "ETH/USDT", "1h", rules=TradeRules(stop="2%", trail="2atr(14)", max_hold="20bars", exits=EXITS)
    ),
]


@pytest.mark.parametrize("how", ["toml", "json"])
def test_members_come_back(how: str) -> None:
    table = tomllib.loads(members_text(MEMBERS)) if how == "toml" else json.loads(json.dumps(member_rows(MEMBERS)))
    found = members_from_table(table)
    assert [one.instance.id for one in found] == [one.instance.id for one in MEMBERS]
    for a, b in zip(found, MEMBERS, strict=True):
        assert (a.rules, a.costs, a.exchange, a.base, a.family) == (b.rules, b.costs, b.exchange, b.base, b.family)
