import os
from pathlib import Path

import polars as pl
import pytest

from toolkit.analysis.runs import RunWriter
from toolkit.durable import durable, is_draft


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with durable(path) as file:
        file.write(b"one")
        assert [f.name for f in tmp_path.iterdir() if not is_draft(f)] == []
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
def test_a_file_that_fails_leaves_what_was_there(tmp_path: Path, stop: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"before")
    with pytest.raises(stop), durable(path) as file:
        file.write(b"half")
        raise stop
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), durable(tmp_path / "gone" / "a.txt"):
        pass


def test_the_bytes_are_on_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, synced = tmp_path / "a.txt", []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append((os.fstat(fd).st_size, path.exists())))
    with durable(path) as file:
        file.write(b"four")
    assert synced == [(4, False)]


def test_a_draft_of_a_killed_process_is_no_part_of_a_run(tmp_path: Path) -> None:
    with RunWriter("backtest", {}, root=tmp_path) as writer:
        writer.write_frame("trades", pl.DataFrame({"pnl": [1.0]}))
        (writer.folder / ".trades.parquet.1.part").write_bytes(b"half")
        folder = writer.finish()
    assert sorted(f.name for f in folder.iterdir()) == ["run.json", "trades.parquet"]
