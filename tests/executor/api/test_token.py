"""The secret: where it comes from, who may read it, and that nobody passes without."""

import json
import os
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from executor.api import token
from executor.cli.main import app
from tests.executor.api.served import Served, serving
from toolkit.errors import InputError

CLOSED = ["/api/status", "/api/equity", "/metrics", "/commands", "/nowhere", "/api/", "/dashboard/../api/status"]


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer wrong", "Bearer é", "Basic {}", "{}", "Bearer {}x", "Bearer x{}"]
)
def test_nothing_is_said_without_the_token(api: Served, path: str, given: str) -> None:
    header = given.format(api.token).encode().decode("latin-1")
    reply = api.ask(path, Authorization=header)
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert list(json.loads(reply.body)) == ["error"]
    assert api.token.encode() not in reply.body


def test_a_token_in_the_address_does_not_open(api: Served) -> None:
    assert api.ask(f"/api/status?token={api.token}", Authorization="").status == 401


def test_the_health_and_the_empty_page_need_none(api: Served) -> None:
    for path in ("/health", "/", "/dashboard/main.js"):
        assert api.ask(path, Authorization="").status == 200


def test_the_file_is_its_owners_alone_and_is_kept(tmp_path: Path) -> None:
    ledger = tmp_path / "new" / "executor.sqlite"
    first = token.current(ledger)
    assert stat.S_IMODE(token.token_path(ledger).stat().st_mode) == 0o600
    assert token.current(ledger) == first
    assert len(first) >= 40
    assert [f.name for f in ledger.parent.iterdir()] == ["executor.sqlite.token"]


def test_a_rotated_token_counts_from_the_next_request_on(api: Served) -> None:
    new = token.rotate(api.ledger)
    assert new != api.token
    assert api.ask("/api/feed").status == 401
    assert api.ask("/api/feed", Authorization=f"Bearer {new}").status == 200
    assert stat.S_IMODE(token.token_path(api.ledger).stat().st_mode) == 0o600


def test_a_file_that_others_may_read_lets_nobody_in(api: Served, tmp_path: Path) -> None:
    token.token_path(api.ledger).chmod(0o644)
    assert api.ask("/api/feed").status == 401
    with pytest.raises(InputError, match=r"may be read by others \(mode 644\).*executor token --rotate"):
        token.current(api.ledger)


def test_the_environment_comes_first(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(token.VARIABLE, "a-token-of-the-desk-0001")
    with serving(ledger) as api:
        assert api.token == "a-token-of-the-desk-0001"
        assert api.ask("/api/feed").status == 200
        assert not token.token_path(ledger).exists()
        with pytest.raises(InputError, match="comes from LOCKSTEP_API_TOKEN"):
            token.rotate(ledger)


@pytest.mark.parametrize("weak", ["", "short", "has a space in its middle", "ünïcödé-ünïcödé-ünïcödé"])
def test_a_weak_token_is_refused_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weak: str) -> None:
    monkeypatch.setenv(token.VARIABLE, weak)
    with pytest.raises(InputError, match="at least 16 letters") as refused:
        token.current(tmp_path / "x.sqlite")
    assert not weak or weak not in str(refused.value)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for act in (token.current, token.rotate):
        with pytest.raises(InputError, match="token's file"):
            act(tmp_path / "file" / "x.sqlite")


def test_a_token_that_another_process_made_first_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tmp_path / "x.sqlite"
    real = os.fsync

    def meanwhile(file: int) -> None:
        real(file)
        token.token_path(ledger).write_text("theirs-theirs-theirs\n")
        token.token_path(ledger).chmod(0o600)

    monkeypatch.setattr(os, "fsync", meanwhile)
    assert token.current(ledger) == "theirs-theirs-theirs"


def test_the_command_prints_and_rotates(tmp_path: Path) -> None:
    ledger = tmp_path / "executor.sqlite"
    run = CliRunner().invoke
    first = run(app, ["token", "--ledger", str(ledger)])
    assert (first.exit_code, first.stdout.strip()) == (0, token.current(ledger))
    second = run(app, ["token", "--rotate", "--json", "--ledger", str(ledger)])
    assert json.loads(second.stdout) == {"token": token.current(ledger), "ledger": str(ledger)}
    assert token.current(ledger) != first.stdout.strip()
    assert "Example: executor token" in run(app, ["token", "--help"]).stdout
