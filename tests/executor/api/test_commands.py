"""POST /commands: refused unless the configuration lets it, and then one row."""

import json
import sqlite3
from typing import Any

import pytest

from tests.executor.api.served import Served, wall_ms

TAKEN = [
    {"verb": "halt"},
    {"verb": "resume", "target": ""},
    {"verb": "disable", "target": "channel_trend"},
    {"verb": "enable", "target": "*"},
    {"verb": "close", "target": "BTC/USDT"},
    {"verb": "deposit", "value": 2500, "target": "from the bank"},
    {"verb": "withdraw", "value": 0.5},
]
REFUSED = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"halt"',
    b"\xff\xfe",
    b"[" * 9000,
    b"{}",
    b'{"verb": "Halt"}',
    b'{"verb": ["halt"]}',
    b'{"verb": "halt; DROP TABLE commands"}',
    b'{"verb": "halt", "by": "root"}',
    b'{"verb": "halt", "target": "BTC/USDT"}',
    b'{"verb": "halt", "value": 1}',
    b'{"verb": "close"}',
    b'{"verb": "close", "target": 7}',
    b'{"verb": "close", "target": "' + b"x" * 201 + b'"}',
    b'{"verb": "deposit"}',
    b'{"verb": "deposit", "value": 0}',
    b'{"verb": "deposit", "value": -5}',
    b'{"verb": "deposit", "value": "5"}',
    b'{"verb": "deposit", "value": true}',
    b'{"verb": "deposit", "value": NaN}',
    b'{"verb": "deposit", "value": Infinity}',
    b'{"verb": "deposit", "value": 1' + b"0" * 400 + b"}",
]


def rows(api: Served) -> list[dict[str, Any]]:
    """Commands by SQLite alone."""
    db = sqlite3.connect(api.ledger)
    db.row_factory = sqlite3.Row
    found = [dict(row) for row in db.execute("SELECT * FROM commands ORDER BY id")]
    db.close()
    return found


@pytest.mark.parametrize("command", TAKEN)
def test_a_reading_api_refuses(api: Served, command: dict[str, Any]) -> None:
    reply = api.ask("/commands", "POST", json.dumps(command))
    assert reply.status == 403
    assert "api_write = true" in json.loads(reply.body)["error"]
    assert rows(api) == []


def test_a_writing_one_inserts_each_as_a_row(writing_api: Served) -> None:
    before = wall_ms()
    replies = [writing_api.ask("/commands", "POST", json.dumps(command)) for command in TAKEN]
    assert [reply.status for reply in replies] == [202] * len(TAKEN)
    found = rows(writing_api)
    assert [json.loads(reply.body) for reply in replies] == [{"id": row["id"], "status": "waiting"} for row in found]
    for row, command in zip(found, TAKEN, strict=True):
        assert {"verb": row["verb"], "target": row["target"], "value": row["value"]} == {
            "target": "", "value": None, **command,
        }  # fmt: skip
        assert (row["by"], row["status"], row["answer"], row["seq"]) == ("api", "waiting", None, None)
        assert before <= row["ts_ms"] <= wall_ms()
    waiting = json.loads(writing_api.ask("/api/status").body)["waiting_commands"]
    assert [row["id"] for row in waiting] == [row["id"] for row in found]
    assert [row["id"] for row in json.loads(writing_api.ask("/api/commands?limit=3").body)] == [7, 6, 5]


@pytest.mark.parametrize("body", REFUSED, ids=range(len(REFUSED)))
def test_a_malformed_command_is_refused(writing_api: Served, body: bytes) -> None:
    reply = writing_api.ask("/commands", "POST", body)
    assert reply.status == 400
    assert len(json.loads(reply.body)["error"]) < 300
    assert rows(writing_api) == []


def test_a_command_needs_the_token_and_no_query(writing_api: Served) -> None:
    body = json.dumps(TAKEN[0])
    assert writing_api.ask("/commands", "POST", body, Authorization="Bearer wrong").status == 401
    assert writing_api.ask("/commands?verb=halt", "POST", body).status == 400
    assert writing_api.ask("/commands").status == 405
    assert rows(writing_api) == []
