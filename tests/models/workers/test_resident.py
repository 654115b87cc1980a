"""One warm process for predictions: it dies, hangs, prints rubbish and is late, and each is an answer or a sentence."""

import os
import tempfile
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from tests.models.workers.fake import fake_environment, install_fake, training_set
from toolkit.models.backends.base import Budget
from toolkit.models.backends.remote import RemoteBackend, RemoteModel
from toolkit.models.workers import resident as residents
from toolkit.models.workers.environments import environment, ready_environment
from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.library import CONTRACT
from toolkit.models.workers.resident import Asked, Resident, close_residents, resident

X = training_set().x


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteModel]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    library = fake_environment(tmp_path, monkeypatch)
    yield RemoteBackend(library).fit(training_set(), Budget(), {})
    close_residents()
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def asked(model: RemoteModel, rows: int = 5) -> Asked:
    return Asked(model.files, X[:rows], model.facts["batch_rows"], model.facts["versions"])


def test_one_process_answers_question_after_question(model: RemoteModel) -> None:
    whole = model.predict(X)
    pid = resident(model.library).pid
    assert np.array_equal(np.concatenate([model.predict(X[k : k + 1]) for k in range(20)]), whole[:20])
    assert resident(model.library).pid == pid
    assert len(model.predict(X[:0])) == 0


def test_more_rows_than_a_question_holds_are_asked_in_several(
    model: RemoteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = model.predict(X)
    monkeypatch.setattr(residents, "ROWS_A_QUESTION", 7)
    assert np.array_equal(model.predict(X), whole)


def test_a_worker_that_died_is_started_again(model: RemoteModel, mark: Path) -> None:
    before = model.predict(X)
    pid = resident(model.library).pid
    assert pid is not None
    os.kill(pid, 9)
    assert np.array_equal(model.predict(X), before)
    mark.write_text("die once")
    assert np.array_equal(model.predict(X), before)
    assert resident(model.library).pid != pid


def test_a_question_that_kills_twice_is_an_error_and_then_there_is_a_pause(model: RemoteModel, mark: Path) -> None:
    clock = Clock()
    worker = Resident(ready_environment(model.library), clock=clock)
    mark.write_text("die")
    with pytest.raises(WorkerError, match="the worker of Fake ended; the last that it printed: I fall"):
        worker.predict(asked(model))
    mark.unlink()
    with pytest.raises(WorkerError, match="failed 2 times in a row and is started again in 2 s"):
        worker.predict(asked(model))
    clock.now += 2.0
    assert np.array_equal(worker.predict(asked(model)), model.predict(X[:5]))
    worker.close()


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("rubbish", "answers something that is no answer"),
        ("not an answer", "answers something that is no answer: '\\[\\]'"),
        ("another question", "answers another question than it was asked"),
        ("too few", "gave 4 predictions for 5 rows"),
        ("outside", r"predicted 2\.\d+ for row 0; a probability is between 0 and 1"),
        ("raise", "could not predict: ValueError: not this row"),
    ],
)
def test_what_is_no_prediction_is_a_sentence(model: RemoteModel, mark: Path, word: str, sentence: str) -> None:
    mark.write_text(word)
    with pytest.raises(WorkerError, match=sentence):
        model.predict(X[:5])


def test_a_late_answer_is_thrown_away_when_it_comes(model: RemoteModel, mark: Path) -> None:
    before = model.predict(X)
    pid = resident(model.library).pid
    mark.write_text("wait")
    with pytest.raises(WorkerError, match=r"did not answer within the 0\.0\d+ s that there were"):
        model.predict_within(X[:3], 0.05)
    with pytest.raises(WorkerError, match="did not answer within"):
        model.predict_within(X[:3], 0.05)
    mark.unlink()
    assert np.array_equal(model.predict_within(X[5:9], 60.0), before[5:9])
    assert resident(model.library).pid == pid


def test_a_worker_that_hangs_is_ended_when_patience_is(model: RemoteModel, mark: Path) -> None:
    worker = Resident(ready_environment(model.library), patience_secs=0.2)
    worker.greet()
    mark.write_text("wait")
    with pytest.raises(WorkerError, match=r"did not answer within 0\.2 s and was ended"):
        worker.predict(asked(model))
    assert worker.pid is None
    mark.unlink()
    worker.close()


def test_a_start_goes_on_beyond_the_deadline_of_who_asked_first(model: RemoteModel) -> None:
    worker = Resident(ready_environment(model.library))
    with pytest.raises(WorkerError, match="did not start within the 0 s that there were"):
        worker.predict(asked(model), 0.0)
    pid = worker.pid
    assert pid is not None
    assert np.array_equal(worker.predict(asked(model), 60.0), model.predict(X[:5]))
    assert worker.pid == pid
    worker.close()


def test_a_worker_that_cannot_start_says_why(model: RemoteModel) -> None:
    model.library.script.write_text("raise ImportError('libgomp is not there')\n")
    place = ready_environment(model.library)
    with pytest.raises(WorkerError, match="cannot start: ImportError: libgomp is not there"):
        Resident(place).greet()


def test_a_worker_of_another_contract_is_not_asked(model: RemoteModel) -> None:
    model.library.script.write_text("import sys\nsys.modules['__main__'].CONTRACT = 99\n")
    place = ready_environment(model.library)
    with pytest.raises(WorkerError, match=f"speaks contract 99 and this is {CONTRACT}; make its environment anew"):
        Resident(place).greet()


def test_files_of_other_versions_are_not_shown_to_a_worker(model: RemoteModel) -> None:
    with pytest.raises(WorkerError, match=r"was made under numpy 0\.1 and not \d"):
        resident(model.library).predict(Asked(model.files, X, versions={"numpy": "0.1"}))


def test_files_of_many_models_do_not_stay(model: RemoteModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residents, "KEPT_FOLDERS", 1)
    backend = RemoteBackend(model.library)
    other = backend.fit(training_set(), Budget(seed=1), {})
    first, second = model.predict(X), other.predict(X)
    assert not np.array_equal(first, second)
    for _ in range(2):
        assert np.array_equal(model.predict(X), first)
        assert np.array_equal(other.predict(X), second)


def test_a_process_that_was_forked_off_has_its_own(model: RemoteModel) -> None:
    mine = model.predict(X)
    with get_context("spawn").Pool(1) as pool:
        pid, theirs = pool.apply(predicted, (model,))
        pool.close()
        pool.join()
    assert pid != resident(model.library).pid
    assert np.array_equal(mine, theirs)


def predicted(model: RemoteModel) -> tuple[int | None, np.ndarray]:
    predictions = model.predict(X)
    return resident(model.library).pid, predictions


def test_states_of_an_environment(model: RemoteModel, tmp_path: Path) -> None:
    library = model.library
    assert environment(library).state == "ready"
    library.lock.write_text("fake==2.0\n")
    assert environment(library).state == "outdated"
    with pytest.raises(WorkerError, match="was made from another lock file; make it anew with: toolkit model backends"):
        ready_environment(library)
    place = environment(library).folder
    (place / "environment.json").write_text("{")
    with pytest.raises(WorkerError, match="is damaged; make it anew with"):
        ready_environment(library)
    place.rename(tmp_path / "aside")
    with pytest.raises(
        WorkerError, match=r"needs an environment of its own, and there is none at .*\(about 1 MB\) with"
    ):
        ready_environment(library)
    install_fake(library)
    assert environment(library).state == "ready"
