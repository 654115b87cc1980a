"""The application: who may ask, what is answered, and how refusals are said."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from toolkit.engine.types import ACCEPTED
from toolkit.errors import InputError, UnknownNameError
from toolkit.models.serve.desk import UnavailableError
from toolkit.models.serve.jobs import BusyError, Jobs
from toolkit.models.serve.questions import MAX_BODY_BYTES, Question, features_of, read_question
from toolkit.models.serve.running import is_loopback
from toolkit.models.serve.shelf import Served, Shelf
from toolkit.models.serve.token import may_enter
from toolkit.types import FloatArray

POLL_SECS = 1.0
DEADLINE_SECS = 1.0
_BODY_SECS = 10.0
_OPEN = "/health"
_SENTENCES = {
    HTTPStatus.NOT_FOUND: "there is nothing at this address; docs/models.md lists what there is",
    HTTPStatus.METHOD_NOT_ALLOWED: "this address does not take this method",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Server:
    """What the application works with.

    token : that whoever asks must have; None = none, and only this machine may ask. jobs : None = no experiments are
    started here. deadline_secs : of an answer to `/predict`, from the end of its body on. poll_secs : how often the
    registry is looked at.
    """

    shelf: Shelf
    token: str | None
    jobs: Jobs | None = field(default_factory=Jobs)
    deadline_secs: float = DEADLINE_SECS
    poll_secs: float = POLL_SECS


def make_app(server: Server) -> FastAPI:
    """The application over HTTP; its models are loaded by whoever calls `Shelf.refresh` first."""
    app = FastAPI(title="Lockstep models", lifespan=_lifespan, openapi_url=None)
    app.state.server = server
    app.add_middleware(_Guard, token=server.token)
    app.add_api_route("/predict", _predict, methods=["POST"])
    app.add_api_route("/models", _models, methods=["GET"])
    app.add_api_route("/health", _health, methods=["GET"])
    if server.jobs is not None:
        app.add_api_route("/automl", _automl, methods=["POST"])
        app.add_api_route("/jobs", _jobs, methods=["GET"])
        app.add_api_route("/jobs/{job_id}", _job, methods=["GET"])
        app.add_api_route("/jobs/{job_id}", _cancel, methods=["DELETE"])
    refusals = (InputError, BusyError, UnavailableError, HTTPException, RequestValidationError, ClientDisconnect)
    for kind in (*refusals, Exception):
        app.add_exception_handler(kind, _refused)
    return app


class _Guard:
    """Whoever has no token learns whether the server is well, and nothing else."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != _OPEN:
            sentence = self._refusal(scope)
            if sentence:
                refusal = JSONResponse({"error": sentence}, 401, {"WWW-Authenticate": "Bearer"})
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> str:
        if self._token is None:
            peer = (scope.get("client") or ("",))[0]
            return "" if is_loopback(peer) else "this server has no token file, and so answers its own machine alone"
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if may_enter(header.decode("latin-1"), self._token):
            return ""
        return "the header `Authorization: Bearer TOKEN` must have the token of the server's token file"


async def _predict(request: Request) -> JSONResponse:
    server: Server = request.app.state.server
    question = read_question(await _body(request))
    until = asyncio.get_running_loop().time() + server.deadline_secs
    served = await _served(server, question)
    x = features_of(question.rows, served.info.features)
    said = await served.desk.ask(x, until - asyncio.get_running_loop().time())
    return JSONResponse(
        {"model": served.info.name, "version": served.info.version, "rows": _opinions(served, said)}
    )  # fmt: skip


async def _models(request: Request) -> JSONResponse:
    shelf: Shelf = request.app.state.server.shelf
    problems = dict(sorted(shelf.problems.items()))
    return JSONResponse({"models": shelf.tables(), "problems": problems, "workers": shelf.workers()})


async def _health(request: Request) -> JSONResponse:
    shelf: Shelf = request.app.state.server.shelf
    count, problems = len(shelf), len(shelf.problems)
    status = "ok" if count and not problems else "degraded"
    return JSONResponse({"status": status, "models": count, "problems": problems})


