"""Live sessions on a virtual clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.executor.broker.session import Open, Session


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Makes sessions, each with its own ledger, and closes them."""
    sessions: list[Session] = []

    def make(**settings: object) -> Session:
        found = Session(tmp_path / f"{len(sessions)}.sqlite", **settings)  # type: ignore[arg-type]
        sessions.append(found)
        return found

    yield make
    for one in sessions:
        one.close()
