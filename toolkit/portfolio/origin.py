"""Where a portfolio's candidates came from, which decides how far its figures can be believed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit.bars.intervals import DAY_MS
from toolkit.bars.moments import to_ms
from toolkit.bars.series import utc


@dataclass(frozen=True)
class Days:
    """A period that something was chosen on (epoch ms); None is open: the first bar, or the last."""

    start_ms: int | None
    end_ms: int | None

    def overlaps(self, start_ms: int, end_ms: int) -> bool:
        """Whether a test over this period looks at days of it."""
        after = self.end_ms is not None and start_ms >= self.end_ms
        before = self.start_ms is not None and end_ms <= self.start_ms
        return not (after or before)


UNKNOWN = Days(0, 0)
"""Something was chosen, and nobody says on which days."""


@dataclass(frozen=True)
class Origin:
    """What is known of how the candidates were found.

    Attributes
    ----------
    source : "sweep", "deployment", "file" or "members". name : the run's id, the deployment's, or the file's.
    selected : the days that they were selected on. learned : those that given weights were learned on; None where the
        weights came with the candidates or are learned by the backtest itself.
    tests_from_ms : where a test begins unless it is said, None: with the first bar. counts_from_ms : when a deployment
        counts.
    combinations_tried : how many were looked at to find them; of a plain list its own length.
    seeds : of whatever was drawn by chance on the way.
    """

    source: str
    name: str | None = None
    selected: Days = UNKNOWN
    learned: Days | None = None
    tests_from_ms: int | None = None
    combinations_tried: int = 1
    seeds: Mapping[str, int] = field(default_factory=dict)
    counts_from_ms: int | None = None

    def with_weights_of(self, days: tuple[str, str] | None) -> "Origin":
        """The same with weights that were learned from the first to the last of these UTC days (None: not known)."""
        if days is None:
            return replace(self, learned=UNKNOWN)
        return replace(self, learned=Days(to_ms(days[0], "learned_from"), to_ms(days[1], "learned_to") + DAY_MS))

    def seen(self, start_ms: int, end_ms: int) -> bool | None:
        """Whether a test over this period looks at days that anything was chosen on; None where that is not known."""
        known = [days for days in (self.selected, self.learned) if days is not None and days is not UNKNOWN]
        if any(days.overlaps(start_ms, end_ms) for days in known):
            return True
        return None if UNKNOWN in (self.selected, self.learned) else False

    def table(self) -> dict[str, Any]:
        """As JSON can hold it; `period` is null where it is not known."""
        return {
            "source": self.source,
            "run": self.name,
            "period": _period(self.selected),
            "weights_learned_on": None if self.learned is None else _period(self.learned),
            "combinations_tried": self.combinations_tried,
        }


def _period(days: Days) -> dict[str, str | None] | None:
    ends = {"start": days.start_ms, "end": days.end_ms}
    return None if days is UNKNOWN else {name: None if ms is None else utc(ms) for name, ms in ends.items()}
