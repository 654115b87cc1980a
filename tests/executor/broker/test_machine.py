"""The state machine on each kind of market: 500 sequences in all here, as many as LOCKSTEP_SOAK says by `make soak`."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.executor.broker.fake_venue import LOCKING, SPOT, SWAP, WATCHED
from tests.executor.broker.machine import Machine

EXAMPLES = int(os.environ.get("LOCKSTEP_SOAK", "500"))
MARKETS = {
    "spot": (SPOT, "buy"), "swap": (SWAP, "buy"), "short": (SWAP, "sell"), "locking": (LOCKING, "buy"),
    "watched": (WATCHED, "buy"),
}  # fmt: skip


@pytest.mark.parametrize("name", MARKETS)
def test_nothing_is_lost_doubled_or_left_bare(name: str) -> None:
    class Market(Machine):
        market, side = MARKETS[name]

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Market,
        settings=settings(
            max_examples=EXAMPLES // len(MARKETS), stateful_step_count=12, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
