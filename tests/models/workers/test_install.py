"""Making an environment: by uv or pip, from hashes alone, whole or not at all, with an interpreter that fits."""

import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.models.workers.fake import fake_library
from toolkit.models.workers.environments import environment, environments_root
from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.install import find_python, install
from toolkit.models.workers.library import Library

# What stands in for an interpreter and for uv: it makes an environment that is a copy of itself, and writes down what
# it was asked.
STAND_IN = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
  *"-m venv "*|"venv "*) for last; do :; done; mkdir -p "$last/bin"; cp {python} "$last/bin/python";;
  *"pip install"*) if [ -e {fails} ]; then echo "no such wheel" >&2; exit 4; fi;;
  *) exec {real} "$@";;
esac
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    monkeypatch.setenv("LOCKSTEP_ENVS", str(tmp_path / "envs"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "path").mkdir()
    for name in ("python3", "uv"):
        text = STAND_IN.format(
            log=tmp_path / "log", fails=tmp_path / "fails", python=tmp_path / "path" / "python3", real=sys.executable
        )
        (tmp_path / "path" / name).write_text(text)
        (tmp_path / "path" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    yield fake_library(tmp_path)
    assert list((tmp_path / "tmp").iterdir()) == []
    assert [path.name for path in environments_root().glob(".*")] == []


def without_uv(tmp_path: Path) -> Path:
    (tmp_path / "path" / "uv").unlink()
    return tmp_path / "path" / "python3"


def asked(tmp_path: Path) -> str:
    return (tmp_path / "log").read_text()


def test_uv_makes_it_where_there_is_one(library: Library, tmp_path: Path) -> None:
    told: list[str] = []
    made = install(library, progress=told.append)
    assert made.state == "ready" and made == environment(library)
    assert made.versions["python"] == platform.python_version()
    assert made.folder == tmp_path / "envs" / "fake"
    assert f"--require-hashes --only-binary :all: -r {library.lock}" in asked(tmp_path)
    assert "with uv and" in told[0]


def test_pip_makes_it_elsewhere(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = without_uv(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("toolkit.models.workers.install.find_python", lambda library, named: interpreter)
    assert install(library).state == "ready"
    quiet = "pip install --quiet --disable-pip-version-check"
    assert f"{quiet} --no-deps --require-hashes --only-binary :all:" in asked(tmp_path)


def test_what_fails_leaves_what_was_there(library: Library, tmp_path: Path) -> None:
    before = install(library)
    (tmp_path / "fails").touch()
    with pytest.raises(WorkerError, match="could not be made: uv ended with code 4; the last that it printed: no such"):
        install(library)
    assert environment(library) == before
    (tmp_path / "fails").unlink()
    assert install(library).state == "ready"


def test_an_environment_that_does_not_answer_is_not_put_in_place(library: Library, tmp_path: Path) -> None:
    library.script.write_text("import a_library_that_is_not_there\n")
    with pytest.raises(
        WorkerError, match="cannot start: ModuleNotFoundError: No module named 'a_library_that_is_not_th"
    ):
        install(library)
    assert environment(library).state == "absent"


def test_without_a_fitting_interpreter_it_says_which_versions_fit(library: Library) -> None:
    old = replace(library, pythons=("2.9", "2.8"))
    with pytest.raises(
        WorkerError, match=r"Fake needs Python 2\.8 to 2\.9, and none was found on PATH; install one, or"
    ):
        install(old)
    with pytest.raises(
        WorkerError, match=rf"Fake needs Python 2.8 to 2.9, and .* is Python {library.pythons[0]}; name"
    ):
        find_python(old, Path(sys.executable))
    with pytest.raises(WorkerError, match="and /nowhere/python is no Python that runs; name another with --python"):
        find_python(library, Path("/nowhere/python"))
    assert find_python(library, Path(sys.executable)) == Path(sys.executable)


def test_without_room_nothing_is_begun(library: Library, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"takes about 99999999 MB, twice that while it is made, and .* MB free"):
        install(replace(library, megabytes=99_999_999))
    assert not (tmp_path / "envs" / "fake").exists()


def test_what_was_recorded_is_plain(library: Library) -> None:
    made = install(library)
    facts = json.loads((made.folder / "environment.json").read_text())
    assert set(facts) == {"library", "lock", "versions", "megabytes", "secs", "made"}
    assert facts["library"] == "fake"
