"""What decides whether an entry signal is taken."""

from dataclasses import dataclass
from typing import Protocol

from executor.engine.signals import Traded
from toolkit.engine.types import ACCEPTED


@dataclass(frozen=True)
class Verdict:
    """decision : ACCEPTED, VETOED or REJECTED (`toolkit.engine.types`). prediction : a probability, NaN = none. scale :
    what the size is multiplied by, 0 to 1."""

    decision: int = ACCEPTED
    prediction: float = float("nan")
    scale: float = 1.0


class EntryModel(Protocol):
    """Asked at the close of a bar for each leg whose strategy enters there."""

    def decide(self, instance: Traded, side: int, moment_ms: int) -> Verdict: ...


class AcceptAll:
    """Takes every entry signal."""

    def decide(self, instance: Traded, side: int, moment_ms: int) -> Verdict:
        return Verdict()