async def _automl(request: Request, num_strategies: Annotated[int, Query()]) -> JSONResponse:
    job = await request.app.state.server.jobs.start(num_strategies)
    return JSONResponse(job.table(), 202, {"Location": f"/jobs/{job.id}"})


async def _jobs(request: Request) -> JSONResponse:
    return JSONResponse({"jobs": [job.table() for job in request.app.state.server.jobs.all()]})


async def _job(request: Request, job_id: str) -> JSONResponse:
    return JSONResponse(request.app.state.server.jobs.get(job_id).table())


async def _cancel(request: Request, job_id: str) -> JSONResponse:
    return JSONResponse((await request.app.state.server.jobs.cancel(job_id)).table())


async def _served(server: Server, question: Question) -> Served:
    found = server.shelf.loaded(question.name, question.version)
    if found is None and question.version:
        load = asyncio.to_thread(server.shelf.load, question.name, question.version)
        try:
            found = await asyncio.wait_for(load, server.deadline_secs)
        except TimeoutError:
            raise UnavailableError(f"model {question.name}@{question.version} is being loaded; ask later") from None
    if found is None:
        raise server.shelf.unknown(question.name)
    return found


def _opinions(served: Served, predictions: FloatArray) -> list[dict[str, Any]]:
    verdicts, scales = served.trained.application.say(predictions)
    return [
        {
            "prediction": None if prediction != prediction else prediction,
            "verdict": "accepted" if verdict == ACCEPTED else "vetoed",
            "scale": scale,
        }
        for prediction, verdict, scale in zip(predictions.tolist(), verdicts.tolist(), scales.tolist(), strict=True)
    ]


async def _body(request: Request) -> bytes:
    """The body, no more of it than is allowed, within ten seconds."""
    parts, size = [], 0
    too_long = HTTPException(413, f"the body must have at most {MAX_BODY_BYTES:,} bytes; ask in several requests")
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > MAX_BODY_BYTES:
        raise too_long
    try:
        async with asyncio.timeout(_BODY_SECS):
            async for part in request.stream():
                size += len(part)
                if size > MAX_BODY_BYTES:
                    raise too_long
                parts.append(part)
    except TimeoutError:
        raise HTTPException(408, f"the body did not arrive within {_BODY_SECS:g} s") from None
    return b"".join(parts)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    """Every refusal is one sentence."""
    if isinstance(error, HTTPException):
        known = _SENTENCES.get(HTTPStatus(error.status_code), error.detail)
        return JSONResponse({"error": known}, error.status_code, error.headers)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return JSONResponse({"error": f"`{first['loc'][-1]}`: {first['msg']}"}, 422)
    if isinstance(error, ClientDisconnect):
        # Nobody is left to read it.
        return JSONResponse({"error": "the body ended before it was whole"}, 400)
    if isinstance(error, UnknownNameError):
        return JSONResponse({"error": str(error)}, 404)
    if isinstance(error, InputError):
        return JSONResponse({"error": str(error)}, 422)
    if isinstance(error, BusyError):
        return JSONResponse({"error": str(error)}, 409)
    if isinstance(error, UnavailableError):
        return JSONResponse({"error": str(error)}, 503)
    _log.error("a request could not be answered", exc_info=error)
    return JSONResponse({"error": "this could not be answered; the server's log says why"}, 500)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    server: Server = app.state.server
    watching = asyncio.create_task(_watch(server))
    try:
        yield
    finally:
        watching.cancel()
        if server.jobs is not None:
            await server.jobs.close()


async def _watch(server: Server) -> None:
    while True:
        try:
            await asyncio.to_thread(server.shelf.refresh)
            await asyncio.to_thread(server.shelf.tend)
        except Exception:
            # The registry may be on a disk that is away for a while; what is loaded is served.
            _log.exception("the registry could not be looked at")
        server.shelf.retire()
        await asyncio.sleep(server.poll_secs)
