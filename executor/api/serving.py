"""The server: who may ask, how errors are said, and what every answer carries."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

from aiohttp import web

from executor.api import token
from executor.api.config import ApiSettings
from executor.api.protocol import Runner
from executor.api.questions import MAX_BODY_BYTES
from executor.api.routes import DESK, Desk, add_routes, said
from toolkit.errors import InputError, LockstepError

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "lockstep",
}
"""On every answer, an error's too."""

_OPEN = ("/", "/health", "/favicon.ico", "/dashboard/{name}")

# What `aiohttp` refuses by itself.
_SENTENCES = {
    404: "there is nothing at this address; docs/dashboard.md lists what there is",
    405: "this address does not take this method",
    413: f"the body must have at most {MAX_BODY_BYTES:,} bytes",
}
_log = logging.getLogger(__name__)


async def serve(config: ApiSettings, ledger: Path, *, metrics: Callable[[], bytes] | None = None) -> web.AppRunner:
    """Start to answer; ends with `await runner.cleanup()`. It runs in the caller's event loop.

    Parameters
    ----------
    config : where to listen, and whether commands may be posted.
    ledger : its file; its token is made if there is none.
    metrics : gives what `/metrics` answers.

    Raises
    ------
    InputError : the address cannot be listened on, or the token cannot be used.
    """
    token.current(ledger)
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_sentences, _guard])
    app[DESK] = Desk(ledger, config.api_write, metrics)
    app.on_response_prepare.append(_dress)
    add_routes(app)
    # No access log: an address may carry what somebody pasted into it.
    runner = Runner(app, HEADERS, access_log=None, keepalive_timeout=75)
    await runner.setup()
    try:
        await web.TCPSite(runner, config.api_host, config.api_port).start()
    except (OSError, OverflowError) as error:
        await runner.cleanup()
        raise InputError(
            f"the API cannot listen on {config.api_host}:{config.api_port} ({error}); set another api_host or api_port"
        ) from error
    if not _is_loopback(config.api_host):
        _log.warning("the API listens on %s in plain HTTP; put a proxy with TLS before it", config.api_host)
    return runner


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@web.middleware
async def _sentences(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error is a sentence in JSON."""
    try:
        return await handler(request)
    except web.HTTPException as refused:
        allowed = refused.headers.get("Allow")
        answer = said({"error": _SENTENCES.get(refused.status, refused.reason)}, refused.status)
        if allowed:
            answer.headers["Allow"] = allowed
        return answer
    except InputError as error:
        return said({"error": str(error)}, 400)
    except LockstepError as error:
        return said({"error": str(error)}, 503)
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:
        _log.exception("a request could not be answered")
        return said({"error": "this could not be answered; the daemon's log says why"}, 500)


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whoever has no token sees the health and the empty page, and does not learn what else there is."""
    # By what answers it, not by what is written in the address.
    resource = request.match_info.route.resource
    is_open = resource is not None and resource.canonical in _OPEN
    if not is_open and not _may_enter(request):
        refused = said({"error": "the header `Authorization: Bearer TOKEN` must have the token: executor token"}, 401)
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused
    return await handler(request)


def _may_enter(request: web.Request) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        return False
    try:
        expected = token.current(request.app[DESK].ledger)
    except InputError as error:
        _log.error("nobody can be let in: %s", error)
        return False
    return token.same(given.strip(), expected)


async def _dress(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
