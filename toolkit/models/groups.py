"""From what a user names to groups of members: each group gets one model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import InputError, UnknownNameError
from toolkit.portfolio.candidates import candidates_of
from toolkit.portfolio.members import Member
from toolkit.portfolio.origin import Origin

INSTANCE, STRATEGY, ALL = "instance", "strategy", "all"
PER = (INSTANCE, STRATEGY, ALL)
POOLED = "pooled"
"""Name of the one group of everything; "all" means all models where a model is named."""


@dataclass(frozen=True)
class Group:
    """Members that share a model: their entry signals are learned from together.

    name : the strategy's, the instance's id, or "pooled"; under it its models are kept.
    """

    name: str
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Grouped:
    """The groups of a source, and where their members came from."""

    groups: tuple[Group, ...]
    origin: Origin
    per: str

    @property
    def members(self) -> tuple[Member, ...]:
        return tuple(member for group in self.groups for member in group.members)


def groups_of(
    source: Any,
    *,
    strategies: str = ALL,
    per: str = STRATEGY,
    root: Path | None = None,
    modules: Iterable[str] | None = None,
    accept_code: bool = False,
    **chosen: Any,
) -> Grouped:
    """Groups of a sweep's best rows, of a deployment, of a members file or of members.

    Parameters
    ----------
    source : see `candidates.candidates_of`. modules : Python modules that hold strategies.
    strategies : "all", how many of the first ones (a sweep's are ranked, so they are its best), or names with commas:
        strategies, or instance ids. With `per="instance"` instances are counted, else strategies.
    per : "strategy" (one model for all instances of a strategy), "instance", or "all" (one for everything).
    chosen : which of a sweep's rows, see `members.members_from_sweep`.

    Raises
    ------
    InputError and its kinds : no such source, strategy or way of grouping; fewer strategies than asked for.
    """
    _check_per(per)
    found = candidates_of(source, root=root, strategies=modules, accept_code=accept_code, **chosen)
    return Grouped(grouped(wanted(found.members, strategies, per), per), found.origin, per)


def grouped(members: Sequence[Member], per: str = STRATEGY) -> tuple[Group, ...]:
    """Groups in the order in which their first members come."""
    _check_per(per)
    if per == ALL:
        return (Group(POOLED, tuple(members)),)
    groups: dict[str, list[Member]] = {}
    for member in members:
        groups.setdefault(_name(member, per), []).append(member)
    return tuple(Group(name, tuple(mine)) for name, mine in groups.items())


def wanted(members: Sequence[Member], strategies: str, per: str = STRATEGY) -> tuple[Member, ...]:
    """The members that `strategies` means, in their order; see `groups_of`."""
    unit = INSTANCE if per == INSTANCE else STRATEGY
    text = strategies.strip()
    if text == ALL:
        return tuple(members)
    names = [_name(member, unit) for member in members]
    known = list(dict.fromkeys(names))
    if text.lstrip("+-").isdigit():
        kept = set(known[: _count(int(text), len(known), unit, known)])
        return tuple(member for member, name in zip(members, names, strict=True) if name in kept)
    asked = [name.strip() for name in text.split(",") if name.strip()]
    if not asked:
        raise InputError("`strategies` must be 'all', a number, or names with commas between them, was empty")
    ids = [member.instance.id for member in members]
    for name in asked:
        if name not in names and name not in ids and not any(member.strategy == name for member in members):
            raise UnknownNameError("strategy", name, {member.strategy for member in members})
    kept = set(asked)
    return tuple(
        member for member, one in zip(members, ids, strict=True) if member.strategy in kept or one in kept
    )  # fmt: skip


def _count(number: int, there: int, unit: str, known: Sequence[str]) -> int:
    if number < 1:
        raise InputError(f"`strategies` must be at least 1, was {number}; 'all' takes every one")
    if number > there:
        some = ", ".join(known[:5]) + (", ..." if there > 5 else "")
        words = {STRATEGY: ("strategy", "strategies"), INSTANCE: ("instance", "instances")}[unit]
        raise InputError(
            f"{number} {words[1]} were asked for, and the source has {there} ({some}); name fewer, or take more rows "
            f"of a sweep with `top` (--top)"
        )
    return number


def _name(member: Member, per: str) -> str:
    return member.instance.id if per == INSTANCE else member.strategy


def _check_per(per: str) -> None:
    if per not in PER:
        raise UnknownNameError("way of grouping (per)", per, PER)
