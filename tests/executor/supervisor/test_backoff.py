"""Pauses between tries."""

from hypothesis import given
from hypothesis import strategies as st

from executor.backoff import Backoff


def test_pauses_double_up_to_the_limit_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(1.0, 300.0, chance=lambda: 0.0)
    assert [backoff.failed() for _ in range(11)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    backoff.reset()
    assert backoff.failed() == 1.0


@given(st.integers(1, 5_000), st.floats(0.0, 1.0, exclude_max=True))
def test_chance_takes_up_to_a_half_and_no_number_of_failures_overflows(failures: int, chance: float) -> None:
    backoff = Backoff(0.5, 60.0, chance=lambda: chance)
    backoff.failures = failures
    whole = min(60.0, 0.5 * 2.0 ** min(failures, 60))
    assert whole / 2 <= backoff.failed() <= whole
