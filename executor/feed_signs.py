"""What the ledger says of the feed: each series' state and age, and what a venue corrected afterwards."""

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from executor.engine.engine import Engine
from executor.feed.base import ClosedBar, Feed, Series
from executor.ledger import Ledger
from executor.sessions import notice

_log = logging.getLogger(__name__)


@runtime_checkable
class Corrects(Protocol):
    """A feed that hears when a venue changes a bar that was given."""

    def corrections(self) -> Sequence[tuple[Series, ClosedBar]]: ...


class FeedSigns:
    """Writes the tables `feed` and `corrections`, and a notice where a series falls silent or comes back.

    Parameters
    ----------
    late_secs : after a close, before a bar that is not there is late. stale_secs : without a sign of life, before a
    series is stale.
    """

    def __init__(self, ledger: Ledger, *, late_secs: float, stale_secs: float) -> None:
        self._ledger, self._late_secs, self._stale_secs = ledger, late_secs, stale_secs
        self._states: dict[Series, str] = {}
        self.ages: Mapping[Series, float] = {}

    def write(self, engine: Engine, feed: Feed, warming: set[Series], now_ms: int) -> None:
        """Write how things stand."""
        self.ages = feed.ages()
        states = {series: self._state(series, engine, warming, now_ms) for series in engine.series()}
        corrected = feed.corrections() if isinstance(feed, Corrects) else ()
        with self._ledger.transaction("feed"):
            self._ledger.put("feed", [
                {
                    "exchange": series.exchange, "symbol": series.symbol, "base": series.base,
                    "last_ts": engine.next_ts(series) - series.base_ms,
                    "last_seen_ms": None if series not in self.ages else now_ms - round(1000 * self.ages[series]),
                    "state": state,
                }
                for series, state in states.items()
            ])  # fmt: skip
            for series, bar in corrected:
                self._ledger.insert("corrections", _correction(series, bar, now_ms))
            self._tell(states, now_ms)
        self._states = states

    def _state(self, series: Series, engine: Engine, warming: set[Series], now_ms: int) -> str:
        if self.ages.get(series, 0.0) > self._stale_secs:
            return "stale"
        if series in warming:
            return "warming"
        due_ms = engine.next_ts(series) + series.base_ms + round(1000 * self._late_secs)
        return "late" if now_ms > due_ms else "live"

    def _tell(self, states: Mapping[Series, str], now_ms: int) -> None:
        fell = [series for series, state in states.items() if state == "stale" and self._states.get(series) != "stale"]
        rose = [series for series, state in states.items() if state != "stale" and self._states.get(series) == "stale"]
        if fell:
            names = _names(fell)
            text = f"the feed is stale: no sign of {names} for more than {self._stale_secs:g} s"
            notice(self._ledger, "warning", "feed stale", text, now_ms)
            _log.warning(text)
        if rose:
            notice(self._ledger, "info", "feed back", f"the feed is back: {_names(rose)}", now_ms)
            _log.info("the feed is back: %s", _names(rose))


def _names(series: Sequence[Series]) -> str:
    named = [f"{one.symbol} {one.base}" for one in sorted(series)]
    return ", ".join(named[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")


def _correction(series: Series, bar: ClosedBar, now_ms: int) -> dict[str, object]:
    return {
        "exchange": series.exchange, "symbol": series.symbol, "base": series.base, "ts": bar.ts, "open": bar.open,
        "high": bar.high, "low": bar.low, "close": bar.close, "volume": bar.volume, "seen_ms": now_ms,
    }  # fmt: skip
