"""`Asked`: a request to KuCoin's REST API, taken apart."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from executor.sandbox.kucoin.errors import BAD_PARAMETER, UNKNOWN_SYMBOL, KucoinError, Word


@dataclass(frozen=True)
class Asked:
    """values : of the query, or of the JSON body. named : what the path itself names, such as an order."""

    method: str
    path: str
    values: Mapping[str, Any] = field(default_factory=dict)
    named: str = ""

    def text(self, name: str, missing: Word = BAD_PARAMETER) -> str:
        """A value that must be there. Raises KucoinError : it is not."""
        found = str(self.values.get(name) or "")
        if not found:
            raise KucoinError(missing)
        return found

    def number(self, name: str) -> float | None:
        """None where it is not given. Raises KucoinError : it is no number."""
        found = self.values.get(name)
        if found in (None, ""):
            return None
        try:
            return float(str(found))
        except ValueError:
            raise KucoinError(BAD_PARAMETER) from None

    def whole(self, name: str, default: int) -> int:
        found = self.number(name)
        return default if found is None else int(found)

    def symbol(self) -> str:
        """As the venue's core writes it, `BTC/USDT`. Raises KucoinError : the request names none."""
        return self.text("symbol", UNKNOWN_SYMBOL).replace("-", "/")


def values_of(method: str, query: Mapping[str, str], body: str) -> dict[str, Any]:
    """Query of a GET or DELETE, JSON of a POST.

    Raises
    ------
    KucoinError : the body is no JSON object.
    """
    if method != "POST":
        return dict(query)
    if not body:
        return {}
    try:
        found = json.loads(body)
    except ValueError:
        raise KucoinError(BAD_PARAMETER) from None
    if not isinstance(found, dict):
        raise KucoinError(BAD_PARAMETER)
    return found
