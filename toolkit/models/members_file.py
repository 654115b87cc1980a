"""Members as tables: how a run remembers them, and the TOML file that names them again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from toolkit.models.toml_text import toml_text
from toolkit.portfolio.members import INSTANCES, Member


def member_rows(members: Sequence[Member]) -> list[dict[str, Any]]:
    """A table a member, complete, as `members.members_from_table` reads it, of values that JSON and TOML can hold."""
    return [_row(member) for member in members]


def members_text(members: Sequence[Member]) -> str:
    """A members.toml that is a source of the same members."""
    return toml_text({INSTANCES: member_rows(members)})


def _row(member: Member) -> dict[str, Any]:
    rules = asdict(member.rules)
    # TOML has no null, and a rule that is None may have another default: "none" says it.
    rules = {name: "none" if value is None else value for name, value in rules.items()}
    rules["exits"] = [_told(rule) for rule in rules["exits"]]
    return _told({**asdict(member), "params": dict(member.params), "rules": rules, "costs": asdict(member.costs)})


def _told(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if value is not None}
