"""A fit in another process: what it may do wrong, each told in one sentence, and nothing left behind."""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.models.workers.fake import fake_environment, training_set
from toolkit.models.backends.base import Budget
from toolkit.models.backends.remote import RemoteBackend, RemoteModel
from toolkit.models.workers.environments import Environment, ready_environment
from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.files import ModelFiles
from toolkit.models.workers.fitting import PROOF_ROWS, FitRequest, make_again
from toolkit.models.workers.library import CONTRACT, Library
from toolkit.models.workers.processes import WorkerProcess
from toolkit.models.workers.resident import Resident, close_residents


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    yield fake_environment(tmp_path, monkeypatch)
    close_residents()
    assert list((tmp_path / "tmp").iterdir()) == []


def fitted(library: Library, act: str, **budget: float) -> RemoteModel:
    return RemoteBackend(library).fit(training_set(), Budget(seed=1, **budget), {"act": act})  # type: ignore[arg-type]


WRONG = {
    "dies": "the worker of Fake ended with code 3",
    "is killed": "the worker of Fake was ended by signal 9",
    "raises": "the worker of Fake could not fit: ValueError: these rows are not for me",
    "lies about its contract": f"speaks contract 99 and this is {CONTRACT}",
    "lies about its model": f"the model of the worker of Fake is of contract 99 and this is {CONTRACT}",
    "half a result": "left a result.json that cannot be read",
    "no result": "ended without leaving a result.json",
    "half predictions": "left predictions that cannot be read",
    "other rows": "left 257 predictions for 256 rows",
    "too few": "left 255 predictions for 256 rows",
    "not a number": "predicted no number for row 128; a probability is between 0 and 1",
    "outside": "predicted 1.5 for row 0; a probability is between 0 and 1",
    "no code": "left a result.json without a status that is ok, a chosen model, code and versions",
    "bad board": "left a leaderboard.json that is no list of models",
    "changes a file": "has a file 'act.json' that is not the one of its manifest's checksum",
    "adds a file": "has other files than its manifest says: more.bin",
    "links out": "that leads out of its folder",
    "predicts otherwise": "predicts otherwise once its model is read back in another process",
    "connects": "PermissionError: a worker makes no connections, and this one asked for 192.0.2.1",
    "sends a datagram": "PermissionError: a worker makes no connections, and this one asked for 192.0.2.1",
    "looks a name up": "PermissionError: a worker makes no connections, and this one asked for example.org",
    "has a child that connects": "could not fit: CalledProcessError",
}


@pytest.mark.parametrize("act", WRONG)
def test_what_a_worker_does_wrong_is_one_sentence(library: Library, act: str) -> None:
    with pytest.raises(WorkerError) as failure:
        fitted(library, act)
    assert WRONG[act] in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_worker_that_hangs_is_ended_at_the_limit(library: Library) -> None:
    with pytest.raises(WorkerError, match=r"did not finish within 0\.4 s and was ended; allow more time"):
        fitted(library, "hangs", max_secs=0.4)


