"""`Rest`: Gate's REST API."""

from collections.abc import Callable

from executor.sandbox.book import RefusalError, Venue
from executor.sandbox.gate.asked import Asked, Route, body_of, route
from executor.sandbox.gate.errors import (
    BAD_VALUE,
    FORBIDDEN,
    NO_ROUTE,
    SPOT_REFUSALS,
    SWAP_REFUSALS,
    TOO_MANY,
    GateError,
    Word,
)
from executor.sandbox.gate.signing import GateKey, denial
from executor.sandbox.gate.spot import Spot
from executor.sandbox.gate.swap import Swap
from executor.sandbox.serving import Answer, Request

_CREATED = 201


class Rest:
    """Spot and USDT futures; private routes want a signature. wall_ms : the venue's clock for stamps."""

    def __init__(self, venue: Venue, key: GateKey, wall_ms: Callable[[], int]) -> None:
        self._key, self._wall_ms = key, wall_ms
        self.spot, self.swap = Spot(venue, key.uid), Swap(venue, key.uid)
        self._routes = [
            route("GET", "/spot/time", lambda _: {"server_time": wall_ms()}),
            route("GET", "/account/detail", self._detail, "read"),
            route("GET", "/account/main_keys", self._keys, "read"),
            *self.spot.routes(),
            *self.swap.routes(),
        ]

    def answer(self, request: Request) -> Answer:
        """What Gate answers."""
        refusals = SWAP_REFUSALS if request.path.startswith("/api/v4/futures") else SPOT_REFUSALS
        try:
            found, named = self._route(request)
            if found.permission:
                self._check(request, found.permission)
            reply = found.reply(Asked(request.query, body_of(request.body), named))
        except GateError as error:
            return _refusal(error.word)
        except RefusalError as error:
            return _refusal(refusals.get(error.code, BAD_VALUE))
        is_created = request.method == "POST" and request.path.endswith("orders")
        return Answer(reply, _CREATED if is_created else 200)

    def too_many(self, pause_secs: float) -> Answer:
        """Source: https://www.gate.com/docs/developers/apiv4/en/#frequency-limit-rule"""
        headers = {
            "X-Gate-RateLimit-Requests-Remain": "0",
            "X-Gate-RateLimit-Limit": "10",
            "X-Gate-RateLimit-Reset-Timestamp": str(self._wall_ms() // 1000 + round(pause_secs)),
        }
        return _refusal(TOO_MANY, headers)

    def _route(self, request: Request) -> tuple[Route, str]:
        for one in self._routes:
            found = one.path.fullmatch(request.path)
            if found is not None and one.method == request.method:
                return one, found.groupdict().get("named") or ""
        raise GateError(NO_ROUTE)

    def _check(self, request: Request, permission: str) -> None:
        word = denial(request.headers, request.method, request.target, request.body, self._key, self._wall_ms())
        if word is not None:
            raise GateError(word)
        if permission != "read" and permission not in self._key.permissions:
            raise GateError(FORBIDDEN)

    def _detail(self, _: Asked) -> object:
        """Source: https://www.gate.com/docs/developers/apiv4/en/#get-account-detail"""
        return {
            "user_id": int(self._key.uid),
            "ip_whitelist": [],
            "currency_pairs": [],
            "key": {"mode": 1},
            "tier": 0,
            "tier_expire_time": "0001-01-01T00:00:00Z",
            "copy_trading_role": 0,
        }

    def _keys(self, _: Asked) -> object:
        """Source: https://www.gate.com/docs/developers/apiv4/en/#account"""
        perms = [{"name": name, "read_only": False} for name in self._key.permissions]
        return [{"state": 1, "mode": 1, "name": "main", "key": self._key.key, "perms": perms, "ip_whitelist": []}]


def _refusal(word: Word, headers: dict[str, str] | None = None) -> Answer:
    return Answer({"label": word.label, "message": word.text}, word.status, headers or {})
