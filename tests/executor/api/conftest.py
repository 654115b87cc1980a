"""A ledger that a daemon holds, and an API over it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.api import token
from executor.ledger.lock import one_daemon
from tests.executor.api import sample
from tests.executor.api.served import Served, serving, wall_ms


@pytest.fixture(autouse=True)
def no_token_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(token.VARIABLE, raising=False)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "executor.sqlite"
    sample.make(path, wall_ms())
    with one_daemon(path):
        yield path


@pytest.fixture
def api(ledger: Path) -> Iterator[Served]:
    with serving(ledger) as served:
        yield served


@pytest.fixture
def writing_api(ledger: Path) -> Iterator[Served]:
    with serving(ledger, api_write=True) as served:
        yield served
