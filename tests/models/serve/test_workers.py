"""Models of libraries with an environment of their own, behind the real server: warm, shared, watched, in time."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.models.bundles import FEATURES, kept, raw
from tests.models.serve.started import LONG_SECS, Running, started
from tests.models.serve.worker_server import NAMES, with_libraries
from tests.models.workers.fake import fake_library, install_fake
from toolkit.models.client import Answer, ModelClient
from toolkit.models.store import read_model
from toolkit.models.workers import libraries
from toolkit.models.workers.resident import close_residents

X = raw(20, seed=7)
DEADLINE_SECS = 0.5


@dataclass(frozen=True)
class Case:
    """A server of the models one, two (of the library fake) and three (of other), and what they predict of X."""

    server: Running
    folder: Path
    expected: dict[str, list[float]]

    def ask(self, name: str, count: int = len(X)) -> list[float] | str:
        """Predictions of the first rows, or why there are none."""
        rows = [dict(zip(FEATURES, row, strict=True)) for row in X[:count].tolist()]
        with ModelClient(self.server.url, self.server.token, deadline_secs=LONG_SECS) as client:
            said = client.predict(name, rows)
        return [one.prediction for one in said.opinions] if isinstance(said, Answer) else said

    def workers(self) -> dict[str, dict[str, Any]]:
        return {row["library"]: row for row in self.server.ask("GET", "/models")[1]["workers"]}

    def pid(self, library: str = "fake") -> int:
        pid = self.workers()[library]["pid"]
        assert isinstance(pid, int)
        return pid

    def tell(self, word: str, library: str = "fake") -> Path:
        """Tell the library's worker what to do with the next question."""
        mark = self.folder / library / "mark"
        mark.with_suffix(".new").write_text(word)
        return mark.with_suffix(".new").rename(mark)


def wait(found: Callable[[], Any]) -> Any:
    until = time.monotonic() + LONG_SECS
    while not (said := found()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return said


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    monkeypatch.setenv("LOCKSTEP_ENVS", str(tmp_path / "envs"))
    monkeypatch.setattr(libraries, "LIBRARIES", dict(libraries.LIBRARIES))
    for name in NAMES:
        (tmp_path / name).mkdir()
        install_fake(fake_library(tmp_path / name, name))
    with_libraries(tmp_path)
    models = {"one": kept(tmp_path / "models", "one", "fake")}
    models["two"] = kept(tmp_path / "models", "two", "fake", seed=1)
    models["three"] = kept(tmp_path / "models", "three", "other", seed=2)
    expected = {name: read_model(folder).predict(X).tolist() for name, folder in models.items()}
    close_residents()
    words = ["-m", "tests.models.serve.worker_server", str(tmp_path), "--deadline", str(DEADLINE_SECS)]
    with started(tmp_path, words) as server:
        yield Case(server, tmp_path, expected)


def test_a_library_has_one_process_that_is_warm_before_the_first_question(case: Case) -> None:
    workers = case.workers()
    assert {name: row["models"] for name, row in workers.items()} == {"fake": 2, "other": 1}
    assert len({row["pid"] for row in workers.values()}) == 2
    assert all(5.0 < row["megabytes"] < 2_000.0 for row in workers.values())
    assert {name: case.ask(name) for name in case.expected} == case.expected
    assert len({tuple(row) for row in case.expected.values()}) == 3
    assert {name: row["pid"] for name, row in case.workers().items()} == {n: w["pid"] for n, w in workers.items()}


def test_one_that_was_killed_is_started_again_though_nobody_asks(case: Case) -> None:
    before, other = case.pid(), case.pid("other")
    os.kill(before, signal.SIGKILL)
    wait(lambda: case.workers()["fake"]["pid"] not in (None, before))
    # Both models were loaded again: the deadline is not theirs to pay for it.
    wait(lambda: case.server.ask("GET", "/health")[1]["status"] == "ok")
    assert wait(lambda: case.ask("one") == case.expected["one"])
    assert case.ask("two") == case.expected["two"]
    assert case.pid("other") == other


def test_who_asks_while_it_is_dead_is_answered_or_told_why(case: Case) -> None:
    os.kill(case.pid(), signal.SIGKILL)
    said = case.ask("one")
    assert said == case.expected["one"] or "(503)" in said
    assert wait(lambda: case.ask("one") == case.expected["one"])
    # One that dies of a question is asked once more, and both times are one answer.
    case.tell("die once")
    said = case.ask("one")
    assert said == case.expected["one"] or "(503)" in said
    assert wait(lambda: case.ask("one") == case.expected["one"])


def test_a_slow_worker_is_a_503_in_time_and_the_next_question_finds_it(case: Case) -> None:
    pid, mark = case.pid(), case.tell("wait")
    asked = time.monotonic()
    said = case.ask("one")
    took = time.monotonic() - asked
    assert "(503)" in said and f"gave no answer within {DEADLINE_SECS:g} s" in said
    assert DEADLINE_SECS * 0.9 < took < DEADLINE_SECS + 5.0
    # It is the same process that the other model waits for; another library's does not.
    assert "(503)" in case.ask("two")
    assert case.ask("three") == case.expected["three"]
    mark.unlink()
    assert wait(lambda: case.ask("one") == case.expected["one"])
    assert wait(lambda: case.ask("two") == case.expected["two"])
    assert case.pid() == pid


def test_one_that_cannot_be_started_is_a_problem_until_it_can(case: Case) -> None:
    script = case.folder / "fake" / "scripts" / "fake_worker.py"
    whole = script.read_text()
    script.write_text("raise ImportError('libgomp is not there')\n")
    os.kill(case.pid(), signal.SIGKILL)
    problems = wait(lambda: case.server.ask("GET", "/models")[1]["problems"])
    assert set(problems) <= {"one", "two"} and "the worker of Fake" in next(iter(problems.values()))
    assert case.server.ask("GET", "/health")[1]["status"] == "degraded"
    assert "(503)" in case.ask("one")
    assert case.ask("three") == case.expected["three"]
    script.write_text(whole)
    assert wait(lambda: case.server.ask("GET", "/health")[1]["status"] == "ok")
    assert {name: case.ask(name) for name in case.expected} == case.expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_server_however_it_ends(case: Case, number: signal.Signals) -> None:
    pids = [case.pid("fake"), case.pid("other")]
    case.server.process.send_signal(number)
    case.server.process.wait(LONG_SECS)
    wait(lambda: not any(map(is_there, pids)))


def test_a_worker_that_hangs_ends_with_a_server_that_was_killed(case: Case) -> None:
    pid = case.pid()
    case.tell("wait")
    assert "(503)" in case.ask("one")
    case.server.process.kill()
    wait(lambda: not is_there(pid))
