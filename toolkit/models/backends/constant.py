"""The baseline: every entry has the probability that entries had in the training part."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.settings import Setting
from toolkit.types import FloatArray

_FILE = "model.json"


@dataclass(frozen=True)
class ConstantModel:
    """Says `share` of everything."""

    share: float

    def predict(self, x: FloatArray) -> FloatArray:
        return np.full(len(x), self.share)

    def save(self, folder: Path) -> None:
        (folder / _FILE).write_text(json.dumps({"share": self.share}))

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "constant", "share": self.share}


class Constant:
    """Weighted share of ones."""

    name = "constant"
    takes_missing = True
    known: Mapping[str, Setting] = {}
    settings: Mapping[str, Any] = {}

    def fit(self, data: TrainingSet, budget: Budget, settings: Mapping[str, Any]) -> ConstantModel:
        return ConstantModel(float((data.y * data.weight).sum() / data.weight.sum()))

    def load(self, folder: Path) -> ConstantModel:
        return ConstantModel(float(json.loads((folder / _FILE).read_text())["share"]))
