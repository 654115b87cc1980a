"""Each fault through ccxt and sockets, judged by the exchange's own records."""

from pathlib import Path

import pytest

from tests.executor.live.loop import play
from tests.executor.live.scenarios import SCENARIOS, Scenario
from tests.executor.live.table import ending

CASES = [(one, kind) for one in SCENARIOS for kind in one.kinds]


@pytest.mark.parametrize(("one", "kind"), CASES, ids=[f"{one.name}-{kind}".replace(" ", "_") for one, kind in CASES])
def test_a_fault_ends_as_it_must(one: Scenario, kind: str, tmp_path: Path) -> None:
    ended, bare = play(ending(one, kind, tmp_path))
    assert ended
    assert bare <= one.bare_secs
