"""What is done with a probability: take the entry, leave it, or take a share of its size."""

import math
from dataclasses import dataclass

import numpy as np

from toolkit.engine.types import ACCEPTED, VETOED
from toolkit.errors import InputError, UnknownNameError
from toolkit.types import ByteArray, FloatArray

METHODS = ("veto", "quantile", "kelly", "rank")


@dataclass(frozen=True)
class Application:
    """How predictions become verdicts and sizes; its numbers were chosen inside the training part alone.

    Attributes
    ----------
    method : "veto" (below `threshold` nothing is taken), "quantile" (the same, the threshold being a quantile of the
        training part's own out-of-fold predictions), "kelly" (the size is a share: `fraction` of Kelly's bet at odds
        `payoff`, at most `cap`, and nothing where the bet is not above 0), "rank" (all are taken; of the entries of one
        moment the account decides the likeliest first, for limited slots).
    threshold : probability. fraction, cap : shares of a full size. payoff : average win over average loss.
    """

    method: str = "veto"
    threshold: float = 0.5
    fraction: float = 0.5
    cap: float = 1.0
    payoff: float = 1.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UnknownNameError("application", self.method, METHODS)
        for name in ("threshold", "fraction", "cap", "payoff"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise InputError(f"`{name}` of an application must be a finite number from 0 up, was {value!r}")
        if self.cap > 1 or self.fraction > 1:
            raise InputError(f"`fraction` and `cap` are shares up to 1, were {self.fraction} and {self.cap}")

    def say(self, predictions: FloatArray) -> tuple[ByteArray, FloatArray]:
        """uint8[n] verdicts (ACCEPTED or VETOED) and float64[n] shares of a size. A NaN prediction is a veto."""
        if self.method in ("veto", "quantile"):
            scales = np.where(predictions >= self.threshold, 1.0, 0.0)
        elif self.method == "kelly":
            bet = predictions - (1.0 - predictions) / self.payoff if self.payoff > 0 else np.zeros(len(predictions))
            scales = np.minimum(self.cap, np.maximum(0.0, self.fraction * bet))
            scales = np.where(np.isnan(scales), 0.0, scales)
        else:
            scales = np.where(np.isnan(predictions), 0.0, 1.0)
        return np.where(scales > 0.0, ACCEPTED, VETOED).astype(np.uint8), scales
