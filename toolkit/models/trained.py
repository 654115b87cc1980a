"""`Trained`: a model with everything between raw features and a verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from toolkit.models.applying import Application
from toolkit.models.backends.base import Model
from toolkit.types import FloatArray, IntArray


class Cleaner(Protocol):
    """Cleaning as it was fitted on the training part; each value is cleaned by itself, so that rows do not mix."""

    def clean(self, x: FloatArray) -> FloatArray:
        """float64[n, k], finite, from raw features (NaN = missing)."""
        ...


@dataclass(frozen=True, eq=False)
class Trained:
    """A model as it is deployed.

    Attributes
    ----------
    features : raw features that it must be given, in this order. chosen : int64, those of them that the model reads.
    cleaning : fitted on the chosen ones. application : what its predictions come to.
    facts : where it is from (backend, settings, training window, dataset, scores), as JSON can hold it.
    """

    features: tuple[str, ...]
    chosen: IntArray
    cleaning: Cleaner
    model: Model
    application: Application
    facts: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, x: FloatArray, secs: float | None = None) -> FloatArray:
        """float64[n], the probability that an entry is worth taking, from float64[n, len(features)] raw features.

        secs : a deadline for models that run in another process, which raise when it passes; others need none.
        """
        seen = self.cleaning.clean(x[:, self.chosen])
        within = None if secs is None else getattr(self.model, "predict_within", None)
        if within is None:
            return self.model.predict(seen)
        found: FloatArray = within(seen, secs)
        return found
