import math
import struct
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.broker.base import Status
from executor.ledger import Ledger, faults, number
from executor.ledger.migrations import STEPS
from tests.executor.ledger.samples import bar, event, mark
from toolkit.errors import LedgerError, UnknownNameError


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "executor.sqlite", create=True) as opened:
        yield opened


def test_a_ledger_is_durable_and_lets_readers_be(ledger: Ledger) -> None:
    assert ledger.value("PRAGMA journal_mode") == "wal"
    assert ledger.value("PRAGMA synchronous") == 2
    assert ledger.value("PRAGMA foreign_keys") == 0
    assert ledger.meta("schema") == str(len(STEPS))


def test_there_is_no_ledger_unless_one_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "executor.sqlite"
    with pytest.raises(LedgerError, match=r"there is no ledger .*executor load"):
        Ledger.open(path)
    with pytest.raises(LedgerError, match="there is no ledger"):
        Ledger.open(path, create=True, readonly=True)
    assert not path.parent.exists()
    Ledger.open(path, create=True).close()
    Ledger.open(path).close()


def test_a_replay_may_leave_the_disk_behind(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.sqlite", create=True, synchronous="OFF") as ledger:
        assert ledger.value("PRAGMA synchronous") == 0


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with Ledger.open(tmp_path_factory.mktemp("fast") / "a.sqlite", create=True, synchronous="OFF") as opened:
        yield opened


@given(values=st.lists(st.floats(), min_size=1, max_size=20))
def test_floats_come_back_with_their_bits(fast: Ledger, values: list[float]) -> None:
    fast.put("equity", [mark(k, value) for k, value in enumerate(values)])
    rows = fast.rows("SELECT equity FROM equity WHERE ts_ms < ? ORDER BY ts_ms", (len(values),))
    back = [number(row["equity"]) for row in rows]
    for value, found in zip(values, back, strict=True):
        if math.isnan(value):
            assert math.isnan(found)
        else:
            # The one loss: SQLite keeps no sign of a zero.
            assert struct.pack("d", found) == struct.pack("d", value + 0.0)


def test_nan_is_null_and_infinity_is_not(ledger: Ledger) -> None:
    ledger.put("equity", [mark(1, math.nan), mark(2, math.inf)])
    assert [row[0] for row in ledger.rows("SELECT equity FROM equity ORDER BY ts_ms")] == [None, math.inf]
    assert math.isnan(number(None))


def test_numpy_scalars_and_enums_are_what_they_stand_for(ledger: Ledger) -> None:
    ledger.put("equity", [mark(1, 1.0) | {"ts_ms": np.int64(7), "cash": np.float64(0.1), "open_trades": np.int8(3)}])
    assert tuple(ledger.rows("SELECT ts_ms, cash, open_trades FROM equity")[0]) == (7, 0.1, 3)
    ledger.put("bars", [bar(1, 2.0) | {"filled": np.True_}])
    assert ledger.value("SELECT filled FROM bars") == 1
    sent = {"order_id": "o", "trade_id": "t", "instance": "i", "symbol": "s", "kind": "stop", "side": "buy"}
    rest = {"type": "stop", "qty": 1, "price": math.nan, "status": Status.NEW, "created_ms": 1, "seq": 1}
    ledger.put("orders", [sent | rest])
    assert tuple(ledger.rows("SELECT status, reason, price FROM orders")[0]) == ("NEW", "", None)


def test_put_replaces_the_row_of_its_key(ledger: Ledger) -> None:
    ledger.put("equity", (mark(k, 1.0) for k in range(3)))
    ledger.put("equity", [mark(1, 5.0)])
    ledger.put("equity", [])
    assert [tuple(r) for r in ledger.rows("SELECT ts_ms, equity FROM equity ORDER BY ts_ms")] == [
        (0, 1),
        (1, 5),
        (2, 1),
    ]


def test_insert_counts_and_never_replaces(ledger: Ledger) -> None:
    halt = {"ts_ms": 1, "kind": 1, "until_ms": 2, "equity": 3.0}
    assert [ledger.insert("halts", halt) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(LedgerError, match="UNIQUE"):
        ledger.insert("halts", halt | {"id": 2})
    ledger.put("halts", [halt, halt])
    assert ledger.value("SELECT max(id) FROM halts") == 5


def test_update_changes_what_is_named(ledger: Ledger) -> None:
    ledger.put("equity", [mark(1, 1.0), mark(2, math.nan)])
    assert ledger.update("equity", {"ts_ms": 1}, {"equity": 9.0, "cash": 8.0}) == 1
    assert ledger.update("equity", {"equity": None}, {"cash": 7.0}) == 1
    assert ledger.update("equity", {"ts_ms": 3}, {"cash": 7.0}) == 0
    assert [tuple(r) for r in ledger.rows("SELECT equity, cash FROM equity ORDER BY ts_ms")] == [(9, 8), (None, 7)]


def test_meta_is_text_by_key(ledger: Ledger) -> None:
    assert ledger.meta("mode") is None
    ledger.set_meta("mode", "dry")
    ledger.set_meta("start_ms", 12)
    assert (ledger.meta("mode"), ledger.meta("start_ms")) == ("dry", "12")
    assert ledger.value("SELECT value FROM meta WHERE key = :key", {"key": "mode"}) == "dry"


def test_wrong_names_are_told_before_anything_is_written(ledger: Ledger) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown table of the ledger 'trade': did you mean 'trades'"):
        ledger.put("trade", [{"a": 1}])
    with pytest.raises(UnknownNameError, match=r"unknown column of equity 'equitty'"):
        ledger.insert("equity", {"equitty": 1})
    with pytest.raises(UnknownNameError, match="unknown column of equity"):
        ledger.update("equity", {"ts": 1}, {"equity": 1.0})


def test_rows_of_different_columns_are_refused(ledger: Ledger) -> None:
    longer, other = mark(2, 1.0) | {"more": 1}, {("ms" if k == "ts_ms" else k): v for k, v in mark(2, 1.0).items()}
    for row in (longer, other):
        with pytest.raises(LedgerError, match="must have the same columns"):
            ledger.put("equity", [mark(1, 1.0), row])
    assert ledger.rows("SELECT * FROM equity") == []


def test_values_of_another_kind_are_refused(ledger: Ledger) -> None:
    for row in (mark(1, 1.0) | {"equity": "much"}, mark(1, 1.0) | {"open_trades": None}, mark(1, 1.0) | {"cash": [1]}):
        with pytest.raises(LedgerError, match="refused a statement"):
            ledger.put("equity", [mark(0, 1.0), row])
    with pytest.raises(LedgerError, match="CHECK constraint"):
        ledger.put("events", [event(1) | {"kind": "rumour"}])
    assert ledger.value("SELECT count(*) FROM equity") == 0


def test_a_transaction_is_whole_or_absent(ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.put("events", [event(1)])
        ledger.put("equity", [mark(1, 1.0)])
    with pytest.raises(ZeroDivisionError), ledger.transaction():
        ledger.put("events", [event(2)])
        ledger.update("equity", {"ts_ms": 1}, {"equity": 2.0})
        1 / 0  # noqa: B018
    assert [row["seq"] for row in ledger.rows("SELECT seq FROM events")] == [1]
    assert ledger.value("SELECT equity FROM equity") == 1.0


def test_transactions_do_not_nest(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="open already"), ledger.transaction(), ledger.transaction():
        pass
    ledger.put("events", [event(1)])
    assert ledger.value("SELECT count(*) FROM events") == 1


def test_commits_are_announced_before_and_after(ledger: Ledger, tmp_path: Path) -> None:
    said: list[tuple[str, int]] = []
    reader = Ledger.open(ledger.path, readonly=True)
    ledger.on_commit = lambda moment: said.append((moment, reader.value("SELECT count(*) FROM events")))
    with ledger.transaction("event 1"):
        ledger.put("events", [event(1)])
    ledger.put("events", [event(2)])
    with pytest.raises(ValueError, match="no"), ledger.transaction("event 3"):
        raise ValueError("no")
    reader.close()
    assert said == [("before event 1", 0), ("after event 1", 1), ("before write", 1), ("after write", 2)]


def test_a_commit_that_is_stopped_before_it_is_rolled_back(ledger: Ledger) -> None:
    def stop(moment: str) -> None:
        raise KeyboardInterrupt(moment)

    ledger.on_commit = stop
    with pytest.raises(KeyboardInterrupt, match="before write"):
        ledger.put("events", [event(1)])
    ledger.on_commit = None
    assert ledger.rows("SELECT * FROM events") == []


def test_a_reader_with_a_snapshot_does_not_stop_the_writer(ledger: Ledger) -> None:
    ledger.put("events", [event(1)])
    with Ledger.open(ledger.path, readonly=True) as reader, reader.snapshot():
        assert reader.value("SELECT count(*) FROM events") == 1
        for seq in range(2, 50):
            ledger.put("events", [event(seq)])
        with reader.snapshot():
            assert reader.value("SELECT count(*) FROM events") == 1
    with Ledger.open(ledger.path, readonly=True) as reader:
        assert reader.value("SELECT count(*) FROM events") == 49


def test_a_reader_passes_between_threads_and_never_writes(ledger: Ledger) -> None:
    ledger.put("events", [event(1)])
    found: list[int] = []
    with Ledger.open(ledger.path, readonly=True) as reader:
        thread = Thread(target=lambda: found.append(reader.value("SELECT count(*) FROM events")))
        thread.start()
        thread.join()
        with pytest.raises(LedgerError, match="readonly"):
            reader.put("events", [event(2)])
    assert found == [1]


def test_two_writers_wait_for_each_other_and_say_so(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "BUSY_SECS", 0)
    ledger.value("PRAGMA busy_timeout = 0")
    with Ledger.open(ledger.path) as other:
        with (
            other.transaction(),
            pytest.raises(LedgerError, match="held by another writer"),
        ):
            ledger.put("events", [event(1)])
        with (
            ledger.transaction(),
            pytest.raises(LedgerError, match="held by another writer"),
        ):
            other.put("events", [event(2)])
        other.put("events", [event(3)])
        ledger.put("events", [event(4)])
    assert [row["seq"] for row in ledger.rows("SELECT seq FROM events ORDER BY seq")] == [3, 4]


def test_a_closed_ledger_and_bad_sql_are_errors_of_the_ledger(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no such table"):
        ledger.rows("SELECT * FROM moods")
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        ledger.value("SELECT 1")
