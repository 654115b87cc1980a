"""Where bentos are made and served in tests: BentoML's own environment, or one of a stand-in for it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.models.serve.started import LONG_SECS, Running
from toolkit.models.bento.packing import Bento
from toolkit.models.workers.environments import STATE_FILE, environments_root, lock_digest
from toolkit.models.workers.tools import BENTOML

STAND_IN = Path(__file__).with_name("stand_in")


def install_stand_in() -> Path:
    """Make an environment below `LOCKSTEP_ENVS` that is this interpreter with a few lines for BentoML."""
    place = environments_root() / BENTOML.name
    (place / "bin").mkdir(parents=True)
    script = f'#!/bin/sh\nPYTHONPATH="{STAND_IN}:$PYTHONPATH" exec {sys.executable} "$@"\n'
    (place / "bin" / "python").write_text(script)
    (place / "bin" / "python").chmod(0o755)
    facts = {"library": BENTOML.name, "lock": lock_digest(BENTOML), "versions": {"bentoml": "0"}, "megabytes": 1}
    (place / STATE_FILE).write_text(json.dumps(facts))
    return place


@contextlib.contextmanager
def served(bento: Bento, token_file: Path | None, home: Path, before: Sequence[str] = ()) -> Iterator[Running]:
    """The bento on a free port of this machine; `before` is put before the command that serves it."""
    port, log = free_port(), home / "serve.log"
    (home / "home").mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        process = subprocess.Popen(
            [*before, *bento.command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=home,
            env=variables(bento, token_file, home),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            text=True,
            start_new_session=True,
        )
    token = token_file.read_text().strip() if token_file else ""
    running = Running(f"http://127.0.0.1:{port}", token, process, {"log": log})
    try:
        wait_until_ready(running, port, log)
        yield running
    finally:
        end(process)


def end(process: "subprocess.Popen[str]") -> None:
    """End it and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LONG_SECS)
    process.wait(LONG_SECS)


def variables(bento: Bento, token_file: Path | None, home: Path) -> Mapping[str, str]:
    """Of the process, as the printed line has them; its home is a folder of its own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("LOCKSTEP", "BENTOML"))}
    token = {"LOCKSTEP_TOKEN_FILE": str(token_file)} if token_file else {}
    return {**own, "HOME": str(home / "home"), **bento.variables, **token}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until_ready(running: Running, port: int, log: Path) -> None:
    until = time.monotonic() + LONG_SECS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG_SECS)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            assert running.process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        finally:
            connection.close()
