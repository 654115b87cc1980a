"""How long to wait before the next of a line of tickets: not at all after one failure, longer and longer after more."""

import math
from collections.abc import Sequence

from executor.broker.tickets import Sent

_FIRST_SECS = 0.5
_LONGEST_SECS = 30.0
# A ticket that stood at the venue so long has not failed when it ends.
_SETTLED_SECS = 10.0


def pause_until(line: Sequence[Sent], now_ms: int) -> float:
    """When the next may be sent, epoch ms; -inf = now. line : oldest first."""
    if not line:
        return -math.inf
    until, failures = line[-1].pause_ms, 0
    for one in reversed(line):
        if not has_failed(one):
            break
        failures += 1
    if failures > 1:
        secs = min(_FIRST_SECS * 2.0 ** (failures - 2), _LONGEST_SECS)
        until = max(until, (line[-1].ended_ms or now_ms) + secs * 1000)
    return until


def has_failed(one: Sent) -> bool:
    """Whether it ended without doing anything, and not because that was asked for."""
    if not one.is_final or one.filled or one.is_cancelled:
        return False
    ended_ms = one.ended_ms or 0
    return ended_ms - (one.known_ms or ended_ms) < _SETTLED_SECS * 1000
