"""Where a portfolio's candidates came from, which decides how far its figures can be believed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.bars.series import utc


@dataclass(frozen=True)
class Origin:
    """What is known of how the candidates were found.

    Attributes
    ----------
    source : "sweep", "deployment", "file" or "members". name : the run's id, the deployment's, or the file's.
    start_ms, end_ms : the period that they were selected on, None where it is open or not known.
    known : whether that period is known at all. tests_from_ms : the end that the source itself names, None without.
    combinations_tried : how many were looked at to find them; of a plain list its own length.
    seeds : of whatever was drawn by chance on the way.
    """

    source: str
    name: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    known: bool = False
    tests_from_ms: int | None = None
    combinations_tried: int = 1
    seeds: Mapping[str, int] = field(default_factory=dict)

    def overlaps(self, start_ms: int, end_ms: int) -> bool:
        """Whether a test over this period looks at days that the candidates were selected on."""
        if not self.known:
            return False
        after = self.end_ms is not None and start_ms >= self.end_ms
        before = self.start_ms is not None and end_ms <= self.start_ms
        return not (after or before)

    def table(self) -> dict[str, Any]:
        """As JSON can hold it; `period` is null where it is not known."""
        ends = {"start": self.start_ms, "end": self.end_ms}
        period = {name: None if ms is None else utc(ms) for name, ms in ends.items()}
        return {
            "source": self.source,
            "run": self.name,
            "period": period if self.known else None,
            "combinations_tried": self.combinations_tried,
        }
