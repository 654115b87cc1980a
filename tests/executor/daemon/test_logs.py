"""The log: JSON lines, files that rotate, and nothing left behind."""

import json
import logging
from pathlib import Path

import pytest

from executor import logs
from executor.heartbeat import Beat, Heartbeat, read, write
from executor.logs import logging_to
from toolkit.errors import InputError


def test_a_line_is_one_object_with_what_was_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = list(logging.getLogger().handlers)
    with logging_to(tmp_path / "logs", "executor", size_mb=1, count=2) as path:
        log = logging.getLogger("executor.test")
        log.info("event %d", 7, extra={"moment_ms": 5})
        log.debug("not said")
        try:
            raise ValueError("two\nlines")
        except ValueError:
            log.exception("it failed")
    assert logging.getLogger().handlers == before
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["message"] == "event 7" and first["level"] == "info" and first["moment_ms"] == 5
    assert first["ts"].endswith("+00:00") and first["logger"] == "executor.test"
    assert second["error"].endswith("ValueError: two\nlines")
    assert "INFO event 7" in capsys.readouterr().err


def test_files_rotate_and_only_so_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_MB", 1_000)
    with logging_to(tmp_path, "executor", size_mb=1, count=2):
        for k in range(100):
            logging.getLogger("executor.test").info("number %d", k)
    names = sorted(file.name for file in tmp_path.glob("executor.log*"))
    assert names == ["executor.log", "executor.log.1", "executor.log.2"]
    newest = (tmp_path / "executor.log").read_text() or (tmp_path / "executor.log.1").read_text()
    assert json.loads(newest.splitlines()[-1])["message"] == "number 99"


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "logs"
    with pytest.raises(InputError, match="set another `log_folder`"), logging_to(folder, "a", size_mb=1, count=1):
        pass


def test_a_heartbeat_is_read_as_it_was_written_and_damage_is_none(tmp_path: Path) -> None:
    path = tmp_path / "beat"
    assert read(path) is None
    write(path, "running", 5)
    found = read(path)
    assert found is not None and (found.state, found.moment_ms) == ("running", 5)
    assert list(tmp_path.iterdir()) == [path]
    for text in ("", "{}", "[1]", '{"pid": "x", "at_ms": 1, "state": "running", "moment_ms": 2}'):
        path.write_text(text)
        assert read(path) is None
    assert Heartbeat(1, 5_000, "running", 0).age_secs(12_000) == 7.0
    assert Heartbeat(1, 5_000, "running", 0).age_secs(1_000) == 0.0


def test_a_beat_is_written_at_a_change_and_not_at_every_call(tmp_path: Path) -> None:
    path = tmp_path / "beat"
    beat = Beat(path)
    beat("starting")
    path.unlink()
    beat("starting", 7)
    assert not path.exists()
    beat("running", 8)
    found = read(path)
    assert found is not None and (found.state, found.moment_ms) == ("running", 8)
    write(tmp_path / "no" / "beat", "running")
    assert not (tmp_path / "no").exists()
