"""What is not answered, and how that is said."""

import json
import logging
from pathlib import Path

import pytest

from executor.api import ApiConfig, answers, routes, serving
from executor.api.questions import MAX_BODY_BYTES
from executor.ledger import Ledger
from tests.executor.api.served import Served
from tests.executor.api.served import serving as served
from toolkit.errors import InputError

MALFORMED = [
    "/api/orders?limit=0",
    "/api/orders?limit=-1",
    "/api/orders?limit=1e3",
    "/api/orders?limit=99999999999999999999",
    "/api/orders?limit=%C2%B2",
    "/api/orders?limit=5&limit=6",
    "/api/orders?limitt=5",
    "/api/orders?working=yes",
    "/api/orders?symbol=",
    "/api/orders?symbol=" + "x" * 300,
    "/api/signals?since=yesterday",
    "/api/signals?since=12",
    "/api/signals?since=2023-13-01",
    "/api/signals?since=" + "9" * 400,
    "/api/trades?status=active",
    "/api/positions?by=colour",
    "/api/status?x",
    "/api/equity?points=0",
    "/api/equity?since=%00",
]
NO_HTTP = [
    b"GARBAGE\r\n\r\n",
    b"BREW /api/status HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /api/status HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET /api/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer SECRET\x01\r\n\r\n",
    b"GET /api/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + b"SECRET" * 3000 + b"\r\n\r\n",
    b"GET /" + b"SECRET" * 3000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /commands HTTP/1.1\r\nHost: x\r\nContent-Length: SECRET\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"SECRET" * 20,
]


def sentence(body: bytes) -> str:
    """The error of a body, which has nothing else."""
    (name, text), *rest = json.loads(body).items()
    assert (name, rest) == ("error", [])
    assert "Traceback" not in text and "\n" not in text
    return str(text)


@pytest.mark.parametrize("path", MALFORMED)
def test_a_malformed_query_is_said(api: Served, path: str) -> None:
    reply = api.ask(path)
    assert reply.status == 400
    assert len(sentence(reply.body)) < 300


def test_a_sentence_says_rule_value_and_remedy(api: Served) -> None:
    assert sentence(api.ask("/api/orders?limit=0").body) == ("`limit` must be a whole number from 1 to 10,000, was '0'")
    assert "did you mean 'limit'?" in sentence(api.ask("/api/orders?limitt=5").body)
    assert "must be one of strategy, symbol, currency" in sentence(api.ask("/api/positions?by=colour").body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(api: Served, method: str) -> None:
    reply = api.ask("/api/status", method)
    assert reply.status == 405
    assert reply.headers["Allow"] == "GET,HEAD"
    assert sentence(reply.body) == "this address does not take this method"


PATHS = [
    "/dashboard/../config.py",
    "/dashboard/..%2Fapi%2Ftoken.py",
    "/dashboard/%2e%2e/%2e%2e/pyproject.toml",
    "/dashboard/....//serving.py",
    "/dashboard//etc/passwd",
    "/dashboard/%2Fetc%2Fpasswd",
    "/dashboard/__init__.py",
    "/dashboard/main.js%00.html",
    "/dashboard/",
    "/../executor.sqlite.token",
    "/executor.sqlite",
    "/static/../../../etc/passwd",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out_of_the_page(api: Served, path: str) -> None:
    reply = api.ask(path)
    assert reply.status == 404
    assert sentence(reply.body).startswith("there is nothing at this address")


@pytest.mark.parametrize("raw", NO_HTTP, ids=range(len(NO_HTTP)))
def test_what_is_no_http_is_a_sentence_and_is_not_logged(
    api: Served, raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        head, _, body = api.send(raw).partition(b"\r\n\r\n")
    assert head.startswith(b"400 ")
    assert b"Content-Security-Policy" in head and b"application/json" in head
    assert sentence(body).startswith("this is no HTTP request")
    assert "SECRET" not in caplog.text and "Traceback" not in caplog.text


def test_the_token_is_in_no_log(writing_api: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for path in ("/api/status", "/api/orders?limit=0", f"/api/orders?token={writing_api.token}", "/nowhere", "/"):
            writing_api.ask(path)
        writing_api.ask("/commands", "POST", b"{")
        writing_api.ask("/api/status", Authorization=f"Bearer {writing_api.token}x")
    assert writing_api.token not in caplog.text


def test_an_oversized_body_is_refused(writing_api: Served) -> None:
    reply = writing_api.ask("/commands", "POST", b" " * (MAX_BODY_BYTES + 1))
    assert reply.status == 413
    assert sentence(reply.body) == "the body must have at most 16,384 bytes"
    assert writing_api.ask("/health").status == 200


def test_a_body_that_does_not_come_is_refused(writing_api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("executor.api.questions.BODY_SECS", 0)
    head = f"POST /commands HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {writing_api.token}\r\n"
    answer = writing_api.send(f"{head}Content-Length: 50\r\n\r\n{{".encode())
    assert answer.startswith(b"400 ") and b"the body must be here within 0 s" in answer
    assert writing_api.ask("/api/commands").body == b"[]"


def test_a_body_in_broken_chunks_is_refused(writing_api: Served) -> None:
    head = f"POST /commands HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {writing_api.token}\r\n"
    answer = writing_api.send(f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\nnonsense\r\n\r\n".encode())
    assert answer.startswith(b"400 ") and b"Traceback" not in answer
    assert writing_api.ask("/api/commands").body == b"[]"


@pytest.mark.parametrize("path", ["/", "/health", "/api/status", "/nowhere", "/dashboard/main.js", "/metrics"])
def test_every_answer_carries_the_headers(api: Served, path: str) -> None:
    for authorization in ("", f"Bearer {api.token}"):
        headers = api.ask(path, Authorization=authorization).headers
        assert {name: headers[name] for name in serving.HEADERS} == serving.HEADERS
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] in ("no-store", "no-cache")


def test_a_failure_within_is_logged_and_not_told(
    api: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> object:
        raise ZeroDivisionError("the inside")

    monkeypatch.setattr(answers, "status", broken)
    reply = api.ask("/api/status")
    assert reply.status == 500
    assert sentence(reply.body) == "this could not be answered; the daemon's log says why"
    assert "ZeroDivisionError: the inside" in caplog.text
    assert json.loads(api.ask("/health", Authorization="").body) == {"status": "stale"}


def test_a_ledger_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with served(tmp_path / "none.sqlite") as api:
        reply = api.ask("/api/status")
        assert reply.status == 503
        assert sentence(reply.body).startswith("there is no ledger")
        assert (api.ask("/health").status, api.ask("/health").body) == (503, b'{"status": "stale"}')


def test_a_port_that_is_taken_is_said(api: Served) -> None:
    said = f"cannot listen on 127.0.0.1:{api.port}.*set another api_host or api_port"
    with pytest.raises(InputError, match=said), served(api.ledger, api_port=api.port):
        pytest.fail("it listens")


def test_plain_http_to_the_world_is_warned_of(ledger: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert ApiConfig().api_host == "127.0.0.1"
    with served(ledger, api_host="0.0.0.0"):
        assert "plain HTTP" in caplog.text


def test_readers_change_nothing(api: Served) -> None:
    with Ledger.open(api.ledger, readonly=True) as ledger:
        before = ledger.value("PRAGMA data_version")
        for path in routes.ANSWERS:
            assert api.ask(path).status == 200
        assert ledger.value("PRAGMA data_version") == before
