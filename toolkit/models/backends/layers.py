"""Linear models and small neural networks as arrays: every row by itself, without the library that fitted them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.types import FloatArray

_ARRAYS, _FACTS = "layers.npz", "model.json"


@dataclass(frozen=True, eq=False)
class Layers:
    """Dense layers with ReLU between them and a logistic output.

    A matrix product adds up in an order that depends on how many rows there are. Here features are added one by one in
    their order, so that a row gives the same bits alone and among others.

    weights : float64[inputs, outputs] of each layer, the last one with one output. biases : float64[outputs] of each.
    """

    weights: Sequence[FloatArray]
    biases: Sequence[FloatArray]
    facts: Mapping[str, Any]

    def predict(self, x: FloatArray) -> FloatArray:
        values = np.ascontiguousarray(x, np.float64)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            out = np.repeat(bias[None, :], len(values), axis=0)
            for k in range(values.shape[1]):
                out += values[:, k, None] * weight[k]
            values = out if number == len(self.weights) - 1 else np.maximum(out, 0.0)
        return np.array([_logistic(z) for z in values[:, 0].tolist()], np.float64)

    def save(self, folder: Path) -> None:
        arrays = {
            f"{kind}{k}": a for kind, all_ in (("w", self.weights), ("b", self.biases)) for k, a in enumerate(all_)
        }
        np.savez(folder / _ARRAYS, **arrays)  # type: ignore[arg-type]
        (folder / _FACTS).write_text(json.dumps(self.facts, indent=1))

    def describe(self) -> Mapping[str, Any]:
        return self.facts

    @classmethod
    def load(cls, folder: Path) -> "Layers":
        with np.load(folder / _ARRAYS, allow_pickle=False) as found:
            n = len(found.files) // 2
            weights, biases = [found[f"w{k}"] for k in range(n)], [found[f"b{k}"] for k in range(n)]
        return cls(weights, biases, json.loads((folder / _FACTS).read_text()))


def _logistic(z: float) -> float:
    """1 / (1 + exp(-z)), without overflow."""
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z)
    return e / (1.0 + e)
