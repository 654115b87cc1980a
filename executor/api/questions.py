"""What a request asks: its query and its body, checked."""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from executor.ledger.views import GROUPS, Only
from toolkit.bars.moments import to_ms
from toolkit.errors import InputError, UnknownNameError

MAX_BODY_BYTES = 16 * 1024
MAX_ROWS = 10_000
BODY_SECS = 10
ONLY = ("strategy", "symbol", "currency", "instance")

# verb -> what its target and value are.
VERBS: dict[str, tuple[bool, bool]] = {
    "enable": (True, False),
    "disable": (True, False),
    "close": (True, False),
    "halt": (False, False),
    "resume": (False, False),
    "deposit": (False, True),
    "withdraw": (False, True),
}
"""Commands that may be posted, and whether each needs a target and an amount."""


def query(request: web.Request, readers: Mapping[str, Callable[[str, str], object]]) -> dict[str, Any]:
    """The query's values, each read by its reader from (text, name); one that is not given is not there.

    Raises
    ------
    UnknownNameError : a parameter that the endpoint does not have.
    InputError : one given twice, or a value that its reader refuses.
    """
    found: dict[str, Any] = {}
    for name, text in request.query.items():
        if name not in readers:
            raise UnknownNameError("parameter", name[:40], readers)
        if name in found:
            raise InputError(f"`{name}` must be given once, was given twice")
        found[name] = readers[name](text, name)
    return found


def moment(text: str, name: str) -> int:
    """A moment: ISO date or date-time in UTC, or epoch ms; 0 is the beginning."""
    return 0 if text == "0" else to_ms(text[:40], f"`{name}`")


def count(text: str, name: str) -> int:
    """How many rows at most."""
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MAX_ROWS):
        raise InputError(f"`{name}` must be a whole number from 1 to {MAX_ROWS:,}, was {text[:40]!r}")
    return int(text)


def word(text: str, name: str) -> str:
    """A name to look for."""
    if not text or len(text) > 200:
        raise InputError(f"`{name}` must have 1 to 200 characters, had {len(text)}; leave it out for any")
    return text


def one_of(known: tuple[str, ...]) -> Callable[[str, str], str]:
    """Reader of one of some words."""

    def read(text: str, name: str) -> str:
        if text not in known:
            raise InputError(f"`{name}` must be one of {', '.join(known)}, was {text[:40]!r}")
        return text

    return read


def flag(text: str, name: str) -> bool:
    """`1` or `0`."""
    return one_of(("0", "1"))(text, name) == "1"


grouping = one_of(GROUPS)


def only(asked: dict[str, Any]) -> Only:
    """Takes the filters out of a query's values."""
    return Only(**{name: asked.pop(name, None) for name in ONLY})


async def command(request: web.Request) -> dict[str, Any]:
    """The row of `commands` that a body asks for: `{"verb": ..., "target": ..., "value": ...}`.

    Raises
    ------
    InputError : the body is no such object, or comes too slowly.
    """
    try:
        async with asyncio.timeout(BODY_SECS):
            body = await request.read()
    except TimeoutError:
        raise InputError(f"the body must be here within {BODY_SECS} s; send it whole") from None
    except (web.RequestPayloadError, HttpProcessingError):
        raise InputError("the body is not what its headers say; send it whole, with its Content-Length") from None
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise InputError('the body must be a JSON object such as {"verb": "halt"}') from None
    if not isinstance(asked, dict):
        raise InputError('the body must be a JSON object such as {"verb": "halt"}, was no object')
    for name in asked:
        if name not in ("verb", "target", "value"):
            raise UnknownNameError("field of a command", str(name)[:40], ("verb", "target", "value"))
    return _command(asked.get("verb"), asked.get("target", ""), asked.get("value"))


def _command(verb: object, target: object, value: object) -> dict[str, Any]:
    if not isinstance(verb, str) or verb not in VERBS:
        raise UnknownNameError("verb", str(verb)[:40], VERBS)
    if not isinstance(target, str) or len(target) > 200:
        raise InputError("`target` must be a text of at most 200 characters; leave it out for none")
    needs_target, needs_value = VERBS[verb]
    if needs_target and not target:
        raise InputError(f"{verb} needs a `target`: a strategy, symbol, instance or trade, or * for all")
    if not needs_target and not needs_value and target:
        raise InputError(f"{verb} takes no `target`, was {target[:40]!r}; leave it out")
    if not needs_value and value is not None:
        raise InputError(f"{verb} takes no `value`; leave it out")
    if needs_value:
        value = _amount(verb, value)
    # A command is dated by this machine's clock, as the daemon's are.
    return {"ts_ms": _now_ms(), "verb": verb, "target": target, "value": value, "by": "api"}


def _amount(verb: str, value: object) -> float:
    # An int may be beyond floats, and Python reads NaN and Infinity in JSON.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e15:
        raise InputError(f"{verb} needs a `value` above 0: the money, was {str(value)[:40]}")
    return float(value)


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
