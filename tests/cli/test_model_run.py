"""`toolkit model run`: what it refuses before it listens; the server itself is under test in tests/models/serve."""

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.models.bundles import kept
from toolkit.cli.main import app
from toolkit.errors import LockstepError


def refused(folder: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["model", "run", *words], env={"LOCKSTEP_DATA": str(folder)})
    assert isinstance(done.exception, LockstepError), done.output
    return str(done.exception)


def test_what_cannot_be_served_is_said_in_a_sentence(tmp_path: Path) -> None:
    folder = kept(tmp_path / "models", "trend", "constant")
    assert "unknown model 'trends': did you mean 'trend'?" in refused(tmp_path, "trends")
    assert "unknown version of model trend" in refused(tmp_path, "trend@20200101T000000-0")
    assert "is served by its name" in refused(tmp_path, str(folder))
    assert "`--deadline` must be above 0 seconds, was 0" in refused(tmp_path, "--deadline", "0")
    assert "`--deadline` must be above 0 seconds, was nan" in refused(tmp_path, "--deadline", "nan")


def test_a_token_file_that_others_may_read(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a" * 32)
    file.chmod(0o644)
    assert "may be read by others (mode 644)" in refused(tmp_path, "--token-file", str(file))


@pytest.mark.parametrize("host", ["127.0.0.1", "203.0.113.7", "no.such.host.invalid"])
def test_an_address_that_cannot_be_listened_on(tmp_path: Path, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"cannot listen on {host}:{port}" in refused(tmp_path, "--host", host, "--port", port)
    assert "`port` must be from 0 to 65,535, was 99999" in refused(tmp_path, "--port", "99999")
