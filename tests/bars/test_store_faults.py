"""A store that is held, damaged, no store at all, or on a full disk: one sentence, and the store as before."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest

from tests.bars.minutes import SOURCE, assert_same, contents, minutes
from toolkit.bars.store import Store
from toolkit.errors import InputError, StoreError

HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "bars.duckdb")
    made.write("binance", "BTC/USDT", "1m", minutes(2000), SOURCE)
    return made


def test_a_store_held_by_another_process_is_named_with_its_pid(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_DB_WAIT_SECS", "0.2")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        held = rf"held by another process, PID {holder.pid} .*waited 0\.2 s.*LOCKSTEP_DB_WAIT_SECS"
        with pytest.raises(StoreError, match=held):
            store.series()
        with pytest.raises(StoreError, match=held):
            store.write("binance", "BTC/USDT", "1m", minutes(10), SOURCE)
        monkeypatch.setenv("LOCKSTEP_DB_WAIT_SECS", "60")
        holder.stdin.close()
        # The holder ends on its own while this waits.
        assert store.series()[0].rows == 2000


def test_a_store_held_by_another_thread_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_DB_WAIT_SECS", "0.05")
    with store.batch(), pytest.raises(StoreError, match="another thread of this process"):
        Store(store.path).series()


def test_the_wait_must_be_a_number(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_DB_WAIT_SECS", "soon")
    with pytest.raises(InputError, match="LOCKSTEP_DB_WAIT_SECS must be a number of seconds from 0, was 'soon'"):
        store.series()


@pytest.mark.parametrize("keep", [0, 100, 300_000])
def test_a_truncated_database_is_called_damaged(store: Store, keep: int) -> None:
    store.path.write_bytes(store.path.read_bytes()[:keep])
    before = store.path.read_bytes()
    with pytest.raises(StoreError, match=r"is damaged or not a bars database.*backup"):
        store.read("binance", "BTC/USDT", "1m")
    with pytest.raises(StoreError, match=r"is damaged or not a bars database.*backup"):
        store.write("binance", "BTC/USDT", "1m", minutes(10), SOURCE)
    assert store.path.read_bytes() == before


def test_flipped_bytes_are_called_damaged(store: Store) -> None:
    data = bytearray(store.path.read_bytes())
    # The first three blocks are headers; every later one carries a checksum.
    for i in range(12_288 + 1000, len(data)):
        data[i] ^= 0xFF
    store.path.write_bytes(data)
    with pytest.raises(StoreError, match="is damaged or not a bars database"):
        store.read("binance", "BTC/USDT", "1m")


def test_another_duckdb_database_is_not_taken_for_a_store(tmp_path: Path) -> None:
    path = tmp_path / "other.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE things (x INTEGER)")
    with pytest.raises(StoreError, match=r"not a bars store.*--db"):
        Store(path).series()
    with pytest.raises(StoreError, match="is a folder"):
        Store(tmp_path).series()


def test_a_bar_stored_twice_is_refused(store: Store) -> None:
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("INSERT INTO bars SELECT * FROM bars ORDER BY ts LIMIT 1")
    with pytest.raises(StoreError, match="holds a bar twice"):
        store.read("binance", "BTC/USDT", "1m")


CRASH = """
import os, sys
from pathlib import Path
import duckdb
from tests.bars.minutes import SOURCE, minutes
from toolkit.bars.store import Batch, SeriesKey, Store
path, moment = Path(sys.argv[1]), sys.argv[2]
key = SeriesKey("binance", "ETH/USDT", "1m")
if moment == "before commit":
    with Store(path).batch() as batch:
        batch.write(key, minutes(100_000), SOURCE)
        os._exit(9)
connection = duckdb.connect(str(path))
connection.execute("BEGIN TRANSACTION")
Batch(connection).write(key, minutes(1000), SOURCE)
connection.execute("COMMIT")
os._exit(9)
"""


@pytest.mark.parametrize(("moment", "kept"), [("before commit", False), ("after commit", True)])
def test_a_writer_that_dies_leaves_its_write_whole_or_not_at_all(store: Store, moment: str, kept: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(store.path), moment], check=False, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 9
    assert_same(store.read("binance", "BTC/USDT", "1m"), minutes(2000))
    assert_same(store.read("binance", "ETH/USDT", "1m"), minutes(1000 if kept else 0))


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is POSIX")
@pytest.mark.parametrize("first", [False, True], ids=["grows", "is made"])
def test_a_full_disk_leaves_the_store_as_before(store: Store, tmp_path: Path, first: bool) -> None:
    path = tmp_path / "new" / "bars.duckdb" if first else store.path
    limit = 4096 if first else store.path.stat().st_size + 4096
    script = textwrap.dedent(f"""
        import resource, sys
        from pathlib import Path
        from tests.bars.minutes import SOURCE, minutes
        from toolkit.bars.store import Store
        from toolkit.errors import StoreError
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            Store(Path({str(path)!r})).write("binance", "ETH/USDT", "1m", minutes(400_000), SOURCE)
        except StoreError as error:
            print(error)
    """)
    before = None if first else contents(path)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "free space" in done.stdout and len(done.stdout.splitlines()) == 1
    if first:
        assert list(path.parent.iterdir()) == []
    else:
        assert contents(path) == before
        assert_same(store.read("binance", "BTC/USDT", "1m"), minutes(2000))
