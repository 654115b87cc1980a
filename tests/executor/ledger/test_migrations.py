import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from executor.ledger import Ledger, migrations
from executor.ledger.migrations import STEPS
from tests.executor.ledger.samples import event
from toolkit.errors import LedgerError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of today's schema with one event."""
    file = tmp_path / "executor.sqlite"
    with Ledger.open(file, create=True) as ledger:
        ledger.put("events", [event(1)])
    return file


def add_step(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one step more of the schema."""
    steps = folder / "schema"
    shutil.copytree(migrations._FOLDER, steps)
    (steps / "9999_more.sql").write_text(text)
    monkeypatch.setattr(migrations, "_FOLDER", steps)
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, "9999_more.sql"))


def test_every_statement_of_a_step_is_taken() -> None:
    text = (migrations._FOLDER / migrations.STEPS[0]).read_text()
    found = migrations.statements(text)
    assert len(found) == text.count("CREATE ")
    assert all(s.endswith(";") for s in found)
    assert migrations.statements("-- a\nCREATE TABLE a (\n b);\nDROP TABLE a; -- c\nDROP") == [
        "-- a\nCREATE TABLE a (\n b);",
        "DROP TABLE a; -- c",
        "DROP",
    ]


def test_an_old_ledger_is_upgraded_and_keeps_its_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_step(path.parent, "ALTER TABLE events ADD COLUMN mood TEXT;\nCREATE TABLE moods (mood TEXT);\n", monkeypatch)
    with pytest.raises(LedgerError, match=rf"older schema {len(STEPS)}, which the daemon upgrades"):
        Ledger.open(path, readonly=True)
    with Ledger.open(path) as ledger:
        assert ledger.meta("schema") == str(len(STEPS) + 1)
        ledger.put("events", [event(2) | {"mood": "calm"}])
        assert [tuple(r) for r in ledger.rows("SELECT seq, mood FROM events")] == [(1, None), (2, "calm")]
    with Ledger.open(path, readonly=True) as ledger:
        assert ledger.meta("schema") == str(len(STEPS) + 1)


def test_a_step_that_fails_half_way_leaves_the_old_schema(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        add_step(path.parent, "CREATE TABLE moods (mood TEXT);\nCREATE TABLE events (again TEXT);\n", patched)
        with pytest.raises(LedgerError, match="already exists"):
            Ledger.open(path)
    with Ledger.open(path) as ledger:
        assert ledger.meta("schema") == str(len(STEPS))
        assert ledger.value("SELECT count(*) FROM sqlite_master WHERE name = 'moods'") == 0
        assert ledger.value("SELECT count(*) FROM events") == 1


def test_a_ledger_that_was_never_finished_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.touch()
    with pytest.raises(LedgerError, match="empty, no ledger"):
        Ledger.open(path)
    with Ledger.open(path, create=True) as ledger:
        assert ledger.meta("schema") == str(len(STEPS))


@pytest.mark.parametrize("readonly", [False, True])
def test_a_newer_ledger_is_refused(path: Path, readonly: bool) -> None:
    with Ledger.open(path) as ledger:
        ledger.set_meta("schema", 99)
    with pytest.raises(LedgerError, match=rf"schema 99, .* up to {len(STEPS)}; install the newer one again"):
        Ledger.open(path, readonly=readonly)


@pytest.mark.parametrize("table", ["CREATE TABLE notes (text TEXT)", "CREATE TABLE meta (key TEXT, value TEXT)"])
def test_another_database_is_refused_and_left_alone(tmp_path: Path, table: str) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute(table)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="a database but no ledger"):
        Ledger.open(path, create=True)
    assert path.read_bytes() == before
