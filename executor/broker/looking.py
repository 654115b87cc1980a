"""When a ticket is looked up: at once where its outcome is not known, later and later where that settles nothing."""

import math
from dataclasses import replace

from executor.broker.base import Kind
from executor.broker.tickets import Sent
from executor.broker.trade import Find, LiveSettings, Steps
from executor.broker.venue import Seen, Word

GONE = "absent: the venue knew it, and lists it no more"
"""Reason of a ticket that was at the venue and vanished: what is held is to be compared."""

_PAUSES_SECS = (0.0, 0.5, 1.0, 2.0, 4.0, 5.0)
# A market order is filled at once; news of it may be late.
_FIRST_SECS = 0.5
_FEES_SECS = 1.0
_FEES_LOOKS = 8
# What never arrived may come after all, from wherever it was held up.
_AGAIN_SECS = (30.0, 120.0)
_PROTECTIVE_SHARE = 0.3
_LEAST_ABSENCES = 2


def look(sent: Sent, steps: Steps) -> None:
    """Find it, where that is due."""
    if sent.is_looking or sent.is_submitting or math.isinf(sent.look_ms):
        return
    if sent.look_ms <= steps.now_ms:
        steps.actions.append(Find(sent))
    else:
        steps.wait(sent.look_ms)


def look_next(sent: Sent, now_ms: int) -> None:
    """Having heard of it, or looked: whether to ask again, and when, unless that is set."""
    is_set = sent.look_ms < math.inf
    if sent.seen is Seen.ABSENT:
        if not is_set and sent.again < len(_AGAIN_SECS):
            sent.look_ms = now_ms + 1000 * _AGAIN_SECS[sent.again]
            sent.again += 1
    elif sent.is_final:
        if not sent.lacks_fees or sent.looks >= _FEES_LOOKS:
            sent.look_ms = math.inf
        elif not is_set:
            sent.look_ms = now_ms + 1000 * _FEES_SECS
    elif sent.is_unknown:
        if not is_set:
            sent.look_ms = now_ms
    elif sent.is_cancelled or sent.is_leaving_now or sent.ticket.kind is Kind.ENTRY:
        if not is_set:
            sent.look_ms = now_ms + 1000 * _FIRST_SECS
    else:
        sent.look_ms = math.inf


def found(sent: Sent, word: Word | None, pause_secs: float, now_ms: int, settings: LiveSettings) -> Word | None:
    """What to believe of a look-up's answer (None: there was none); sets when to look again.

    "Nowhere" is believed of an order that was sent long enough ago, when it was said twice.
    """
    # A venue that is down says nothing of the fees: such looks make the pauses longer and are not counted to the last.
    if word is not None or sent.looks < len(_PAUSES_SECS):
        sent.looks += 1
    wait_secs = max(pause_secs, _PAUSES_SECS[min(sent.looks, len(_PAUSES_SECS) - 1)])
    if sent.seen is Seen.ABSENT:
        sent.look_ms = math.inf if word is not None else now_ms + 1000 * wait_secs
        return word if word is not None and word.seen is not Seen.ABSENT else None
    sent.look_ms = now_ms + 1000 * wait_secs
    if word is None or word.seen is not Seen.ABSENT:
        return word
    if sent.is_final:
        return None
    sent.absences += 1
    since = now_ms - (sent.sent_ms or sent.ticket.created_ms)
    left_ms = 1000 * absent_after(sent, settings) - since
    if sent.absences < _LEAST_ABSENCES or left_ms > 0:
        sent.look_ms = min(sent.look_ms, now_ms + max(left_ms, 1000 * _FIRST_SECS))
        return None
    if sent.venue_id or sent.filled:
        # The venue has had it and lists it no more: whatever it did is in what is held.
        return replace(word, seen=Seen.CANCELLED, reason=GONE)
    return word


def absent_after(sent: Sent, settings: LiveSettings) -> float:
    """Seconds. A second stop is cancelled again, a second entry is money: stops are given up sooner."""
    if sent.ticket.kind is Kind.ENTRY or not sent.waits:
        return settings.absent_after_secs
    return min(settings.absent_after_secs, _PROTECTIVE_SHARE * settings.protect_within_secs)
