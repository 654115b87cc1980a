"""KuCoin's request signature, checked as the venue checks it."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

# How far a request's stamp may be from the venue's clock.
WINDOW_MS = 5000


class ApiKey(NamedTuple):
    """A key of the account. permission : as the venue writes it, such as "General,Spot"."""

    key: str
    secret: str
    passphrase: str
    permission: str = "General,Spot"


class Denied(NamedTuple):
    """Why a signed request is turned away: HTTP status, the venue's code and its text."""

    status: int
    code: str
    text: str


def denial(headers: Mapping[str, str], method: str, path: str, body: str, key: ApiKey, now_ms: int) -> Denied | None:
    """None for a request that the account's owner signed, otherwise the venue's own error.

    The signature is base64 of HMAC-SHA256 over stamp, method, path with query, and body; the passphrase is signed
    likewise (key version 2 and above).

    Parameters
    ----------
    path : as it came over the wire, with its query. now_ms : the venue's clock.

    Source: https://www.kucoin.com/docs-new/authentication and https://www.kucoin.com/docs-new/error-code
    """
    names = ("KC-API-KEY", "KC-API-SIGN", "KC-API-TIMESTAMP", "KC-API-PASSPHRASE")
    if any(not headers.get(name) for name in names):
        return Denied(
            401,
            "400001",
            "Please check the header of your request for KC-API-KEY, KC-API-SIGN, KC-API-TIMESTAMP, KC-API-PASSPHRASE",
        )
    stamp = headers["KC-API-TIMESTAMP"]
    if not stamp.isdecimal() or abs(int(stamp) - now_ms) > WINDOW_MS:
        return Denied(400, "400002", "KC-API-TIMESTAMP Invalid")
    if headers["KC-API-KEY"] != key.key:
        return Denied(401, "400003", "KC-API-KEY not exists")
    if headers.get("KC-API-KEY-VERSION") not in ("2", "3"):
        return Denied(401, "400009", "Invalid KC-API-KEY-VERSION")
    if not _same(headers["KC-API-PASSPHRASE"], signed(key.passphrase, key.secret)):
        return Denied(401, "400004", "Invalid KC-API-PASSPHRASE")
    # The address is signed before it is encoded for the wire.
    if not _same(headers["KC-API-SIGN"], signed(stamp + method + unquote(path) + body, key.secret)):
        return Denied(401, "400005", "Invalid KC-API-SIGN")
    return None


def signed(text: str, secret: str) -> str:
    """Base64 of the text's HMAC-SHA256 under the secret."""
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
