"""Groups of members: what `strategies` and `per` mean, and from what sources."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.engine.rules import TradeRules
from toolkit.errors import InputError, UnknownNameError
from toolkit.models.groups import PER, Group, grouped, groups_of, wanted
from toolkit.portfolio.members import Member

NAMES = ("volatility_breakout", "trend_day", "reversal_breakout")
TOML = """
[[instance]]
strategy = "trend_day"
symbol = "BTC/USDT"
interval = "15m"

[[instance]]
strategy = "volatility_breakout"
symbol = "BTC/USDT"
interval = "15m"
rules = {stop = 0.02}

[[instance]]
strategy = "trend_day"
symbol = "ETH/USDT"
interval = "15m"
"""


def members(strategies: list[str]) -> list[Member]:
    """One a name, all different by their stop."""
    return [Member(name, "BTC/USDT", "15m", rules=TradeRules(stop=0.01 * (k + 1))) for k, name in enumerate(strategies)]


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=8), st.sampled_from(PER))
def test_every_member_is_in_one_group_and_in_order(names: list[str], per: str) -> None:
    given = members(names)
    groups = grouped(given, per)
    assert sorted(given.index(m) for group in groups for m in group.members) == list(range(len(given)))
    assert all(list(group.members) == sorted(group.members, key=given.index) for group in groups)
    assert len({group.name for group in groups}) == len(groups)
    expected = {"instance": len(names), "strategy": len(set(names)), "all": 1}
    assert len(groups) == expected[per]


def test_groups_come_in_the_order_of_their_first_members() -> None:
    given = members(["trend_day", "volatility_breakout", "trend_day"])
    assert grouped(given) == (Group("trend_day", (given[0], given[2])), Group("volatility_breakout", (given[1],)))
    assert [group.name for group in grouped(given, "instance")] == [m.instance.id for m in given]
    assert grouped(given, "all") == (Group("pooled", tuple(given)),)


def test_a_number_counts_strategies_or_instances() -> None:
    given = members(["trend_day", "volatility_breakout", "trend_day", "reversal_breakout"])
    assert wanted(given, "2") == tuple(given[:3])
    assert wanted(given, " 2 ", "all") == tuple(given[:3])
    assert wanted(given, "2", "instance") == tuple(given[:2])
    assert wanted(given, "all") == tuple(given)


def test_names_are_strategies_or_instances() -> None:
    given = members(["trend_day", "volatility_breakout", "trend_day"])
    assert wanted(given, "volatility_breakout") == (given[1],)
    assert wanted(given, f"{given[2].instance.id}, volatility_breakout") == (given[1], given[2])
    assert wanted(given, "trend_day", "instance") == (given[0], given[2])


@pytest.mark.parametrize(
    ("text", "per", "sentence"),
    [
        ("0", "strategy", "must be at least 1, was 0"),
        ("-3", "strategy", "must be at least 1, was -3"),
        ("3", "strategy", r"3 strategies were asked for, and the source has 2 \(trend_day, volatility_breakout\)"),
        ("4", "instance", "4 instances were asked for, and the source has 3"),
        (" , ", "strategy", "was empty"),
        ("trendday", "strategy", "unknown strategy 'trendday': did you mean 'trend_day'"),
        ("all", "symbol", "unknown way of grouping"),
    ],
)
def test_what_is_not_there_is_refused(text: str, per: str, sentence: str) -> None:
    given = members(["trend_day", "volatility_breakout", "trend_day"])
    with pytest.raises(InputError, match=sentence):
        groups_of(given, strategies=text, per=per)


def test_a_file_of_members_is_a_source(tmp_path: Path) -> None:
    file = tmp_path / "members.toml"
    file.write_text(TOML)
    found = groups_of(str(file), strategies="1")
    assert [(group.name, len(group.members)) for group in found.groups] == [("trend_day", 2)]
    assert (found.origin.source, found.per, len(found.members)) == ("file", "strategy", 2)
    with pytest.raises(InputError, match="chooses rows of a sweep"):
        groups_of(str(file), top=3)
    with pytest.raises(UnknownNameError, match="unknown run"):
        groups_of("20990101-sweep", root=tmp_path)
