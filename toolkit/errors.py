"""The exception tree. Every error a user can cause is a `LockstepError` and says what, its value, the rule, the remedy.

LockstepError
├── InputError            a value the caller gave breaks a rule (exit code 2)
│   ├── UnknownNameError  no such strategy, parameter, factor, symbol or interval ("did you mean")
│   ├── BarsError         bars that break the rules of a series
│   └── StrategyError     a strategy raised, or returned the wrong shape or dtype
├── StoreError            the bars database cannot be used as asked (held, damaged, disagreeing data)
├── VenueError            an exchange refused a request, or gave no usable answer after retries
├── RunError              a run folder cannot be written or read
└── LedgerError           the executor's ledger cannot be used as asked (held, damaged, newer, disk full)
"""

from collections.abc import Iterable
from difflib import get_close_matches


class LockstepError(Exception):
    """Root of all errors that Lockstep raises on purpose; its text is one sentence for a person."""


class InputError(LockstepError):
    """A value that the caller gave breaks a rule."""


class UnknownNameError(InputError):
    """A name that is not in the set it must come from."""

    def __init__(self, kind: str, name: object, known: Iterable[str], remedy: str = "") -> None:
        names = sorted(known)
        near = get_close_matches(str(name), names, n=3, cutoff=0.5)
        if near:
            hint = f"did you mean {' or '.join(repr(n) for n in near)}?"
        elif names:
            hint = f"known: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
        else:
            hint = f"no {kind} is known here"
        super().__init__(f"unknown {kind} {name!r}: {hint}{_joined(hint, remedy)}")


def _joined(hint: str, remedy: str) -> str:
    """What goes between a hint and a remedy: nothing after a question, or before what is in brackets."""
    if not remedy:
        return ""
    return f" {remedy}" if hint.endswith("?") or remedy.startswith("(") else f"; {remedy}"


class BarsError(InputError):
    """Bars that break the rules of a series; names the first offending bar."""


class StrategyError(InputError):
    """A strategy raised, or returned arrays of the wrong shape or dtype."""


class StoreError(LockstepError):
    """The bars database cannot be used as asked."""


class VenueError(LockstepError):
    """An exchange refused a request, or gave no usable answer after retries."""


class RunError(LockstepError):
    """A run folder cannot be written or read."""


class LedgerError(LockstepError):
    """The executor's ledger cannot be used as asked; what was in it before is still there."""
