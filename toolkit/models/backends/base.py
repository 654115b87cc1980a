"""The contract of every way of learning: `ModelBackend.fit` makes a `Model`; it predicts, saves and describes itself.

It does not change however the learning behind it does. One conformance suite runs over all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from toolkit.types import FloatArray


@dataclass(frozen=True)
class TrainingSet:
    """What a backend learns from: cleaned, finite, both classes present.

    x : float64[n, k]. y : float64[n], 0 or 1. weight : float64[n], above 0, mean 1. features : names of the columns.
    """

    features: tuple[str, ...]
    x: FloatArray
    y: FloatArray
    weight: FloatArray


@dataclass(frozen=True)
class Budget:
    """What a fit may use.

    seed : equal seeds, data and settings give equal models, bit for bit. max_secs : a hard limit where the backend runs
    in a process of its own, advice elsewhere; None = none. max_trials : for those that search. jobs : threads.
    """

    seed: int = 0
    max_secs: float | None = None
    max_trials: int | None = None
    jobs: int = 1


class Model(Protocol):
    """A fitted model; immutable."""

    def predict(self, x: FloatArray) -> FloatArray:
        """float64[n], the probability of a 1, from float64[n, k] of cleaned features.

        A row's value is the same to the bit whatever other rows are there.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write its files into a folder that is there and empty."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Kind, settings that were used, and what it found, as JSON can hold it."""
        ...


class ModelBackend(Protocol):
    """A way of learning. `name` is unique; `settings` are its settings with their defaults."""

    name: str
    settings: Mapping[str, Any]

    def fit(self, data: TrainingSet, budget: Budget, settings: Mapping[str, Any]) -> Model:
        """A model of the data; `settings` over the defaults, already checked by `checked_settings`."""
        ...

    def load(self, folder: Path) -> Model:
        """A model from the folder that `Model.save` wrote; predictions are the same to the bit."""
        ...


@dataclass(frozen=True)
class BackendChoice:
    """A backend by name, with settings over its defaults."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
