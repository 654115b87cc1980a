"""Settings of backends: what each may be, and one sentence for what it may not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.errors import InputError, UnknownNameError


@dataclass(frozen=True)
class Setting:
    """A setting: a whole number where `default` is one, else any number, `low` to `high`; or one of `among`."""

    default: Any
    low: float = 0.0
    high: float = float("inf")
    among: tuple[Any, ...] = ()

    def check(self, whose: str, value: Any) -> Any:
        if self.among:
            if value not in self.among or isinstance(value, bool) != isinstance(self.default, bool):
                raise UnknownNameError(f"value of {whose}", value, [str(one) for one in self.among])
            return value
        whole = isinstance(self.default, int)
        kind = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kind) or not self.low <= value <= self.high:
            what = "a whole number" if whole else "a number"
            raise InputError(f"{whose} must be {what} from {self.low:g} to {self.high:g}, was {value!r}")
        return value if whole else float(value)


def defaults(known: Mapping[str, Setting]) -> dict[str, Any]:
    return {name: one.default for name, one in known.items()}


def checked(backend: str, known: Mapping[str, Setting], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting with its value, `given` over the defaults; `InputError` or `UnknownNameError` for a wrong one."""
    for name in given:
        if name not in known:
            raise UnknownNameError(f"setting of {backend}", str(name), known)
    return {name: one.check(f"`{name}` of {backend}", given.get(name, one.default)) for name, one in known.items()}
