"""`Faults`: what goes wrong at the local exchange, by rule; counted, and each befalling is written down."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from executor.sandbox.records import Log
from toolkit.errors import InputError, UnknownNameError

# Of requests: nothing was done.
_UNDONE = ("lost_request", "reset", "bad_gateway", "rate_limit")
# Of requests: done, and the answer is late or broken.
_DONE = ("lost_response", "slow", "cut_body", "cut_json")
REQUEST_KINDS = _UNDONE + _DONE
# Of sockets and of the whole venue, while they last.
_LASTING = ("socket_mute", "socket_freeze", "duplicate_events", "late_events", "down", "skew")
_MOMENTS = ("socket_drop", "expired_token")
KINDS = (*REQUEST_KINDS, *_LASTING, *_MOMENTS, "trigger_fails")


@dataclass
class Fault:
    """A rule.

    Attributes
    ----------
    kind : one of `KINDS`.
    match : a part of "METHOD /path" of requests, of a symbol for `trigger_fails`; "*" for all.
    first : how many that match are let through before. times : how many then befall.
    secs : how long an answer is slow or a fault lasts, by the market's clock for all but `slow`; 0 for until it is
        cleared. Of `rate_limit` the pause that the answer asks for; of `late_events` also how late they come.
    ms : of `skew`, how far the venue's clock is ahead of its own.
    """

    kind: str
    match: str = "*"
    first: int = 0
    times: float = math.inf
    secs: float = 0.0
    ms: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("fault", self.kind, KINDS)
        if self.first < 0 or self.times < 0 or self.secs < 0:
            raise InputError("first, times and secs of a fault must be 0 or more")
        self.until_ms = math.inf

    def fits(self, what: str) -> bool:
        return self.match == "*" or self.match in what


class Faults:
    """Rules of what goes wrong. clock : the market's, epoch ms.

    Single events are asked for with `request` and `trigger`, lasting ones with `lasting`. Socket drops and expired
    tokens happen when they are added: whoever serves sockets is in `on_moment`, and hears of `down` too.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._rules: list[Fault] = []
        self.on_moment: list[Callable[[Fault], None]] = []
        self.log = Log()

    def add(self, fault: Fault) -> None:
        if fault.kind in _MOMENTS:
            self.log.note(self._clock(), fault.kind)
            for tell in self.on_moment:
                tell(fault)
            return
        if fault.kind in _LASTING:
            fault.until_ms = self._clock() + fault.secs * 1000 if fault.secs else math.inf
            self.log.note(self._clock(), fault.kind)
        self._rules.append(fault)
        if fault.kind == "down":
            for tell in self.on_moment:
                tell(fault)

    def clear(self, kind: str = "") -> None:
        """No rule any more, or none of that kind."""
        self._rules = [rule for rule in self._rules if kind and rule.kind != kind]

    def request(self, route: str) -> Fault | None:
        """What befalls this request, "METHOD /path"."""
        return self._next(route, REQUEST_KINDS)

    def trigger(self, symbol: str) -> bool:
        """Whether a trigger that fires now fails."""
        return self._next(symbol, ("trigger_fails",)) is not None

    def lasting(self, kind: str) -> Fault | None:
        """The rule of a lasting kind that holds now."""
        now = self._clock()
        return next((rule for rule in self._rules if rule.kind == kind and now < rule.until_ms), None)

    @property
    def skew_ms(self) -> int:
        rule = self.lasting("skew")
        return 0 if rule is None else rule.ms

    def _next(self, what: str, kinds: tuple[str, ...]) -> Fault | None:
        for rule in self._rules:
            if rule.kind not in kinds or not rule.times or not rule.fits(what):
                continue
            if rule.first:
                rule.first -= 1
                continue
            rule.times -= 1
            self.log.note(self._clock(), rule.kind, what)
            return rule
        return None
