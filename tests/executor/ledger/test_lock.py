import os
from pathlib import Path

import pytest

from executor.ledger.lock import holder, one_daemon
from executor.ledger.names import lock_path
from tests.executor.ledger.samples import python
from toolkit.errors import LedgerError

DAEMON = """
import sys
from pathlib import Path
from executor.ledger.lock import one_daemon

with one_daemon(Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_a_second_daemon_is_refused_by_the_pid_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "executor.sqlite"
    daemon = python(DAEMON, str(path))
    try:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "holds\n"
        with (
            pytest.raises(LedgerError, match=rf"a daemon \(pid {daemon.pid}\) works on the ledger {path}; stop"),
            one_daemon(path),
        ):
            pass
        assert holder(path) == daemon.pid
        with one_daemon(tmp_path / "canary.sqlite"):
            assert holder(tmp_path / "canary.sqlite") == os.getpid()
    finally:
        daemon.kill()
        daemon.communicate()
    # The lock of a killed process is free at once, whatever its file still says.
    assert holder(path) is None
    with one_daemon(path):
        assert holder(path) == os.getpid()


def test_the_lock_is_the_files_not_the_names(tmp_path: Path) -> None:
    path, link = tmp_path / "executor.sqlite", tmp_path / "link.sqlite"
    path.touch()
    link.symlink_to(path)
    with one_daemon(path), pytest.raises(LedgerError, match=f"pid {os.getpid()}"), one_daemon(link):
        pass


def test_the_lock_ends_with_the_block_however_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "executor.sqlite"
    with pytest.raises(ValueError, match="wrong"), one_daemon(path):
        raise ValueError("wrong")
    assert holder(path) is None
    with one_daemon(path):
        lock_path(path).write_text("")
        assert holder(path) == 0


def test_nobody_holds_what_was_never_locked(tmp_path: Path) -> None:
    assert holder(tmp_path / "executor.sqlite") is None
    with (
        pytest.raises(LedgerError, match=r"cannot be opened: No such file"),
        one_daemon(tmp_path / "gone" / "a.sqlite"),
    ):
        pass
