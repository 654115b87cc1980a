"""A process that is killed at any moment around a commit leaves each transaction whole or absent."""

import signal
from pathlib import Path

import pytest

from executor.ledger import Ledger
from executor.ledger.migrations import STEPS
from tests.executor.ledger.samples import python

EVENTS = 4

# Events are written in two statements each; the process kills itself at its n-th moment, 0 = never.
WORKER = """
import os, signal, sys
from pathlib import Path
from executor.ledger import Ledger
from tests.executor.ledger.samples import event, mark

ledger = Ledger.open(Path(sys.argv[1]), create=True)
moments = 0

def moment(name):
    global moments
    moments += 1
    if moments == int(sys.argv[2]):
        print(name, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

ledger.on_commit = moment
for seq in range(int(sys.argv[3])):
    with ledger.transaction(f"event {seq}"):
        ledger.put("events", [event(seq)])
        moment(f"within event {seq}")
        ledger.put("equity", [mark(seq, 100.0 + seq)])
print(moments)
"""
MOMENTS = [f"{when} event {seq}" for seq in range(EVENTS) for when in ("within", "before", "after")]


def test_these_are_all_the_moments(tmp_path: Path) -> None:
    worker = python(WORKER, str(tmp_path / "a.sqlite"), "0", str(EVENTS))
    said, wrong = worker.communicate()
    assert wrong == ""
    assert int(said) == len(MOMENTS)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_leaves_each_event_whole_or_absent(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "a.sqlite"
    worker = python(WORKER, str(path), str(MOMENTS.index(moment) + 1), str(EVENTS))
    said, _ = worker.communicate()
    assert (worker.returncode, said.strip()) == (-signal.SIGKILL, moment)
    when, _, seq = moment.partition(" event ")
    kept = int(seq) + (when == "after")
    with Ledger.open(path, readonly=True) as ledger:
        assert ledger.value("SELECT count(*) FROM events") == kept
    with Ledger.open(path) as ledger:
        marks = [tuple(row) for row in ledger.rows("SELECT ts_ms, equity FROM equity ORDER BY ts_ms")]
        assert [row["seq"] for row in ledger.rows("SELECT seq FROM events ORDER BY seq")] == list(range(kept))
        assert marks == [(k, 100.0 + k) for k in range(kept)]


def test_a_kill_while_a_ledger_is_made_leaves_none_or_a_whole_one(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from executor.ledger import Ledger, migrations

steps = migrations.statements
def half(text):
    found = steps(text)
    yield from found[: len(found) // 2]
    os.kill(os.getpid(), signal.SIGKILL)

migrations.statements = half
Ledger.open(Path(sys.argv[1]), create=True)
"""
    path = tmp_path / "a.sqlite"
    worker = python(code, str(path))
    worker.communicate()
    assert worker.returncode == -signal.SIGKILL
    assert path.exists()
    with Ledger.open(path, create=True) as ledger:
        assert ledger.meta("schema") == str(len(STEPS))
