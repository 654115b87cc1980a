"""What Prometheus scrapes: `Metrics`, in a registry of its own."""

import time
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from executor.feed.base import Series

_SECS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_LAG_SECS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0, 3600.0)


class Metrics:
    """Counts and gauges of one daemon; `committing` goes to the ledger's `on_commit`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        made: Any = {"namespace": "lockstep", "registry": self._registry}
        self._bars = Counter("bars_decided", "Closed bars that were decided on", **made)
        self._events = Counter("events", "Events of bars that were decided on", **made)
        self._decision = Histogram(
            "decision_seconds", "From an event to its orders, without commits", buckets=_SECS, **made
        )
        self._commit = Histogram("commit_seconds", "Commits of the ledger", buckets=_SECS, **made)
        self._lag = Histogram("decision_lag_seconds", "From a bar's close to its decision", buckets=_LAG_SECS, **made)
        self._age = Gauge(
            "feed_age_seconds", "Since a series' last sign of life", ["exchange", "symbol", "base"], **made
        )
        self._gauges = {
            "open_trades": Gauge("open_trades", "Trades that are open", **made),
            "equity": Gauge("equity", "Equity at the newest mark, in the account's currency", **made),
            "restarts": Gauge("restarts", "Starts of the daemon on this ledger after the first", **made),
            "notices": Gauge("notices", "Notices that were ever left", **made),
            "unprotected": Gauge("unprotected_trades", "Trades without their stop at the venue now", **made),
            "longest": Gauge(
                "unprotected_longest_seconds", "Longest time that a trade was without its stop at the venue", **made
            ),
            "halted": Gauge("symbols_halted", "Symbols on which nothing new is entered", **made),
            "unsent": Gauge("notices_unsent", "Notices that wait to be sent", **made),
        }
        self._began = 0.0
        self._committed_secs = 0.0

    def committing(self, moment: str) -> None:
        """The ledger's word before and after each commit."""
        now = time.perf_counter()
        if moment.startswith("before "):
            self._began = now
            return
        self._commit.observe(now - self._began)
        self._committed_secs += now - self._began

    @property
    def committed_secs(self) -> float:
        """All the time that commits took."""
        return self._committed_secs

    def decided(self, bars: int, secs: float, lag_secs: float) -> None:
        """An event was decided: so many bars, in so many seconds without commits, so long after they closed."""
        self._events.inc()
        self._bars.inc(bars)
        self._decision.observe(secs)
        self._lag.observe(max(0.0, lag_secs))

    def gauge(self, **values: float) -> None:
        """Set gauges by their names here."""
        for name, value in values.items():
            self._gauges[name].set(value)

    def ages(self, ages: Mapping[Series, float]) -> None:
        """Seconds since each series' last sign of life; of those not named nothing is said."""
        self._age.clear()
        for series, secs in ages.items():
            self._age.labels(*series).set(secs)

    def render(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)
