"""The real server, in a process of its own: predictions to the bit, refusals in a sentence, newer versions, its end."""

import math
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.bundles import DAY_MS, FEATURES, UNTIL_MS, applied, kept, made, raw
from tests.models.serve.bad_requests import BAD, ROW, body
from tests.models.serve.odd_server import FAIL, HANG, NONE, RUBBISH
from tests.models.serve.started import LONG_SECS, Running, run_server, started
from toolkit.models.client import Answer
from toolkit.models.store import read_model, save_model
from toolkit.types import FloatArray

X = raw(40, seed=7)


def rows(x: FloatArray) -> list[dict[str, float]]:
    return [dict(zip(FEATURES, row, strict=True)) for row in x.tolist()]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """A server of three models, and where one of them is kept."""
    folder = tmp_path_factory.mktemp("served")
    trend = kept(folder / "models")
    kept(folder / "models", "mean_reversion", "constant")
    save_model(applied(made(), method="kelly", payoff=1.1, fraction=0.3), "sized", folder / "models")
    with run_server(folder) as server:
        yield server, trend


def test_predictions_are_those_in_process_to_the_bit(served: tuple[Running, Path]) -> None:
    server, folder = served
    expected = read_model(folder).predict(X)
    with server.client() as client:
        many = client.predict("trend", rows(X))
        single = [client.predict(f"trend@{folder.name}", [row]) for row in rows(X)]
    assert isinstance(many, Answer)
    assert (many.model, many.version) == ("trend", folder.name)
    assert np.array([o.prediction for o in many.opinions]).tobytes() == expected.tobytes()
    assert [one.opinions[0] for one in single if isinstance(one, Answer)] == list(many.opinions)
    assert [o.accepted for o in many.opinions] == (expected >= 0.5).tolist()
    assert {o.scale for o in many.opinions} == {0.0, 1.0}


def test_shares_of_a_size_are_those_of_the_application(served: tuple[Running, Path]) -> None:
    trained = applied(made(), method="kelly", payoff=1.1, fraction=0.3)
    scales = trained.application.say(trained.predict(X))[1]
    with served[0].client() as client:
        answer = client.predict("sized", rows(X))
    assert isinstance(answer, Answer)
    assert np.array([o.scale for o in answer.opinions]).tobytes() == scales.tobytes()
    assert sum(o.accepted for o in answer.opinions) == int(np.sum(scales > 0)) > 0


def test_many_who_ask_at_once_are_each_given_their_own(served: tuple[Running, Path]) -> None:
    server, folder = served
    expected = read_model(folder).predict(X)

    def ask(k: int) -> list[float]:
        with server.client() as client:
            answers = [client.predict("trend", rows(X[k : k + 1])) for _ in range(5)]
        return [one.opinions[0].prediction for one in answers if isinstance(one, Answer)]

    with ThreadPoolExecutor(len(X)) as pool:
        found = list(pool.map(ask, range(len(X))))
    assert found == [[p] * 5 for p in expected.tolist()]


@BAD
def test_a_bad_request_is_refused_in_a_sentence(
    served: tuple[Running, Path], sent: bytes, status: int, expected: str
) -> None:
    found, said = served[0].predict(sent)
    assert (found, set(said)) == (status, {"error"})
    assert expected in said["error"]
    assert "\n" not in said["error"]


def test_a_body_without_a_length_is_read_no_further_than_allowed(served: tuple[Running, Path]) -> None:
    server = served[0]
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=LONG_SECS) as peer:
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
        peer.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        answer = b""
        try:
            for _ in range(10_000):
                peer.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        except ConnectionError:
            pass
        try:
            answer = peer.recv(1 << 16)
        except ConnectionResetError:
            return
    assert b" 413 " in answer


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/predict"), ("GET", "/models"), ("POST", "/automl?num_strategies=1"), ("GET", "/jobs"), ("GET", "/none"),
     ("GET", "/jobs/1"), ("DELETE", "/jobs/1"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/health/"),
     ("GET", "/")],
)  # fmt: skip
def test_without_the_token_nothing_is_told(served: tuple[Running, Path], method: str, path: str) -> None:
    server = served[0]
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {server.token}"}):
        status, said = server.ask(method, path, body(ROW), headers)
        assert (status, set(said)) == (401, {"error"})


def test_what_is_served(served: tuple[Running, Path]) -> None:
    server, folder = served
    assert server.said["models"] == 3
    assert server.ask("GET", "/health", headers={}) == (200, {"status": "ok", "models": 3, "problems": 0})
    status, said = server.ask("GET", "/models")
    assert (status, said["problems"]) == (200, {})
    assert [one["name"] for one in said["models"]] == ["mean_reversion", "sized", "trend"]
    trend = said["models"][2]
    assert (trend["version"], trend["backend"], trend["features"]) == (folder.name, "lightgbm", list(FEATURES))
    with server.client() as client:
        assert client.models() == said["models"]


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("GET", "/none", 404, "there is nothing at this address"),
        ("GET", "/predict", 405, "does not take this method"),
        ("GET", "/jobs/none", 404, "unknown job 'none'"),
        ("DELETE", "/jobs/none", 404, "unknown job 'none'"),
        ("POST", "/automl", 422, "`num_strategies`: Field required"),
        ("POST", "/automl?num_strategies=many", 422, "`num_strategies`: Input should be a valid integer"),
        ("POST", "/automl?num_strategies=0", 422, "`num_strategies` must be from 1 to 10,000, was 0"),
    ],
)
def test_what_is_not_there(served: tuple[Running, Path], method: str, path: str, status: int, expected: str) -> None:
    found, said = served[0].ask(method, path)
    assert (found, expected in said["error"]) == (status, True), said


