"""A real server in a process of its own, and plain requests to it."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from toolkit.models.client import ModelClient
from toolkit.models.serve.token import read_token

TOOLKIT = ("-c", "from toolkit.cli.main import main; main()")
ROOT = Path(__file__).parents[3]
LONG_SECS = 60.0


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str
    token: str
    process: subprocess.Popen[str]
    said: Mapping[str, Any]

    def client(self) -> ModelClient:
        return ModelClient(self.url, self.token, deadline_secs=LONG_SECS)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of an answer, with the token unless `headers` are given."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=LONG_SECS)
        try:
            sent = {"Authorization": f"Bearer {self.token}"} if headers is None else dict(headers)
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            assert answer.headers.get_content_type() == "application/json"
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def predict(self, body: bytes) -> tuple[int, Any]:
        return self.ask("POST", "/predict", body)


@contextlib.contextmanager
def started(folder: Path, words: Sequence[str]) -> Iterator[Running]:
    """What `python *words` serves; it says so in one line of JSON, and ends when it is told to."""
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env={**os.environ, "LOCKSTEP_DATA": str(folder)},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (folder / "server.log").read_text()
        said = json.loads(line)
        yield Running(said["url"], read_token(Path(said["token_file"])), process, said)
    finally:
        process.terminate()
        process.communicate(timeout=LONG_SECS)


def run_server(folder: Path, *words: str) -> "contextlib.AbstractContextManager[Running]":
    """`toolkit model run` with the models of `folder/models`, on a free port."""
    return started(folder, [*TOOLKIT, "model", "run", "--port", "0", "--json", *words])
