"""Model runs are whole or kept for going on with, and only with the code that began them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.analysis.runs import list_runs, partial_runs
from toolkit.errors import LockstepError, RunError
from toolkit.models import study as module
from toolkit.models.parts import Part, part_file, write_part
from toolkit.models.study import StoredSeries, StudyInterrupted, kept_config, models_code, study

SERIES: dict[str, Any] = {
    "exchange": "x", "symbol": "BTC/USDT", "interval": "1m", "first": "a", "last": "b", "sha256": "1",
}  # fmt: skip


def begun(root: Path, *, error: BaseException, parts: int = 2) -> str:
    """A run that ended with an error after so many parts, one more of them a failure."""
    with pytest.raises(type(error)), study("model-eval", {"a": 1}, root=root) as run:
        run.parts.mkdir()
        for number in range(parts):
            write_part(part_file(run.parts, number), Part({"n": number}))
        write_part(part_file(run.parts, parts), Part(error="too few trades"))
        raise error
    return next(iter(partial_runs(root)), "")


def test_what_is_finished_is_kept_and_what_failed_is_tried_again(tmp_path: Path) -> None:
    run_id = begun(tmp_path, error=KeyboardInterrupt())
    with study("model-eval", {}, root=tmp_path, resume=run_id) as run:
        assert run.config["a"] == 1 and sorted(f.name for f in run.parts.iterdir()) == ["00000000.npz", "00000001.npz"]
        run.writer.keep_partial = False
    assert partial_runs(tmp_path) == []


def test_an_interruption_says_how_to_go_on(tmp_path: Path) -> None:
    said = r"1 finished parts are kept; go on with: toolkit model eval --resume"
    with pytest.raises(StudyInterrupted, match=said), study("model-eval", {}, root=tmp_path) as run:
        run.parts.mkdir()
        write_part(part_file(run.parts, 0), Part())
        raise KeyboardInterrupt


def test_nothing_is_left_where_nothing_was_finished(tmp_path: Path) -> None:
    assert begun(tmp_path, error=RunError("no group has a result"), parts=0) == ""
    assert list(tmp_path.iterdir()) == []


def test_other_code_another_kind_or_no_run_cannot_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = begun(tmp_path, error=KeyboardInterrupt())
    assert kept_config(run_id, "model-eval", tmp_path)["a"] == 1
    with pytest.raises(RunError, match="is a model-eval, not a model-train"):
        kept_config(run_id, "model-train", tmp_path)
    with pytest.raises(LockstepError, match="unknown unfinished run"):
        kept_config("other", "model-eval", tmp_path)
    monkeypatch.setattr(module, "models_code", lambda: "other")
    with pytest.raises(RunError, match="was started with other code"):
        kept_config(run_id, "model-eval", tmp_path)
    assert list_runs(tmp_path) == []


def test_the_code_of_models_has_one_hash() -> None:
    assert models_code() == models_code() and len(models_code()) == 64


def test_bars_that_change_under_a_run_are_told() -> None:
    series = StoredSeries()
    series.add(Part({"data": [SERIES]}))
    series.add(Part({"data": [SERIES, {**SERIES, "first": "earlier", "sha256": "2"}]}, {"x": np.zeros(1)}))
    assert [row["sha256"] for row in series.rows] == ["1", "2"]
    with pytest.raises(RunError, match="the stored bars of BTC/USDT 1m changed while the run was made"):
        series.add(Part({"data": [{**SERIES, "sha256": "3"}]}))


def test_a_run_file_that_is_damaged_is_one_sentence(tmp_path: Path) -> None:
    run_id = begun(tmp_path, error=KeyboardInterrupt())
    file = tmp_path / f".{run_id}.partial" / "run.json"
    assert json.loads(file.read_text())["kind"] == "model-eval"
    file.write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        kept_config(run_id, "model-eval", tmp_path)
