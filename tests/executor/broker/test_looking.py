"""When a ticket is looked up, and how often."""

import math

from executor.broker.base import Kind
from executor.broker.looking import found, look, look_next
from executor.broker.tickets import Sent
from executor.broker.trade import Find, LiveSettings, Steps
from executor.broker.venue import Seen, Ticket, Type, Word

SETTINGS = LiveSettings()
NOWHERE = Word("ls-1", Seen.ABSENT, 0.0, math.nan, None, 0)


def unknown() -> Sent:
    ticket = Ticket("ls-1", "t-entry", "t", Kind.ENTRY, "BTC/USDT", "buy", "long", Type.MARKET, 1.0, math.nan, math.nan,
                    False, 0)  # fmt: skip
    return Sent(ticket, Seen.UNKNOWN, sent_ms=0)


def looks_until(sent: Sent, end_ms: int, word: Word | None) -> list[int]:
    """Moments of look-ups that each got this answer, as a desk with a tick of 10 ms makes them."""
    moments = []
    look_next(sent, 0)
    for now in range(0, end_ms, 10):
        steps = Steps(now)
        look(sent, steps)
        if not any(isinstance(one, Find) for one in steps.actions):
            continue
        moments.append(now)
        believed = found(sent, word, 0.0, now, SETTINGS)
        if believed is not None:
            sent.hear(believed, now)
            sent.look_ms = math.inf
        look_next(sent, now)
    return moments


def test_what_is_not_known_is_looked_up_at_once_and_then_later_and_later() -> None:
    assert looks_until(unknown(), 9_000, None)[:5] == [0, 500, 1_500, 3_500, 7_500]


def test_what_is_nowhere_is_asked_for_a_few_times_and_believed_after_ten_seconds() -> None:
    sent = unknown()
    moments = looks_until(sent, 200_000, NOWHERE)
    assert sent.seen is Seen.ABSENT and sent.ended_ms == 10_000
    # Twice more, should it come after all.
    assert moments[-2:] == [40_000, 160_000] and len(moments) < 10
