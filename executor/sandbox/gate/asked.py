"""`Asked`: a request to Gate's REST API, taken apart; and `Route`, who answers it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from executor.sandbox.gate.errors import NOT_JSON, GateError, bad


@dataclass(frozen=True)
class Asked:
    """query : of the URL. body : of JSON. named : what the path itself names, such as an order."""

    query: Mapping[str, str]
    body: Mapping[str, Any] = field(default_factory=dict)
    named: str = ""

    def seconds(self, name: str) -> int | None:
        """A stamp of the query in ms, None where it is not given."""
        return int(float(self.query[name])) * 1000 if self.query.get(name) else None

    def limit(self, default: int = 100) -> int:
        return int(self.query.get("limit") or default)


class Route(NamedTuple):
    """permission : that a key needs to ask it, "" for public routes, "read" where any key will do."""

    method: str
    path: re.Pattern[str]
    reply: Callable[[Asked], object]
    permission: str


def route(method: str, path: str, reply: Callable[[Asked], object], permission: str = "") -> Route:
    """path : below `/api/v4`; `{}` stands for what it names."""
    return Route(method, re.compile("/api/v4" + path.replace("{}", "(?P<named>[^/]+)")), reply, permission)


def body_of(text: str) -> Mapping[str, Any]:
    """Raises GateError : it is no JSON object."""
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        raise GateError(NOT_JSON) from None
    if not isinstance(found, dict):
        raise GateError(NOT_JSON)
    return found


def number(values: Mapping[str, Any], name: str) -> float:
    """Raises GateError : it is missing or no number."""
    try:
        return float(str(values[name]))
    except (KeyError, ValueError):
        raise bad(name) from None
