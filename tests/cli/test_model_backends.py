"""`toolkit model backends`: what is listed, made and checked, and how it answers a machine."""

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.models.workers.fake import fake_environment
from toolkit.cli.model_backends import app
from toolkit.errors import InputError, UnknownNameError
from toolkit.models.workers import libraries
from toolkit.models.workers.library import Library
from toolkit.models.workers.resident import close_residents


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    library = fake_environment(tmp_path, monkeypatch)
    absent = replace(library, name="absent", title="Absent", quick={"act": "dies"})
    monkeypatch.setattr(libraries, "LIBRARIES", {"fake": library, "absent": absent})
    yield library
    close_residents()


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words), prog_name="toolkit model backends", catch_exceptions=False)
    return done.exit_code, done.stdout


@pytest.mark.parametrize("words", [(), ("ls",)])
def test_what_is_here_and_what_could_be(library: Library, words: tuple[str, ...]) -> None:
    code, text = run(*words)
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert code == 0
    assert "here" in lines["lightgbm"] and lines["lightgbm"].endswith("ready")
    assert "own environment" in lines["fake"] and "ready" in lines["fake"]
    assert lines["absent"].endswith("not installed: toolkit model backends install absent (about 1 MB, none)")
    assert lines["fake"].endswith(" 1 MB, none")
    assert lines["bentoml"].split()[1] == "serves"
    assert lines["bentoml"].endswith("not installed: toolkit model backends install bentoml (about 400 MB, Apache-2.0)")


def test_the_list_for_a_machine(library: Library) -> None:
    rows: list[dict[str, Any]] = json.loads(run("ls", "--json")[1])
    states = {row["name"]: row["state"] for row in rows}
    assert states["fake"] == "ready" and states["absent"] == "absent" and states["constant"] == "ready"


def test_a_check_says_what_it_found(library: Library) -> None:
    code, text = run("check", "fake")
    assert code == 0 and text.startswith("fake:       well; reloads equal; its code makes the same model; starts in ")
    assert "ms a row" in text and "numpy" in text
    code, text = run("check", "--all")
    lines = text.splitlines()
    assert code == 1 and [line.split(":")[0] for line in lines] == ["fake", "absent"]
    assert "well" in lines[0] and "needs an environment of its own" in lines[1]
    found = json.loads(run("check", "--all", "--json")[1])
    assert [one["problem"] is None for one in found] == [True, False] and found[0]["again"] == "makes the same model"
    for words in (["check"], ["check", "fake", "--all"]):
        with pytest.raises(InputError, match=r"name one library \(fake, absent\), or --all"):
            run(*words)
    code, text = run("check", "absent", "--json")
    assert code == 1
    assert "toolkit model backends install absent" in json.loads(text)["problem"]


def test_a_library_that_nobody_knows_is_an_error(library: Library) -> None:
    with pytest.raises(UnknownNameError, match="unknown library 'fakee': did you mean 'fake'"):
        run("install", "fakee")


def test_an_environment_is_made(
    library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from toolkit.models.workers import install
    from toolkit.models.workers.environments import environment

    monkeypatch.setattr(install, "install", lambda library, python, progress: environment(library))
    code, text = run("install", "fake")
    assert code == 0 and text.startswith("fake: ready, numpy ")
    code, text = run("install", "fake", "--json")
    assert json.loads(text)["state"] == "ready"
    # What serves models is installed like what learns them, and checked with none of them.
    code, text = run("install", "bentoml", "--json")
    assert (code, json.loads(text)["name"]) == (0, "bentoml")
    code, text = run("install", "--all", "--json")
    assert [row["name"] for row in json.loads(text)] == ["absent", "bentoml"]
    with pytest.raises(UnknownNameError):
        run("check", "bentoml")
    with pytest.raises(InputError):
        run("install", "bentoml", "--all")


@pytest.mark.parametrize(("answer", "made"), [("y\n", True), ("n\n", False)])
def test_first_use_offers_to_a_person_and_installs_nothing_by_itself(
    library: Library, monkeypatch: pytest.MonkeyPatch, answer: str, made: bool
) -> None:
    from toolkit.cli import model_backends

    asked: list[str] = []
    monkeypatch.setattr(model_backends, "install", asked.append)
    assert model_backends.usable("fake") and model_backends.usable("lightgbm")
    assert not model_backends.usable("absent") and asked == []
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    said: list[str] = []
    monkeypatch.setattr(typer, "confirm", lambda text, **how: said.append(text) or answer == "y\n")
    assert model_backends.usable("absent") is made
    assert said == ["Absent (none) needs an environment of its own, about 1 MB; make it now?"]
    assert asked == (["absent"] if made else [])
