import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from executor.ledger import Ledger, names
from executor.ledger.backup import KEEP, restore
from executor.ledger.lock import one_daemon
from tests.executor.ledger.samples import damage, event, mark, python
from toolkit.errors import LedgerError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with events 0 and 1 and enough rows to have a middle."""
    file = tmp_path / "executor.sqlite"
    with Ledger.open(file, create=True) as ledger:
        ledger.put("events", [event(0), event(1)])
        ledger.put("equity", [mark(k, k + 0.1) for k in range(2_000)])
    return file


def events(path: Path) -> list[int]:
    with Ledger.open(path) as ledger:
        return [row["seq"] for row in ledger.rows("SELECT seq FROM events ORDER BY seq")]


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def test_a_backup_is_the_ledger_in_one_file(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.put("events", [event(2)])
        made = ledger.backup()
        assert made.parent == path.parent / "backups"
        assert list(made.parent.iterdir()) == [made]
        ledger.put("events", [event(3)])
    assert dump(made) != dump(path)
    with Ledger.open(path) as ledger:
        again = ledger.backup()
    assert dump(again) == dump(path)
    assert events(path) == [0, 1, 2, 3]


def test_a_backup_has_what_is_committed_and_stops_nobody(path: Path) -> None:
    with Ledger.open(path) as writer, Ledger.open(path, readonly=True) as reader:
        with writer.transaction():
            writer.put("events", [event(2)])
            made = reader.backup(path.parent / "elsewhere")
            with pytest.raises(LedgerError, match="end it before a backup"):
                writer.backup()
        writer.put("events", [event(3)])
    assert events(made) == [0, 1]
    assert events(path) == [0, 1, 2, 3]


def test_the_newest_fourteen_are_kept_and_nothing_else_is_touched(path: Path) -> None:
    folder = names.backups_dir(path)
    folder.mkdir()
    others = {"notes.txt", "executor-2-20200101T000000.000Z.sqlite", "executor-20200101.sqlite"}
    for name in others:
        (folder / name).touch()
    old = [folder / f"executor-{names.stamp(k * 86_400_000 + 7)}.sqlite" for k in range(20)]
    for file in old:
        file.touch()
    with Ledger.open(path) as ledger:
        made = ledger.backup()
    assert names.backups(path) == [*old[20 - KEEP + 1 :], made]
    assert {file.name for file in folder.iterdir()} == others | {file.name for file in names.backups(path)}
    assert old[0].name == "executor-19700101T000000.007Z.sqlite"


def test_a_clock_that_was_set_back_loses_no_new_backup(path: Path) -> None:
    folder = names.backups_dir(path)
    folder.mkdir()
    for k in range(20):
        (folder / f"executor-{names.stamp(4_000_000_000_000 + k)}.sqlite").touch()
    with Ledger.open(path) as ledger:
        made = ledger.backup()
    assert names.backups(path)[0] == made
    assert len(names.backups(path)) == KEEP


def test_a_damaged_ledger_is_refused_with_the_way_back(path: Path) -> None:
    with Ledger.open(path) as ledger:
        first, newest = ledger.backup(), ledger.backup()
    assert first < newest
    damage(path)
    sentence = rf"{path} is damaged \(.+\); restore the newest backup: executor restore {newest} --ledger {path}$"
    with pytest.raises(LedgerError, match=sentence):
        Ledger.open(path)
    path.write_bytes(b"no database at all" * 1_000)
    with pytest.raises(LedgerError, match=sentence):
        Ledger.open(path)
    with pytest.raises(LedgerError, match=sentence):
        Ledger.open(path, readonly=True)


def test_a_damaged_ledger_without_a_backup_says_so(path: Path) -> None:
    damage(path)
    with pytest.raises(
        LedgerError, match=r"backups has no backup; restore one from elsewhere: executor restore FILE --ledger"
    ):
        Ledger.open(path)


def test_a_ledger_that_is_gone_names_its_backup(path: Path) -> None:
    with Ledger.open(path) as ledger:
        made = ledger.backup()
    path.unlink()
    with pytest.raises(LedgerError, match=f"there is no ledger .* executor restore {made}"):
        Ledger.open(path)


def test_no_backup_is_made_of_damage_and_none_is_lost_to_it(path: Path) -> None:
    with Ledger.open(path) as ledger:
        good = ledger.backup()
    damage(path)
    with Ledger.open(path, check=False) as ledger, pytest.raises(LedgerError, match="is damaged"):
        ledger.backup()
    assert list(good.parent.iterdir()) == [good]


def test_a_restore_puts_the_newest_back_and_keeps_what_was_there(path: Path) -> None:
    with Ledger.open(path) as ledger:
        made = ledger.backup()
        ledger.put("events", [event(2)])
    damage(path)
    broken = path.read_bytes()
    done = restore(path)
    assert (done.ledger, done.backup) == (path, made)
    assert done.kept is not None
    assert done.kept.name.startswith("executor.damaged-")
    assert done.kept.read_bytes() == broken
    assert events(path) == [0, 1]
    assert dump(made) == dump(path)


def test_the_log_of_a_killed_daemon_does_not_reach_the_restored_ledger(path: Path) -> None:
    with Ledger.open(path) as ledger:
        made = ledger.backup()
    code = """
import os, signal, sys
from pathlib import Path
from executor.ledger import Ledger
from tests.executor.ledger.samples import event

ledger = Ledger.open(Path(sys.argv[1]))
ledger.put("events", [event(9)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    worker = python(code, str(path))
    worker.communicate()
    assert worker.returncode == -signal.SIGKILL
    assert names.beside(path, "-wal").stat().st_size > 0
    with pytest.raises(LedgerError, match="is a ledger in use, no backup"):
        restore(path.parent / "other.sqlite", path)
    done = restore(path, made)
    assert events(path) == [0, 1]
    # What was set aside is whole: the ledger and its log.
    assert done.kept is not None
    assert events(done.kept) == [0, 1, 9]


def test_a_restore_is_refused_while_a_daemon_works(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.backup()
        ledger.put("events", [event(2)])
    with one_daemon(path), pytest.raises(LedgerError, match=rf"a daemon \(pid {os.getpid()}\) works on"):
        restore(path)
    assert events(path) == [0, 1, 2]
    assert list(path.parent.glob("*damaged*")) == []


def test_what_is_no_backup_is_refused_and_the_ledger_stays(path: Path) -> None:
    with pytest.raises(LedgerError, match="has no backup of executor"):
        restore(path)
    with Ledger.open(path) as ledger:
        made = ledger.backup()
        newer = ledger.backup()
    with Ledger.open(newer) as ledger:
        ledger.set_meta("schema", 99)
    cases: dict[Path, str] = {path.parent / "none.sqlite": "there is no backup", newer: "schema 99"}
    for name, content, match in (("text", b"hello" * 999, "not a database"), ("empty", b"", "is empty")):
        (path.parent / name).write_bytes(content)
        cases[path.parent / name] = match
    broken = path.parent / "broken.sqlite"
    shutil.copy(made, broken)
    damage(broken)
    cases[broken] = "is damaged .*; name an older one"
    for file, match in cases.items():
        with pytest.raises(LedgerError, match=match):
            restore(path, file)
    assert events(path) == [0, 1]
    assert list(path.parent.glob("*damaged-*")) == []


def test_a_backup_of_nothing_to_replace_is_put_there(path: Path) -> None:
    with Ledger.open(path) as ledger:
        made = ledger.backup()
    path.unlink()
    assert restore(path).kept is None
    assert dump(path) == dump(made)
