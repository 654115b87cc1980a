"""Random sequences of faults through ccxt and sockets: nothing untracked, nothing twice, nothing bare for long."""

import os
from pathlib import Path

import pytest

from tests.executor.live.loop import play
from tests.executor.live.session import KINDS, session
from tests.executor.live.stormy import sequence

# `make soak` sets it to something else, and plays other sequences.
FIRST = int(os.environ.get("LOCKSTEP_SOAK_SEED", "0"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + 100))
def test_a_random_sequence_ends_well(seed: int, tmp_path: Path) -> None:
    async def whole() -> list[str]:
        async with session(tmp_path, KINDS[seed % len(KINDS)]) as s:
            return await sequence(s, seed)

    assert play(whole()) == []
