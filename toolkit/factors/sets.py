"""Sets of factors that are asked for by one word, such as `tsfresh_minimal(100)`: each stands for several columns."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from toolkit.errors import InputError
from toolkit.factors.registry import FactorParam, Param, checked_number, factor_names

# Name and parameters of a factor, in full.
Member: TypeAlias = tuple[str, tuple[FactorParam, ...]]


@dataclass(frozen=True)
class FactorSet:
    """A word for several factors.

    Attributes
    ----------
    name : unique, among the names of factors as well.
    members : `(*params) -> list of Member`, in the order of their columns.
    params : whole numbers, in order.
    doc : what it stands for, in one line.
    """

    name: str
    members: Callable[..., list[Member]]
    params: tuple[Param, ...]
    doc: str

    @property
    def defaults(self) -> dict[str, FactorParam]:
        return {p.name: p.default for p in self.params}


_SETS: dict[str, FactorSet] = {}


def factor_set(
    name: str, *, params: Iterable[Param] = ()
) -> Callable[[Callable[..., list[Member]]], Callable[..., list[Member]]]:
    """Register `(*params) -> list of Member` under a name; its text becomes the set's documentation."""

    def register(members: Callable[..., list[Member]]) -> Callable[..., list[Member]]:
        if name in factor_names():
            raise InputError(f"{name!r} is the name of a factor, no set can have it; rename the set")
        _SETS[name] = FactorSet(name, members, tuple(params), " ".join((members.__doc__ or "").split()))
        return members

    return register


def set_names() -> list[str]:
    """Names of all sets, in order of the alphabet."""
    return sorted(_SETS)


def get_set(name: str) -> FactorSet | None:
    """The set of that name, None where there is none."""
    return _SETS.get(name)


def members_of(found: FactorSet, given: tuple[float | str, ...]) -> list[Member]:
    """What a set stands for; `InputError` for parameters that it does not take."""
    if len(given) > len(found.params):
        takes = ", ".join(p.name for p in found.params)
        raise InputError(f"the set {found.name} takes ({takes}), was given {len(given)} values: {given!r}")
    full = given + tuple(p.default for p in found.params[len(given) :])
    return found.members(*(checked_number(found.name, p, v) for p, v in zip(found.params, full, strict=True)))
