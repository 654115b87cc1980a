"""The tree of errors that a person meets is the one that is drawn."""

import re

from toolkit import errors
from toolkit.errors import LockstepError


def drawn() -> dict[str, str]:
    """Each error of the docstring's tree with its parent."""
    parents: dict[str, str] = {}
    path = ["LockstepError"]
    for line in (errors.__doc__ or "").splitlines():
        if branch := re.match(r"([│ ]*)[├└]── (\w+) {2,}\S", line):
            depth = len(branch[1]) // 4 + 1
            parents[branch[2]] = path[depth - 1]
            path[depth:] = [branch[2]]
    return parents


def below(parent: type[Exception]) -> dict[str, str]:
    """Each public subclass with its parent, of those that `toolkit.errors` holds.

    A module may have finer kinds for its own use, which a caller knows by what they derive from.
    """
    found: dict[str, str] = {}
    for child in parent.__subclasses__():
        if child.__module__ == errors.__name__:
            found |= {child.__name__: parent.__name__} | below(child)
    return found


def test_the_drawn_tree_is_whole() -> None:
    ours = below(LockstepError)
    assert drawn() == ours
    assert ours["LedgerError"] == "LockstepError"
    assert ours["UnknownNameError"] == "InputError"


def test_every_error_has_its_line_of_explanation() -> None:
    for name in [*drawn(), "LockstepError"]:
        assert (getattr(errors, name).__doc__ or "").strip().endswith(".")
