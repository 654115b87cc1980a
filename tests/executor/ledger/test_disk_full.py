import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.ledger import Ledger
from tests.executor.ledger.samples import event, mark, python
from toolkit.errors import LedgerError

MANY = 60_000

# The process may write no file beyond a size, as on a full disk, and then may again.
WORKER = """
import resource, sys
from pathlib import Path
from executor.ledger import Ledger
from tests.executor.ledger.samples import event, mark
from toolkit.errors import LedgerError

ledger = Ledger.open(Path(sys.argv[1]), create=True)
ledger.put("events", [event(0)])
size = Path(sys.argv[1] + "-wal").stat().st_size
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size + int(sys.argv[2]), hard))
try:
    with ledger.transaction():
        ledger.put("events", [event(1)])
        ledger.put("equity", [mark(k, k + 0.1) for k in range(int(sys.argv[3]))])
except LedgerError as error:
    print(error)
print(ledger.value("SELECT count(*) FROM events"), ledger.value("SELECT count(*) FROM equity"))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
ledger.put("events", [event(2)])
"""


@pytest.mark.parametrize("room", [0, 100, 5_000, 300_000])
@pytest.mark.parametrize("rows", [1, MANY])
def test_what_does_not_fit_is_not_kept_and_the_next_may_be(tmp_path: Path, room: int, rows: int) -> None:
    path = tmp_path / "a.sqlite"
    worker = python(WORKER, str(path), str(room), str(rows))
    said, wrong = worker.communicate()
    assert wrong == ""
    *errors, counts = said.splitlines()
    fits = rows == 1 and room == 300_000
    if fits:
        assert errors == []
    else:
        assert len(errors) == 1
        assert "nothing of this step was kept" in errors[0]
        assert str(path) in errors[0]
    assert counts == (f"2 {rows}" if fits else "1 0")
    with Ledger.open(path) as ledger:
        kept = [row["seq"] for row in ledger.rows("SELECT seq FROM events ORDER BY seq")]
        assert kept == ([0, 1, 2] if fits else [0, 2])


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger that may not grow."""
    with Ledger.open(tmp_path / "a.sqlite", create=True) as ledger:
        ledger.put("events", [event(0)])
        ledger.value("PRAGMA max_page_count = 1")
        yield ledger


def test_a_full_disk_is_said(full: Ledger) -> None:
    with pytest.raises(LedgerError, match=r"cannot grow: the disk is full; nothing of this step was kept, make room"):
        full.put("equity", [mark(k, 1.0) for k in range(MANY)])
    assert full.rows("SELECT * FROM equity") == []


def test_what_follows_a_swallowed_error_is_not_kept_alone(full: Ledger) -> None:
    def swallow() -> None:
        with pytest.raises(LedgerError, match="disk is full"):
            full.put("equity", [mark(k, 1.0) for k in range(MANY)])

    with pytest.raises(LedgerError, match="rolled back by an earlier error"), full.transaction():
        full.put("events", [event(1)])
        swallow()
        full.put("events", [event(2)])
    assert [row["seq"] for row in full.rows("SELECT seq FROM events")] == [0]


def test_a_backup_without_room_leaves_nothing(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
from executor.ledger import Ledger
from toolkit.errors import LedgerError

ledger = Ledger.open(Path(sys.argv[1]), readonly=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    ledger.backup()
except LedgerError as error:
    print(error)
"""
    path = tmp_path / "a.sqlite"
    with Ledger.open(path, create=True) as ledger:
        ledger.put("equity", [mark(k, 1.0) for k in range(MANY)])
    said, wrong = python(code, str(path)).communicate()
    assert wrong == ""
    assert f"no backup of {path} could be made in {tmp_path / 'backups'}" in said
    assert list((tmp_path / "backups").iterdir()) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
