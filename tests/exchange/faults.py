"""What can go wrong with a request, and when."""

import threading
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["bad_gateway", "rate_limit", "cut_body", "cut_json", "slow", "reset", "hold"]


@dataclass(frozen=True)
class Fault:
    """`kind` befalls requests number `first` .. `first + times - 1` (from 1) to the candle endpoint.

    bad_gateway : 502 with a page of HTML. rate_limit : 429 with `Retry-After: secs`.
    cut_body : the connection ends inside the body. cut_json : half of the body, with a length that fits it.
    slow : the answer comes after `secs`. reset : the connection is reset instead of an answer.
    hold : the answer waits until `Faults.release` is called.
    """

    kind: Kind
    first: int
    times: int = 1
    secs: float = 0.0


@dataclass
class Faults:
    """The faults to come; counts candle requests and lets a test wait for one of them."""

    planned: list[Fault] = field(default_factory=list)
    requests: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _released: threading.Event = field(default_factory=threading.Event)

    def plan(self, *faults: Fault) -> None:
        """Faults of the requests from now on, counted anew from 1."""
        with self._changed:
            self.planned = list(faults)
            self.requests = 0

    def next(self) -> Fault | None:
        """Count a request; the fault that befalls it, if any."""
        with self._changed:
            self.requests += 1
            self._changed.notify_all()
            number = self.requests
            return next((f for f in self.planned if f.first <= number < f.first + f.times), None)

    def wait_for(self, requests: int, timeout_secs: float = 60.0) -> None:
        """Until this many candle requests have come."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.requests >= requests, timeout_secs):
                raise TimeoutError(f"{self.requests} of {requests} candle requests came in {timeout_secs} s")

    def release(self) -> None:
        """Let held requests go on, now and later."""
        self._released.set()

    def wait_released(self, timeout_secs: float = 60.0) -> None:
        self._released.wait(timeout_secs)
