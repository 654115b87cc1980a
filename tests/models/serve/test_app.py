"""Who may ask a server that has a token, and one that has none."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from toolkit.models.serve.app import Server, make_app
from toolkit.models.serve.shelf import Shelf

TOKEN = "a-token-of-some-length"


def status(root: Path, token: str | None, peer: tuple[str, int] | None, path: str, header: str = "") -> int:
    """Of the answer to a question from an address."""
    app, said = make_app(Server(Shelf(root), token, jobs=None)), []
    headers = [(b"authorization", header.encode())] if header else []
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": peer,
        "server": ("x", 1),
        "scheme": "http",
        "http_version": "1.1",
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    asyncio.run(app(scope, receive, send))
    return int(said[0]["status"])


@pytest.mark.parametrize("peer", [("127.0.0.1", 5), ("127.0.0.9", 5), ("::1", 5)])
def test_without_a_token_this_machine_may_ask(tmp_path: Path, peer: tuple[str, int]) -> None:
    assert status(tmp_path, None, peer, "/models") == 200


@pytest.mark.parametrize("peer", [("192.0.2.7", 5), ("10.0.0.1", 5), ("2001:db8::1", 5), ("", 0), None])
def test_without_a_token_no_other_may(tmp_path: Path, peer: tuple[str, int] | None) -> None:
    assert status(tmp_path, None, peer, "/models") == 401
    assert status(tmp_path, None, peer, "/health") == 200
    assert status(tmp_path, TOKEN, peer, "/models", f"Bearer {TOKEN}") == 200


def test_with_a_token_this_machine_needs_it_too(tmp_path: Path) -> None:
    assert status(tmp_path, TOKEN, ("127.0.0.1", 5), "/models") == 401
    assert status(tmp_path, TOKEN, ("127.0.0.1", 5), "/models", "Bearer another") == 401


def test_a_server_without_jobs_has_no_addresses_for_them(tmp_path: Path) -> None:
    assert status(tmp_path, None, ("127.0.0.1", 5), "/jobs") == 404