def test_children_of_a_worker_end_with_it(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "mark"

    def wait(process: WorkerProcess, secs: float) -> None:
        while not (mark.exists() and mark.read_text()):
            time.sleep(0.01)

    monkeypatch.setattr(WorkerProcess, "wait", wait)
    with pytest.raises(WorkerError, match="did not finish"):
        fitted(library, "hangs")
    child = Path("/proc") / mark.read_text() / "stat"
    ended = time.monotonic() + 30.0
    while alive(child) and time.monotonic() < ended:
        time.sleep(0.01)
    assert not alive(child)


def alive(stat: Path) -> bool:
    """Whether a process is neither gone nor dead and unburied."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_fit_comes_back_whole(library: Library) -> None:
    model = fitted(library, "well", max_trials=2)
    said = model.describe()
    assert said["kind"] == "fake"
    assert said["chosen"] == {"model": "slopes", "params": {}, "trials": 2, "seed": 1}
    assert said["leaderboard"] == [
        {"rank": 1, "model": "slopes", "metric": "auc", "score": 0.5, "params": {"nothing": None}}
    ]
    assert set(said["checksums"]) == {"manifest.json", "act.json", "parts/slopes.json"}
    assert json.loads(json.dumps(said)) == said
    assert model.timings["models"] == {"slopes": 0.1}
    assert model.timings["secs"] > 0


def test_what_is_printed_disturbs_nothing(library: Library) -> None:
    x = training_set().x
    assert np.array_equal(fitted(library, "prints").predict(x), fitted(library, "well").predict(x))
    assert np.array_equal(fitted(library, "prints while serving").predict(x), fitted(library, "well").predict(x))


def test_a_model_whose_rows_are_their_own_is_shown_batches(library: Library) -> None:
    assert fitted(library, "well").facts["batch_rows"] == PROOF_ROWS


def test_a_model_that_mixes_rows_is_shown_one_at_a_time(library: Library) -> None:
    model, x = fitted(library, "mixes rows"), training_set().x
    assert model.facts["batch_rows"] == 1
    alone = np.concatenate([model.predict(x[k : k + 1]) for k in range(len(x))])
    assert np.array_equal(model.predict(x), alone)
    assert np.array_equal(alone, fitted(library, "well").predict(x))


def test_a_worker_lives_in_its_scratch_folder(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "that no library needs")
    fitted(library, "writes at home")
    home, here, variables = json.loads((tmp_path / "mark").read_text())
    scratch = Path(home).parent
    assert scratch.parent == tmp_path / "tmp" and Path(here) == scratch / "work"
    assert "A_SECRET" not in variables
    assert variables["OMP_NUM_THREADS"] == "1"
    assert variables["PATH"].startswith(str(tmp_path / "envs" / "fake" / "bin"))


def test_the_code_that_comes_with_a_model_makes_it_again(library: Library) -> None:
    place, data = ready_environment(library), training_set()
    asked = FitRequest({**library.settings, "act": "well"}, 1, 0)
    code = fitted(library, "well").describe()["code"]
    assert np.array_equal(make_again(place, data, asked, code, data.x), fitted(library, "well").predict(data.x))
    with pytest.raises(WorkerError, match=r"ended with code 1; the last that it printed: KeyError: 'predict'"):
        make_again(place, data, asked, "pass", data.x)


def test_an_added_file_is_no_part_of_a_model(tmp_path: Path) -> None:
    from toolkit.models.workers.files import read_model_files

    (tmp_path / "manifest.json").write_text(json.dumps({"contract": CONTRACT, "files": {"../a": "0" * 64}}))
    with pytest.raises(WorkerError, match="the model has other files than its manifest says"):
        read_model_files(tmp_path, "the model")
    (tmp_path / "manifest.json").write_text("[")
    with pytest.raises(WorkerError, match="the model has no readable manifest"):
        read_model_files(tmp_path, "the model")


def test_files_of_a_model_have_one_digest_by_name_and_content() -> None:
    one = ModelFiles({"a": b"1", "b": b"2"})
    assert one.digest == ModelFiles({"b": b"2", "a": b"1"}).digest
    assert one.digest != ModelFiles({"a": b"12", "b": b""}).digest


def test_a_worker_is_not_started_where_its_interpreter_is_gone(library: Library) -> None:
    place = Environment(library, Path("/nowhere/envs/fake"), "ready")
    with pytest.raises(WorkerError, match=r"cannot be started .*toolkit model backends install fake"):
        Resident(place).greet()


def test_the_memory_is_that_of_the_fit_whatever_the_caller_holds(library: Library) -> None:
    held = np.ones(100_000_000)
    model = fitted(library, "works")
    assert 10.0 < model.timings["peak_mb"] < held.nbytes / 2**20 / 2