def wait_for(server: Running, path: str, found: Any) -> Any:
    """What an address says once `found` is true of it."""
    while not found(said := server.ask("GET", path)[1]):
        assert server.process.poll() is None
    return said


def test_a_newer_version_answers_without_a_restart_and_a_broken_one_does_not(tmp_path: Path) -> None:
    old = kept(tmp_path / "models", "trend", "constant")
    with run_server(tmp_path, "trend") as server, server.client() as client:
        assert client.predict("trend", [ROW]) == client.predict(f"trend@{old.name}", [ROW])
        new = kept(tmp_path / "models", "trend", until_ms=UNTIL_MS + DAY_MS)
        wait_for(server, "/models", lambda said: said["models"][0]["version"] == new.name)
        answer, before = client.predict("trend", [ROW]), client.predict(f"trend@{old.name}", [ROW])
        assert isinstance(answer, Answer) and isinstance(before, Answer)
        assert (answer.version, before.version) == (new.name, old.name)
        assert answer.opinions[0].prediction == read_model(new).predict(np.full((1, 5), 0.5))[0]
        # A version that is damaged is said, and the one before it goes on.
        draft = kept(tmp_path, "trend", until_ms=UNTIL_MS + 2 * DAY_MS)
        next(p for p in (draft / "model").iterdir()).write_text("rubbish")
        draft.rename(tmp_path / "models" / "trend" / draft.name)
        said = wait_for(server, "/models", lambda said: said["problems"])
        assert "was changed: the checksum of model/" in said["problems"]["trend"]
        assert wait_for(server, "/health", lambda said: True) == {"status": "degraded", "models": 1, "problems": 1}
        assert client.predict("trend", [ROW]) == answer
        # It is the only one that is served.
        kept(tmp_path / "models", "other", "constant")
        assert "unknown model 'other'" in str(client.predict("other", [ROW]))


def test_a_registry_may_be_empty_at_first(tmp_path: Path) -> None:
    with run_server(tmp_path) as server, server.client() as client:
        assert server.ask("GET", "/health")[1] == {"status": "degraded", "models": 0, "problems": 0}
        assert "unknown model 'trend'" in str(client.predict("trend", [ROW]))
        folder = kept(tmp_path / "models")
        wait_for(server, "/models", lambda said: said["models"])
        answer = client.predict("trend", [ROW])
        assert isinstance(answer, Answer) and answer.version == folder.name


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Running]:
    with started(tmp_path, ["-m", "tests.models.serve.odd_server", str(tmp_path)]) as server:
        yield server


def test_models_that_hang_or_fail_are_a_reason_and_hurt_no_other(odd: Running) -> None:
    with odd.client() as client:
        assert "failed with RuntimeError: no such leaf" in str(client.predict("one", [{"side": FAIL}]))
        assert "no probabilities" in str(client.predict("one", [{"side": RUBBISH}]))
        veto = client.predict("one", [{"side": NONE}])
        assert isinstance(veto, Answer) and math.isnan(veto.opinions[0].prediction) and not veto.opinions[0].accepted
        assert "one@20220101T000000-000000000000 gave no answer within" in str(client.predict("one", [{"side": HANG}]))
        assert "(503)" in str(client.predict("one", [{"side": 0.75}]))
        assert "busy with an earlier question" in str(client.predict("one", [{"side": 0.75}]))
        answer = client.predict("two", [{"side": 0.75}])
        assert isinstance(answer, Answer) and answer.opinions[0].prediction == 0.75
    # A thread that never ends does not keep the server.
    odd.process.send_signal(signal.SIGTERM)
    assert odd.process.wait(LONG_SECS) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_is_one_at_a_time_and_ends_with_the_server(odd: Running, number: signal.Signals) -> None:
    status, job = odd.ask("POST", "/automl?num_strategies=3")
    assert (status, job["status"], job["num_strategies"]) == (202, "running", 3)
    status, said = odd.ask("POST", "/automl?num_strategies=3")
    assert (status, job["id"] in said["error"]) == (409, True)
    wait_for(odd, f"/jobs/{job['id']}", lambda said: said["progress"] == "waiting")
    assert odd.ask("DELETE", f"/jobs/{job['id']}")[1]["status"] == "cancelled"
    status, job = odd.ask("POST", "/automl?num_strategies=3")
    assert [one["status"] for one in odd.ask("GET", "/jobs")[1]["jobs"]] == ["cancelled", "running"]
    children = Path(f"/proc/{odd.process.pid}/task/{odd.process.pid}/children").read_text().split()
    odd.process.send_signal(number)
    assert odd.process.wait(LONG_SECS) == 0
    assert len(children) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int(children[0]), 0)


def test_an_experiment_is_the_toolkits_own_command(tmp_path: Path) -> None:
    with run_server(tmp_path) as server:
        status, job = server.ask("POST", "/automl?num_strategies=1")
        assert status == 202
        # There are no bars and no runs, which the command says as it would say it to a person.
        said = wait_for(server, f"/jobs/{job['id']}", lambda said: said["status"] != "running")
        assert (said["status"], said["exit_code"]) == ("failed", 2)
        assert said["error"].startswith("error: ")
