"""Gate's signatures, of requests and of websocket subscriptions, checked as the venue checks them."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from executor.sandbox.gate.errors import EXPIRED, INVALID_KEY, INVALID_SIGNATURE, NO_HEADER, Word

# How far a stamp may be from the venue's clock.
WINDOW_SECS = 60


class GateKey(NamedTuple):
    """A key of the account. permissions : names of what it may change, "withdraw" among them where it may."""

    key: str
    secret: str
    permissions: tuple[str, ...] = ("spot", "futures", "wallet")
    uid: str = "10406147"


def denial(headers: Mapping[str, str], method: str, target: str, body: str, key: GateKey, now_ms: int) -> Word | None:
    """None for a request that the account's owner signed, otherwise the venue's own error.

    The signature is HMAC-SHA512 over method, path, query, SHA512 of the body, and stamp, a line each.

    Parameters
    ----------
    target : path and query as they came over the wire. now_ms : the venue's clock.

    Source: https://www.gate.com/docs/developers/apiv4/en/#authentication
    """
    if any(not headers.get(name) for name in ("KEY", "SIGN", "Timestamp")):
        return NO_HEADER
    stamp = headers["Timestamp"]
    if not _is_recent(stamp, now_ms):
        return EXPIRED
    if headers["KEY"] != key.key:
        return INVALID_KEY
    path, _, query = target.partition("?")
    # The query is signed before it is encoded for the wire.
    text = "\n".join((method, path, unquote(query), hashlib.sha512(body.encode()).hexdigest(), stamp))
    return None if _is_signed(text, headers["SIGN"], key) else INVALID_SIGNATURE


def socket_denial(said: Mapping[str, Any], key: GateKey, now_ms: int) -> Word | None:
    """Likewise for a subscription to a private channel, which signs channel, event and time.

    Source: https://www.gate.com/docs/developers/apiv4/ws/en/#authentication
    """
    auth = said.get("auth")
    if not isinstance(auth, dict) or not auth.get("KEY") or not auth.get("SIGN"):
        return NO_HEADER
    if not _is_recent(str(said.get("time", "")), now_ms):
        return EXPIRED
    if auth["KEY"] != key.key:
        return INVALID_KEY
    text = f"channel={said.get('channel')}&event={said.get('event')}&time={said.get('time')}"
    return None if _is_signed(text, str(auth["SIGN"]), key) else INVALID_SIGNATURE


def _is_recent(stamp: str, now_ms: int) -> bool:
    return stamp.isdecimal() and abs(int(stamp) - now_ms // 1000) <= WINDOW_SECS


def _is_signed(text: str, sign: str, key: GateKey) -> bool:
    wanted = hmac.new(key.secret.encode(), text.encode(), hashlib.sha512).hexdigest()
    return hmac.compare_digest(wanted.encode(), sign.encode())
