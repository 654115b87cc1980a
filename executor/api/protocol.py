"""Requests that are no HTTP: said as other errors are, and never logged with what was in them.

`aiohttp` answers them before any middleware, in plain text that quotes the line, and logs it: a header's too.
"""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

_log = logging.getLogger(__name__)


class _Protocol(RequestHandler):
    """A connection whose errors are sentences."""

    __slots__ = ("_dress",)

    def __init__(self, manager: "_Server", dress: Mapping[str, str], **options: Any) -> None:
        super().__init__(manager, **options)
        self._dress = dress

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be read; see the class of aiohttp."""
        _log.warning("a request from %s could not be read (%s)", request.remote, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way")
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            text = "this is no HTTP request that can be read: its line or a header is malformed or too long"
        else:
            text = "this could not be answered; the daemon's log says more"
        body = json.dumps({"error": text})
        answer = web.Response(status=status, text=body, content_type="application/json", headers=self._dress)
        answer.force_close()
        return answer


class _Server(web.Server):
    """Makes a connection's protocol; else it is the server that it is made from."""

    def __init__(self, inner: web.Server, dress: Mapping[str, str]) -> None:
        super().__init__(
            inner.request_handler, request_factory=inner.request_factory, loop=inner._loop, **inner._kwargs
        )
        self._dress = dress

    def __call__(self) -> RequestHandler:
        return _Protocol(self, self._dress, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application; answers to what is no HTTP carry `dress` as their headers."""

    __slots__ = ("_dress",)

    def __init__(self, app: web.Application, dress: Mapping[str, str], **options: Any) -> None:
        super().__init__(app, **options)
        self._dress = dress

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server(), self._dress)
