"""What each address answers. Every request opens the ledger read-only, for itself, in a thread."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import web

from executor.api import answers, growth, questions
from executor.dashboard import FILES
from executor.ledger import Ledger, views
from toolkit.errors import InputError

Reader: TypeAlias = Callable[[str, str], object]
Answer: TypeAlias = Callable[[Ledger, dict[str, Any]], object]

_LIMIT: dict[str, Reader] = {"limit": questions.count}
_ONLY: dict[str, Reader] = dict.fromkeys(questions.ONLY, questions.word)
_LISTS: dict[str, Reader] = {"since": questions.moment, **_LIMIT, **_ONLY}


@dataclass
class Desk:
    """What the handlers share. `at_once` bounds the threads that read, since the daemon trades in this process."""

    ledger: Path
    write: bool = False
    metrics: Callable[[], bytes] | None = None
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    async def read(self, answer: Callable[[Ledger], object]) -> object:
        """What a function makes of the ledger."""

        def reading() -> object:
            with Ledger.open(self.ledger, readonly=True) as ledger:
                return answer(ledger)

        async with self.at_once:
            return await asyncio.to_thread(reading)

    async def insert_command(self, row: dict[str, Any]) -> int:
        """Write a row of `commands`, which the daemon applies before its next event; its id."""

        def writing() -> int:
            with Ledger.open(self.ledger, check=False) as ledger:
                return ledger.insert("commands", row)

        async with self.at_once:
            return await asyncio.to_thread(writing)


DESK = web.AppKey("desk", Desk)


def _status(ledger: Ledger, asked: dict[str, Any]) -> object:
    return answers.summary(ledger)


def _positions(ledger: Ledger, asked: dict[str, Any]) -> object:
    return views.positions(ledger, **asked)


def _orders(ledger: Ledger, asked: dict[str, Any]) -> object:
    only = questions.only(asked)
    return views.orders(ledger, only, **_since_ms(asked))


def _signals(ledger: Ledger, asked: dict[str, Any]) -> object:
    only = questions.only(asked)
    return views.signals(ledger, only=only, **_since_ms(asked))


def _trades(ledger: Ledger, asked: dict[str, Any]) -> object:
    only = questions.only(asked)
    return views.trades(ledger, only, **_since_ms(asked))


def _equity(ledger: Ledger, asked: dict[str, Any]) -> object:
    return growth.equity(ledger, **_since_ms(asked))


def _since_ms(asked: dict[str, Any]) -> dict[str, Any]:
    return {"since_ms" if name == "since" else name: value for name, value in asked.items()}


# Address -> the parameters it knows, and what answers it.
ANSWERS: dict[str, tuple[dict[str, Reader], Answer]] = {
    "/api/status": ({}, _status),
    "/api/positions": ({"by": questions.grouping}, _positions),
    "/api/orders": ({**_LISTS, "working": questions.flag}, _orders),
    "/api/signals": (_LISTS, _signals),
    "/api/trades": ({**_LISTS, "status": questions.one_of(("ACTIVE", "CLOSED"))}, _trades),
    "/api/equity": ({"since": questions.moment, "points": questions.count}, _equity),
    "/api/feed": ({}, lambda ledger, _: answers.feed(ledger)),
    "/api/models": (_LIMIT, lambda ledger, asked: answers.models(ledger, **asked)),
    "/api/sessions": (_LIMIT, lambda ledger, asked: answers.sessions(ledger, **asked)),
    "/api/halts": (_LIMIT, lambda ledger, asked: answers.halts(ledger, **asked)),
    "/api/commands": (_LIMIT, lambda ledger, asked: answers.commands(ledger, **asked)),
}

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def add_routes(app: web.Application) -> None:
    """Every address of the API and of its page."""
    for path, (readers, answer) in ANSWERS.items():
        app.router.add_get(path, _getter(readers, answer))
    app.router.add_get("/health", health)
    app.router.add_get("/metrics", metrics)
    app.router.add_post("/commands", post_command)
    app.router.add_get("/favicon.ico", no_icon)
    app.router.add_get("/", page)
    app.router.add_get("/dashboard/{name}", page)


def said(value: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.json_response(value, status=status, dumps=lambda v: json.dumps(v, allow_nan=False))


def _getter(readers: dict[str, Reader], answer: Answer) -> Callable[[web.Request], Any]:
    async def get(request: web.Request) -> web.Response:
        asked = questions.query(request, readers)
        return said(await request.app[DESK].read(lambda ledger: answer(ledger, asked)))

    return get


async def health(request: web.Request) -> web.Response:
    """`ok` (200) or `stale` (503), and nothing else: it needs no token."""
    try:
        found = await request.app[DESK].read(answers.health)
    except Exception:
        # Why is for those who have the token.
        found = "stale"
    return said({"status": found}, 200 if found == "ok" else 503)


async def metrics(request: web.Request) -> web.Response:
    """What Prometheus scrapes."""
    make = request.app[DESK].metrics
    if make is None:
        return said({"error": "there are no metrics here: this process was started without them"}, 404)
    return web.Response(body=make(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def post_command(request: web.Request) -> web.Response:
    """Ask something of the daemon; the answer is the row's id, under which GET /api/commands says what came of it."""
    desk = request.app[DESK]
    if not desk.write:
        return said({"error": "this API only reads; set api_write = true in the daemon's configuration"}, 403)
    if request.query:
        raise InputError("a command is in the body, not in the address; leave the query out")
    row = await questions.command(request)
    return said({"id": await desk.insert_command(row), "status": "waiting"}, 202)


async def no_icon(request: web.Request) -> web.Response:
    """Browsers ask for one."""
    return web.Response(status=204)


async def page(request: web.Request) -> web.Response:
    """A file of the page. It says nothing of the account, and so needs no token: the page asks for it."""
    name = request.match_info.get("name", "index.html")
    file = FILES.get(name)
    if file is None:
        raise web.HTTPNotFound
    # A browser asks each time: the page is small, and must be that of the daemon that answers it.
    headers = {"Cache-Control": "no-cache"}
    return web.Response(body=file.read_bytes(), content_type=_TYPES[file.suffix], charset="utf-8", headers=headers)
