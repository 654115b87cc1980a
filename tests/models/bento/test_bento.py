"""A bento answers what `toolkit model run` answers, to the bit and to the letter: BentoML's own, and a stand-in's.

BentoML is left out where its environment is not installed; with LOCKSTEP_EVERY_BACKEND nothing is.
"""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.backends.test_libraries import leaves_the_machine
from tests.models.bento.places import install_stand_in, served, variables
from tests.models.bundles import FEATURES, kept, made, raw
from tests.models.serve.bad_requests import BAD, ROW, body
from tests.models.serve.started import LONG_SECS, Running, run_server
from toolkit.models.bento.packing import Bento, pack
from toolkit.models.client import Answer
from toolkit.models.store import read_model, save_model
from toolkit.models.workers.environments import environment
from toolkit.models.workers.libraries import LIBRARIES
from toolkit.models.workers.resident import close_residents
from toolkit.models.workers.tools import BENTOML

EVERY = bool(os.environ.get("LOCKSTEP_EVERY_BACKEND"))
X = raw(40, seed=7)
KINDS = {"trend": "lightgbm", "forest": "random_forest"}


def left_out(*tools: Any) -> pytest.MarkDecorator:
    absent = [tool.name for tool in tools if environment(tool).state != "ready"]
    return pytest.mark.skipif(
        not EVERY and bool(absent),
        reason=f"left out: no environment here (toolkit model backends install {', '.join(absent)})",
    )


@dataclass(frozen=True)
class Case:
    """The models of `folder/models`, packed, and both servers of the one that is called trend."""

    folder: Path
    bentos: dict[str, Bento]
    bento: Running
    real: Running


@pytest.fixture(scope="module", params=[
    pytest.param("stand-in", marks=pytest.mark.xdist_group("bentoml's stand-in")),
    pytest.param("BentoML", marks=[pytest.mark.slow, left_out(BENTOML), pytest.mark.xdist_group("bentoml")]),
])  # fmt: skip
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("bento")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCKSTEP_DATA", str(folder))
        if request.param == "stand-in":
            patch.setenv("LOCKSTEP_ENVS", str(folder / "envs"))
            install_stand_in()
        for name, kind in KINDS.items():
            kept(folder / "models", name, kind)
        bentos = {name: pack(name, folder / "bentos" / name) for name in KINDS}
        token_file = folder / "models.token"
        with run_server(folder, "trend") as real, served(bentos["trend"], token_file, folder / "at") as bento:
            yield Case(folder, bentos, bento, real)


def asked(server: Running, model: str) -> list[float]:
    with server.client() as client:
        said = client.predict(model, [dict(zip(FEATURES, row, strict=True)) for row in X.tolist()])
    assert isinstance(said, Answer), said
    return [one.prediction for one in said.opinions]


def test_predictions_are_those_in_process_and_of_the_real_server_to_the_bit(case: Case) -> None:
    expected = read_model(case.bentos["trend"].info.folder).predict(X)
    assert np.array(asked(case.bento, "trend")).tobytes() == expected.tobytes()
    version = case.bentos["trend"].info.version
    for row in ([ROW], ROW, {**ROW, "side": None}, [ROW] * 1000):
        for model in ("trend", f"trend@{version}"):
            found = case.bento.predict(body(row, model))
            assert found == case.real.predict(body(row, model)) and found[0] == 200


def test_a_pickled_forest_is_the_same_there(case: Case) -> None:
    bento = case.bentos["forest"]
    with served(bento, case.folder / "models.token", case.folder / "forest") as server:
        found = np.array(asked(server, "forest"))
    assert found.tobytes() == read_model(bento.info.folder).predict(X).tobytes()


@BAD
def test_what_is_refused_is_refused_in_the_same_words(case: Case, sent: bytes, status: int, expected: str) -> None:
    found = case.bento.predict(sent)
    assert found == case.real.predict(sent)
    assert found[0] == status and expected in found[1]["error"]


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/predict", None),
        ("GET", "/nothing", None),
        ("GET", "/", None),
        ("GET", "/metrics", None),
        ("GET", "/schema.json", None),
        ("GET", "/docs.json", None),
        ("GET", "/schema.json", {}),
        ("POST", "/predict", {}),
        ("GET", "/models", {}),
        ("GET", "/models", None),
        ("GET", "/health", None),
        ("GET", "/health", {}),
        ("POST", "/predict", {"Authorization": "Bearer nothing-of-the-kind"}),
        ("POST", "/predict", {"Authorization": "Basic abc"}),
    ],
)
def test_other_addresses_and_tokens_too(case: Case, method: str, path: str, headers: dict[str, str] | None) -> None:
    assert case.bento.ask(method, path, headers=headers) == case.real.ask(method, path, headers=headers)


def test_no_experiments_are_started_there(case: Case) -> None:
    for method, path in (("POST", "/automl?num_strategies=1"), ("GET", "/jobs"), ("DELETE", "/jobs/1")):
        status, said = case.bento.ask(method, path)
        assert (status, said["error"][:32]) == (404, "there is nothing at this address")


def test_a_body_without_a_length_is_read_no_further_than_allowed(case: Case) -> None:
    host, port = case.bento.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=LONG_SECS) as peer:
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {case.bento.token}\r\n"
        peer.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
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


def test_probes_are_open(case: Case) -> None:
    for path in ("/livez", "/readyz"):
        connection = http.client.HTTPConnection(case.bento.url.removeprefix("http://"), timeout=LONG_SECS)
        connection.request("GET", path)
        assert connection.getresponse().status == 200
        connection.close()


