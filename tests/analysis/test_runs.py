import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.analysis.cases import bars
from toolkit.analysis.runs import (
    RunWriter,
    data_fingerprint,
    list_runs,
    partial_runs,
    query_runs,
    read_run,
)
from toolkit.bars.columns import COLUMNS
from toolkit.bars.store import Source, Store
from toolkit.errors import RunError, UnknownNameError

FRAME = pl.DataFrame({"k": [1, 2, 3], "x": [0.5, None, float("nan")]})


def write(root: Path, run_id: str | None = None, frame: pl.DataFrame = FRAME) -> Path:
    with RunWriter("test", {"a": 1}, root=root, run_id=run_id) as writer:
        writer.write_frame("rows", frame, csv=True)
        return writer.finish(seeds={"s": 7})


def entries(root: Path) -> list[str]:
    return sorted(p.name for p in root.iterdir()) if root.exists() else []


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    run = read_run(write(tmp_path).name, tmp_path)
    assert run.frame("rows").equals(FRAME)
    assert run.tables == ["rows"]
    info = run.info
    assert info["config"] == {"a": 1} and info["seeds"] == {"s": 7} and info["kind"] == "test"
    assert info["started"] <= info["finished"]
    assert {"python", "numpy", "numba", "polars", "lockstep"} <= set(info["versions"])
    assert len(info["code"]["sources"]) == 64
    assert (run.folder / "rows.csv").read_text() == "k,x\n1,0.5\n2,\n3,NaN\n"


def test_runs_are_listed_in_time_and_the_latest_is_found(tmp_path: Path) -> None:
    for day in ("20260102-000000-test-aaaaaa", "20260103-000000-test-000000", "20260101-000000-test-ffffff"):
        write(tmp_path, day)
    assert [r.run_id[:8] for r in list_runs(tmp_path)] == ["20260101", "20260102", "20260103"]
    assert read_run("latest", tmp_path).run_id.startswith("20260103")
    assert read_run(tmp_path / "20260101-000000-test-ffffff").run_id.startswith("20260101")


def test_unknown_runs_and_tables_are_named(tmp_path: Path) -> None:
    write(tmp_path, "20260102-000000-test-aaaaaa")
    with pytest.raises(UnknownNameError, match="did you mean '20260102-000000-test-aaaaaa'"):
        read_run("20260102-000000-test-aaaaab", tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'rows'"):
        read_run("latest", tmp_path).frame("row")
    with pytest.raises(RunError, match="no run folder"):
        read_run(tmp_path)
    with pytest.raises(UnknownNameError, match="unknown run 'latest'"):
        read_run("latest", tmp_path / "nothing")


def test_duckdb_reads_one_run_and_all_of_them(tmp_path: Path) -> None:
    write(tmp_path, "20260101-000000-test-aaaaaa")
    write(tmp_path, "20260102-000000-test-bbbbbb", FRAME.with_columns(more=pl.lit(1)))
    assert read_run("latest", tmp_path).query("select sum(k) as s from rows").item() == 6
    assert query_runs("select count(*), count(more) from rows", tmp_path).row(0) == (6, 3)
    with pytest.raises(RunError, match=r"the query failed: .*; tables: \['rows'\]"):
        query_runs("select * from nothing", tmp_path)


def test_a_run_is_never_written_over(tmp_path: Path) -> None:
    folder = write(tmp_path, "20260101-000000-test-aaaaaa")
    before = (folder / "run.json").read_bytes()
    with pytest.raises(RunError, match="exists, and runs are never changed"):
        write(tmp_path, "20260101-000000-test-aaaaaa")
    assert (folder / "run.json").read_bytes() == before


def test_leaving_without_finish_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunWriter("test", {}, root=tmp_path) as writer:
        writer.write_frame("rows", FRAME)
        raise ZeroDivisionError
    assert entries(tmp_path) == []


def test_a_kept_partial_run_is_hidden_until_it_is_resumed_and_finished(tmp_path: Path) -> None:
    with RunWriter("test", {"grid": [1]}, root=tmp_path, keep_partial=True) as writer:
        writer.write_frame("part", FRAME)
    assert list_runs(tmp_path) == [] and partial_runs(tmp_path) == [writer.run_id]
    with RunWriter.resume(writer.run_id, root=tmp_path) as again:
        assert again.info["config"] == {"grid": [1]}
        assert pl.read_parquet(again.folder / "part.parquet").equals(FRAME)
        folder = again.finish()
    assert folder.name == writer.run_id and partial_runs(tmp_path) == []
    assert json.loads((folder / "run.json").read_text())["started"] == writer.info["started"]
    with pytest.raises(UnknownNameError, match="unfinished run"):
        RunWriter.resume(writer.run_id, root=tmp_path)


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    with RunWriter("test", {}, root=tmp_path, keep_partial=True) as writer:
        with pytest.raises(RunError, match="being written by another process"):
            RunWriter.resume(writer.run_id, root=tmp_path).__enter__()
        writer.finish()
    assert entries(tmp_path) == [writer.run_id]


FULL_DISK = """
import resource, sys
from pathlib import Path
import polars as pl
from toolkit.analysis.runs import RunWriter
from toolkit.errors import RunError
root = Path(sys.argv[1])
big = pl.DataFrame({"x": [float(i) ** 0.5 for i in range(200_000)]})
with RunWriter("test", {}, root=root) as probe:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with RunWriter("test", {}, root=root) as writer:
        writer.write_frame("rows", big, csv=sys.argv[2] == "csv")
        writer.finish()
except RunError as error:
    print(error)
"""


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), "parquet"], capture_output=True, text=True, check=True
    )
    assert "cannot be written in" in done.stdout and "make room" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert entries(tmp_path) == []


def test_the_data_fingerprint_is_that_of_the_stored_bars(tmp_path: Path) -> None:
    base = bars("1m")
    store = Store(tmp_path / "b.duckdb")
    given = ~base.filled
    columns = {name: getattr(base, name)[given] for name in COLUMNS}
    store.write("synthetic", base.symbol, "1m", columns, Source("request", "test", "0"))
    (found,) = data_fingerprint(bars("5m"))
    assert found["sha256"] == store.fingerprint("synthetic", base.symbol, "1m")
    assert found["bars"] == int(given.sum()) < len(base)
