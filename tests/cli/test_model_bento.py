"""`toolkit model bento`: what it prints, and what it refuses; bentos are under test in tests/models/bento."""

import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.models.bento.places import install_stand_in
from tests.models.bundles import kept
from toolkit.cli.main import app
from toolkit.errors import LockstepError
from toolkit.models.serve.token import read_token


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    monkeypatch.setenv("LOCKSTEP_ENVS", str(tmp_path / "envs"))
    kept(tmp_path / "models", "trend", "constant")
    return tmp_path


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["model", "bento", *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_it_prints_the_line_that_serves_it(folder: Path) -> None:
    install_stand_in()
    said, line = run("trend").splitlines()
    (made,) = (folder / "bentos" / "trend").iterdir()
    assert said.startswith(f"trend@{made.name} is packed in {made}, where it predicts what it predicts here")
    words = shlex.split(line)
    assert words[:2] == ["env", "BENTOML_DO_NOT_TRACK=True"]
    assert f"BENTOML_HOME={folder / 'bentoml'}" in words and f"LOCKSTEP_TOKEN_FILE={folder / 'models.token'}" in words
    python = str(folder / "envs" / "bentoml" / "bin" / "python")
    assert words[-8:] == [python, "-m", "bentoml", "serve", str(made), "--host", "127.0.0.1", "--port", "8788"][-8:]
    assert len(read_token(folder / "models.token")) >= 32


def test_a_machine_is_told_the_same(folder: Path) -> None:
    install_stand_in()
    said = json.loads(run("trend", "--out", str(folder / "out"), "--json"))
    assert (said["model"], said["folder"]) == ("trend", str(folder / "out"))
    assert said["tag"] == f"trend:{said['version'].lower()}"
    assert said["command"][1:4] == ["-m", "bentoml", "serve"] and "LOCKSTEP_TOKEN_FILE" in said["variables"]


def test_what_cannot_be_packed_is_said_in_a_sentence(folder: Path) -> None:
    def refused(*words: str) -> str:
        done = CliRunner().invoke(app, ["model", "bento", *words])
        assert isinstance(done.exception, LockstepError), done.output
        return str(done.exception)

    # Nothing is installed by itself.
    assert "make it (about 400 MB) with: toolkit model backends install bentoml" in refused("trend")
    assert not (folder / "envs").exists()
    install_stand_in()
    assert "unknown model 'trends': did you mean 'trend'?" in refused("trends")
    (folder / "models.token").write_text("a" * 32)
    (folder / "models.token").chmod(0o644)
    assert "may be read by others (mode 644)" in refused("trend")
    assert not (folder / "bentos").exists()