def test_without_a_token_file_this_machine_may_ask(case: Case) -> None:
    with served(case.bentos["trend"], None, case.folder / "open") as server:
        expected = case.real.predict(body(ROW))
        assert server.ask("POST", "/predict", body(ROW), {}) == expected and expected[0] == 200


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"LOCKSTEP_TOKEN_FILE": "/nowhere/token"}, "error: the token's file /nowhere/token cannot be read"),
        ({"LOCKSTEP_DEADLINE_SECS": "soon"}, "error: LOCKSTEP_DEADLINE_SECS must be above 0 seconds, was 'soon'"),
        ({"LOCKSTEP_DEADLINE_SECS": "0"}, "error: LOCKSTEP_DEADLINE_SECS must be above 0 seconds, was '0'"),
    ],
)
def test_what_it_cannot_start_with_is_one_sentence(case: Case, wrong: dict[str, str], sentence: str) -> None:
    home = case.folder / "wrong"
    (home / "home").mkdir(parents=True, exist_ok=True)
    command = [*case.bentos["trend"].command, "--host", "127.0.0.1", "--port", "0"]
    done = subprocess.run(
        command,
        cwd=home,
        env={**variables(case.bentos["trend"], None, home), **wrong},
        capture_output=True,
        text=True,
        timeout=LONG_SECS,
    )
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if "INFO" not in line][-1].startswith(sentence)
    assert "Traceback" not in done.stderr


def test_the_same_model_makes_the_same_bento(case: Case) -> None:
    again = pack("trend", case.folder / "again")
    assert contents(again.folder) == contents(case.bentos["trend"].folder)
    assert case.folder.as_posix() not in (again.folder / "bento.yaml").read_text()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but what Python keeps of those that it ran."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.slow
@pytest.mark.xdist_group("bentoml")
@left_out(BENTOML)
@pytest.mark.skipif(shutil.which("strace") is None, reason="left out: there is no strace here")
def test_neither_making_nor_serving_one_leaves_the_machine_or_touches_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    kept(tmp_path / "models")
    (tmp_path / "home").mkdir()
    code = "from toolkit.models.bento.packing import pack; pack('trend')"
    making, serving = tmp_path / "making", tmp_path / "serving"
    done = subprocess.run(
        [*strace(making), sys.executable, "-c", code],
        env={**os.environ, "HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "bentos" / "trend").iterdir()
    bento = pack("trend", tmp_path / "again")
    assert contents(folder) == contents(bento.folder)
    with served(bento, None, tmp_path / "at", strace(serving)) as server:
        assert server.ask("POST", "/predict", body(ROW), {})[0] == 200
    for calls in (making, serving):
        lines = calls.read_text(errors="replace").splitlines()
        assert [line for line in lines if leaves_the_machine(line)] == []
        assert [line for line in lines if re.search(r"execve\(.*\b(uv|pip)\b", line) and " = 0" in line] == []
    assert list((tmp_path / "home").iterdir()) == list((tmp_path / "at" / "home").iterdir()) == []


def strace(calls: Path) -> list[str]:
    what = ["-e", "trace=connect,sendto,execve", "-e", "signal=none"]
    return ["strace", "-f", "--seccomp-bpf", "-s", "200", *what, "-o", str(calls)]


@pytest.mark.slow
@pytest.mark.xdist_group("bentoml")
@left_out(BENTOML)
def test_the_process_that_answers_is_started_again_and_ends_with_its_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    kept(tmp_path / "models")
    with served(pack("trend"), None, tmp_path / "at") as server:
        (first,) = children(server.process.pid)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: children(server.process.pid) not in ([], [first]))
        assert server.ask("POST", "/predict", body(ROW), {})[0] == 200
        server.process.kill()
        port = int(server.url.rpartition(":")[2])
        wait_for(lambda: can_listen(port))


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def can_listen(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def wait_for(found: Callable[[], bool]) -> None:
    until = time.monotonic() + LONG_SECS
    while not found():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.xdist_group("bentoml")
@left_out(BENTOML, LIBRARIES["pycaret"])
def test_a_model_of_another_library_answers_from_its_own_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    save_model(made("pycaret", settings=LIBRARIES["pycaret"].quick), "trend", tmp_path / "models")
    bento = pack("trend")
    expected = read_model(bento.info.folder).predict(X)
    close_residents()
    with run_server(tmp_path, "trend") as real, served(bento, tmp_path / "models.token", tmp_path / "at") as server:
        assert np.array(asked(server, "trend")).tobytes() == expected.tobytes()
        assert server.predict(body(ROW)) == real.predict(body(ROW))
        (worker,) = server.ask("GET", "/models")[1]["workers"]
        assert worker["library"] == "pycaret" and worker["megabytes"] > 50
    # Where the library is not there, it says so as it starts, and to whoever asks.
    elsewhere = replace(bento, variables={**bento.variables, "LOCKSTEP_ENVS": "/nowhere"})
    sentence = "PyCaret needs an environment of its own, and there is none at /nowhere/pycaret; make it"
    with served(elsewhere, tmp_path / "models.token", tmp_path / "without") as server:
        assert f"not served: {sentence}" in Path(server.said["log"]).read_text()
        status, said = server.predict(body(ROW))
        assert status == 503 and said["error"].startswith(sentence)
        assert server.ask("GET", "/health")[1]["status"] == "degraded"
